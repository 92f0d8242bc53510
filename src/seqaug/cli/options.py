"""Flags that several verbs share, and what completes them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from ..errors import RecipeError

if TYPE_CHECKING:
    from ..recipes.plan import Patch

__all__ = [
    "HANDLES",
    "DataName",
    "PluginName",
    "RecipeName",
    "Sections",
    "command_line",
    "data_options",
    "file_options",
    "in_section",
    "machine_options",
    "patches",
    "plugin_file_option",
    "reading",
    "recipe_options",
]

F = TypeVar("F", bound=Callable[..., Any])

HANDLES = {
    "encoder": ("encoders", "What reads the history."),
    "noise": ("noise_sources", "What is mixed in, e.g. similarity or similarity:k=30."),
    "positions": ("position_selectors", "Which positions are changed."),
    "negatives": ("negative_samplers", "Which items are the wrong ones."),
    "loss": ("objectives", "The recommendation loss."),
}
"""Handles with a flag of their own -> the registry their plugins are in, and the help. Others go through --with."""


# ---- completion ----


class _Completed(click.ParamType):  # type: ignore[type-arg,unused-ignore] # generic from click 8.5 on
    """A string with a list of likely values. Whatever goes wrong while completing is no reason to disturb a prompt."""

    name = "name"

    def values(self) -> Sequence[str]:
        raise NotImplementedError

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            found = [CompletionItem(value) for value in self.values() if value.startswith(incomplete)]
        except Exception:
            found = []
        return found or [CompletionItem(incomplete, type="file")] if self.or_file else found

    or_file = False


class RecipeName(_Completed):
    """A recipe's name, or a path."""

    name = "recipe"
    or_file = True

    def values(self) -> Sequence[str]:
        from ..recipes.load import recipe_names

        return recipe_names()


class DataName(_Completed):
    """A data set's name, or a path."""

    name = "data"
    or_file = True

    def values(self) -> Sequence[str]:
        from ..data.catalog import data_names

        return data_names()


class PluginName(_Completed):
    """A plugin of one kind, or of any."""

    name = "plugin"

    def __init__(self, kind: str | None = None) -> None:
        self.kind = kind

    def values(self) -> Sequence[str]:
        from ..core.registries import REGISTRIES

        chosen = REGISTRIES.values() if self.kind is None else [REGISTRIES[self.kind]]
        return sorted({name for registry in chosen for name in registry.names()})


# ---- help in sections ----


class Sections(click.Command):
    """A command whose many flags are shown under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Argument):
                continue  # its text is the command's own
            record = parameter.get_help_record(ctx)
            if record is not None:
                found.setdefault(getattr(parameter, "section", "Options"), []).append(record)
        for section in sorted(found, key=lambda name: name == "Options"):
            with formatter.section(section):
                formatter.write_dl(found[section])


class _Option(click.Option):
    def __init__(self, *args: Any, section: str = "Options", **kwargs: Any) -> None:
        self.section = section
        super().__init__(*args, **kwargs)


def in_section(section: str, *names: str, **kwargs: Any) -> Callable[[F], F]:
    """`click.option` under a heading of the help."""
    return click.option(*names, cls=_Option, section=section, **kwargs)


def _all(decorators: Sequence[Callable[[Any], Any]]) -> Callable[[F], F]:
    def decorate(command: F) -> F:
        for one in reversed(decorators):
            command = one(command)
        return command

    return decorate


# ---- the flags ----


def _load_plugin_files(ctx: click.Context, parameter: click.Parameter, paths: tuple[str, ...]) -> None:
    """Execute the files while the command line is read, so that every name in the rest of it may be one of theirs."""
    if paths and not ctx.resilient_parsing:
        from ..core.plugin_files import load_plugin_file

        for path in paths:
            load_plugin_file(path)


def plugin_file_option(section: str = "Options") -> Callable[[F], F]:
    """--plugin-file: nothing of it reaches the command, whose plugins are known when it begins."""
    return in_section(
        section,
        "--plugin-file",
        metavar="FILE",
        multiple=True,
        default=(),
        type=click.Path(),
        callback=_load_plugin_files,
        expose_value=False,
        is_eager=True,
        help="Execute a Python file; the plugins that it registers can be named like any other. Repeatable.",
    )


def recipe_options(*, ablation: bool = True) -> Callable[[F], F]:
    """What changes the recipe: handles, --with, -s, --epochs, --plugin-file, and --ablation where there is one run."""
    section = "Changes of the recipe"
    handles = [
        in_section(section, f"--{name}", metavar="PLUGIN", default=None, type=PluginName(kind), help=help_)
        for name, (kind, help_) in HANDLES.items()
    ]
    one = [in_section(section, "--ablation", metavar="NAME", default=None, help="One of the recipe's ablations.")]
    return _all(
        [
            *handles,
            in_section(
                section,
                "--with",
                "with_",
                metavar="HANDLE=PLUGIN",
                multiple=True,
                default=(),
                help="Exchange the plugin at any handle of the recipe. Repeatable.",
            ),
            in_section(
                section,
                "-s",
                "--set",
                "set_",
                metavar="PATH=VALUE",
                multiple=True,
                default=(),
                help="Set any value, e.g. training.epochs=5. Repeatable. [env: SEQAUG_SET, entries separated by ';']",
            ),
            in_section(
                section, "--epochs", type=click.IntRange(min=1), default=None, help="At most so many. [env: SEQAUG_EPOCHS]"
            ),
            *(one if ablation else []),
            plugin_file_option(section),
        ]
    )


def machine_options(*, seed: bool = True) -> Callable[[F], F]:
    """Seed where there is one run; device, precision, threads."""
    section = "Machine and seed" if seed else "Machine"
    one = [
        in_section(
            section,
            "--seed",
            type=click.IntRange(min=0),
            default=0,
            show_default=True,
            envvar="SEQAUG_SEED",
            help="Everything random follows it. [env: SEQAUG_SEED]",
        )
    ]
    return _all(
        [
            *(one if seed else []),
            in_section(
                section,
                "--device",
                default="auto",
                show_default=True,
                envvar="SEQAUG_DEVICE",
                help="auto, cpu, cuda, cuda:1, ... [env: SEQAUG_DEVICE]",
            ),
            in_section(
                section,
                "--precision",
                type=click.Choice(["float32", "bfloat16"]),
                default="float32",
                show_default=True,
                envvar="SEQAUG_PRECISION",
                help="Of the forward passes; on the CPU of the products with the catalogue. [env: SEQAUG_PRECISION]",
            ),
            in_section(
                section,
                "--threads",
                type=click.IntRange(min=1),
                default=None,
                help="CPU threads; torch's choice otherwise." if seed else "Of each run; the cores over the jobs otherwise.",
            ),
        ]
    )


def data_options() -> Callable[[F], F]:
    """--data and how a file is read."""
    return _all(
        [
            in_section(
                "Data",
                "--data",
                metavar="NAME|PATH",
                type=DataName(),
                default="movietweetings",
                show_default=True,
                help="A known data set (seqaug data list) or a file.",
            ),
            file_options("Data"),
        ]
    )


def file_options(section: str = "Options") -> Callable[[F], F]:
    """How a data file is read. All default to None: the data set's own way."""

    def option(*names: str, **kwargs: Any) -> Callable[[Any], Any]:
        return in_section(section, *names, default=None, **kwargs)

    column = "column of a table, where its name is not a usual one."
    return _all(
        [
            option("--user-column", metavar="NAME", help=f"The user {column}"),
            option("--item-column", metavar="NAME", help=f"The item {column}"),
            option("--time-column", metavar="NAME", help=f"The time {column}"),
            option("--rating-column", metavar="NAME", help=f"The rating {column}"),
            option(
                "--duplicates", type=click.Choice(["keep", "first", "last"]), help="Which of equal (user, item) actions stay."
            ),
            option(
                "--k-core", type=click.IntRange(min=0), help="Keep users and items with at least so many actions, iterated."
            ),
            option("--min-rating", type=float, help="Drop actions rated lower."),
            option("--period", nargs=2, metavar="FIRST LAST", help="Keep actions in it, both ends included."),
            option("--file-order", is_flag=True, help="The rows already stand in the order of time."),
            option("--titles", type=click.Path(path_type=Path), help="A file with the items' titles."),
        ]
    )


def reading(options: Mapping[str, Any]) -> dict[str, Any]:
    """From the flags of `file_options` to the arguments of `data.catalog.find`; takes them out of `options` copies only."""
    found: dict[str, Any] = {}
    columns = {name: options.get(f"{name}_column") for name in ("user", "item", "time", "rating")}
    if any(columns.values()):
        from ..data.readers import Columns

        found["columns"] = Columns(**columns)
    for name in ("duplicates", "k_core", "min_rating", "period", "titles"):
        if options.get(name) is not None:
            found[name] = options[name]
    if options.get("file_order"):
        found["order"] = "file"
    return found


def patches(options: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> list[Patch]:
    """All changes of the recipe in rising precedence: environment, -s, flags.

    Raises RecipeError where one of them cannot be read.
    """
    from ..recipes.plan import Patch, parse_plugin_flag, parse_set

    environment = os.environ if environment is None else environment
    found: list[Patch] = []
    problems: list[str] = []

    def settle(make: Callable[[], Patch]) -> None:
        try:
            found.append(make())
        except RecipeError as error:
            problems.extend(error.problems)

    for entry in environment.get("SEQAUG_SET", "").replace("\n", ";").split(";"):
        if entry.strip():
            settle(lambda entry=entry: Patch(*parse_set(entry.strip()), "environment SEQAUG_SET"))  # type: ignore[misc]
    epochs = environment.get("SEQAUG_EPOCHS")
    if epochs:
        if epochs.strip().isdecimal():
            found.append(Patch("training.epochs", int(epochs), "environment SEQAUG_EPOCHS"))
        else:
            problems.append(f"SEQAUG_EPOCHS is {epochs!r}, and a whole number of epochs was expected.")
    for entry in options.get("set_", ()):
        settle(lambda entry=entry: Patch(*parse_set(entry), "-s"))  # type: ignore[misc]
    for entry in options.get("with_", ()):
        handle, equals, plugin = entry.partition("=")
        if not equals or not handle.strip() or not plugin.strip():
            problems.append(f"--with {entry}: HANDLE=PLUGIN was expected, e.g. --with noise=gaussian.")
            continue
        settle(lambda handle=handle, plugin=plugin: Patch(handle.strip(), parse_plugin_flag(plugin.strip()), "flag --with"))  # type: ignore[misc]
    for handle in HANDLES:
        plugin = options.get(handle)
        if plugin is not None:
            settle(lambda handle=handle, plugin=plugin: Patch(handle, parse_plugin_flag(plugin), f"flag --{handle}"))  # type: ignore[misc]
    if options.get("epochs") is not None:
        found.append(Patch("training.epochs", options["epochs"], "flag --epochs"))
    if problems:
        raise RecipeError(problems)
    return found


def command_line() -> tuple[str, ...]:
    """What the user typed, as it can be typed again."""
    words = click.get_current_context().find_root().obj
    return ("seqaug", *(words if isinstance(words, tuple) else sys.argv[1:]))
