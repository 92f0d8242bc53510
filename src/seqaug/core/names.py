"""Names that point at another part of the same recipe. The planner checks that what they name exists.

A plugin's keyword option of one of these types is a plain string at run time; the type tells the planner what it must name.
"""

from __future__ import annotations

__all__ = ["DiffusionName", "EncoderName", "HeadName", "ViewName"]


class _Name(str):
    __slots__ = ()


class ViewName(_Name):
    """ "clean", or "<augmenter>.<view>" such as "diffused.positive"."""

    __slots__ = ()


class EncoderName(_Name):
    """The second key of an `[encoders.NAME]` table."""

    __slots__ = ()


class DiffusionName(_Name):
    """The second key of a `[diffusions.NAME]` table."""

    __slots__ = ()


class HeadName(_Name):
    """The second key of a `[heads.NAME]` table."""

    __slots__ = ()
