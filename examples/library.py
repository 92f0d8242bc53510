"""The library in fifteen lines: data, split, plan, model, training, ranks, numbers, with room between any two of them.

    python examples/library.py          # three epochs of sasrec on the data set in the box, ten seconds
    python examples/library.py 1        # one epoch

It trains what `seqaug run sasrec --epochs 3` trains and ends in the same numbers, digit for digit. Who wants no room between
the steps writes `seqaug.library.run("sasrec").metrics`.
"""

import sys

from seqaug.library import EpochReport, Fit, assembly_of, find, leave_one_out, metrics, plan_of, rank_held_out, samples_of

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
data = find("movietweetings")
split = leave_one_out(data.sequences)
plan = plan_of("sasrec", data.name, changes={"training.epochs": epochs})
assembly = assembly_of(plan, split, seed=0)


def validate() -> dict[str, float]:
    return metrics(rank_held_out(assembly, split.valid, seed=0).rank)


fit = Fit(assembly, samples_of(plan, split), seed=0, options=plan.training, validate=validate)
for report in fit.reports():
    if isinstance(report, EpochReport) and report.valid:
        print(f"epoch {report.epoch + 1}: NDCG@10 on validation {report.valid['ndcg@10']:.4f}")
fit.restore_best()
print("test:", {name: round(value, 4) for name, value in metrics(rank_held_out(assembly, split.test, seed=0).rank).items()})
