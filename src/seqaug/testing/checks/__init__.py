"""The checks, by what they look at. Importing this declares them, in the order in which they run."""

from __future__ import annotations

# The order is that of the table.
# isort: off
from . import contract
from . import answers
from . import randomness
from . import independence
from . import learning
from . import cost

__all__ = ["answers", "contract", "cost", "independence", "learning", "randomness"]
