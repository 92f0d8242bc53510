"""What happens between stages: parts start again, made-up context comes in front of the sequences, rows are chosen."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.assembly import Assembly, Stage
from ..core.blocks import quiet
from ..core.seeds import Generators
from ..data.samples import Samples
from ..errors import PluginError

__all__ = ["Stages"]


class Stages:
    """The passages from stage to stage of one assembly, which has to have its initial weights when this is made.

    Raises DataError where the data have no row for one of the stages, before any of them is trained.
    """

    def __init__(self, assembly: Assembly, samples: Samples, seed: int) -> None:
        self.assembly = assembly
        self._samples = samples
        self._seed = seed
        reset = {name for stage in assembly.stages for name in stage.reset}
        self._initial = {
            name: {key: tensor.detach().clone() for key, tensor in part.state_dict().items()}
            for name, part in assembly.model.parts().items()
            if name in reset
        }
        for stage in assembly.stages:
            samples.at_least(stage.min_length)

    def enter(self, stage: Stage) -> None:
        """Rewrite first, with what the stages before have learnt; then reset."""
        model = self.assembly.model
        if stage.rewrite is not None:
            rewriter = self.assembly.rewriters[stage.rewrite]
            generators = Generators(self._samples.device)
            slot = self.assembly.slots[id(rewriter)]
            with quiet(model), torch.no_grad():
                made = rewriter.rewrite(model, self._samples.histories, generators.get(slot, self._seed, stage.name, "rewrite"))
            model.context = self._checked(made, slot)
        for name in stage.reset:
            model.parts()[name].load_state_dict(self._initial[name])

    def samples_for(self, stage: Stage) -> Samples:
        """The rows of a stage, behind whatever context the model has by now."""
        return self._samples.behind(self.assembly.model.context).at_least(stage.min_length)

    def _checked(self, made: Tensor, slot: str) -> Tensor:
        users, items = self._samples.num_users, self._samples.num_items
        if made.dim() != 2 or len(made) != users or made.dtype != torch.int64:
            raise PluginError(
                f"{slot}: a rewriter gives ids (int64) of shape ({users}, M); this one gave {made.dtype}, {tuple(made.shape)}"
            )
        if made.numel() and not 0 <= int(made.min()) <= int(made.max()) <= items:
            raise PluginError(f"{slot}: a rewriter gives ids of 1..{items}, or 0 for none; this one gave others")
        return made
