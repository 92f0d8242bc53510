"""Runs the checks of a kind against a plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.registries import REGISTRIES
from ..errors import RecipeError, SeqaugError, did_you_mean
from .check import Check, Finding, NotAsked, Outcome, declared, in_words
from .subject import Subject

__all__ = ["check_plugin", "checks_of", "outcome_of"]


def checks_of(kind: str) -> tuple[Check, ...]:
    """The checks of a kind ("noise_sources"), in the order in which they run.

    Raises RecipeError where there is no such kind.
    """
    if kind not in REGISTRIES:
        raise RecipeError(f"there is no kind {kind!r}.{did_you_mean(kind, REGISTRIES)} Known: {', '.join(REGISTRIES)}.")
    from . import checks  # noqa: F401 - reading them declares them

    return declared(kind)


def check_plugin(
    plugin: type[Any] | Subject, *, kind: str | None = None, options: Mapping[str, Any] | None = None
) -> tuple[Outcome, ...]:
    """Every check of a plugin's kind, run: a class (with its kind where neither mark nor entry point says it), or a Subject.

    Raises PluginError where the kind cannot be told. What is wrong with the plugin is never raised: it is an Outcome.
    """
    subject = plugin if isinstance(plugin, Subject) else Subject(plugin, kind=kind, options=options)
    return tuple(outcome_of(one, subject) for one in checks_of(subject.kind))


def outcome_of(check: Check, subject: Subject) -> Outcome:
    """One check, run. Leaves torch's settings, and the global random state of torch, numpy and Python, as they were."""
    from .bench import bench_of
    from .watching import random_state_kept, settings_kept

    with random_state_kept(), settings_kept():
        bench = bench_of(subject)
    with random_state_kept(), settings_kept():
        if check.needs_plugin and bench.obstacle is not None:
            return Outcome(check, "skipped", "it cannot be made; another check says why")
        try:
            check.function(bench)
        except NotAsked as why:
            return Outcome(check, "skipped", str(why))
        except Finding as finding:
            return Outcome(check, "failed", str(finding), finding.__cause__)
        except SeqaugError as error:
            return Outcome(check, "failed", f"it refuses: {error}", error)
        except (Exception, SystemExit) as error:
            return Outcome(check, "failed", in_words(error), error)
    return Outcome(check, "passed")
