"""Where the real data is, a home of one's own, and a small web server with the habits of large ones."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def data_folder() -> Path | None:
    """The folder of real data sets: SEQAUG_DATA, or `shared/data` beside the checkout; None where neither is."""
    candidates = [Path(os.environ["SEQAUG_DATA"])] if os.environ.get("SEQAUG_DATA") else []
    candidates += [ROOT.parent / "shared" / "data", ROOT / "shared" / "data"]
    return next((folder for folder in candidates if (folder / "beauty").is_dir()), None)


REAL_DATA = data_folder()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets, or a skip."""
    if REAL_DATA is None:
        pytest.skip("no real data: set SEQAUG_DATA to the folder that holds beauty/, ml-1m/ and so on")
    return REAL_DATA


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty SEQAUG_HOME, and no SEQAUG_DATA."""
    monkeypatch.setenv("SEQAUG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SEQAUG_DATA", raising=False)
    return tmp_path / "home"


@dataclass
class Server:
    """One file behind a real HTTP server on this machine. The fields may be changed between requests."""

    body: bytes = b""
    ranges: bool = True
    etag: str | None = '"1"'
    # Each connection is cut after so many bytes of the body; None for not at all.
    cut_after: int | None = None
    length: bool = True
    asked: list[dict[str, str | None]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/file"


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append({name: self.headers.get(name) for name in ("Range", "If-Range")})
            if self.path != "/file":
                self.send_error(404)
                return
            start = 0
            asked = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
            unchanged = self.headers.get("If-Range") in (None, state.etag)
            if asked and state.ranges and unchanged:
                start = int(asked[1])
                if start >= len(state.body):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(state.body)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(state.body) - 1}/{len(state.body)}")
            else:
                self.send_response(200)
            rest = state.body[start:]
            if state.length:
                self.send_header("Content-Length", str(len(rest)))
            if state.etag:
                self.send_header("ETag", state.etag)
            self.end_headers()
            self.wfile.write(rest if state.cut_after is None else rest[: state.cut_after])
            self.wfile.flush()
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = httpd.server_address[1]
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield state
    httpd.shutdown()
    httpd.server_close()
    thread.join()
