"""An environment of its own, as a stranger has one: it sees what is installed here, and what is installed into it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

__all__ = ["Environment", "blocks_of"]

# `pip install` as on a page of ours, but for what it fetches.
PIP = """#!/bin/sh
test "$1" = install || exit 64
shift
exec {outer} -m pip --quiet --disable-pip-version-check --python {inner} install --no-index --no-deps --no-build-isolation "$@"
"""

COMMANDS = {
    "seqaug": '-c "from seqaug.cli.main import main; main()"',
    "pytest": "-m pytest",
    "mypy": "-m mypy",
}


class Environment:
    """A virtual environment in `folder`, with the commands that a README names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.tools = folder / "bin"
        self.python = self.tools / "python"
        # addsitedir, and not a plain path: seqaug itself may be installed by a .pth file there.
        outer = sysconfig.get_path("purelib")
        inner = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
        (Path(inner) / "outer.pth").write_text(f"import site; site.addsitedir({outer!r})\n", encoding="utf-8")
        self._command("pip", PIP.format(outer=sys.executable, inner=self.python))
        for name, what in COMMANDS.items():
            self._command(name, f'#!/bin/sh\nexec {self.python} {what} "$@"\n')
        # It looks for its binary beside the interpreter, and would find this very file.
        self._command("ruff", f'#!/bin/sh\nexec {sys.executable} -m ruff "$@"\n')

    def _command(self, name: str, text: str) -> None:
        path = self.tools / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def bash(self, command: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """What a reader of a README types in `folder`."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SEQAUG_", "PYTEST_", "PYTHONPATH"))}
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=folder,
            env=kept
            | {
                "PATH": os.pathsep.join([str(self.tools), os.environ["PATH"]]),
                "SEQAUG_HOME": str(self.folder / "home"),
                "MYPY_CACHE_DIR": str(self.folder / "mypy"),  # what torch's types cost is paid once
                "NO_COLOR": "1",
                "OMP_NUM_THREADS": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def fine(self, command: str, folder: Path) -> str:
        """The same, which has to succeed; its output."""
        done = self.bash(command, folder)
        assert done.returncode == 0, f"{command} ended with {done.returncode} in {folder.name}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


def blocks_of(readme: str) -> list[str]:
    """The lines of its bash blocks, in order."""
    found = re.findall(r"^```bash\n(.*?)^```", readme, flags=re.MULTILINE | re.DOTALL)
    return [line for block in found for line in block.splitlines()]
