"""The drawings are what their script draws, in both schemes, and can be seen by whoever reads the page."""

from __future__ import annotations

import re
import runpy
from xml.etree import ElementTree

import pytest

from docs.pages import PAGES, ROOT

IMAGES = ROOT / "docs" / "images"
DRAWN = runpy.run_path(str(IMAGES / "draw.py"))
FILES: dict[str, str] = DRAWN["files"]()
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_drawing_is_what_the_script_draws(name: str) -> None:
    assert (IMAGES / name).read_text(encoding="utf-8") == FILES[name], f"{name} is stale: python docs/images/draw.py"


def test_every_vector_drawing_comes_from_the_script() -> None:
    assert {path.name for path in IMAGES.glob("*.svg")} == set(FILES)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_drawing_says_what_it_shows_and_loads_nothing(name: str) -> None:
    root = ElementTree.fromstring(FILES[name])
    named = (root.get("aria-labelledby") or "").split()
    texts = {one.get("id"): one.text for one in root if one.get("id")}
    assert named and all(texts[one] for one in named)
    assert {one.tag.removeprefix(SVG) for one in root.iter()} <= {
        *("svg", "title", "desc", "rect", "circle", "path", "polyline", "polygon", "text", "tspan")
    }
    assert not re.search(r"href|url\(|@import", FILES[name])


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, 0 to 1 (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """1 to 21 (WCAG 2.2)."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("scheme", "page"), [("light", "#ffffff"), ("dark", "#15191d")])
def test_words_stand_out_from_what_they_stand_on(scheme: str, page: str) -> None:
    colours = DRAWN["SCHEMES"][scheme]
    pairs = [(word, ground) for word in (colours.ink, colours.soft) for ground in (page, colours.faint)]
    pairs += [
        (colours.accent, colours.accent_faint),
        (colours.warm, colours.warm_faint),
        (colours.accent, page),
        (colours.warm, page),
    ]
    assert all(contrast(*pair) >= 4.5 for pair in pairs), [(pair, round(contrast(*pair), 2)) for pair in pairs]


def test_words_are_large_enough_for_a_phone_and_stay_on_the_drawing() -> None:
    for name, text in FILES.items():
        root = ElementTree.fromstring(text)
        width, height = (float(one) for one in (root.get("viewBox") or "").split()[2:])
        for word in root.iter(f"{SVG}text"):
            size, x = float(word.get("font-size") or 0), float(word.get("x") or 0)
            assert size >= 13, f"{name}: {word.text}"
            # 0.62 em a letter is wider than the usual fonts of a system are.
            length = 0.62 * size * len("".join(word.itertext()))
            start = {"start": x, "middle": x - length / 2, "end": x - length}[word.get("text-anchor") or "start"]
            assert start >= 0 and start + length <= width, f"{name}: {''.join(word.itertext())} leaves the drawing"
            assert float(word.get("y") or 0) < height


@pytest.mark.parametrize("name", sorted(DRAWN["DRAWINGS"]))
def test_a_page_shows_every_drawing_in_both_schemes_with_the_same_words(name: str) -> None:
    shown = [
        (
            page,
            re.findall(
                rf"!\[([^\]]+)\]\([./]*images/{name}-(light|dark)\.svg#gh-(light|dark)-mode-only\)", page.read_text("utf-8")
            ),
        )
        for page in PAGES
    ]
    used = [(page, found) for page, found in shown if found]
    assert used, f"no page shows {name}"
    for page, found in used:
        schemes = [(drawn, mode) for _, drawn, mode in found]
        assert schemes == [("light", "light"), ("dark", "dark")] * (len(schemes) // 2), page
        assert len({words for words, _, _ in found}) == 1, page
