"""How often identical methods are told apart, and real differences are told: the verdicts of a comparison, simulated.

    python benchmarks/verdicts.py                  # a minute on one core; the table of docs/comparing.md

The difference of seed s and user u is mean + a_s + b_u + e_su. "seeds 10" means that a_s adds ten times as much to the variance
of a table's mean as e_su does, and likewise for users; the mean is given in standard errors of the table's mean. Beside our
rule stand two that are often seen: a test over the users of one seed, and a t-test over the seeds that forgets the users.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from scipy import stats

from seqaug.evaluation.statistics import FEW_SEEDS, components, swap_test

EFFECTS = {"neither": (0, 0), "seeds 10": (10, 0), "users 10": (0, 10), "seeds 3, users 3": (3, 3)}


def tables(count: int, seeds: int, users: int, *, of_seeds: float, of_users: float, mean: float, seed: int) -> np.ndarray:
    """(count, seeds, users) differences."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(count, seeds, 1)) * math.sqrt(of_seeds / users)
    b = rng.normal(size=(count, 1, users)) * math.sqrt(of_users / seeds)
    error = math.sqrt((of_seeds + of_users + 1) / (seeds * users))
    return mean * error + a + b + rng.normal(size=(count, seeds, users))


def ours(found: np.ndarray) -> np.ndarray:
    """p of each table, as a cell of a comparison has it before Holm's correction."""
    p = np.array([one.p for one in components(found)])
    if found.shape[1] >= FEW_SEEDS:
        p = np.maximum(p, swap_test(found.mean(axis=1), swaps=999, rng=np.random.default_rng(1)))
    return p


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=4000, help="simulated tables of each kind")
    parser.add_argument("--users", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    head = [
        "variance from",
        "seeds",
        "verdicts on identical methods",
        "users of one seed",
        "t over seeds alone",
        "difference told",
    ]
    print(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}")
    for name, (of_seeds, of_users) in EFFECTS.items():
        for seeds in (3, 5, 10):
            shape = {"of_seeds": of_seeds, "of_users": of_users, "seed": options.seed}
            same = tables(options.tables, seeds, options.users, mean=0, **shape)
            other = tables(options.tables // 4, seeds, options.users, mean=5, **shape)
            shares = [
                (ours(same) <= 0.05).mean(),
                (stats.ttest_1samp(same[:, 0], 0, axis=1).pvalue <= 0.05).mean(),
                (stats.ttest_1samp(same.mean(axis=2), 0, axis=1).pvalue <= 0.05).mean(),
                (ours(other) <= 0.05).mean(),
            ]
            print(f"| {name} | {seeds} | {' | '.join(f'{100 * share:.1f} %' for share in shares)} |")


if __name__ == "__main__":
    main()
