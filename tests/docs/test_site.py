"""docs/check_site.py, which `make docs` runs on what it has built, finds what is wrong with a site."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from docs.pages import ROOT

Problems = Callable[[Path], list[str]]


@pytest.fixture(scope="module")
def problems() -> Problems:
    import sys

    spec = importlib.util.spec_from_file_location("check_site", ROOT / "docs" / "check_site.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules["check_site"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Problems = module.problems
    return found


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A page with a page below it, a style and a picture; both in order."""
    (tmp_path / "below").mkdir()
    (tmp_path / "mark.svg").write_text("<svg/>")
    (tmp_path / "own.css").write_text("body { background: url('mark.svg') }")
    (tmp_path / "index.html").write_text(
        '<link rel="stylesheet" href="own.css"><link rel="canonical" href="https://else.where/">'
        '<a href="below/#here">x</a><a href="https://arxiv.org/abs/2507.11866">y</a><img src="mark.svg#only-light">'
    )
    (tmp_path / "below" / "index.html").write_text('<h2 id="here">x</h2><a href="..">up</a><a href="#here">y</a>')
    return tmp_path


def test_a_site_in_order_has_no_problems(problems: Problems, site: Path) -> None:
    assert problems(site) == []


WRONG = [
    ('<a href="belw/">', "belw/ leads nowhere"),
    ('<a href="below/#their">', "has no #their"),
    ('<a href="#nowhere">', "has no #nowhere"),
    ('<a href="../../x.html">', "leaves the site"),
    ('<img src="mark.png">', "mark.png leads nowhere"),
    ('<img srcset="mark.svg 1x, large.svg 2x">', "large.svg leads nowhere"),
    ('<img src="https://img.shields.io/x.svg">', "<img> loads https://img.shields.io/x.svg from another host"),
    ('<script src="//unpkg.com/x.js"></script>', "<script> loads //unpkg.com/x.js from another host"),
    ('<link rel="preconnect" href="https://fonts.gstatic.com">', "<link> loads https://fonts.gstatic.com from another host"),
    ("<style>@import 'https://fonts.googleapis.com/css';</style>", "loads https://fonts.googleapis.com/css"),
    ('<p style="background: url(https://a.b/c.png)">', "loads https://a.b/c.png"),
    ('<pre class="mermaid">', "has a Mermaid diagram"),
]


@pytest.mark.parametrize(("html", "said"), WRONG, ids=[html for html, _ in WRONG])
def test_what_is_wrong_on_a_page_is_found(problems: Problems, site: Path, html: str, said: str) -> None:
    with (site / "index.html").open("a") as file:
        file.write(html)
    found = problems(site)
    assert len(found) == 1 and said in found[0] and found[0].startswith("index.html: ")


def test_a_font_from_elsewhere_in_a_style_is_found(problems: Problems, site: Path) -> None:
    (site / "own.css").write_text("@font-face { src: url(https://fonts.gstatic.com/a.woff2) }")
    assert problems(site) == ["own.css: <style> loads https://fonts.gstatic.com/a.woff2 from another host"]


def test_an_empty_folder_is_no_site(problems: Problems, tmp_path: Path) -> None:
    assert "holds no page" in problems(tmp_path)[0]


def test_make_docs_checks_what_it_has_built() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("\ndocs:")[1].split("\n\n")[0]
    assert recipe.index("mkdocs build --strict") < recipe.index("docs/check_site.py site")
