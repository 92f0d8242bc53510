"""Writes docs/reference/cli.md from click's own objects: `python docs/write_references.py cli`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from reference_markdown import code, help_text, prose, table, written_by

from seqaug.cli.main import cli

PAGE = Path(__file__).with_name("cli.md")

HEAD = f"""\
{written_by("reference/write_cli.py", "the commands in src/seqaug/cli")}
# Every command and option

Read from the commands themselves, under the headings of `--help`. What they are for, and how they go together, is told in
[Command line](../cli.md); what an exit code means in [Exit codes](exit-codes.md).

Where a default is empty, the option is off, or what it says in words happens otherwise. An option that can be repeated may be
given several times.
"""


def text() -> str:
    """The whole page."""
    found = list(commands(cli, "seqaug", click.Context(cli, info_name="seqaug", **cli.context_settings)))
    leaves = [one for one in found if not isinstance(one[1], click.Group)]
    rows = [[f"[`{path}`](#{_anchor(path)})", prose(_first_sentence(command.help))] for path, command, _ in leaves]
    flags = [{one.opts[-1] for one in command.get_params(context)} for _, command, context in leaves]
    everywhere = set.intersection(*flags)
    lines = [HEAD, *table(["command", ""], rows), *_everywhere(leaves[0][1], leaves[0][2], everywhere)]
    for path, command, context in leaves:
        lines += _section(path, command, context, everywhere)
    lines += _environment(leaves)
    return "\n".join(lines).rstrip() + "\n"


def commands(command: click.Command, path: str, context: click.Context) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every command that is shown, groups included, with the words that call it: "seqaug data show"."""
    yield path, command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, f"{path} lists {name} and does not have it"
            if not inner.hidden:
                yield from commands(inner, f"{path} {name}", click.Context(inner, parent=context, info_name=name))


def _section(path: str, command: click.Command, context: click.Context, everywhere: set[str]) -> list[str]:
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    lines = [f"## `{path}`", "", "```", usage, "```", "", *help_text(command.help or "")]
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    named = [[code(_argument(one)), code(_default(one)), *_values(one)] for one in arguments]
    lines += table(["argument", "default", "what it takes"], named)
    sections: dict[str, list[click.Option]] = {}
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden and option.opts[-1] not in everywhere:
            sections.setdefault(getattr(option, "section", "Options"), []).append(option)
    for name in sorted(sections, key=lambda one: one == "Options"):
        lines += [f"**{name}**", "", *_options(sections[name])]
    besides = "And" if sections else "Has"
    these = "the [options of every command](#options-of-every-command)"
    return [*lines, f"{besides} {these}. [In the guide](../cli.md#{_anchor(path)}).", ""]


def _everywhere(command: click.Command, context: click.Context, flags: set[str]) -> list[str]:
    options = [one for one in command.get_params(context) if isinstance(one, click.Option) and one.opts[-1] in flags]
    own = [one for one in cli.get_params(click.Context(cli)) if one.name == "version"]
    named = " ".join(code(_flags(one)) for one in own)
    return ["## Options of every command", "", *_options(options), f"`seqaug` alone has {named} besides.", ""]


def _options(options: list[click.Option]) -> list[str]:
    rows = []
    for one in options:
        said = re.sub(r"\s*\[env: [^\]]*\]", "", one.help or "")
        variables = re.findall(r"\[env: ([^\]]*)\]", one.help or "")
        missing = {one.envvar} - set(variables) if isinstance(one.envvar, str) else set()
        assert not missing, f"the help of {_flags(one)} does not name its variable {missing}"
        again = "" if not one.multiple or "epeatable" in said else " Repeatable."
        rows.append(
            [code(_flags(one)), *_values(one), code(_default(one)), "; ".join(map(_variable, variables)), prose(said) + again]
        )
    return table(["option", "what it takes", "default", "environment", "what it does"], rows)


def _variable(said: str) -> str:
    """ "SEQAUG_SET, entries separated by ';'" with the name as code."""
    name, comma, rest = said.partition(",")
    return code(name) + comma + prose(rest)


def _environment(leaves: list[tuple[str, click.Command, click.Context]]) -> list[str]:
    readers: dict[str, dict[str, list[str]]] = {}
    for path, command, _ in leaves:
        for option in command.params:
            for variable in re.findall(r"\[env: (\w+)", getattr(option, "help", "") or ""):
                readers.setdefault(variable, {}).setdefault(option.opts[-1], []).append(f"`{path}`")
    rows = [
        [code(variable), "; ".join(f"{code(flag)} of {_who(paths, len(leaves))}" for flag, paths in flags.items())]
        for variable, flags in sorted(readers.items())
    ]
    return [
        "## Environment variables",
        "",
        "An option on the command line wins over its variable. The variables that no option goes with, among them "
        "`SEQAUG_DATA` and `SEQAUG_HOME`, stand in [the guide](../cli.md#environment).",
        "",
        *table(["variable", "stands for"], rows),
    ]


def _who(paths: list[str], leaves: int) -> str:
    return "every command" if len(paths) == leaves else ", ".join(paths)


# ---- one parameter ----


def _flags(option: click.Parameter) -> str:
    """ "-s, --set PATH=VALUE"."""
    names = sorted(option.opts, key=lambda name: name.startswith("--"))
    off = f" / {', '.join(option.secondary_opts)}" if option.secondary_opts else ""
    if isinstance(option, click.Option) and (option.is_flag or option.count):
        return ", ".join(names) + off
    return f"{', '.join(names)} {_metavar(option)}"


def _metavar(option: click.Parameter) -> str:
    if option.metavar:
        return option.metavar
    one = option.type
    if isinstance(one, click.Choice):
        return "NAME"
    if isinstance(one, click.types.IntRange | click.types.IntParamType):
        return "N"
    if isinstance(one, click.types.FloatRange | click.types.FloatParamType):
        return "X"
    if isinstance(one, click.Path):
        return "PATH"
    return "TEXT"


def _argument(argument: click.Argument) -> str:
    name = argument.metavar or (argument.name or "").upper()
    several = "..." if argument.nargs == -1 and not name.rstrip("]").endswith("...") else ""
    return name + several


def _values(parameter: click.Parameter) -> list[str]:
    """What a parameter takes, as the one cell of its row."""
    one = parameter.type
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return [""]
    if isinstance(one, click.Choice):
        return [", ".join(code(str(choice)) for choice in one.choices)]
    if isinstance(one, click.types.IntRange | click.types.FloatRange):
        kind = "a whole number" if isinstance(one, click.types.IntRange) else "a number"
        low = "" if one.min is None else f" {'above' if one.min_open else 'from'} {one.min}"
        high = "" if one.max is None else f" {'below' if one.max_open else 'to'} {one.max}"
        return [kind + low + high]
    known: dict[type[Any], str] = {
        click.types.IntParamType: "a whole number",
        click.types.FloatParamType: "a number",
        click.Path: "a path",
    }
    names = {"recipe": "a recipe's name or a path", "data": "a data set's name or a path", "plugin": "a plugin"}
    words = next((said for kind, said in known.items() if isinstance(one, kind)), names.get(one.name, ""))
    if isinstance(parameter, click.Argument) and not parameter.required:
        words = f"{words}, may be left out".removeprefix(", ")
    return [words]


def _default(parameter: click.Parameter) -> str:
    value = parameter.default
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value)


def _anchor(path: str) -> str:
    return path.replace(" ", "-")


def _first_sentence(text: str | None) -> str:
    """The first paragraph of a help text up to its first full stop."""
    paragraph = " ".join((text or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.:;]) (?=[A-Z])", paragraph)[0]


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
