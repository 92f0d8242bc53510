"""Writes docs/reference/plugins.md from the plugins themselves: `python docs/reference/write_plugins.py`.

A test compares the page with what this would write, so that it cannot go stale.
"""

from __future__ import annotations

import inspect
from pathlib import Path

from seqaug.core.registries import REGISTRIES
from seqaug.core.registry import PluginInfo, Registry
from seqaug.recipes.options import describe_options

PAGE = Path(__file__).with_name("plugins.md")

HEAD = """\
<!-- Written by docs/reference/write_plugins.py; change the plugins' docstrings and signatures, not this page. -->

# Plugins in the box

Every plugin by its registry, as `use = "..."` names it in a [recipe](../recipes.md). An option without a default must be given.
Plugins that other packages bring are listed by `seqaug plugins list`; [Plugins](../plugins.md) shows how one is written.
"""


def text() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(_section(registry) for registry in REGISTRIES.values())]).rstrip() + "\n"


def _section(registry: Registry[object]) -> str:
    own = [info for info in registry.all() if info.builtin]
    lines = [f"## {registry.kind}", "", _prose(registry.protocol), ""]
    if not own:
        lines += ["None in the box yet; the door is open.", ""]
    return "\n".join(lines) + "\n" + "\n".join(_plugin(registry, info) for info in own)


def _plugin(registry: Registry[object], info: PluginInfo) -> str:
    cls = registry.get(info.name)
    lines = [f"### `{info.name}`", "", _prose(cls), "", f"`{info.value}`", ""]
    options = describe_options(cls)
    if options:
        lines += ["| option | type | default | bounds |", "| --- | --- | --- | --- |"]
        for option in options:
            cells = [f"`{option.name}`", _code(option.type), _code(option.default) or "*must be given*", _code(option.bounds)]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _prose(cls: type[object]) -> str:
    """A docstring as paragraphs; a line that begins with "name: " begins a new one."""
    lines = inspect.cleandoc(cls.__doc__ or "").splitlines()
    shown: list[str] = []
    for line in lines:
        begins = line.split(":")[0].replace(", ", "").replace("_", "").isalnum() and ": " in line
        if begins and shown and shown[-1]:
            shown.append("")
        shown.append(line.replace("|", "\\|").replace("[", "\\["))
    return "\n".join(shown)


def _code(value: str) -> str:
    return f"`{value}`".replace("|", "\\|") if value else ""


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
