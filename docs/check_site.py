"""Checks the built site: `python docs/check_site.py site`, which `make docs` does after every build.

Every link to a file of the site leads to one, with the anchor that it names; and no page loads anything from another host: no
script, style, font, picture or frame. Links that a reader may click are free to lead elsewhere. Needs no network.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

CLICKED = {("a", "href"), ("area", "href"), ("link", "canonical"), ("form", "action"), ("blockquote", "cite")}
"""What a browser does not follow by itself."""
ATTRIBUTES = ("href", "src", "srcset", "action", "data", "poster", "cite")
STYLED = re.compile(r"url\(\s*['\"]?([^'\")]+)['\"]?\s*\)|@import\s+['\"]([^'\"]+)['\"]")


@dataclass
class Page(HTMLParser):
    """What one page names. links: (what for, target); anchors: what can be named in it."""

    path: Path
    links: list[tuple[tuple[str, str], str]] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    styled: bool = False
    mermaid: bool = False

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        self.styled = tag == "style"
        self.mermaid |= "mermaid" in given.get("class", "").split()
        for name in ATTRIBUTES:
            if name not in given:
                continue
            what = ("link", "canonical") if tag == "link" and "canonical" in given.get("rel", "") else (tag, name)
            targets = [one.split()[0] for one in given[name].split(",") if one.strip()] if name == "srcset" else [given[name]]
            self.links += [(what, target) for target in targets]
        self.links += [(("style", "url"), target) for target in styled(given.get("style", ""))]

    def handle_data(self, data: str) -> None:
        if self.styled:
            self.links += [(("style", "url"), target) for target in styled(data)]

    def handle_endtag(self, tag: str) -> None:
        self.styled = False


def styled(text: str) -> Iterator[str]:
    """The targets of a piece of CSS."""
    for found in STYLED.finditer(text):
        yield found[1] or found[2]


def problems(site: Path) -> list[str]:
    """What is wrong with a built site, a line each."""
    site = site.resolve()
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    found = [] if pages else [f"{site} holds no page: build it first (mkdocs build)"]
    for path, page in pages.items():
        where = path.relative_to(site)
        if page.mermaid:
            found.append(f"{where}: has a Mermaid diagram, for which the theme loads a script from another host")
        for what, target in page.links:
            problem = _wrong(site, path, what, target, pages)
            if problem:
                found.append(f"{where}: {problem}")
    for path in sorted(site.rglob("*.css")):
        for target in styled(path.read_text(encoding="utf-8")):
            problem = _wrong(site, path, ("style", "url"), target, pages)
            if problem:
                found.append(f"{path.relative_to(site)}: {problem}")
    return list(dict.fromkeys(found))


def _wrong(site: Path, path: Path, what: tuple[str, str], target: str, pages: dict[Path, Page]) -> str | None:
    parts = urlsplit(target.strip())
    if parts.scheme in ("data", "mailto", "javascript", "about"):
        return None
    if parts.scheme or parts.netloc:
        return None if what in CLICKED else f"<{what[0]}> loads {target} from another host"
    name = unquote(parts.path)
    # Only 404.html is served from anywhere, and so names everything from the root.
    goal = (site / name.lstrip("/") if name.startswith("/") else path.parent / name).resolve() if name else path
    if goal.is_dir():
        goal /= "index.html"
    if not goal.is_relative_to(site):
        return f"{target} leaves the site"
    if not goal.is_file():
        return f"{target} leads nowhere"
    anchor = unquote(parts.fragment)
    if anchor and goal in pages and anchor not in pages[goal].anchors:
        return f"{target}: {goal.relative_to(site)} has no #{anchor}"
    return None


def main(words: list[str]) -> int:
    """Check the folder that is named, site/ otherwise. Exit code 1 where something is wrong."""
    site = Path(words[0] if words else "site")
    found = problems(site)
    for one in found:
        sys.stderr.write(f"{one}\n")
    pages = len(list(site.rglob("*.html")))
    said = f"{len(found)} problems" if found else "every link leads somewhere, nothing is loaded from elsewhere"
    sys.stderr.write(f"{site}: {pages} pages: {said}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
