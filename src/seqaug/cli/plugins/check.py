"""seqaug plugins check"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ..options import PluginName, plugin_file_option
from ..terminal import Output, common, counted_of
from .facts import KINDS, facts, registries_with

if TYPE_CHECKING:
    from ...core.registry import PluginInfo
    from ...testing import Outcome, Subject

__all__ = ["check"]


class _PluginOrFile(PluginName):
    """A plugin's name, with options behind a colon, or a file."""

    name = "plugin"
    or_file = True


@dataclass(frozen=True)
class _Asked:
    """One plugin that is to be checked."""

    info: PluginInfo
    subject: Subject


@click.command("check")
@click.argument("plugin", metavar="NAME|FILE", type=_PluginOrFile())
@click.option("--kind", type=click.Choice(KINDS), default=None, help="Only of this kind.")
@plugin_file_option()
@common
@click.pass_context
def check(ctx: click.Context, /, output: Output, plugin: str, kind: str | None) -> None:
    """Run the conformance kit against a plugin: what seqaug.testing asks of its kind.

    NAME is that of a plugin, DISTRIBUTION/NAME one of two that share a name, NAME:option=value,... sets options. A name that
    several kinds have is checked for each of them. FILE ends in .py: it is executed, and every plugin that it marks is checked.
    Ends with exit code 5 where a check fails; -v says what each of those does.
    """
    is_file = plugin.endswith(".py")
    asked = _of_file(plugin, kind) if is_file else _of_name(plugin, kind)

    import torch

    from ...core.isolation import stdout_to_stderr
    from ...testing import check_plugin

    torch.set_num_threads(1)  # hundreds of tiny steps, which threads only slow down
    with stdout_to_stderr():  # what a plugin prints is no result
        found = [(one, check_plugin(one.subject)) for one in asked]
    failed = any(outcome.state == "failed" for _, outcomes in found for outcome in outcomes)
    if not output.document({"fine": not failed, "plugins": [_facts(one, outcomes) for one, outcomes in found]}):
        for place, (one, outcomes) in enumerate(found):
            if place:
                click.echo()
            _show(output, one, outcomes)
    if failed:
        ctx.exit(5)


def _of_name(text: str, kind: str | None) -> list[_Asked]:
    from ...recipes.options import signature_of
    from ...recipes.patches import parse_plugin_flag
    from ...testing import Subject

    options = parse_plugin_flag(text)
    name = str(options.pop("use"))
    asked = []
    for registry in registries_with(name, kind):
        info, cls = registry.describe(name), registry.get(name)
        signature_of(info, cls)  # where it cannot be read, it does not load either
        asked.append(_Asked(info, Subject(cls, kind=registry.kind, options=options)))
    for one in asked:
        _refuse_options(one.subject)
    return asked


def _refuse_options(subject: Subject) -> None:
    """A slip of whoever typed them, or an option that only they can choose, is told before anything is checked."""
    from ...errors import RecipeError
    from ...testing.bench import bench_of
    from ...testing.hosts import filled_in, read_options

    read_options(subject, {**filled_in(subject), **subject.options})
    obstacle = bench_of(subject).obstacle if subject.options else None
    if isinstance(obstacle, RecipeError):
        raise obstacle


def _of_file(path: str, kind: str | None) -> list[_Asked]:
    from ...core.plugin_files import load_plugin_file
    from ...core.registries import REGISTRIES
    from ...errors import UnknownName
    from ...testing import Subject

    file = load_plugin_file(path)
    asked = []
    for info in file.plugins:
        if kind in (None, info.kind):
            cls = _class_in(file.module, info.value) or REGISTRIES[info.kind].load(info)
            asked.append(_Asked(info, Subject(cls, kind=info.kind)))
    if not asked:
        there = ", ".join(f"{info.name} ({info.kind})" for info in file.plugins)
        raise UnknownName(f"{path} marks no plugin of the kind {kind}; it marks {there}.")
    return asked


def _class_in(module: str, value: str) -> type[Any] | None:
    """The class of "module:Class", whether or not it keeps its interface: that is one of the checks."""
    found: object = sys.modules[module]
    for attribute in value.partition(":")[2].split("."):
        found = getattr(found, attribute, None)
    return found if isinstance(found, type) else None


def _facts(one: _Asked, outcomes: tuple[Outcome, ...]) -> dict[str, Any]:
    return {
        **facts(one.info),
        "options": dict(one.subject.options),
        **_counted(outcomes),
        "checks": [
            {"name": each.check.name, "state": each.state, "message": each.message, "why": each.check.why} for each in outcomes
        ],
    }


def _counted(outcomes: tuple[Outcome, ...]) -> dict[str, int]:
    states = Counter(each.state for each in outcomes)
    return {state: states[state] for state in ("passed", "failed", "skipped")}


def _show(output: Output, one: _Asked, outcomes: tuple[Outcome, ...]) -> None:
    click.echo(f"{one.info.kind} / {one.info.name}  ({one.info.origin})\n")
    output.table(["it ...", "", "found"], [[each.check.name, each.state, each.message] for each in outcomes])
    counts = _counted(outcomes)
    output.tell(f"{counted_of(len(outcomes), 'check')}: " + ", ".join(f"{number} {state}" for state, number in counts.items()))
    for each in outcomes:
        if each.state == "failed":
            output.detail(f"\n{each.check.name}: {each.check.why}")
