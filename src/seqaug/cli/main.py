"""The entry point: finds the verb, and turns whatever goes wrong into words and an exit code.

Exit codes
    0    done
    1    the run failed, there is no finished run where one was named, `evaluate` found other numbers than the folder holds,
         or a file cannot be read or written
    2    usage or recipe error: an unknown command, flag, recipe, plugin or option
    3    data error: an unknown data set, a missing or malformed file
    4    a known plugin that will not load
    5    a check (`check`, `plugins check`, `audit`, `doctor`, `compare` of runs that were not measured alike) found something
         wrong
    6    diverged: a loss or a score became NaN or infinite
    130  interrupted (Ctrl-C or SIGTERM); the state and the command to go on are named
    141  the reader of our output went away (`seqaug recipes list | head -1`)

Results go to stdout, everything else to stderr. With --json stdout holds exactly one JSON document; for an error that is
    {"error": {"kind": "RecipeError", "exit_code": 2, "message": "...", "problems": ["...", ...]}}
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

import click

from .. import __version__
from ..errors import RecipeError, SeqaugError, did_you_mean
from .terminal import print_json, say, stdout_for_json

__all__ = ["Verbs", "cli", "main"]

_VERBS = {
    "run": "Train a recipe on a data set, evaluate it, print the result.",
    "ablate": "Take ideas out of a method one at a time, over seeds; say what is known of each.",
    "sweep": "Search values of a recipe: rank them on validation, test what won.",
    "evaluate": "Rank again with a finished run's weights; compare with its numbers.",
    "compare": "Compare finished runs: paired differences, and a verdict for each.",
    "report": "Write one HTML page about a run, or about many.",
    "preview": "See what the augmenters make of sequences, before or after training.",
    "check": "Plan a recipe and rehearse it on a toy world.",
    "audit": "Check the arithmetic of a table of metrics.",
    "reproduce": "Run a table or figure of the paper; set the result beside it.",
    "recipes": "List, show and copy recipes.",
    "plugins": "List, show, check and write plugins.",
    "data": "List, show, import and download data sets.",
    "doctor": "Check this machine.",
    "completion": "Print the completion script of a shell.",
}


class _ReaderGone(Exception):
    """Whoever read our stdout closed it."""


class Verbs(click.Group):
    """A group that suggests the nearest name for an unknown one."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            known = self.list_commands(ctx)
            raise click.UsageError(
                f"{ctx.command_path} has no command {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}.",
                ctx,
            )
        return super().resolve_command(ctx, args)


class _Seqaug(Verbs):
    """Imports a verb's file when the verb is used: `seqaug --help` reads none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        command = getattr(import_module(f"{__package__}.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise _ReaderGone from None  # as an OSError, click would make a failure of it

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        given = list(sys.argv[1:] if args is None else args)
        extra.pop("standalone_mode", None)
        extra.setdefault("obj", tuple(given))
        if sys.stdout is None:  # closed, as by `>&-`: nobody wants the result
            sys.stdout = open(os.devnull, "w", encoding="utf-8")
        _show_warnings_as_notes(quiet=bool({"-q", "--quiet"} & set(_own(given))))
        restore = _interrupt_on_sigterm()
        try:
            code = self._answer(given, prog_name or "seqaug", extra)
        finally:
            restore()
        sys.exit(code)

    def _answer(self, given: list[str], prog_name: str, extra: dict[str, Any]) -> int:
        own = _own(given)
        try:
            try:
                with stdout_for_json() if "--json" in own else nullcontext():
                    answer = super().main(given, prog_name, standalone_mode=False, **extra)
                sys.stdout.flush()
                return answer if isinstance(answer, int) else 0
            except (_ReaderGone, BrokenPipeError):
                raise
            except (SeqaugError, click.ClickException, click.Abort, KeyboardInterrupt) as error:
                if "--debug" in own:
                    _print_traceback()
                return _refuse(error, as_json="--json" in own)
            except (Exception, SystemExit) as error:  # nothing of ours exits: a plugin did, in the middle of its work
                if "--debug" in own:
                    _print_traceback()
                return _refuse(error, as_json="--json" in own)
        except (_ReaderGone, BrokenPipeError):
            # Python would complain once more when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141


@click.group("seqaug", cls=_Seqaug, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="seqaug", message="%(prog)s %(version)s")
def cli() -> None:
    """Augmentation for sequential recommendation: methods as recipes of exchangeable plugins, measured honestly.

    \b
    seqaug run                                   SimDiffRec on the bundled data
    seqaug run --noise gaussian                  exchange one plugin
    seqaug run sasrec --data beauty --seed 1     another recipe, another data set
    seqaug check my_recipe.toml                  is my recipe right?
    """


def main() -> NoReturn:
    """The console script."""
    cli.main()


def _own(given: Sequence[str]) -> list[str]:
    """The words that can be flags: what follows "--" cannot."""
    return list(given[: given.index("--")] if "--" in given else given)


def _refuse(error: BaseException, *, as_json: bool) -> int:
    """Say what went wrong, and return the exit code."""
    hint = ""
    kind, code, problems = type(error).__name__, 1, []
    if isinstance(error, RecipeError):
        code, message, problems = error.exit_code, str(error), list(error.problems)
        if len(problems) > 1:
            message = "\n- ".join([f"{len(problems)} problems:", *problems])
    elif isinstance(error, SeqaugError):
        code, message = error.exit_code, str(error)
    elif isinstance(error, click.NoSuchOption):
        kind, code, message = "UsageError", 2, _no_such_option(error)
    elif isinstance(error, click.UsageError):
        kind, code, message = "UsageError", 2, error.format_message()
    elif isinstance(error, click.ClickException):
        kind, code, message = "UsageError", 2, error.format_message()
    elif isinstance(error, KeyboardInterrupt | click.Abort):
        kind, code, message = "Interrupted", 130, "stopped."
    elif isinstance(error, OSError) and error.filename is not None:
        # A full disk, a folder that may not be written, a file where a folder was expected: the person at the terminal can act.
        message = f"{error.filename} cannot be used: {error.strerror or error}."
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        message = f"the result cannot be written: {error.strerror}."
    else:
        message = f"{type(error).__name__}: {error}"
        hint = "This is a defect of seqaug or of a plugin. The same command with --debug shows where."
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"Try '{error.ctx.command_path} --help'."
    say(f"{message}\n{hint}".strip(), label="stopped" if code == 130 else "error")
    if as_json:
        body = {"kind": kind, "exit_code": code, "message": message, "problems": problems or [message]}
        try:
            print_json({"error": body})
            sys.stdout.flush()
        except OSError as again:
            if isinstance(again, BrokenPipeError):
                raise
            say(f"nor can that be written to stdout: {again.strerror or again}.", label="error")
    return code


def _no_such_option(error: click.NoSuchOption) -> str:
    name, ctx = error.option_name, error.ctx
    known = [option for one in ctx.command.params for option in (*one.opts, *one.secondary_opts)] if ctx is not None else []
    known = [*(option for option in known if option.startswith("-")), "--help"]
    near = did_you_mean(name, known)
    where = f" {ctx.command_path}" if ctx is not None else ""
    own = ""
    if "--with" in known and name.startswith("--"):
        own = f" If the recipe has such a handle: --with {name[2:]}=PLUGIN; any of its values: -s PATH=VALUE."
    return f"there is no option {name} of{where}.{near}{own}"


def _print_traceback() -> None:
    import traceback

    click.echo(traceback.format_exc(), err=True, nl=False)


def _show_warnings_as_notes(*, quiet: bool) -> None:
    import warnings

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: str | None = None
    ) -> None:
        if not quiet and not issubclass(category, DeprecationWarning | PendingDeprecationWarning):
            say(str(message), label="note")

    warnings.showwarning = show


def _interrupt_on_sigterm() -> Any:
    """SIGTERM ends a run as Ctrl-C does, state kept. Returns what puts the old handler back."""
    if threading.current_thread() is not threading.main_thread():
        return lambda: None

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    return lambda: signal.signal(signal.SIGTERM, before)
