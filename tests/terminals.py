"""A terminal to run commands at, where no person sits."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

__all__ = ["seen_at_a_terminal"]


def seen_at_a_terminal(
    command: Sequence[str], *, cwd: Path, environment: Mapping[str, str], rows: int = 40, columns: int = 100
) -> str:
    """What a person at a terminal of that size sees of a command that ends well, escape sequences and all."""
    pty = pytest.importorskip("pty", reason="terminals can only be imitated on POSIX")
    import fcntl
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    given = {"TERM": "xterm-256color", **environment}
    process = subprocess.Popen(command, stdout=follower, stderr=follower, stdin=follower, cwd=cwd, env=given)
    os.close(follower)
    seen = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:
            break
        if not part:
            break
        seen += part
    os.close(leader)
    assert process.wait() == 0, seen.decode()
    return seen.decode()
