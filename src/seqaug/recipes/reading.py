"""One patched recipe, read: every table held against its schema, every plugin against its constructor, every problem kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from ..core.names import DiffusionName, EncoderName, HeadName, ViewName
from ..core.registry import PluginInfo, Registry
from ..errors import PluginError, RecipeError, UnknownName, did_you_mean
from .chosen import Chosen, Made, build
from .load import RecipeSource
from .options import MISSING, Option, Signature, complaints, signature_of, validated
from .patches import Patch, Patched, path_text
from .schema import Share

__all__ = ["Reader"]

SECTION_OF = {EncoderName: "encoders", DiffusionName: "diffusions", HeadName: "heads"}
PROBE = {"dim": 64, "max_length": 50, "num_items": 300}
"""What a strategy is given when it is only made to be asked: its view names, and whether it takes its options."""

M = TypeVar("M", bound=BaseModel)


class Reader:
    """Reads one patched table. Goes on after a problem, so that all are found."""

    def __init__(self, source: RecipeSource) -> None:
        self.patched = Patched(source.name, source.table)
        self.table = self.patched.table
        self.problems = self.patched.problems
        self.broken: list[str] = []
        self.slots: set[str] = set()
        """Where a plugin may stand."""
        self.unread: set[str] = set()
        """Where one should stand but could not be read."""
        self.views: list[tuple[str, str]] = []
        """Every view that is named, and where."""

    def change(self, table: Any, origin: str) -> None:
        if not isinstance(table, dict):
            self.problems.append(f"{origin}: should be a table of paths and values, found {table!r}")
            return
        for path, value in table.items():
            self.patched.put(Patch(path, value, origin))

    def table_of(self, key: str) -> dict[str, Any]:
        """A top-level table, empty where it is missing or none."""
        found = self.table.get(key, {})
        if isinstance(found, dict):
            return found
        self.problems.append(f"{key}: should be a table, found {found!r}")
        return {}

    def problem(self, path: str, what: str) -> None:
        origin = self.patched.origin(path.split("."))
        first, *more = f"{path}: {what}".splitlines()
        by = "" if origin == "recipe" else f" (set by {origin})"
        self.problems.append("\n".join([first + by, *more]))

    # ---- tables ----

    def options(self, key: str, model: type[M], values: dict[str, Any]) -> M | None:
        """A section that is no plugin."""
        table = self.table.get(key, {})
        if not isinstance(table, dict):
            self.problem(key, f"should be a table, found {table!r}")
            return None
        try:
            made = model.model_validate(table)
        except ValidationError as error:
            for inner, what in complaints(error):
                self.problem(
                    f"{key}.{inner}", what if inner in model.model_fields else _no_such(f"[{key}]", inner, model.model_fields)
                )
            return None
        values[key] = made.model_dump(mode="json")
        return made

    # ---- one plugin ----

    def plugin(
        self, raw: Any, path: str, registry: Registry[Any], option: Option | None = None, beside: Sequence[str] = ()
    ) -> tuple[Chosen | None, Any]:
        """A plugin with its options, and its table with everything filled in; (None, None) where it is absent or wrong.

        beside: keys of the same table that belong to the recipe, named when an unknown one is refused.
        """
        self.slots.add(path)
        use = option.use if option is not None else None
        optional = option is not None and option.optional
        # "none" for an absent plugin, where TOML has no word for it; a plugin that is really called so goes first.
        if optional and (raw is None or (raw in ("none", {"use": "none"}) and "none" not in registry.names())):
            return None, None
        if raw is MISSING and use is None and optional:
            return None, None
        self.unread.add(path)  # until it is read
        if raw is MISSING:
            if use is None:
                known = ", ".join(str(info) for info in registry.all())
                self.problem(path, f"is missing: name {registry.a_noun}\n  known: {known or 'none'}")
                return None, None
            raw = {}
        if isinstance(raw, str):
            raw = {"use": raw}
        if not isinstance(raw, dict):
            self.problem(path, f"should be {registry.a_noun}, its name or a table with `use`; found {raw!r}")
            return None, None
        name = raw.get("use", use.name if use is not None else None)
        if not isinstance(name, str):
            known = ", ".join(str(info) for info in registry.all())
            self.problem(path, f"does not say which {registry.noun} to `use`\n  known: {known or 'none'}")
            return None, None
        rest = {key: value for key, value in raw.items() if key != "use"}
        if use is not None and use.name == name:
            rest = {**use.options, **rest}
        try:
            info, cls = registry.describe(name), registry.get(name)
            signature = signature_of(info, cls)
        except UnknownName as error:
            self.problem(path, str(error))
            return None, None
        except PluginError as error:
            self.broken.append(f"{path}: {error}")
            return None, None
        return self.read(rest, path, info, f"the {registry.noun} {info.name!r}", signature, use=name, beside=beside)

    def read(
        self,
        raw: Mapping[str, Any],
        path: str,
        info: PluginInfo | None,
        who: str,
        signature: Signature,
        *,
        use: str | None = None,
        beside: Sequence[str] = (),
    ) -> tuple[Chosen | None, dict[str, Any]]:
        """Options held against a constructor."""
        before = len(self.problems) + len(self.broken)
        for key in raw:
            if key not in signature.options:
                self.problem(f"{path}.{key}", _no_such(who, key, [*beside, *signature.options]))
        python: dict[str, Any] = {}
        nested: dict[str, Chosen | None] = {}
        plain = {}
        for key, option in signature.options.items():
            if option.kind == "value" and key in raw:
                # TOML has no word for "nothing given".
                plain[key] = None if option.optional and raw[key] == "none" and not _takes_word(option) else raw[key]
        made, json, wrong = validated(signature, plain)
        for key, what in wrong:
            self.problem(f"{path}.{key}" if key else path, what)
        python |= made
        resolved: dict[str, Any] = {} if use is None else {"use": use}
        for key, option in signature.options.items():
            where = f"{path}.{key}"
            if option.kind == "value":
                resolved[key] = json.get(key)
            elif option.registry is not None:
                nested[key], resolved[key] = self.plugin(raw.get(key, MISSING), where, option.registry, option)
            else:
                resolved[key] = self.names(raw.get(key, MISSING), where, option)
                python[key] = _tuples(resolved[key])
        if len(self.problems) + len(self.broken) > before:
            return None, resolved
        self.unread.discard(path)
        return Chosen(path, info, signature, python, nested), resolved

    def names(self, raw: Any, path: str, option: Option) -> Any:
        """The name, or the list of names or of pairs of them, that an option gives; checked to exist (views later, when they
        are known).
        """
        if raw is MISSING:
            if option.default is MISSING:
                self.problem(path, "is missing")
                return None
            raw = option.default
        if raw is None or (option.optional and raw == "none"):
            return None
        assert option.name_type is not None
        found = [raw]
        if option.kind != "name":
            if not isinstance(raw, list | tuple):
                self.problem(path, f"is {raw!r}; it should be a list of {'pairs of ' * (option.kind == 'pairs')}names")
                return None
            found = list(raw)
        if option.kind == "pairs":
            for one in found:
                if not isinstance(one, list | tuple) or len(one) != 2:
                    self.problem(path, f"holds {one!r}; it should hold pairs of names")
                    return None
            found = [one for pair in raw for one in pair]
        for one in found:
            if not isinstance(one, str):
                self.problem(path, f"is {one!r}; it should be a name")
            elif issubclass(option.name_type, ViewName):
                self.views.append((path, str(one)))
            else:
                section = SECTION_OF[option.name_type]
                known = list(self.table_of(section))
                if one not in known:
                    near = did_you_mean(one, known) + f" Known: {', '.join(known) or 'none'}"
                    self.problem(path, f"this recipe has no {section[:-1]} called {one!r}.{near}")
        texts = [str(one) for one in found]
        if option.kind == "pairs":
            return [texts[place : place + 2] for place in range(0, len(texts), 2)]
        return texts if option.kind == "names" else texts[0]

    def tried(self, chosen: Chosen, given: Mapping[str, int]) -> Any:
        """A strategy, made to see whether it takes its options; None where it does not."""
        made: list[Made] = []
        try:
            return build(chosen, {**PROBE, **given, **self.around(chosen.path)}, made)
        except RecipeError as error:
            self.problems += error.problems
        except PluginError as error:
            self.broken.append(str(error))
        return None

    def around(self, path: str) -> dict[str, int]:
        """What the diffusion around a path will supply to what stands there: its steps, probably, and its span."""
        section, _, rest = path.partition(".")
        if section != "diffusions":
            return {}
        table = self.table_of(section).get(rest.partition(".")[0])
        span = table.get("span") if isinstance(table, dict) else None
        return {"steps": 1000} | ({"span": span, "max_length": span} if isinstance(span, int) else {})

    def check_views(self, augmenters: dict[str, Chosen | None], made: dict[str, Any]) -> None:
        known = ["clean"]
        unread = set(self.table_of("augmenters"))
        for name, chosen in augmenters.items():
            thing = made.get(chosen.path) if chosen is not None else None
            if thing is not None:
                known += [f"{name}.{view}" for view in thing.view_names]
                unread.discard(name)
        for path, view in self.views:
            # The views of an augmenter that could not be read are unknown for that reason, which is already told.
            if view not in known and view.partition(".")[0] not in unread:
                self.problem(path, f"no augmenter makes a view {view!r}.{did_you_mean(view, known)} Known: {', '.join(known)}")

    # ---- who set what ----

    def origins(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for path in _leaves(values, ()):
            if self.has(path):
                yield path_text(path), self.patched.origin(path)
            elif path[0] not in ("data", "items", "training", "stages") and path[-1] not in Share.model_fields:
                yield path_text(path), "plugin default"
            else:
                yield path_text(path), "default"

    def has(self, path: Sequence[str]) -> bool:
        """Whether the patched table itself says something at a path."""
        node: Any = self.table
        for key in path:
            if isinstance(node, str):
                return key == "use"
            if isinstance(node, list):
                node = node[int(key)] if key.isdigit() and int(key) < len(node) else MISSING
            else:
                node = node.get(key, MISSING) if isinstance(node, dict) else MISSING
            if node is MISSING:
                return False
        return True


def _leaves(node: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(node, dict) and node:
        for key, inner in node.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(node, list) and any(isinstance(one, dict) for one in node):
        for number, inner in enumerate(node):
            yield from _leaves(inner, (*path, str(number)))
    else:
        yield path


def _tuples(found: Any) -> Any:
    """Lists as a constructor gets them."""
    return tuple(_tuples(one) for one in found) if isinstance(found, list) else found


def _no_such(who: str, key: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    return f"{who} has no option {key!r}.{did_you_mean(key, known)} Its options: {', '.join(known) or 'none'}"


def _takes_word(option: Option) -> bool:
    """Whether the string "none" is a value of the option's own type."""
    try:
        TypeAdapter(option.annotation).validate_python("none")
    except ValidationError:
        return False
    return True
