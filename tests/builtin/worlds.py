"""A small world for tests of plugins: data, batches, and assemblies put together by hand."""

from __future__ import annotations

from dataclasses import replace

import torch
from hypothesis import strategies
from torch import Generator, Tensor, nn

from seqaug.builtin.denoisers.transformer import TransformerDenoiser
from seqaug.builtin.encoders.transformer import TransformerEncoder
from seqaug.builtin.noise_sources import SimilarityNoise
from seqaug.builtin.schedules import LinearSchedule
from seqaug.builtin.scorers import LastPosition
from seqaug.core.assembly import Assembly
from seqaug.core.diffusion import Diffusion
from seqaug.core.items import ItemScores, ItemTable
from seqaug.core.recommender import Recommender
from seqaug.core.step import Step
from seqaug.core.views import Evidence
from seqaug.data.batch import Batch
from seqaug.data.layout import Layout
from seqaug.data.samples import Kind, Samples
from seqaug.data.split import Histories, leave_one_out
from seqaug.data.synthetic import toy_world

DIM = 8
MAX_LENGTH = 12

counts = strategies.lists(strategies.integers(1, 9), min_size=1, max_size=6)
seeds = strategies.integers(0, 2**31)


def drawing(seed: int = 0) -> Generator:
    """A generator on the CPU."""
    return Generator().manual_seed(seed)


def batch_of(*sequences: list[int], users: list[int] | None = None) -> Batch:
    """Sequences whose every position predicts the next id."""
    items = torch.tensor([item for sequence in sequences for item in sequence])
    rows = torch.arange(len(sequences))
    layout = Layout.of([len(sequence) for sequence in sequences])
    return Batch(rows, rows if users is None else torch.tensor(users), layout, items, items % 5 + 1)


def evidence_of(
    lengths: list[int],
    num_items: int = 10,
    seed: int = 0,
    scores: Tensor | None = None,
    histories: list[list[int]] | None = None,
) -> Evidence:
    """Random items and targets; each user's history is what `histories` says, or the user's own items and targets."""
    draw = drawing(seed)
    layout = Layout.of(lengths)
    items = torch.randint(1, num_items + 1, (layout.num_positions,), generator=draw)
    targets = torch.randint(1, num_items + 1, (layout.num_positions,), generator=draw)
    if histories is None:
        flat, offsets = torch.stack([items, targets], 1).flatten(), 2 * layout.offsets
    else:
        flat = torch.tensor([item for one in histories for item in one])
        offsets = torch.tensor([0, *[len(one) for one in histories]]).cumsum(0)
    evidence = Evidence(
        layout=layout,
        users=torch.arange(len(lengths)),
        items=items,
        targets=targets,
        histories=Histories(offsets, flat, num_items),
        popularity=torch.bincount(flat, minlength=num_items + 1),
        num_items=num_items,
    )
    if scores is None:
        return evidence
    return replace(evidence, ask_scores=lambda: ItemScores.dense(scores))


def toy(num_users: int = 24, num_items: int = 20, kind: Kind = "sequences", seed: int = 0) -> Samples:
    """Samples of a small toy world."""
    return Samples(leave_one_out(toy_world(num_users, num_items, MAX_LENGTH, seed)), kind=kind, max_length=MAX_LENGTH)


def diffusion_of(noise: object | None = None, denoiser: nn.Module | None = None, **options: object) -> Diffusion:
    """Similarity noise, linear schedule of 1000 steps, one transformer layer; or what is given."""
    torch.manual_seed(1)
    return Diffusion(
        DIM,
        MAX_LENGTH,
        schedule=LinearSchedule(),
        noise=noise or SimilarityNoise(k=3),  # type: ignore[arg-type]
        denoiser=denoiser or TransformerDenoiser(DIM, MAX_LENGTH, inner=16),  # type: ignore[arg-type]
        **options,  # type: ignore[arg-type]
    )


def model_of(
    num_items: int, encoder: nn.Module | None = None, diffusion: Diffusion | None = None, seed: int = 0
) -> Recommender:
    """A recommender of width DIM. The item vectors are well apart, so that ranks have no ties."""
    torch.manual_seed(seed)
    table = ItemTable(num_items, DIM)
    with torch.no_grad():
        table.weight[1:] = torch.randn(num_items + 1, DIM)
    encoder = encoder or TransformerEncoder(DIM, MAX_LENGTH, inner=16)
    diffusion = diffusion or diffusion_of()
    return Recommender(table, encoders={"main": encoder}, diffusions={"main": diffusion}, max_length=MAX_LENGTH)


def assembly_of(model: Recommender, **plugins: object) -> Assembly:
    """Everything with `views` is an augmenter under its keyword; plugins inside plugins are found by their attributes."""
    scorer = LastPosition()
    paths: dict[str, object] = {"scorer": scorer}
    for name, diffusion in model.diffusions.items():
        paths[f"diffusions.{name}.noise"] = diffusion.noise
    for name, plugin in plugins.items():
        paths[f"plugins.{name}"] = plugin
        for key, inner in vars(plugin).items():
            if any(hasattr(inner, method) for method in ("select", "sample")):
                paths[f"plugins.{name}.{key}"] = inner
    augmenters = {name: plugin for name, plugin in plugins.items() if hasattr(plugin, "views")}
    return Assembly(model, augmenters, (), scorer, paths)  # type: ignore[arg-type]


def step_of(assembly: Assembly, samples: Samples, batch: Batch | None = None, seed: object = 0, epoch: int = 0) -> Step:
    """A step on the given batch, or on the first rows of the samples."""
    chosen = samples.take(torch.arange(min(samples.num_rows, 8))) if batch is None else batch
    return Step(assembly, samples, chosen, epoch=epoch, seed=(seed, "main", epoch, 0))
