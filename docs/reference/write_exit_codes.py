"""Writes docs/reference/exit-codes.md: the codes from the sources, and for each what happens when an example is executed.

`python docs/write_references.py exit_codes`
"""

from __future__ import annotations

import inspect
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import chdir
from dataclasses import dataclass, field
from pathlib import Path

from click.testing import CliRunner
from reference_markdown import code, prose, table, written_by

from seqaug import errors
from seqaug.cli import main
from seqaug.data.synthetic import toy_world
from seqaug.errors import SeqaugError

PAGE = Path(__file__).with_name("exit-codes.md")

HEAD = f"""\
{written_by("reference/write_exit_codes.py", "src/seqaug/errors.py, src/seqaug/cli/main.py and the examples in the script")}
# Exit codes

"""
BELOW = """\
Every other exception is a defect of seqaug or of a plugin: code 1, and `--debug` shows the traceback.

A message says what was asked, what was found and what would work. All problems of a recipe are told at once. What follows was
executed when this page was written, in a folder with the files that are shown.

"""
SMALL = ["-s", "data.max_length=8", "-s", "items.dim=8", "-s", "encoders.main.layers=1", "-s", "encoders.main.inner=8"]
"""With which an epoch on the toy world takes no time."""

BROKEN = '''\
from seqaug.api import noise_sources
import a_package_that_is_not_installed


@noise_sources.register("mine")
class MyNoise:
    """Noise of my own."""
'''
MALFORMED = """\
user_id,item_id,timestamp
ann,b07,yesterday
"""
IMPOSSIBLE = """\
data,method,metric,value
shop,mine,HR@5,.0500
shop,mine,HR@10,.0400
"""


@dataclass(frozen=True)
class Example:
    """A command and the code it ends with. says: what it is an example of. files: those that it reads, shown above it."""

    exit_code: int
    command: str
    says: str
    files: Mapping[str, str] = field(default_factory=dict)


EXAMPLES = (
    Example(0, "seqaug recipes copy sasrec", ""),
    Example(1, "seqaug evaluate runs/none", "There is no such run:"),
    Example(2, "seqaug rum", "A command that does not exist; flags likewise:"),
    Example(2, "seqaug run --noise similarty", "A name that nobody has:"),
    Example(2, "seqaug run sasrec -s training.epochs=0 -s encoders.main.layrs=3", "Two values that cannot be, told at once:"),
    Example(3, "seqaug data show beuaty", "A data set that nobody knows:"),
    Example(3, "seqaug data show shop.csv", "A line that cannot be read:", {"shop.csv": MALFORMED}),
    Example(4, "seqaug run --plugin-file my_noise.py --noise mine", "A plugin that does not load:", {"my_noise.py": BROKEN}),
    Example(5, "seqaug audit table.csv", "A table that no ranking can give:", {"table.csv": IMPOSSIBLE}),
    Example(6, "seqaug run sasrec --data toy.txt -s training.learning_rate=1e30", "A learning rate that is far too high:"),
)  # fmt: skip


def text() -> str:
    """The whole page."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        world = toy_world(num_users=30, num_items=40, max_length=8)
        Path("toy.txt").write_text("".join(" ".join([user, *items]) + "\n" for user, items in world), encoding="utf-8")
        lines = [HEAD.rstrip("\n"), "", *_codes(), *BELOW.rstrip("\n").split("\n"), ""]
        for number in meanings():
            lines += [f"## {number}", "", prose(_sentence(meanings()[number])), ""]
            for example in (one for one in EXAMPLES if one.exit_code == number):
                lines += _shown(example)
            if number == 130:
                lines += _interrupted()
            if number == 141:
                lines += _reader_gone()
        lines += _as_json()
    return "\n".join(lines).rstrip() + "\n"


# ---- what the sources say ----


def meanings() -> dict[int, str]:
    """Code -> what the docstring of the entry point says of it."""
    listed = inspect.cleandoc(main.__doc__ or "").split("Exit codes\n")[1].split("\n\n")[0]
    found: dict[int, str] = {}
    for line in listed.splitlines():
        begins = re.match(r"\s*(\d+)\s+(.*)", line)
        if begins:
            latest = int(begins[1])
            found[latest] = begins[2]
        else:
            found[latest] += " " + line.strip()
    return found


def classes() -> Iterator[tuple[str, type[SeqaugError]]]:
    """Every error class by its name."""
    for name in errors.__all__:
        one = getattr(errors, name)
        if isinstance(one, type) and issubclass(one, SeqaugError):
            yield name, one


def _codes() -> list[str]:
    known = list(classes())
    unknown = {one.exit_code for _, one in known} - set(meanings())
    assert not unknown, f"src/seqaug/cli/main.py says nothing of the exit codes {unknown}"
    rows = []
    for number, meaning in meanings().items():
        own = [name for name, one in known if one.exit_code == number]
        rows.append([str(number), prose(meaning), ", ".join(code(name) for name in own)])
    return table(["code", "meaning", "error class"], rows)


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:].rstrip(".") + "."


# ---- what happens ----


def _shown(example: Example) -> list[str]:
    lines = [example.says, ""] if example.says else []
    for name, content in example.files.items():
        Path(name).write_text(content, encoding="utf-8")
        lines += [
            f'```{Path(name).suffix.removeprefix(".").replace("py", "python")} title="{name}"',
            content.rstrip("\n"),
            "```",
            "",
        ]
    words = shlex.split(example.command)[1:]
    if example.exit_code == 6:
        words += SMALL
    result = CliRunner().invoke(main.cli, words, env=_environment())
    assert result.exit_code == example.exit_code, f"{example.command} ended with {result.exit_code}: {result.stderr}"
    said = re.sub(r"(?m)^  known: .*\(built in\).*$", _own, result.stderr)
    if "error: " in said:
        said = said[said.index("error: ") :]
    elif example.exit_code == 0:
        said = result.stdout
    else:
        said = result.stdout + said
    return [*lines, *_block(example.command, said)]


def _own(known: re.Match[str]) -> str:
    """A line of known plugins without those that somebody else has installed or registered here."""
    kept = [one for one in known[0].removeprefix("  known: ").split(", ") if one.endswith("(built in)")]
    return f"  known: {', '.join(kept)}"


def _environment() -> dict[str, str | None]:
    """Nobody's settings, and none of this machine's data."""
    cleared: dict[str, str | None] = {name: None for name in os.environ if name.startswith(("SEQAUG_", "FORCE_COLOR"))}
    return {**cleared, "NO_COLOR": "1", "SEQAUG_HOME": str(Path("home").resolve()), "COLUMNS": "110"}


def _block(command: str, said: str) -> list[str]:
    return ["```console", f"$ {command}", *said.rstrip("\n").splitlines(), "```", ""]


def _process(*words: str) -> subprocess.Popen[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SEQAUG_", "FORCE_COLOR"))}
    more = {name: value for name, value in _environment().items() if value is not None}
    return subprocess.Popen(
        [sys.executable, "-c", "from seqaug.cli.main import main; main()", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**kept, **more, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        # Whoever is started in the background of a shell ignores Ctrl-C, and its children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def _interrupted() -> list[str]:
    """A run that is stopped by Ctrl-C after an epoch; how many it had by then is not what the page is about."""
    command = "seqaug run sasrec --data toy.txt --out mine"
    own = [*SMALL, "-s", "training.patience=100000", "--epochs", "100000"]
    process = _process(*shlex.split(command)[1:], *own)
    events, began = Path("mine/events.jsonl"), time.monotonic()
    while not (events.exists() and events.read_text(encoding="utf-8").strip()):
        assert process.poll() is None and time.monotonic() - began < 120, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    said = err.decode()
    said = said[said.index("stopped: ") :].replace(" " + shlex.join(own), "")
    said = re.sub(r"\d+ finished epochs? (is|are) kept", "12 finished epochs are kept", said)
    assert command in said and "12 finished" in said, said
    return ["Ctrl-C in the middle of a run:", "", *_block(command, said)]


def _reader_gone() -> list[str]:
    process = _process("recipes", "show", "simdiffrec")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 141 and said == b"", said
    return ["`seqaug recipes show simdiffrec | head -1` may end so, without a word.", ""]


def _as_json() -> list[str]:
    words = ["data", "show", "beuaty", "--json"]
    result = CliRunner().invoke(main.cli, words, env=_environment())
    assert result.exit_code == 3
    return [
        "## With `--json`",
        "",
        "An error is the one JSON document on stdout; `problems` are the single ones, `kind` the class of the table, or "
        "`UsageError`. The message goes to stderr as well.",
        "",
        *_block("seqaug data show beuaty --json 2> /dev/null", result.stdout),
    ]


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
