"""The checks, by what they look at. Importing this declares them, in the order in which they run."""

from __future__ import annotations

from . import answers, contract, randomness

__all__ = ["answers", "contract", "randomness"]
