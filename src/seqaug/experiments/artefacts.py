"""The tables and figures of the paper (arXiv 2507.11866) as things to run: which columns, on which data, measured how."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..recipes.load import load_recipe
from ..recipes.patches import Patch

__all__ = ["ARTEFACTS", "Artefact", "Column", "artefact"]

ARTEFACTS = ("table1", "table2", "table3", "fig3", "fig4", "fig5")

TABLE_METRICS = ("hr@5", "ndcg@5", "hr@10", "ndcg@10")
FIVE = ("beauty", "toys", "sports", "yelp", "ml-1m")
AMAZON = ("beauty", "toys", "sports")

METHODS = {
    "bert4rec": "BERT4Rec",
    "sasrec": "SASRec",
    "cl4srec": "CL4SRec",
    "duorec": "DuoRec",
    "mclrec": "MCLRec",
    "ecl_sr": "ECL-SR",
    "diffuasr": "DiffuASR",
    "dreamrec": "DreamRec",
    "cadirec": "CaDiRec",
    "simdiffrec": "SimDiffRec",
}
"""Our recipes of the rows of Table 2, in its order -> what the paper calls them."""

OWN = "simdiffrec"

WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5)
NEGATIVE_RANKS = (2, 3, 5, 10, 20, 50)
NEIGHBOURS = (1, 2, 5, 10, 25, 50, 100)

GRIDS: dict[str, dict[str, tuple[str, tuple[float, ...]]]] = {
    "fig3": {
        "alpha": ("objectives.contrast.weight", WEIGHTS),
        "beta": ("objectives.denoising.weight", WEIGHTS),
    },
    "fig4": {
        "k_sample": ("augmenters.diffused.negative.rank", NEGATIVE_RANKS),
        "k_noise": ("diffusions.main.noise.k", NEIGHBOURS),
    },
}
"""Figure -> curve -> the value that varies, and over what. The others stay those of the data set's variant."""


@dataclass(frozen=True, slots=True)
class Column:
    """One way of running.

    changes: of the recipe, after what the user asked for. method: its name in the paper's table. curve, x: where its point
    lies in a figure. like: columns of one `like` take about as long.
    """

    name: str
    recipe: str
    like: str
    changes: tuple[Patch, ...] = ()
    method: str | None = None
    curve: str = ""
    x: float | None = None


@dataclass(frozen=True, slots=True)
class Artefact:
    """A table or figure.

    data: the paper's, in its order. table: where its numbers are in the package, None for a figure, whose numbers nobody
    printed. reference: the column that the others are compared with, where they are. says: what the paper says of it.
    """

    name: str
    title: str
    data: tuple[str, ...]
    metrics: tuple[str, ...]
    columns: tuple[Column, ...]
    table: str | None = None
    reference: str | None = None
    says: tuple[str, ...] = ()


def artefact(name: str) -> Artefact:
    """One of `ARTEFACTS` but "table1", which is counted and not run."""
    return {"table2": _table_2, "table3": _table_3, "fig3": _figure_3, "fig4": _figure_4, "fig5": _figure_5}[name]()


def _table_2() -> Artefact:
    return Artefact(
        name="table2",
        title="Table 2: ten methods on five data sets",
        data=FIVE,
        metrics=TABLE_METRICS,
        columns=tuple(Column(recipe, recipe, recipe, method=method) for recipe, method in METHODS.items()),
        table="table2",
        says=(
            'Each experiment was run "until the variance dropped below 0.01" (caption); of how many runs a number is the mean '
            "is not said.",
            "The loss of SASRec is not said; our recipe has the softmax over the catalogue (the other is "
            "`seqaug run sasrec --loss next_item_bce`).",
        ),
    )


def _table_3() -> Artefact:
    return Artefact(
        name="table3",
        title="Table 3: SimDiffRec with one idea taken out at a time",
        data=AMAZON,
        metrics=TABLE_METRICS,
        columns=(*_ablations(), Column(OWN, OWN, OWN, method="SimDiffRec")),
        table="table3",
        reference=OWN,
        says=('"Each component contributes individually to performance improvement" (5.3).',),
    )


def _ablations() -> Iterator[Column]:
    table = load_recipe(OWN).table["ablations"]
    for name, changes in table.items():
        patches = tuple(Patch(path, value, f"ablation {name}") for path, value in changes.items())
        yield Column(name, OWN, name, patches, method=name)


def _figure_3() -> Artefact:
    return Artefact(
        name="fig3",
        title="Figure 3: the weights alpha (contrast) and beta (denoising)",
        data=AMAZON,
        metrics=("hr@10",),
        columns=tuple(_grid("fig3", "paper 5.1.4, the range of figure 3")),
        says=(
            "alpha: best at 0.1 on most data sets, at 0.4 on Beauty; above 0.2 it tends to fall (5.4).",
            "beta: matters little, with a dip around 0.2 on Beauty (5.4).",
            "Both tuned on validation: 0.4 and 0.4 on Beauty, 0.1 and 0.1 on Toys and Sports (5.4).",
        ),
    )


def _figure_4() -> Artefact:
    return Artefact(
        name="fig4",
        title="Figure 4: the rank of the hard negative (k_sample) and the number of similar items (k_noise)",
        data=AMAZON,
        metrics=("hr@10",),
        columns=tuple(_grid("fig4", "paper 5.5, the range of figure 4")),
        says=(
            "k_sample: the larger, the worse, on all three (5.5).",
            "k_noise: best between 25 and 50 on Beauty and Toys, between 1 and 5 on Sports (5.5).",
        ),
    )


def _figure_5() -> Artefact:
    without = next(one for one in _ablations() if one.name == "w/o c_aug")
    return Artefact(
        name="fig5",
        title="Figure 5: item embeddings of sequences, with and without confidence positions",
        data=("beauty",),
        metrics=("hr@10",),
        columns=(Column(OWN, OWN, OWN), without),
        says=(
            '"When random augmentation was applied, the similarity between items within a sequence was low"; with confidence '
            '"the distances between items within the same sequence become closer" (5.6). The data set is not said.',
        ),
    )


def _grid(figure: str, origin: str) -> Iterator[Column]:
    for curve, (path, values) in GRIDS[figure].items():
        for value in values:
            yield Column(f"{curve} {value:g}", OWN, OWN, (Patch(path, value, origin),), curve=curve, x=float(value))
