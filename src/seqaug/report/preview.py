"""What a preview holds, as one document and as rows to be laid side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..evaluation.augmentation import Augmented, Placed, ViewNumbers, left_out

__all__ = [
    "LOOKED_AT",
    "MEANINGS",
    "NUMBERS",
    "Cell",
    "MadeUpNumbers",
    "Preview",
    "PreviewedUser",
    "Row",
    "ViewFacts",
    "confidence_text",
    "cosine_text",
    "document",
    "number_text",
    "rows",
    "short_names",
    "table_of_made_up",
    "table_of_numbers",
    "verdicts",
]

LOOKED_AT = (
    "Looked at: the training items of each user and, to tell which items put in come true later, the validation item. "
    "The test item never is."
)

NUMBERS: Mapping[str, str] = {
    "selected": "positions selected",
    "identity_rate": "identity rate",
    "equal_views": "views equal to the original",
    "replaced": "positions with another item",
    "masked": "positions masked",
    "moved": "items moved",
    "inserted": "items inserted",
    "dropped": "items left out",
    "similarity": "similarity of what changed",
    "popularity_drift": "popularity drift (log)",
    "percentile_drift": "popularity drift (percentile)",
    "later_true": "of items put in: true later",
    "in_history": "of items put in: had before",
    "confidence_selected": "confidence where selected",
    "confidence_elsewhere": "confidence elsewhere",
    "restored": "given back by the diffusion",
    "representation": "cosine of representations",
}
"""The numbers of a view that people are shown, in order, with what they are called; `ViewNumbers` says what they are."""

MEANINGS: Mapping[str, str] = {
    "selected": "Share of the positions that a selector of the augmenter chose.",
    "identity_rate": "Of the chosen positions that an item was put at, the share whose item is the original one.",
    "equal_views": "Share of the sequences that the view leaves exactly as they are.",
    "similarity": "Mean cosine in the item table between an item and the other one that took its place.",
    "popularity_drift": "Mean log(1 + training actions) of the items put in, minus that of the items they replace; where they "
    "replace none, minus the mean of the sequence.",
    "percentile_drift": "The same with the share of the catalogue that is less popular: +0.10 is ten hundredths more popular.",
    "later_true": "Share of the items put in that the user takes after that place, in training or as the validation item. Of a "
    "hard negative: a false negative.",
    "in_history": "Share of the items put in that the user had before that place.",
    "confidence_selected": "The mean probability of the most likely item where a selector chose; below it, elsewhere.",
    "restored": "Share of the positions whose most likely item, after noise of a drawn step and restoration, is its own.",
    "representation": "Mean cosine of the representations of the view and of the original, with dropout as in training.",
}
"""`NUMBERS` explained, where the name does not say it all."""

OF_WORDS = ("restored", "representation")
"""Those that say something of a view without items of its own."""

TELLING_AT_ZERO = ("identity_rate", "similarity", *OF_WORDS, "later_true", "in_history")
"""Those of which a nought is a finding. Others that are nought everywhere are of edits that the recipe does not make."""

DRIFTS = ("popularity_drift", "percentile_drift")
COSINES = ("similarity", "representation")
CONFIDENCES = ("confidence_selected", "confidence_elsewhere")


@dataclass(frozen=True, slots=True)
class ViewFacts:
    """A view of the recipe, and what it does over all the sequences looked at.

    name: "<augmenter>.<view>". use: the plugin behind it. roles: who reads it, as what ("positive of contrast"). negative:
    whether an objective reads it as a negative. words: said in the place of items where the view has none of its own.
    """

    name: str
    use: str
    roles: tuple[str, ...]
    negative: bool
    words: str | None
    numbers: ViewNumbers

    @property
    def read(self) -> str:
        """ "positive of contrast", or that nobody reads it."""
        return ", ".join(self.roles) or "read by no objective"


@dataclass(frozen=True, slots=True)
class MadeUpNumbers:
    """What a rewriter has put in front of the sequences looked at.

    per_user: items, on average. come_true: share of them that the user takes, in training or as the validation item.
    similarity: mean cosine to the user's own items. popularity_drift, percentile_drift: against the user's own items, as in
    `ViewNumbers`. None where nothing was made up.
    """

    per_user: float
    come_true: float | None
    similarity: float | None
    popularity_drift: float | None
    percentile_drift: float | None


@dataclass(frozen=True, slots=True, eq=False)
class PreviewedUser:
    """One user's sequence and its views, by name.

    history: how many training items the user has. begin: how many of them stand before the sequence. original: the sequence,
    its first `made_up` items by a rewriter. follows: the training item after it, None where the sequence is all of them.
    """

    user: str
    history: int
    begin: int
    made_up: int
    original: tuple[int, ...]
    follows: int | None
    views: Mapping[str, Augmented]

    def described(self, preview: Preview) -> str:
        """Which items of the user the sequence is made of: "30 training items, 1 to 29 of them here; then comes ..."."""
        real = len(self.original) - self.made_up
        span = "all" if real == self.history else f"{self.begin + 1} to {self.begin + real}"
        made_up = f", behind {self.made_up} made-up ones" if self.made_up else ""
        follows = "" if self.follows is None else f"; then comes {preview.title(self.follows)}"
        return f"{self.history:,} training item{'s' if self.history != 1 else ''}, {span} of them here{made_up}{follows}"

    def place(self, row: int) -> int:
        """The number of a row's item in the user's history, counted from 1; 0 for a made-up one."""
        return 0 if row < self.made_up else self.begin + row - self.made_up + 1


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """What a recipe's augmenters make of a data set.

    data: its name. users: how many it has; over: how many of them the numbers are of. weights: where they come from, a
    sentence. notes: what there is not to see, sentences. similarity_at_random: mean cosine of two items of the table.
    names: id -> (the source's name, title or None) of every item shown.
    """

    recipe: str
    data: str
    users: int
    seed: int
    trained: bool
    weights: str
    notes: tuple[str, ...]
    over: int
    similarity_at_random: float | None
    views: tuple[ViewFacts, ...]
    made_up: MadeUpNumbers | None
    shown: tuple[PreviewedUser, ...]
    names: Mapping[int, tuple[str, str | None]]

    def title(self, item: int) -> str:
        """What people are shown of an item."""
        name, title = self.names[item]
        return title or name


def short_names(names: Sequence[str]) -> list[str]:
    """The views' own names, with their augmenter's where two are alike."""
    short = [name.partition(".")[2] for name in names]
    return [name if short.count(own) > 1 else own for name, own in zip(names, short, strict=True)]


# ---- for machines ----


def document(preview: Preview) -> dict[str, Any]:
    """Everything, fit for JSON. Items are {"item": the source's name, "title": ... or null}; rows count from 0, the oldest."""

    def item(number: int) -> dict[str, Any]:
        name, title = preview.names[number]
        return {"item": name, "title": title}

    def placed(one: Placed) -> dict[str, Any]:
        extra = {"came_from": one.came_from, "similarity": one.similarity}
        extra |= {"later_true": one.later_true, "in_history": one.in_history}
        return item(one.item) | {"what": one.what, "row": one.row, "before": one.before} | extra

    def view(one: Augmented) -> dict[str, Any]:
        return {
            "equal": one.equal,
            "selected": one.selected,
            "confidence": None if one.confidence is None else [None if c != c else c for c in one.confidence],
            "representation": one.representation,
            "restored": one.restored,
            "items": [placed(each) for each in one.placed],
            "dropped_rows": list(left_out(one.placed, len(one.original))),
        }

    return {
        "recipe": preview.recipe,
        "data": {"name": preview.data, "users": preview.users},
        "seed": preview.seed,
        "trained": preview.trained,
        "weights": preview.weights,
        "notes": list(preview.notes),
        "looked_at": LOOKED_AT,
        "over": preview.over,
        "similarity_at_random": preview.similarity_at_random,
        "views": {
            one.name: {
                "augmenter": one.use,
                "roles": list(one.roles),
                "negative": one.negative,
                "words": one.words,
                "numbers": asdict(one.numbers),
            }
            for one in preview.views
        },
        "made_up": None if preview.made_up is None else asdict(preview.made_up),
        "shown": [
            {
                "user": one.user,
                "training_items": one.history,
                "begin": one.begin,
                "made_up": one.made_up,
                "original": [item(number) for number in one.original],
                "follows": None if one.follows is None else item(one.follows),
                "views": {name: view(augmented) for name, augmented in one.views.items()},
            }
            for one in preview.shown
        ],
    }


# ---- for people ----


@dataclass(frozen=True, slots=True)
class Cell:
    """What one view shows in one row: an item as it was placed, or None where the original's item is left out."""

    placed: Placed | None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the original beside the views.

    place: the number of the item in the user's history, counted from 1; 0 for a made-up one; None for a line on which only
    views have something. item: of the original. cells: one a view, None where there is nothing. selected: by the selector of
    any of the views.
    """

    place: int | None
    item: int | None
    selected: bool
    confidence: float | None
    cells: tuple[Cell | None, ...]

    @property
    def changed(self) -> bool:
        """Whether there is anything to see beside the original."""
        return self.selected or any(
            cell is not None and (cell.placed is None or cell.placed.what not in ("kept", "other")) for cell in self.cells
        )


def rows(user: PreviewedUser, names: Sequence[str]) -> list[Row]:
    """The original, oldest item first, with the views of these names beside it."""
    views = [user.views[name] for name in names]
    selected = [any(view.selected is not None and view.selected[row] for view in views) for row in range(len(user.original))]
    confidence = next((view.confidence for view in views if view.confidence is not None), None)
    beside: list[dict[int, Cell]] = []
    ahead: list[dict[int, list[Cell]]] = []
    for view in views:
        here = {row: Cell(None) for row in left_out(view.placed, len(view.original))}
        before: dict[int, list[Cell]] = {}
        for one in view.placed:
            if one.before:
                before.setdefault(one.row, []).append(Cell(one))
            else:
                here[one.row] = Cell(one)
        beside.append(here)
        ahead.append(before)
    found = []
    for row in range(len(user.original) + 1):
        stacks = [before.get(row, []) for before in ahead]
        height = max((len(stack) for stack in stacks), default=0)
        for line in range(height):
            # What several views put in at one place ends together, just before the row.
            cells = tuple(stack[line - height + len(stack)] if line >= height - len(stack) else None for stack in stacks)
            found.append(Row(None, None, False, None, cells))
        if row < len(user.original):
            told = None if confidence is None or confidence[row] != confidence[row] else confidence[row]
            found.append(Row(user.place(row), user.original[row], selected[row], told, tuple(here.get(row) for here in beside)))
    return found


def table_of_numbers(views: Sequence[ViewFacts]) -> list[tuple[str, list[str]]]:
    """(what it is called, one text a view): the numbers of `NUMBERS` that say something of any of the views."""
    found = []
    for name, label in NUMBERS.items():
        values = [getattr(view.numbers, name) if view.words is None or name in OF_WORDS else None for view in views]
        if any(value is not None and (value or name in TELLING_AT_ZERO) for value in values):
            found.append((label, [number_text(name, value) for value in values]))
    return found


def table_of_made_up(made_up: MadeUpNumbers) -> list[tuple[str, str]]:
    """(what it is called, its text)"""
    return [
        ("items made up per sequence", f"{made_up.per_user:.2f}"),
        ("that the user really takes", number_text("later_true", made_up.come_true)),
        ("similarity to the user's items", number_text("similarity", made_up.similarity)),
        *((NUMBERS[name], number_text(name, getattr(made_up, name))) for name in DRIFTS),
    ]


def verdicts(preview: Preview) -> list[str]:
    """What the numbers say of the hard negatives, and what the similarities have to be measured against; sentences."""
    found = []
    for view in preview.views:
        numbers = view.numbers
        if view.negative and view.words is None and numbers.put_in:
            later, before = (number_text(name, getattr(numbers, name)) for name in ("later_true", "in_history"))
            found.append(
                f"Hard negatives ({view.name}): of {numbers.put_in:,} items put in, {later} are ones that the user takes later "
                f"(false negatives) and {before} are ones that the user had before."
            )
    if preview.similarity_at_random is not None:
        random = number_text("similarity", preview.similarity_at_random)
        found.append(f"Two items drawn at random have a similarity (cosine in the item table) of {random} on average.")
    return found


def number_text(name: str, value: float | None) -> str:
    """A number of `NUMBERS` as people read it; "-" where nothing is known."""
    if value is None:
        return "-"
    if name in DRIFTS:
        return f"{value:+.2f}"
    if name in COSINES:
        return cosine_text(value)
    return confidence_text(value) if name in CONFIDENCES else f"{100 * value:.1f} %"


def cosine_text(value: float) -> str:
    """Two decimals, and never -0.00."""
    shown = f"{value:.2f}"
    return shown.removeprefix("-") if float(shown) == 0 else shown


def confidence_text(value: float | None) -> str:
    """A probability: 0.714, 0.051, 0.00041; nothing where nothing is known."""
    if value is None:
        return ""
    return f"{value:.3f}" if value >= 0.0095 else f"{value:.5f}"
