"""seqaug plugins list | show | ...: a file for each, read when it is used"""

from __future__ import annotations

from importlib import import_module

import click

from ..main import Verbs

__all__ = ["plugins"]

_VERBS = {
    "list": ("listing", "Kind, name and origin of every plugin."),
    "show": ("show", "What a plugin does and which options it has."),
    "why": ("why", "Where a name comes from, who else claims it, and which one a recipe gets."),
    "check": ("check", "Run the conformance kit against a plugin or a plugin file."),
    "new": ("new", "Write the package of a new plugin, working and tested."),
}
"""Command -> the module that holds it under the module's own name, and its line in the help."""


class _Plugins(Verbs):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        module, _ = _VERBS[cmd_name]
        command = getattr(import_module(f"{__package__}.{module}"), module)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _VERBS.items()])


@click.group("plugins", cls=_Plugins)
def plugins() -> None:
    """Everything that a recipe can name."""
