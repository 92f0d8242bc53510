"""Registries: names in, plugins out, and refusals that help."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import seqaug
from seqaug.core import discovery
from seqaug.core.interface import API_VERSION
from seqaug.core.registries import REGISTRIES, noise_sources, registry_for_protocol
from seqaug.core.registry import PluginInfo, Registry, Use
from seqaug.errors import PluginError, UnknownName

Install = Callable[..., None]
DRAW = "    def draw(self, clean, items, table, generator):\n        return clean\n"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a distribution with one noise source `pink`, a class `Pink` in a module of its own."""
    monkeypatch.syspath_prepend(tmp_path)
    discovery.refresh()
    modules = set(sys.modules)

    def put(distribution: str, module: str, code: str, *, name: str = "pink", version: str = "0.1") -> None:
        folder = tmp_path / f"{distribution}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (folder / "entry_points.txt").write_text(f"[seqaug.noise_sources]\n{name} = {module}:Pink\n")
        (tmp_path / f"{module}.py").write_text(code)
        discovery.refresh()

    yield put
    for name in set(sys.modules) - modules:
        if name.startswith("stranger"):
            del sys.modules[name]


@pytest.fixture
def registry() -> Registry[object]:
    """A registry of noise sources in which no earlier test has marked anything."""
    return Registry("noise_sources", "seqaug.core.protocols:NoiseSource")


class Pink:
    def draw(self, clean: object, items: object, table: object, generator: object) -> object:
        return clean


def test_a_plugin_in_the_box_is_known_by_its_entry_point(registry: Registry[object]) -> None:
    info = registry.describe("similarity")
    assert (info.distribution, info.builtin, info.origin) == ("seqaug", True, "built in")
    assert registry.get("similarity") is noise_sources.get("similarity")
    assert {"gaussian", "similarity", "mixture"} <= set(registry.names())


@pytest.mark.parametrize("kind", sorted(REGISTRIES))
def test_every_kind_in_the_box_loads_and_keeps_its_interface(kind: str) -> None:
    registry = REGISTRIES[kind]
    for info in registry.all():
        assert isinstance(registry.get(f"{info.source}/{info.name}"), type)


def test_every_registry_belongs_to_one_interface() -> None:
    for registry in REGISTRIES.values():
        assert registry_for_protocol(registry.protocol) is registry
    assert registry_for_protocol(int) is None


def test_a_name_that_another_kind_has_is_said_to_be_there(registry: Registry[object], install: Install) -> None:
    install("seqaug-pink", "stranger_a", "class Pink: pass")
    with pytest.raises(UnknownName, match=r"elsewhere: 'pink' in \[seqaug.noise_sources\] of seqaug-pink"):
        REGISTRIES["heads"].get("pink")


def test_one_of_several_is_loaded_by_what_is_known_of_it(registry: Registry[object], install: Install) -> None:
    install("seqaug-pink", "stranger_e", f"class Pink:\n{DRAW}")
    install("other-pink", "stranger_f", f"class Pink:\n{DRAW}")
    assert [registry.load(info).__module__ for info in registry.all() if info.name == "pink"] == ["stranger_f", "stranger_e"]


def test_three_that_claim_a_name_are_counted(registry: Registry[object], install: Install) -> None:
    for letter in "abc":
        install(f"pink-{letter}", f"stranger_{letter}", "class Pink: pass")
    with pytest.raises(PluginError, match=r"^3 plugins are a noise source called 'pink'"):
        registry.get("pink")


def test_a_misspelt_name_is_refused_with_the_nearest_and_with_what_exists(registry: Registry[object], install: Install) -> None:
    install("seqaug_pink", "stranger_a", "class Pink: pass")
    with pytest.raises(UnknownName) as caught:
        registry.get("similarty")
    assert str(caught.value).splitlines() == [
        "no noise source is called 'similarty'. Did you mean 'similarity'?",
        "  known: gaussian (built in), mixture (built in), pink (seqaug-pink 0.1), similarity (built in)",
    ]
    assert caught.value.exit_code == 2


def test_an_empty_kind_says_that_nothing_is_known() -> None:
    with pytest.raises(UnknownName, match="known: none"):
        Registry("gadgets", "seqaug.core.protocols:Head").get("x")


def test_a_strangers_plugin_is_loaded_when_asked_for_and_not_before(registry: Registry[object], install: Install) -> None:
    install("seqaug-pink", "stranger_b", f"class Pink:\n{DRAW}")
    assert "pink" in registry.names()
    assert "stranger_b" not in sys.modules
    assert registry.get("pink").__module__ == "stranger_b"


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("import nothing_like_this", "ModuleNotFoundError: No module named 'nothing_like_this'"),
        ("1 / 0", "ZeroDivisionError"),
        ("class Pink", "SyntaxError"),
        ("raise SystemExit(3)", "it ends the process when imported"),
        ("Punk = 1", "AttributeError"),
    ],
)
def test_a_plugin_that_fails_to_import_is_shown_as_broken(
    registry: Registry[object], install: Install, code: str, cause: str
) -> None:
    install("seqaug-pink", "stranger_c", code)
    with pytest.raises(PluginError) as caught:
        registry.get("pink")
    message = str(caught.value)
    assert message.startswith("the noise source 'pink' (seqaug-pink 0.1) will not load: stranger_c:Pink")
    assert cause in message
    assert caught.value.exit_code == 4
    assert registry.get("gaussian").__name__ == "GaussianNoise"


def test_the_place_in_the_strangers_file_is_told(registry: Registry[object], install: Install) -> None:
    install("seqaug-pink", "stranger_d", "x = 1\nimport nothing_like_this\n")
    with pytest.raises(PluginError, match=r"stranger_d\.py:2\)"):
        registry.get("pink")


def test_two_distributions_with_one_name_are_an_error_that_names_both(registry: Registry[object], install: Install) -> None:
    install("seqaug-pink", "stranger_e", f"class Pink:\n{DRAW}")
    install("other-pink", "stranger_f", f"class Pink:\n{DRAW}")
    with pytest.raises(PluginError) as caught:
        registry.get("pink")
    assert "other-pink (other-pink 0.1) and seqaug-pink (seqaug-pink 0.1)" in str(caught.value)
    assert 'use = "seqaug-pink/pink"' in str(caught.value)
    assert not {"stranger_e", "stranger_f"} & set(sys.modules)


@pytest.mark.parametrize("pick", ["seqaug-pink/pink", "Seqaug_Pink/pink", "seqaug.pink/pink"])
def test_a_distribution_in_front_picks_one(registry: Registry[object], install: Install, pick: str) -> None:
    install("seqaug_pink", "stranger_e", f"class Pink:\n{DRAW}")
    install("other-pink", "stranger_f", f"class Pink:\n{DRAW}")
    assert registry.get(pick).__module__ == "stranger_e"
    assert registry.get("other_pink/pink").__module__ == "stranger_f"


def test_a_plugin_in_the_box_is_never_shadowed_silently(registry: Registry[object], install: Install) -> None:
    install("seqaug-pink", "stranger_g", f"class Pink:\n{DRAW}", name="gaussian")
    with pytest.raises(PluginError, match=r"seqaug \(built in\) and seqaug-pink"):
        registry.get("gaussian")
    assert registry.get("seqaug/gaussian").__name__ == "GaussianNoise"
    assert registry.get("seqaug-pink/gaussian").__name__ == "Pink"


def test_a_script_brings_a_plugin_in_by_marking_it(registry: Registry[object]) -> None:
    assert registry.register("pink")(Pink) is Pink
    assert registry.get("pink") is Pink
    assert registry.describe("pink") == PluginInfo("noise_sources", "pink", f"{__name__}:Pink", None, None, False)


def test_a_registry_knows_which_classes_it_has_marked(registry: Registry[object]) -> None:
    assert registry.marks(Pink) is None
    registry.register("pink")(Pink)
    assert registry.marks(Pink) == "pink"
    assert registry.marks(type("Pink", (Pink,), {})) is None  # a mark is not inherited


def test_a_script_does_not_shadow_a_plugin_in_the_box(registry: Registry[object]) -> None:
    registry.register("gaussian")(Pink)
    with pytest.raises(PluginError, match="built in"):
        registry.get("gaussian")
    assert registry.get(f"{__name__.partition('.')[0]}/gaussian") is Pink


def test_a_class_defined_again_takes_the_place_of_its_earlier_self(registry: Registry[object]) -> None:
    again = type("Pink", (Pink,), {"__module__": Pink.__module__, "__qualname__": Pink.__qualname__})
    registry.register("pink")(Pink)
    registry.register("pink")(again)
    assert registry.get("pink") is again


def test_decorator_and_entry_point_of_one_class_are_one_plugin(install: Install) -> None:
    code = f"from seqaug.core.registries import noise_sources\n@noise_sources.register('pink')\nclass Pink:\n{DRAW}"
    install("seqaug-pink", "stranger_h", code)
    assert noise_sources.get("pink").__module__ == "stranger_h"
    assert [info.distribution for info in noise_sources.all() if info.name == "pink"] == ["seqaug-pink"]
    noise_sources._marked.pop("pink")


def test_a_class_declared_under_the_name_of_a_package_that_passes_it_on_is_one_plugin(
    install: Install, tmp_path: Path, registry: Registry[object]
) -> None:
    (tmp_path / "stranger_deep.py").write_text(f"class Pink:\n{DRAW}")
    install("seqaug-pink", "stranger_i", "from stranger_deep import Pink")
    from importlib import import_module

    marked = import_module("stranger_deep").Pink
    registry.register("pink")(marked)
    assert registry.get("pink") is marked


def test_a_class_that_does_not_keep_the_interface_is_refused_with_both_signatures(
    registry: Registry[object], install: Install
) -> None:
    install("seqaug-pink", "stranger_j", "class Pink:\n    def draw(self, vectors, generator):\n        return vectors\n")
    with pytest.raises(PluginError) as caught:
        registry.get("pink")
    assert str(caught.value).splitlines() == [
        "the noise source 'pink' (seqaug-pink 0.1) does not keep the interface of a noise source:",
        "  expected: draw(self, clean, items, table, generator)",
        "  found:    draw(self, vectors, generator)",
    ]


# ---- the version of the interface ----


@pytest.mark.parametrize("line", ["", "    seqaug_api = 1\n", "    seqaug_api: int = 1\n"])
def test_a_plugin_written_for_this_version_or_that_does_not_say_is_taken(
    registry: Registry[object], install: Install, line: str
) -> None:
    install("seqaug-pink", "stranger_l", f"class Pink:\n{line}{DRAW}")
    assert registry.get("pink").__module__ == "stranger_l"


@pytest.mark.parametrize(
    ("version", "way"),
    [
        (2, "Upgrade seqaug (pip install --upgrade seqaug), or use an older seqaug-pink."),
        (0, "Use a newer seqaug-pink (pip install --upgrade seqaug-pink), or ask its author for one."),
    ],
)
def test_a_plugin_written_for_another_version_is_refused_before_its_interface_is_looked_at(
    registry: Registry[object], install: Install, version: int, way: str
) -> None:
    # Without `draw`: another version may well ask for other methods, and that is not what is wrong here.
    install("seqaug-pink", "stranger_m", f"class Pink:\n    seqaug_api = {version}\n")
    with pytest.raises(PluginError) as caught:
        registry.get("pink")
    assert str(caught.value) == (
        f"the noise source 'pink' (seqaug-pink 0.1) was written for version {version} of the plugin interface, "
        f"and seqaug {seqaug.__version__} has version 1. {way}"
    )
    assert caught.value.state == "incompatible" and caught.value.exit_code == 4


@pytest.mark.parametrize("said", ["'1'", "1.0", "True", "None", "property(lambda self: 1)"])
def test_a_version_that_is_no_whole_number_is_refused(registry: Registry[object], install: Install, said: str) -> None:
    install("seqaug-pink", "stranger_n", f"class Pink:\n    seqaug_api = {said}\n{DRAW}")
    with pytest.raises(PluginError, match="which is no version: a whole number is") as caught:
        registry.get("pink")
    assert caught.value.state == "incompatible"


def test_the_version_is_that_of_the_api() -> None:
    from seqaug import api

    assert api.API_VERSION == API_VERSION == 1


# ---- the interface ----


def refused(kind: str, cls: type) -> bool:
    registry: Registry[object] = Registry(kind, REGISTRIES[kind].protocol_path)
    registry.register("it")(cls)
    try:
        registry.get("it")
    except PluginError:
        return True
    return False


class WithDefault:
    def draw(self, clean, items, table, generator, extra=None):  # type: ignore[no-untyped-def]
        return clean


class WithDemand:
    def draw(self, clean, items, table, generator, extra):  # type: ignore[no-untyped-def]
        return clean


class WithAnything:
    def draw(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        return args[0]


class WithStatic:
    @staticmethod
    def draw(clean, items, table, generator):  # type: ignore[no-untyped-def]
        return clean


class WithoutSignature:
    draw = staticmethod(torch.randn)


class WithOtherNames:
    def draw(self, clean, ids, table, generator):  # type: ignore[no-untyped-def]
        return clean


class WithoutMethod:
    pass


@pytest.mark.parametrize(
    ("cls", "is_refused"),
    [
        (Pink, False),
        (WithDefault, False),
        (WithAnything, False),
        (WithStatic, False),
        (WithDemand, True),
        (WithoutSignature, True),
        (WithOtherNames, True),
        (WithoutMethod, True),
    ],
)
def test_methods_and_parameter_names_are_what_is_checked(cls: type, is_refused: bool) -> None:
    assert refused("noise_sources", cls) is is_refused


def test_a_module_is_held_against_its_forward() -> None:
    from torch import nn

    class Encoder(nn.Module):
        def forward(self, embedded, layout):  # type: ignore[no-untyped-def]
            return embedded

    class OneArgument(nn.Module):
        def forward(self, embedded):  # type: ignore[no-untyped-def]
            return embedded

    class NoForward(nn.Module):
        pass

    assert not refused("encoders", Encoder)
    assert refused("encoders", OneArgument)
    assert refused("encoders", NoForward)
    assert not refused("heads", OneArgument)


def test_a_method_inherited_from_the_interface_itself_does_nothing_and_does_not_count() -> None:
    from seqaug.core.protocols import NoiseSource

    class Lazy(NoiseSource):
        pass

    assert refused("noise_sources", Lazy)


def test_an_augmenter_may_name_its_views_in_the_class_in_a_property_or_when_made() -> None:
    class InClass:
        view_names = ("again",)

        def views(self, step):  # type: ignore[no-untyped-def]
            return ()

    class WhenMade:
        def __init__(self) -> None:
            self.view_names = ("again",)

        def views(self, step):  # type: ignore[no-untyped-def]
            return ()

    class Nameless:
        def views(self, step):  # type: ignore[no-untyped-def]
            return ()

    assert not refused("augmenters", InClass)
    assert not refused("augmenters", WhenMade)
    assert refused("augmenters", Nameless)


def test_a_function_is_no_plugin(registry: Registry[object], install: Install) -> None:
    install("seqaug-pink", "stranger_k", "def Pink(): pass")
    with pytest.raises(PluginError, match="is not a class: stranger_k:Pink is a function"):
        registry.get("pink")


def test_a_declared_name_with_a_slash_cannot_be_asked_for(registry: Registry[object], install: Install) -> None:
    install("seqaug-pink", "stranger_o", f"class Pink:\n{DRAW}", name="a/b")
    (info,) = [one for one in registry.all() if one.name == "a/b"]
    with pytest.raises(PluginError, match="a name has no slash"):
        registry.load(info)


@pytest.mark.parametrize("name", ["", "a/b"])
def test_a_name_is_not_empty_and_has_no_slash(registry: Registry[object], name: str) -> None:
    with pytest.raises(PluginError, match="cannot be called"):
        registry.register(name)


def test_use_reads_as_it_is_written() -> None:
    assert repr(Use("uniform", exclude="history")) == "Use('uniform', exclude='history')"
