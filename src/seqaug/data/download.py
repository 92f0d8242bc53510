"""One file from the network: resumed where it broke off, checked, and in place only when whole."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from ..errors import DataError

__all__ = ["Progress", "download"]

# (bytes here so far, bytes in all or None where the server does not say)
Progress = Callable[[int, int | None], None]

PIECE = 1 << 16
ATTEMPTS = 4


def download(
    url: str,
    target: Path,
    *,
    alternative: str,
    progress: Progress | None = None,
    sha256: str | None = None,
    md5: str | None = None,
    timeout: float = 30.0,
) -> Path:
    """Bring `url` to `target`. What arrived before a connection broke is kept as `target`.part and not asked for again.

    A connection that breaks is taken up again as long as each attempt brings something, otherwise at most 4 times. A server
    that has no ranges, or whose file has changed since, sends all of it once more. alternative: what the user can do instead,
    in one sentence, for the message of a failure.
    Raises DataError, naming the address, where it cannot be reached, has no such file, or the sum is wrong.
    """
    if not url.startswith(("http://", "https://")):
        raise DataError(f"{url!r} is no web address. {alternative}")
    part, notes = target.with_name(target.name + ".part"), target.with_name(target.name + ".part.json")
    failures = 0
    while True:
        before = _size(part)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if _attempt(url, part, notes, progress, timeout):
                break
            reason = "the connection was closed before all had arrived"
        except urllib.error.HTTPError as error:
            error.close()
            raise DataError(f"{url} answered {error.code} {error.reason}. {alternative}") from None
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = str(getattr(error, "reason", None) or error or type(error).__name__)
        except OSError as error:
            raise DataError(f"{part} cannot be written: {error.strerror or error}.") from None
        failures = 0 if _size(part) > before else failures + 1
        # What was never reached at all will not be a second later; what broke off may well go on.
        if failures >= ATTEMPTS or not _size(part):
            kept = f" {_size(part):,} bytes are kept; the same command goes on from there." if _size(part) else ""
            raise DataError(f"{url} could not be fetched: {reason}.{kept} {alternative}")
    _check_sum(part, notes, url, alternative, sha256=sha256, md5=md5)
    os.replace(part, target)
    notes.unlink(missing_ok=True)
    return target


def _attempt(url: str, part: Path, notes: Path, progress: Progress | None, timeout: float) -> bool:
    """One connection. Whether the file is whole now (or nobody can say, because the server tells no length)."""
    have = _size(part)
    headers = {"User-Agent": "seqaug", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        mark = _mark(notes)
        if mark:
            # The rest only if it is the rest of the same file; else all of it.
            headers["If-Range"] = mark
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        error.close()
        if _total(error.headers.get("Content-Range")) == have:
            return True
        return _from_the_start(url, part, notes, progress, timeout)
    with answer:
        start = 0
        if answer.status == 206:
            match = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
            start = int(match[1]) if match else have
            if start != have:
                return _from_the_start(url, part, notes, progress, timeout)
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length and length.isdigit() else None
        _remember(notes, answer.headers.get("ETag"), answer.headers.get("Last-Modified"))
        with part.open("ab" if start else "wb") as file:
            done = start
            if progress:
                progress(done, total)
            while piece := answer.read(PIECE):
                file.write(piece)
                done += len(piece)
                if progress:
                    progress(done, total)
        return total is None or done >= total


def _from_the_start(url: str, part: Path, notes: Path, progress: Progress | None, timeout: float) -> bool:
    """The part is of no use. Without it no range is asked for, so this happens once."""
    part.unlink()
    notes.unlink(missing_ok=True)
    return _attempt(url, part, notes, progress, timeout)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _total(content_range: str | None) -> int | None:
    """The n of `bytes */n`."""
    match = re.search(r"/(\d+)$", content_range or "")
    return int(match[1]) if match else None


def _mark(notes: Path) -> str | None:
    """By what the server knows the version that the part is of."""
    try:
        return str(json.loads(notes.read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(notes: Path, etag: str | None, modified: str | None) -> None:
    version = etag if etag and not etag.startswith("W/") else modified
    if version:
        notes.write_text(json.dumps({"version": version}), encoding="utf-8")
    else:
        notes.unlink(missing_ok=True)


def _check_sum(part: Path, notes: Path, url: str, alternative: str, *, sha256: str | None, md5: str | None) -> None:
    name, expected = ("sha256", sha256) if sha256 else ("md5", md5)
    if expected is None:
        return
    with part.open("rb") as file:
        found = hashlib.file_digest(file, name).hexdigest()
    if found != expected:
        part.unlink()
        notes.unlink(missing_ok=True)
        raise DataError(
            f"what {url} sent is not the expected file: its {name} is {found}, expected {expected}. It was deleted. "
            f"{alternative}"
        )
