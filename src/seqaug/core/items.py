"""The item table, and the one question everybody asks of it: the best items for these vectors.

Similarity noise (Choi et al. (2025), eq. 6-7), rounding (eq. 12), confidence (eq. 14-16), rank-k negatives (section 4.4), the
softmax loss and full-ranking evaluation are all answered by `ItemScores`, in chunks: M positions by V items are never
written down whole.

M positions, D width, V items (ids 1..V), K items per position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..data.split import Histories
from ..errors import Diverged
from .world import present

__all__ = ["CHUNK_BYTES", "ItemScores", "ItemTable"]

CHUNK_BYTES = {"cpu": 16 * 2**20, "cuda": 512 * 2**20}
"""Budget of one chunk of scores. It holds at least LEAST_ROWS positions, so the true bound is
max(CHUNK_BYTES, LEAST_ROWS x V x 4): 16 MiB up to 262,144 items on CPU."""

LEAST_ROWS = 16

KEPT_BEST = 8
"""How many best items are kept by any pass that looks for them: asking for the confidence first and for the first
few ranks after it then costs one pass, not two."""

_buffers: dict[tuple[torch.device, torch.dtype], Tensor] = {}


def _buffer(device: torch.device, rows: int, width: int, kind: torch.dtype = torch.float32) -> Tensor:
    """A (rows, width) scratch area, the same memory each time: a fresh one costs page faults at every step."""
    kept = _buffers.get((device, kind))
    # One catalogue at a time: an old width is not worth its memory.
    if kept is None or kept.shape[1] != width or len(kept) < rows:
        kept = _buffers[device, kind] = torch.empty((rows, width), device=device, dtype=kind)
    return kept[:rows]


class ItemTable(nn.Module):
    """One vector per item. Row 0 is zero, never looked up and never trained; row V + 1 is MASK; only rows 1..V are scored.

    All V + 2 rows exist in every recipe, so that the draws of initialisation, N(0, std), never depend on the recipe.
    popularity: (V + 1,) training actions per item, for noise sources; not saved with the weights.
    """

    popularity: Tensor

    def __init__(
        self, num_items: int, dim: int, *, bias: bool = False, std: float = 0.02, popularity: Tensor | None = None
    ) -> None:
        super().__init__()
        self.num_items = num_items
        self.dim = dim
        weight = torch.empty(num_items + 2, dim).normal_(0, std)
        weight[0] = 0
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(num_items)) if bias else None
        counts = torch.zeros(num_items + 1, dtype=torch.int64) if popularity is None else popularity
        self.register_buffer("popularity", counts, persistent=False)

    @property
    def mask_id(self) -> int:
        """V + 1."""
        return self.num_items + 1

    @property
    def catalogue(self) -> Tensor:
        """(V, D), row i holds item i + 1."""
        return self.weight[1 : self.num_items + 1]

    @property
    def spread(self) -> Tensor:
        """() > 0, the standard deviation of all numbers of the catalogue, a constant without gradient.

        What vectors are divided by that stand next to noise of variance 1 (as in Rombach et al., 2022).
        """
        return self.catalogue.detach().std().clamp(min=1e-6)

    def forward(self, ids: Tensor) -> Tensor:
        """(...) ids in 1..V + 1 -> (..., D)."""
        return functional.embedding(ids, self.weight)


@dataclass(frozen=True, slots=True)
class _Made:
    """Scores that somebody makes, a few rows at a time."""

    num_items: int
    rows: Callable[[slice], Tensor]


class ItemScores:
    """`hidden . items^T` as a promise: the score of every item for each of M vectors, answered in chunks.

    hidden: (M, D). Where the table has a bias it is added. `ItemScores.dense` wraps scores that already exist,
    `ItemScores.chunked` such as are made when asked for.
    """

    def __init__(self, hidden: Tensor, table: ItemTable) -> None:
        self._hidden: Tensor = hidden
        self._table: ItemTable | None = table
        self._dense: Tensor | None = None
        self._made: _Made | None = None
        self._best: tuple[Tensor, Tensor] | None = None
        self._log_sum_exp: Tensor | None = None

    @classmethod
    def dense(cls, scores: Tensor) -> ItemScores:
        """From (M, V) scores that somebody had to write down: column i is item i + 1."""
        made = cls.__new__(cls)
        made._hidden, made._table, made._dense, made._made = scores, None, scores, None
        made._best = made._log_sum_exp = None
        return made

    @classmethod
    def chunked(
        cls, size: int, num_items: int, rows: Callable[[slice], Tensor], device: torch.device | str = "cpu"
    ) -> ItemScores:
        """From scores that are no inner products: `rows` gives those of a slice of the `size` vectors, (m, V).

        For the questions without gradient; `of` and `nll` need one of the other two forms.
        """
        made = cls.__new__(cls)
        made._hidden, made._table, made._dense = torch.empty((size, 0), device=device), None, None
        made._made = _Made(num_items, rows)
        made._best = made._log_sum_exp = None
        return made

    @property
    def size(self) -> int:
        """M."""
        return len(self._hidden)

    @property
    def num_items(self) -> int:
        """V."""
        if self._made is not None:
            return self._made.num_items
        return self._dense.shape[1] if self._dense is not None else self._table.num_items  # type: ignore[union-attr]

    # ---- questions without gradient ----

    def top(self, k: int) -> tuple[Tensor, Tensor]:
        """The k best items of each vector: ids (M, k) in 1..V, best first, and their scores (M, k). k <= V; no gradient."""
        assert 1 <= k <= self.num_items, f"asked for the best {k} of {self.num_items} items"
        if self._best is None or self._best[0].shape[1] < k:
            self._look(max(k, min(KEPT_BEST, self.num_items)), totals=False)
        assert self._best is not None
        ids, values = self._best
        return ids[:, :k], values[:, :k]

    def log_sum_exp(self) -> Tensor:
        """(M,) logarithm of the softmax denominator, no gradient."""
        if self._log_sum_exp is None:
            self._look(min(KEPT_BEST, self.num_items), totals=True)
        assert self._log_sum_exp is not None
        return self._log_sum_exp

    def confidence(self) -> Tensor:
        """(M,) the probability of the most likely item, in [1 / V, 1] (Choi et al. (2025), eq. 14-16). No gradient."""
        totals = self.log_sum_exp()
        return torch.exp(self.top(1)[1][:, 0] - totals)

    def rank_of(self, targets: Tensor, seen: Histories | None = None) -> tuple[Tensor, Tensor]:
        """The rank (M,) of each target among all items, and its rank once the items of `seen` are removed.

        1 is best. Ties are pessimistic: every other item of equal score stands before the target. A target that is
        itself among the seen cannot be reached: its second rank is V + 1. Without `seen` both ranks are the same.
        seen: the M histories. The target's score comes from the same product as all others.
        Raises Diverged where a score is NaN.
        """
        # Of ones a sum in 32 bits is exact up to 2^24, and three times as fast as counting truth values.
        exact = torch.float32 if self.num_items < 2**24 else torch.float64
        kept, removed = [], []
        for part, scores in self._chunks():
            if bool(torch.isnan(scores.amax(dim=1)).any()):
                raise Diverged("a score is NaN: nothing can be ranked. The model has diverged; try a lower learning rate.")
            wanted = targets[part]
            target_score = scores.gather(1, wanted[:, None] - 1)
            gone = None if seen is None else self._gone(seen, part, scores, target_score, wanted)
            rank = scores.ge_(target_score).sum(dim=1, dtype=exact).long()
            kept.append(rank)
            if gone is not None:
                fewer, unreachable = gone
                removed.append(torch.where(unreachable, self.num_items + 1, rank - fewer))
        first = torch.cat(kept)
        return first, torch.cat(removed) if removed else first

    def _gone(
        self, seen: Histories, part: slice, scores: Tensor, target_score: Tensor, wanted: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Of a chunk: how many seen items (m,) stand before each target, and whether the target (m,) is one of them."""
        items = seen.items[int(seen.offsets[part.start]) : int(seen.offsets[part.stop])]
        owner = torch.repeat_interleave(torch.arange(len(wanted), device=items.device), seen.lengths[part])
        # A history can hold an item twice; removing it removes one candidate.
        pairs = torch.unique(owner * (self.num_items + 1) + items)
        owner, items = pairs // (self.num_items + 1), pairs % (self.num_items + 1)
        before = (scores[owner, items - 1] >= target_score[owner, 0]).long()
        fewer = torch.zeros_like(wanted).index_add_(0, owner, before)
        unreachable = torch.zeros_like(wanted).index_add_(0, owner, (items == wanted[owner]).long()) > 0
        return fewer, unreachable

    # ---- questions with gradient ----

    def of(self, ids: Tensor) -> Tensor:
        """(M, K) ids in 1..V -> (M, K) scores, with gradient to the vectors and the table."""
        if self._dense is not None:
            return self._dense.gather(1, ids - 1)
        table = self._table
        assert table is not None
        scores = torch.einsum("md,mkd->mk", self._hidden, table(ids))
        if table.bias is None:
            return scores
        # Not table.bias[ids - 1], whose gradient several threads add up in whatever order: see Layout.repeated.
        return scores + table.bias.index_select(0, (ids - 1).flatten()).view(ids.shape)

    def columns(self, ids: Tensor) -> Tensor:
        """(K,) ids in 1..V -> (M, K) the scores of these items for every vector, with gradient to the vectors and the table.

        One product, where `of` looks K items up for each vector.
        """
        if self._dense is not None:
            return self._dense[:, ids - 1]
        table = self._table
        assert table is not None
        scores: Tensor = self._hidden @ table(ids).T
        return scores if table.bias is None else scores + table.bias.index_select(0, ids - 1)

    def nll(self, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """-> (), the softmax cross-entropy of `targets` (M,) over all V items, in nats.

        The mean over M, or the sum of weights (M,) x terms. About log V at initialisation. The gradient to vectors, table
        and bias is computed in the same chunked pass (none when gradients are off).
        """
        if weights is None:
            weights = torch.full((self.size,), 1 / max(self.size, 1), device=self._hidden.device)
        if self._dense is not None:
            terms = torch.logsumexp(self._dense, 1) - self._dense.gather(1, targets[:, None] - 1)[:, 0]
            return (terms * weights).sum()
        table = self._table
        assert table is not None
        half = torch.is_autocast_enabled(self._hidden.device.type)
        loss: Tensor = _ChunkedCrossEntropy.apply(  # type: ignore[no-untyped-call]
            self._hidden, table.weight, table.bias, targets - 1, weights.float(), half
        )
        return loss

    # ---- one pass ----

    def _chunks(self, first: int = 0, last: int | None = None) -> Iterator[tuple[slice, Tensor]]:
        """(rows, scores of those rows), for the rows from `first` to before `last`.

        The scores live in a buffer that the next chunk overwrites, and may be written to.
        """
        last = self.size if last is None else last
        if self._table is None:
            rows = _rows(self.num_items, self._hidden.device)
            for start in range(first, last, rows):
                part = slice(start, min(start + rows, last))
                scores = self._made.rows(part) if self._made is not None else self._dense[part]  # type: ignore[index]
                yield part, scores.detach().clone()  # whoever has made them may keep them
            return
        table = self._table
        assert table is not None
        hidden, catalogue = self._hidden.detach().float(), table.catalogue.detach()
        rows = _rows(len(catalogue), hidden.device)
        buffer = _buffer(hidden.device, min(rows, max(last - first, 1)), len(catalogue))
        for start in range(first, last, rows):
            part = slice(start, min(start + rows, last))
            with torch.autocast(hidden.device.type, enabled=False):
                scores = torch.mm(hidden[part], catalogue.t(), out=buffer[: part.stop - part.start])
            if table.bias is not None:
                scores += table.bias.detach()
            yield part, scores

    @torch.no_grad()
    def _look(self, k: int, *, totals: bool) -> None:
        """One pass for the best k and, where asked, the softmax denominator; both are kept."""
        device, world = self._hidden.device, present()
        borders = world.rows(self.size)
        first, last = borders[world.rank], borders[world.rank + 1]
        ids = torch.empty((last - first, k), dtype=torch.int64, device=device)
        values = torch.empty((last - first, k), device=device)
        sums = torch.empty(last - first, device=device)
        for part, scores in self._chunks(first, last):
            own = slice(part.start - first, part.stop - first)
            values[own], columns = _best(scores, k)
            ids[own] = columns + 1
            if totals:
                sums[own] = _softmax_(scores, values[own][:, :1], columns[:, :1])[:, 0]
        if world.size > 1:
            sizes = [end - begin for begin, end in pairwise(borders)]
            ids, values, sums = (world.joined(one, sizes) for one in (ids, values, sums))
        self._best = (ids, values)
        if totals:
            self._log_sum_exp = sums


LONG = 64
"""`torch.topk` is fast on rows that are so many times longer than what is wanted of them, and slow on shorter ones."""


def _best(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best of each row and their columns, best first: `torch.topk`, which is slow on long rows of the CPU.

    A row is cut into blocks: the best k lie in the k blocks with the highest maxima. With n blocks, block j is the columns
    j, j + n, j + 2n, ..., so that maxima are taken of whole runs of memory.
    """
    width = scores.shape[1]
    deep = min(width // (LONG * k), 16)
    if deep < 3:
        deep = 8  # topk is slow on the blocks' maxima too, and the fewer there are the better
    blocks = width // deep
    if scores.device.type != "cpu" or width < 1024 or 4 * k > blocks:
        best = torch.topk(scores, k, dim=1)
        return best.values, best.indices
    highest = scores[:, : blocks * deep].view(len(scores), deep, blocks).amax(1)
    chosen = torch.topk(highest, k, dim=1, sorted=False).indices
    columns = (chosen[:, :, None] + blocks * torch.arange(deep)).flatten(1)
    if blocks * deep < width:
        rest = torch.arange(blocks * deep, width)
        columns = torch.cat([columns, rest.expand(len(scores), -1)], 1)
    best = torch.topk(scores.gather(1, columns), k, dim=1)
    return best.values, columns.gather(1, best.indices)


def _softmax_(scores: Tensor, highest: Tensor, columns: Tensor) -> Tensor:
    """Turn scores (m, V) into probabilities, in place; highest (m, 1) and their columns (m, 1) -> log-sum-exp (m, 1).

    The probability of the highest is 1 / sum(exp(score - highest)), so that no second pass is needed for the sum.
    """
    torch.softmax(scores, 1, out=scores)
    return highest - scores.gather(1, columns).float().log_()


UNLIKELY = 1e-30
"""Below it 32 bits begin to lose the digits of a probability."""


def _surprise_(scores: Tensor, wanted: Tensor, vectors: Tensor, catalogue: Tensor, bias: Tensor | None) -> Tensor:
    """Turn scores (m, V) into probabilities, in place, -> (m,) the negative logarithm of those of `wanted`, in nats.

    wanted: (m,) columns. vectors (m, D), catalogue (V, D) and bias (V,) or None are what the scores come from.
    """
    column = wanted[:, None]
    if scores.device.type != "cpu":  # to look whether one is too unlikely would be to wait for the device
        highest, best = scores.max(1, keepdim=True)
        of_target = scores.gather(1, column).float()
        return (_softmax_(scores, highest.float(), best) - of_target)[:, 0]
    torch.softmax(scores, 1, out=scores)
    likely = scores.gather(1, column)[:, 0].float()
    found = -likely.log()
    lost = (likely < UNLIKELY).nonzero()[:, 0]
    if len(lost):
        once_more = torch.mm(vectors[lost], catalogue.t())
        if bias is not None:
            once_more += bias
        found[lost] = torch.logsumexp(once_more, 1) - once_more.gather(1, column[lost])[:, 0]
    return found


FEW_SHAPES = 64
"""The rows of a product in bfloat16 are a multiple of it, where a chunk has so many: oneDNN compiles a kernel for every number
of rows, and the last chunk of a ragged batch has another one each time. The rows beyond are zeros, which add nothing."""


def _upwards(count: int, unit: int) -> int:
    return -(-count // unit) * unit


def _lengthened(rows: Tensor, count: int) -> Tensor:
    """(m, D) -> (count, D), zeros behind."""
    return rows if len(rows) == count else functional.pad(rows, (0, 0, 0, count - len(rows)))


def _rows(width: int, device: torch.device) -> int:
    return max(LEAST_ROWS, CHUNK_BYTES.get(device.type, CHUNK_BYTES["cuda"]) // (4 * max(width, 1)))


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Softmax cross-entropy whose gradient is made while a chunk of scores is still at hand.

    hidden (M, D), table (V + 2, D) of which rows 1..V are scored, bias (V,) or None, targets (M,) in 0..V - 1, weights (M,).
    `half`: products, scores and probabilities in bfloat16. The gradient has the shape of the table, so that nobody has to put a
    part into a whole.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, table: Tensor, bias: Tensor | None, targets: Tensor, weights: Tensor, half: bool
    ) -> Tensor:
        kind = hidden.dtype
        hidden, catalogue = hidden.float(), table[1:-1]
        wants_hidden, wants_items, wants_bias = ctx.needs_input_grad[:3]
        wants_any = wants_hidden or wants_items or wants_bias
        size, width, world = len(hidden), len(catalogue), present()
        borders = world.rows(size)
        first, last = borders[world.rank], borders[world.rank + 1]
        rows = _rows(width, hidden.device)
        unit = FEW_SHAPES if half and rows >= FEW_SHAPES else 1
        rows -= rows % unit
        right = catalogue.to(torch.bfloat16) if half else catalogue
        buffer = _buffer(hidden.device, min(rows, _upwards(max(size, 1), unit)), width, right.dtype)
        to_hidden = torch.empty_like(hidden) if wants_hidden else None
        to_table = torch.empty_like(table) if wants_items else None
        to_items = None
        if to_table is not None:
            to_table[0], to_table[-1] = 0, 0
            to_items = to_table[1:-1]
        to_bias = torch.zeros(width, device=hidden.device) if wants_bias else None
        loss = hidden.new_zeros(())
        with torch.autocast(hidden.device.type, enabled=False):
            for start in range(first, last, rows):
                part = slice(start, min(start + rows, last))
                vectors, wanted, weight = hidden[part], targets[part], weights[part]
                made = buffer[: _upwards(part.stop - part.start, unit)]
                torch.mm(_lengthened(vectors.to(right.dtype), len(made)), right.t(), out=made)
                scores = made[: part.stop - part.start]
                if bias is not None:
                    scores += bias
                loss += (_surprise_(scores, wanted, vectors, catalogue, bias) * weight).sum()
                if not wants_any:
                    continue
                share = weight[:, None]
                if to_hidden is not None:
                    product = torch.mm(made, right)[: len(scores)].float()
                    to_hidden[part] = (product - catalogue[wanted]) * share
                if to_items is not None:
                    scaled = vectors * share
                    if half:
                        product = torch.mm(made.t(), _lengthened(scaled.to(torch.bfloat16), len(made)))
                        to_items.copy_(product) if start == first else to_items.add_(product)
                    else:
                        to_items.addmm_(scores.t(), scaled, beta=0 if start == first else 1)
                if to_bias is not None:
                    if half:
                        to_bias.add_(torch.mv(scores.t(), weight.to(torch.bfloat16)))
                    else:
                        to_bias.addmv_(scores.t(), weight)
        if to_items is not None and first == last:
            to_items.zero_()
        if world.size > 1:
            # From here on every process has all of it.
            world.summed_(loss)
            for gradient in (to_items, to_bias):
                if gradient is not None:
                    world.summed_(gradient)
            if to_hidden is not None:
                to_hidden = world.joined(to_hidden[first:last], [end - begin for begin, end in pairwise(borders)])
        if to_items is not None:
            to_items.index_add_(0, targets, hidden * weights[:, None], alpha=-1)
        if to_bias is not None:
            to_bias.index_add_(0, targets, weights, alpha=-1)
        ctx.gradients = (None if to_hidden is None else to_hidden.to(kind), to_table, to_bias)
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (scale,) = gradients
        made = [None if gradient is None else gradient * scale for gradient in ctx.gradients]
        return (*made, None, None, None)
