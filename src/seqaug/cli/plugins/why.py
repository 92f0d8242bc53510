"""seqaug plugins why"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..options import PluginName, plugin_file_option
from ..terminal import Output, common
from .facts import KINDS, facts, registries_with

if TYPE_CHECKING:
    from ...core.registry import PluginInfo, Registry

__all__ = ["why"]


@click.command("why")
@click.argument("name", type=PluginName())
@click.option("--kind", type=click.Choice(KINDS), default=None, help="Only of this kind.")
@plugin_file_option()
@common
def why(output: Output, name: str, kind: str | None) -> None:
    """Where the plugin NAME comes from, who else claims the name, and which one a recipe gets.

    Each that claims it is imported, unless it is disabled, so that it is known whether it loads. DISTRIBUTION/NAME asks what a
    recipe gets that says whose.
    """
    answers = [_answer(registry, name) for registry in registries_with(name, kind)]
    if output.document({"plugins": answers}):
        return
    for place, answer in enumerate(answers):
        click.echo(("\n" if place else "") + "\n".join(_lines(answer)))


def _answer(registry: Registry[Any], name: str) -> dict[str, Any]:
    """Of one kind. gets: "distribution/name" of the one that a recipe gets, None where it gets none. state: of that one."""
    from ...errors import PluginError

    short = name.rpartition("/")[2]
    claims = [_claim(info) for info in registry.all() if info.name == short]
    gets, reason, state = None, "", None
    try:
        chosen = registry.describe(name)
        gets = f"{chosen.source}/{chosen.name}"
        state = next(one["state"] for one in claims if one["use"] == gets)
        others = [one for one in claims if one["use"] != gets]
        if name != short:
            reason = "the name says whose"
        elif not others:
            reason = "nobody else claims the name"
        elif all(one["disabled"] for one in others):
            reason = "the others are disabled"
        else:
            reason = "the others are the same class"
    except PluginError as error:
        reason = str(error)
    return {
        "kind": registry.kind,
        "name": short,
        "asked": name,
        "gets": gets,
        "state": state,
        "reason": reason,
        "claims": claims,
    }


def _claim(info: PluginInfo) -> dict[str, Any]:
    from ...core import discovery
    from ...recipes.condition import condition_of

    condition = condition_of(info)
    files = discovery.metadata_files(info.distribution) if info.distribution is not None else []
    return {
        **facts(info),
        "use": f"{info.source}/{info.name}",
        "claimed_by": "plugin file" if info.file else "decorator" if info.distribution is None else "entry point",
        "metadata": str(files[0]) if files else None,
        "hidden_copies": [str(one) for one in files[1:]],
        "source": condition.file,
        "state": condition.state,
        "cause": condition.cause,
        "api": condition.api,
    }


def _lines(answer: dict[str, Any]) -> list[str]:
    from ...core.interface import API_VERSION

    lines = [f"{answer['kind']} / {answer['name']}", ""]
    if answer["gets"] is None:
        lines += [f'use = "{answer["asked"]}" gets none: {answer["reason"]}']
    else:
        but = "" if answer["state"] == "ok" else f" It is {answer['state']}."
        lines += [f'use = "{answer["asked"]}" gets {answer["gets"]}: {answer["reason"]}.{but}']
    uses = [claim["use"] for claim in answer["claims"]]
    for claim in answer["claims"]:
        rows = [("declared", _declared(claim))]
        rows += [("not read", f"{one}, a second copy behind the first on the path") for one in claim["hidden_copies"]]
        if claim["source"]:
            rows.append(("source", claim["source"]))
        rows.append(("state", claim["cause"] or "ok, it loads and keeps its interface"))
        if claim["state"] == "ok":
            said = "not said" if claim["api"] is None else f"written for {claim['api']}"
            rows.append(("interface", f"{said}; this seqaug has version {API_VERSION}"))
        pick = f'use = "{claim["use"]}"'
        rows.append(("to pick it", pick if uses.count(claim["use"]) == 1 else f"nothing: {pick} would name more than one"))
        lines += ["", f"{claim['origin']}" + (f" (seqaug {claim['version']})" if claim["builtin"] else "")]
        lines += [f"  {label:<10}  {text}".replace("\n", "\n" + 14 * " ") for label, text in rows]
    return lines


def _declared(claim: dict[str, Any]) -> str:
    if claim["claimed_by"] == "plugin file":
        return f"by the decorator on {claim['value'].partition(':')[2]} in {claim['file']}"
    if claim["claimed_by"] == "decorator":
        return f"by the decorator on {claim['value']}"
    where = f" in {claim['metadata']}" if claim["metadata"] else ""
    return f"{claim['name']} = {claim['value']}{where}"
