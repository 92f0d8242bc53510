"""Plugins that somebody has switched off."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from seqaug.core import discovery
from seqaug.core.disabled import VARIABLE, Disabled, disabled, no_plugins
from seqaug.core.discovery import BrokenDistribution, Discovered, EntryPoint
from seqaug.core.isolation import PluginNote
from seqaug.core.registry import Registry
from seqaug.errors import PluginError, UnknownName
from strangers import DRAW, SOURCE, forgotten, put


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delenv(VARIABLE, raising=False)
    with forgotten():
        yield folder


@pytest.fixture
def registry() -> Registry[object]:
    return Registry("noise_sources", "seqaug.core.protocols:NoiseSource")


@pytest.mark.parametrize(
    ("entry", "is_off"),
    [
        ("stranger-pink", True),
        ("Stranger_Pink", True),
        ("stranger.pink/pink", True),
        ("stranger-pink/white", False),
        ("stranger", False),
        ("pink", False),
        ("all", True),
        ("seqaug", False),
    ],
)
def test_an_entry_names_a_distribution_in_any_spelling_or_one_of_its_plugins_or_all(entry: str, is_off: bool) -> None:
    off = Disabled((entry,))
    assert off.by("stranger-pink", "pink") == (f"{VARIABLE}={entry}" if is_off else None)


@pytest.mark.parametrize("entry", ["all", "seqaug", "seqaug/gaussian", "SeqAug"])
def test_what_is_built_in_cannot_be_disabled(entry: str, registry: Registry[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, entry)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginNote)
        assert registry.get("gaussian").__name__ == "GaussianNoise"
    with no_plugins():
        assert registry.get("gaussian").__name__ == "GaussianNoise"


@pytest.mark.parametrize("value", ["stranger-pink", "other , Stranger_Pink", ",stranger-pink/pink,", "all"])
def test_a_disabled_plugin_asked_for_by_name_is_an_error_that_says_what_disabled_it_and_how_to_enable_it(
    value: str, registry: Registry[object], site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(site, "stranger-pink")
    put(site, "other", name="white", module="stranger_other")
    monkeypatch.setenv(VARIABLE, value)
    for name in ("pink", "stranger-pink/pink"):
        with pytest.raises(PluginError) as caught:
            registry.get(name)
        entry = next(one.strip() for one in value.split(",") if one.strip().lower().startswith(("stranger", "all")))
        way = f"Unset {VARIABLE}" if entry == "all" else f"Take {entry!r} out of {VARIABLE}"
        assert str(caught.value) == (
            f"the noise source 'pink' (stranger-pink 0.1) is disabled by {VARIABLE}={entry}. {way} to use it."
        )
        assert caught.value.exit_code == 4 and caught.value.state == "disabled"
    assert "stranger_pink" not in sys.modules


def test_no_plugins_says_so_and_reaches_the_processes_that_are_started(registry: Registry[object], site: Path) -> None:
    put(site, "stranger-pink")
    with no_plugins():
        assert os.environ[VARIABLE] == "all"
        with pytest.raises(PluginError, match=r"is disabled by --no-plugins\. Leave --no-plugins out to use it"):
            registry.get("pink")
    assert VARIABLE not in os.environ
    assert registry.get("pink").__module__ == "stranger_pink"


def test_no_plugins_leaves_the_variable_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "one")
    with pytest.raises(ZeroDivisionError), no_plugins():
        1 / 0
    assert os.environ[VARIABLE] == "one"


def test_a_disabled_plugin_stays_in_the_list_and_says_so(
    registry: Registry[object], site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(site, "stranger-pink")
    monkeypatch.setenv(VARIABLE, "stranger-pink")
    (info,) = [one for one in registry.all() if one.name == "pink"]
    assert info.disabled == f"{VARIABLE}=stranger-pink"
    with pytest.raises(UnknownName, match=r"pink \(stranger-pink 0.1, disabled\)"):
        registry.get("pnik")


def test_a_collision_goes_away_when_one_of_the_two_is_disabled(
    registry: Registry[object], site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(site, "stranger-one")
    put(site, "stranger-two")
    with pytest.raises(PluginError, match="two plugins are a noise source called 'pink'"):
        registry.get("pink")
    monkeypatch.setenv(VARIABLE, "stranger_two/pink")
    assert registry.get("pink").__module__ == "stranger_one"
    with pytest.raises(PluginError, match="disabled"):
        registry.get("stranger-two/pink")


def test_a_plugin_that_claims_a_name_of_the_box_gives_it_back_when_disabled(
    registry: Registry[object], site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(site, "stranger-one", name="gaussian")
    with pytest.raises(PluginError, match="built in"):
        registry.get("gaussian")
    monkeypatch.setenv(VARIABLE, "all")
    assert registry.get("gaussian").__name__ == "GaussianNoise"


def test_what_a_script_brings_in_was_asked_for_and_is_not_disabled(registry: Registry[object]) -> None:
    found: dict[str, type] = {}
    exec(f"class Pink:\n{DRAW}", found)
    registry.register("pink")(found["Pink"])
    with no_plugins():
        assert registry.get("pink") is found["Pink"]


def test_a_class_that_a_disabled_distribution_declares_is_disabled_with_its_decorator_too(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seqaug.core.registries import noise_sources

    put(site, "stranger-marked", f"from seqaug.api import noise_sources\n@noise_sources.register('pink')\n{SOURCE}")
    noise_sources.get("pink")
    try:
        monkeypatch.setenv(VARIABLE, "stranger-marked")
        with pytest.raises(PluginError, match="disabled"):
            noise_sources.get("pink")
    finally:
        noise_sources.forget("stranger_marked")


FOUND = Discovered(
    (
        EntryPoint("seqaug.noise_sources", "gaussian", "a:B", "seqaug", "1"),
        EntryPoint("seqaug.noise_sources", "pink", "a:B", "stranger-pink", "1"),
    ),
    (BrokenDistribution("broken-one", "1", "no"),),
)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("stranger-pnik", "and no distribution of that name has plugins of seqaug. Did you mean 'stranger-pink'?"),
        ("numpy", "and no distribution of that name has plugins of seqaug."),
        ("pink", "and no distribution of that name has plugins of seqaug. Did you mean stranger-pink/pink?"),
        ("stranger-pink/pnik", "and stranger-pink has no plugin of that name. Did you mean 'pink'?"),
        ("seqaug", "and what is built in cannot be disabled."),
        ("seqaug/gaussian", "and what is built in cannot be disabled."),
        ("gaussian", "'gaussian' is built in, and what is built in cannot be disabled."),
    ],
)
def test_an_entry_that_matches_nothing_is_a_note(entry: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (message,) = Disabled((entry,)).unmatched(FOUND)
    assert message.startswith(f"{VARIABLE} names {entry!r}, ") and message.endswith(said)
    monkeypatch.setenv(VARIABLE, f"{entry}, {entry}x")
    with pytest.warns(PluginNote) as told:
        for _ in range(3):
            disabled(FOUND)
    assert len(told) == 2


@pytest.mark.parametrize("entry", ["all", "stranger-pink", "Stranger_Pink/pink", "broken-one"])
def test_an_entry_that_matches_is_no_note(entry: str) -> None:
    assert not list(Disabled((entry,)).unmatched(FOUND))


def test_a_malformed_distribution_that_is_disabled_is_not_warned_of(
    site: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    put(site, "stranger-torn", declared="nonsense")
    monkeypatch.setenv(VARIABLE, "stranger-torn")
    discovery.refresh()
    assert [one.distribution for one in discovery.installed().broken] == ["stranger-torn"]
    disabled(discovery.installed())
    assert not recwarn.list
