"""The built site is whole, and a reader's browser asks nobody else for any of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from docs.pages import PAGES, ROOT

pytest.importorskip("mkdocs", reason="the site is built with the extra 'docs'")


class Loaded(HTMLParser):
    """What a browser fetches for a page, or shows as its picture, without being asked."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in {"script", "img", "iframe", "source", "video", "audio", "embed"}:
            self.addresses += [given.get("src") or ""]
        if tag == "link" and (given.get("rel") or "") in {"stylesheet", "icon", "preload", "modulepreload", "preconnect"}:
            self.addresses += [given.get("href") or ""]
        self.addresses += re.findall(r"url\(([^)]*)\)", given.get("style") or "")


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


def test_every_page_is_built(site: Path) -> None:
    docs = ROOT / "docs"
    expected = {page.relative_to(docs).with_suffix("") for page in PAGES if page.is_relative_to(docs)}
    missing = [str(page) for page in expected if not (site / ("" if page.name == "index" else page) / "index.html").exists()]
    assert not missing


def test_a_page_loads_its_own_files_and_nothing_from_another_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        for address in Loaded(page.read_text(encoding="utf-8")).addresses:
            if not address or address.startswith("data:"):
                continue
            assert not re.match(r"(\w+:)?//", address), f"{page.relative_to(site)} loads {address}"
            path = re.split(r"[?#]", address)[0]
            # The page of a wrong address has no place of its own, so its links begin at the top of the site.
            found = site / path.removeprefix("/") if path.startswith("/") else page.parent / path
            assert found.resolve().exists(), f"{page.relative_to(site)} has no {address}"


def test_styles_load_nothing_from_another_host(site: Path) -> None:
    for sheet in site.rglob("*.css"):
        assert not re.findall(r"(?:url\(|@import\s*)[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet.name


def test_no_page_needs_what_the_theme_would_fetch(site: Path) -> None:
    """The theme's script fetches its diagram library from elsewhere, on pages that hold such a diagram."""
    assert not [page for page in site.rglob("*.html") if 'class="mermaid"' in page.read_text(encoding="utf-8")]


def test_pages_can_be_told_from_each_other(site: Path) -> None:
    titles = [
        re.findall(r"<title>(.*?)</title>", page.read_text(encoding="utf-8"), flags=re.DOTALL)[0]
        for page in site.rglob("index.html")
    ]
    assert len(set(titles)) == len(titles), sorted(title for title in titles if titles.count(title) > 1)
