"""What a plugin's author runs against a plugin: the conformance kit.

Three ways in: `seqaug plugins check NAME|FILE` at the terminal, `parametrize_with_checks` in a test file, and the fixtures of
the pytest plugin for tests of one's own. The first two run the checks that `checks_of` lists. Importing this is light; torch is
loaded when checks are asked for.
"""

from __future__ import annotations

from .check import Check, Outcome
from .parametrized import parametrize_with_checks
from .running import check_plugin, checks_of
from .subject import Subject

__all__ = ["Check", "Outcome", "Subject", "check_plugin", "checks_of", "parametrize_with_checks"]
