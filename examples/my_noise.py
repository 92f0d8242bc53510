"""Noise from an idea to a run, in one file: what disturbs an item is another item, any of the catalogue.

    seqaug run simdiffrec --plugin-file examples/my_noise.py --noise my-noise
    seqaug run simdiffrec --plugin-file examples/my_noise.py --noise my-noise:scale=0.5
    seqaug plugins check examples/my_noise.py

The page "Plugins" of the documentation grows this file from its first line, and into a package.
"""

from typing import Annotated

import torch
from pydantic import Field

from seqaug.api import Generator, ItemTable, Tensor, noise_sources


@noise_sources.register("my-noise")
class OtherItem:
    """The vector of another item, drawn uniformly for each position, times `scale`."""

    seqaug_api = 1

    def __init__(self, *, scale: Annotated[float, Field(gt=0, le=10)] = 1.0) -> None:
        self.scale = scale

    def draw(self, clean: Tensor, items: Tensor, table: ItemTable, generator: Generator) -> Tensor:
        """clean (N, D), items (N,) -> (N, D)."""
        others = torch.randint(1, table.num_items + 1, items.shape, generator=generator, device=items.device)
        noise: Tensor = self.scale * table(others)
        return noise
