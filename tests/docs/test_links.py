"""Links lead somewhere, and every page can be reached."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.pages import PAGES, ROOT, anchors, name_of, prose

DOCS = ROOT / "docs"


def links(page: Path) -> list[str]:
    """The targets of all links and images that stay in this repository, those in HTML among them."""
    found = re.findall(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)", prose(page))
    found += re.findall(r"\b(?:href|src|srcset)=\"([^\"\s]+)\"", prose(page))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    wrong = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            wrong.append(f"{link}: there is no {path}")
        elif page.is_relative_to(DOCS) and not target.is_relative_to(DOCS):
            wrong.append(f"{link}: leaves docs/, which the built site does not contain")
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            wrong.append(f"{link}: {name_of(target)} has no heading #{anchor}")
    assert not wrong, "\n".join(wrong)


def configuration() -> dict[str, Any]:
    found = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def leaves(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [leaf for part in (nav.values() if isinstance(nav, dict) else nav) for leaf in leaves(part)]


def test_the_navigation_names_every_page_once_and_no_other() -> None:
    named = leaves(configuration()["nav"])
    assert sorted(named) == sorted(str(page.relative_to(DOCS)) for page in PAGES if page.is_relative_to(DOCS))


def test_the_site_loads_nothing_from_elsewhere() -> None:
    found = configuration()
    assert found["theme"]["font"] is False
    assert not {"extra_javascript", "repo_url"} & set(found)
    for sheet in found["extra_css"]:
        assert not re.search(r"@import|url\(|https?:|//\w", (DOCS / sheet).read_text(encoding="utf-8")), sheet


def test_measured_numbers_carry_their_command_commit_seed_device_and_date() -> None:
    lines = (DOCS / "reproduction.md").read_text(encoding="utf-8").splitlines()
    columns: list[str] = []
    measured = 0
    for number, line in enumerate(lines):
        if not line.startswith("|"):
            columns = []
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not columns:  # the first row of a table is its head
            columns = cells
        elif not all(set(cell) <= set("-: ") for cell in cells):
            row = dict(zip(columns, cells, strict=True))
            missing = [name for name in ("command", "commit", "seed", "device", "date") if name in row and not row[name]]
            assert not missing, f"line {number + 1} of docs/reproduction.md lacks {missing}: {line}"
            measured += "command" in row
    assert measured >= 15, "the tables with commands are gone"
