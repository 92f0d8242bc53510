"""A plugin defined where it is used: an idea, its runs, and whether it is better than what is in the box.

    python examples/plugin_in_a_script.py             # 3 epochs, the seeds 0 to 2, about a minute
    python examples/plugin_in_a_script.py 1 2         # 1 epoch, the seeds 0 and 1

The decorator makes the class a plugin of this process, known by its name in every recipe; nothing is installed. Runs lie in
`runs/`, so a second start compares at once. The same class in a file of its own is `my_noise.py`.
"""

import sys
from typing import Annotated

from pydantic import Field

from seqaug.api import Generator, ItemTable, Tensor, noise_sources
from seqaug.library import compare, run


@noise_sources.register("popular")
class PopularNoise:
    """Pulls every item towards what everybody takes: the mean vector of the catalogue, each item as often as it was taken.

    scale: what the mean is multiplied by, above 0.
    """

    def __init__(self, *, scale: Annotated[float, Field(gt=0)] = 1.0) -> None:
        self.scale = scale

    def draw(self, clean: Tensor, items: Tensor, table: ItemTable, generator: Generator) -> Tensor:
        """clean (N, D) -> (N, D), the same vector for every position."""
        share = table.popularity[1:] / table.popularity.sum()
        return (self.scale * share @ table.catalogue).expand_as(clean)


epochs, seeds = [int(word) for word in sys.argv[1:3]] if len(sys.argv) > 2 else (3, 3)
SMALL = {"training.epochs": epochs, "training.batch_size": 128, "items.dim": 32, "data.max_length": 20}
folders = [
    run("simdiffrec", changes={**SMALL, "noise": noise}, seed=seed).folder
    for noise in ("gaussian", "popular")
    for seed in range(seeds)
]
for (_, metric, method), cell in compare(folders, metrics=["ndcg@10"]).cells.items():
    beside = f"{cell.difference.mean:+.4f}, {cell.difference.verdict}" if cell.difference else "the reference"
    print(f"{method}: {metric.upper()} {cell.mean:.4f} ({beside})")
