"""The names in a column of users or items, numbered from 0 by first appearance in the file, filled block by block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..actions import CONTROL, Numbering
from .blocks import Column, Words, first_appearances, texts_of

__all__ = ["Names"]

Ints = NDArray[np.int64]


class Names:
    """A column of names.

    As long as they come from plain blocks, each block keeps its distinct names as numbers made of their bytes, and only what is
    distinct in the whole file becomes text, once. From the first other name on (`add`, or blanks around one), all go through
    a `Numbering`. The numbers are the same.
    """

    def __init__(self) -> None:
        self._blocks: list[tuple[Words, NDArray[np.int32]]] = []
        self._numbers: list[Ints] = []
        self._numbering: Numbering | None = None

    def add(self, texts: Sequence[str]) -> None:
        """Some more rows. ValueError for a text that is no name."""
        self._numbers.append(self._by_text().of(texts))

    def add_column(self, column: Column) -> None:
        """The same from the cells of a block."""
        found = column.distinct_words() if self._numbering is None and column.tidy() else None
        if found is not None:
            words, number = found
            self._blocks.append((words, number.astype(np.int32)))
        else:
            texts, number = column.distinct()
            self._numbers.append(self._by_text().of(texts)[number])

    def all(self) -> tuple[Ints, list[str]]:
        """The numbers of all rows (A,), and the name of each number. ValueError for a text that is no name."""
        plain = self._merged() if self._numbering is None and self._blocks else None
        if plain is not None:
            return plain
        numbering = self._by_text()
        return np.concatenate([*self._numbers, np.zeros(0, np.int64)]), numbering.names

    def _merged(self) -> tuple[Ints, list[str]] | None:
        """All blocks as one; None where a name has blanks around it, or is none, or the keys are of no use."""
        width = max(words.shape[1] for words, _ in self._blocks)
        every = np.concatenate([np.pad(words, ((0, 0), (0, width - words.shape[1]))) for words, _ in self._blocks])
        found = first_appearances(every)
        if found is None:
            return None
        distinct, number = found
        names = texts_of(distinct)
        if "" in names or CONTROL.search(" ".join(names)) or [name.strip() for name in names] != names:
            return None
        counts = [len(words) for words, _ in self._blocks]
        of_block = np.split(number, np.cumsum(counts)[:-1])
        return np.concatenate([own[place] for own, (_, place) in zip(of_block, self._blocks, strict=True)]), names

    def _by_text(self) -> Numbering:
        if self._numbering is None:
            self._numbering = Numbering()
            self._numbers.extend(self._numbering.of(texts_of(words))[number] for words, number in self._blocks)
            self._blocks = []
        return self._numbering
