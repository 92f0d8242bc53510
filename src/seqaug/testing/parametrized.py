"""The checks of some plugins as the cases of one test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .check import Check
from .running import checks_of, outcome_of
from .subject import Subject

if TYPE_CHECKING:
    import pytest

__all__ = ["BoundCheck", "parametrize_with_checks"]


class BoundCheck:
    """A check and the plugin that it is run against. Called inside pytest it passes, fails in words, or is skipped."""

    def __init__(self, check: Check, subject: Subject) -> None:
        self.check = check
        self.subject = subject

    def __call__(self) -> None:
        import pytest

        outcome = outcome_of(self.check, self.subject)
        if outcome.state == "skipped":
            pytest.skip(outcome.message)
        if outcome.state == "failed":
            message = f"{self.subject.name} does not keep this: it {self.check.name}.\n{outcome.message}"
            if outcome.error is None:
                pytest.fail(message, pytrace=False)
            # With the plugin's own traceback below it, which is where its author looks first.
            raise AssertionError(message) from outcome.error

    def __repr__(self) -> str:
        return f"{self.subject.name}: {self.check.name}"


def parametrize_with_checks(*plugins: type[Any] | Subject) -> pytest.MarkDecorator:
    """Every check of every plugin as a case of its own of `def test_conformance(check): check()`.

    plugins: classes, whose kind is known from their mark or entry point, or Subjects. Raises PluginError where a kind cannot be
    told.
    """
    import pytest

    subjects = [one if isinstance(one, Subject) else Subject(one) for one in plugins]
    bound = [BoundCheck(check, subject) for subject in subjects for check in checks_of(subject.kind)]
    return pytest.mark.parametrize("check", [pytest.param(one, id=repr(one)) for one in bound])
