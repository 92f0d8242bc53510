"""The built site is whole, its links lead somewhere, and a reader's browser asks nobody else for any of it."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from docs.pages import PAGES, ROOT

pytest.importorskip("mkdocs", reason="the site is built with the extra 'docs'")

problems: Callable[[Path], list[str]] = runpy.run_path(str(ROOT / "docs" / "check_site.py"))["problems"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr[-4000:]
    return folder


def test_every_page_is_built_and_has_a_title_of_its_own(site: Path) -> None:
    docs = ROOT / "docs"
    expected = {page.relative_to(docs).with_suffix("") for page in PAGES if page.is_relative_to(docs)}
    built = {page: site / ("" if page.name == "index" else page) / "index.html" for page in expected}
    assert not [str(page) for page, path in built.items() if not path.exists()]
    titles = [re.findall(r"<title>(.*?)</title>", path.read_text("utf-8"), flags=re.DOTALL)[0] for path in built.values()]
    assert len(set(titles)) == len(titles), sorted(title for title in titles if titles.count(title) > 1)


def test_links_lead_somewhere_and_nothing_is_loaded_from_another_host(site: Path) -> None:
    assert problems(site) == []


@pytest.mark.parametrize(
    ("head", "body", "said"),
    [
        ("", '<a href="missing/">', "missing/ leads nowhere"),
        ("", '<a href="#nowhere">', "has no #nowhere"),
        ("", '<a href="../../elsewhere.html">', "leaves the site"),
        ("", '<img src="https://example.org/x.png">', "loads https://example.org/x.png from another host"),
        ('<script src="//example.org/x.js"></script>', "", "loads //example.org/x.js from another host"),
        ('<link rel="stylesheet" href="https://example.org/x.css">', "", "from another host"),
        ("<style>@import 'https://example.org/x.css'</style>", "", "from another host"),
        ("", '<p style="background: url(https://example.org/x.png)">', "from another host"),
        ("", '<pre class="mermaid">graph</pre>', "Mermaid"),
    ],
)
def test_the_check_of_a_site_finds(tmp_path: Path, head: str, body: str, said: str) -> None:
    page = tmp_path / "index.html"
    page.write_text(f'<html><head>{head}</head><body><h1 id="top">A page</h1>{body}</body></html>', encoding="utf-8")
    found = problems(tmp_path)
    assert len(found) == 1 and said in found[0]


def test_the_check_of_a_site_lets_readers_click_where_they_like(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_text('<h1 id="top">A page</h1><a href="https://example.org/">there</a><a href="#top">here</a>', encoding="utf-8")
    assert problems(tmp_path) == []
