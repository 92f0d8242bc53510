"""The machine of somebody who reads a page: an environment of their own with seqaug in it, and an empty folder.

What a page installs goes into that environment and is gone with it. It sees what is installed where the tests run; `pip`
fetches nothing: dependencies are taken for granted, and nothing is built in isolation.
"""

from __future__ import annotations

import os
import sys
import venv
from pathlib import Path

# pip of the tests' environment works on the reader's: a pip of its own would be two seconds for each page.
PIP = """#!/bin/sh
test "$1" = install || {{ echo "pip $1: a page of the documentation may install, and nothing else" >&2; exit 64; }}
shift
exec {tests} -m pip --python {own} --quiet --disable-pip-version-check install --no-deps --no-build-isolation --no-index "$@"
"""

# What pip writes for an entry point of the group console_scripts.
SCRIPT = """#!{own}
import sys

from {module} import {function}

if __name__ == "__main__":
    sys.exit({function}())
"""

SCRIPTS = {
    "seqaug": ("seqaug.cli.main", "main"),
    "pytest": ("pytest", "console_main"),
    "mypy": ("mypy.__main__", "console_entry"),
}


def surroundings(folder: Path) -> dict[str, str]:
    """The environment variables of a reader who has just installed seqaug, with `python`, `pip` and `seqaug` at hand.

    folder: where the environment is made, as folder / "env".
    """
    place = folder / "env"
    venv.EnvBuilder(symlinks=True).create(place)
    tools, own = place / "bin", place / "bin" / "python"
    (site,) = place.glob("lib/python*/site-packages")
    # addsitedir, and not the path alone: what is installed there may itself be a link, as a checkout is by `pip install -e`.
    others = [path for path in sys.path if path.endswith("site-packages")]
    (site / "tests.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in others))
    programs = {name: SCRIPT.format(own=own, module=module, function=function) for name, (module, function) in SCRIPTS.items()}
    for name, text in (programs | {"pip": PIP.format(tests=sys.executable, own=own)}).items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SEQAUG_", "PIP_", "PYTEST_")) and name != "PYTHONPATH"
    }
    return kept | {
        "PATH": os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "VIRTUAL_ENV": str(place),
        "SEQAUG_HOME": str(folder / "home"),
        "NO_COLOR": "1",
        "OMP_NUM_THREADS": "1",
    }
