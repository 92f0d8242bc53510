"""What may be called what, and what is said where it may not."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from scaffold.environments import blocks_of
from seqaug.core.registries import REGISTRIES
from seqaug.errors import RecipeError, UnknownName
from seqaug.scaffold.names import LONGEST, names_of, registry_of
from seqaug.scaffold.package import Package, author_for, new_package, write_package

KINDS = tuple(REGISTRIES)
NOISE = REGISTRIES["noise_sources"]


@pytest.mark.parametrize(
    ("name", "module", "class_name", "plugin"),
    [
        ("my-noise", "my_noise", "MyNoise", "my-noise"),
        ("My_Noise", "my_noise", "MyNoise", "My_Noise"),
        ("my.noise2", "my_noise2", "MyNoise2", "my-noise2"),
        ("pinkNoise", "pinknoise", "PinkNoise", "pinkNoise"),
        ("seqaug-pink", "seqaug_pink", "SeqaugPink", "pink"),
        ("seqaug_pink", "seqaug_pink", "SeqaugPink", "pink"),
    ],
)
def test_module_class_and_plugin_follow_from_the_name(name: str, module: str, class_name: str, plugin: str) -> None:
    names = names_of(name, NOISE)
    assert (names.distribution, names.module, names.class_name, names.plugin) == (name, module, class_name, plugin)


def test_the_plugin_may_have_another_name() -> None:
    assert names_of("my-noise", NOISE, "pink").plugin == "pink"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "begins and ends with a letter or digit"),
        ("-noise", "begins and ends with a letter or digit"),
        ("my noise", "a name has letters, digits"),
        ("../noise", "a name has letters, digits"),
        ("noise/x", "a name has letters, digits"),
        ("rauschen-ä", "a name has letters, digits"),
        ("2noise", "no Python module begins with a digit"),
        ("n" * (LONGEST + 1), "too long"),
        ("lambda", "a word of Python's own"),
        ("json", "standard library"),
        ("pydantic-core", "is installed"),
        ("torch", "is installed"),
        ("seqaug", "is installed"),
        ("tests", "taken for the tests"),
        ("scikit-learn", "is installed already"),
        ("gaussian", "there already is a noise source called 'gaussian' (built in)"),
        ("seqaug-gaussian", "there already is a noise source called 'gaussian' (built in)"),
    ],
)
def test_a_name_that_cannot_be_had_is_refused_with_the_reason(name: str, why: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(why)):
        names_of(name, NOISE)


def test_a_module_that_comes_from_no_file_is_not_hidden_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "madeup", ModuleType("madeup"))
    with pytest.raises(RecipeError, match="already imported"):
        names_of("madeup", NOISE)


def test_the_name_that_is_proposed_can_be_had() -> None:
    with pytest.raises(RecipeError, match="as in my-random"):
        names_of("random", REGISTRIES["position_selectors"])
    assert names_of("my-random", REGISTRIES["position_selectors"]).module == "my_random"


@pytest.mark.parametrize("plugin", ["", "my noise", "a:b", "a,b", "a/b", "2x", "-x", "p" * (LONGEST + 1), "similarity"])
def test_a_plugin_name_that_no_flag_could_hold_or_that_is_taken_is_refused(plugin: str) -> None:
    with pytest.raises(RecipeError):
        names_of("my-noise", NOISE, plugin)


def test_a_name_is_taken_in_its_own_kind_only() -> None:
    assert names_of("gaussian", REGISTRIES["encoders"]).plugin == "gaussian"


def test_what_only_lies_here_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here" / "drawer").mkdir(parents=True)
    (tmp_path / "here" / "sketch.py").touch()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.syspath_prepend(str(tmp_path / "here"))
    assert names_of("drawer", NOISE).module == "drawer"
    assert names_of("sketch", NOISE).module == "sketch"
    monkeypatch.chdir(tmp_path)
    for name in ("drawer", "sketch"):
        with pytest.raises(RecipeError, match="is installed"):
            names_of(name, NOISE)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("noise", "noise_sources"),
        ("noise-source", "noise_sources"),
        ("Encoder", "encoders"),
        ("selector", "position_selectors"),
        ("sampler", "negative_samplers"),
        ("schdules", "schedules"),
    ],
)
def test_an_unknown_kind_is_refused_with_the_one_that_was_meant(asked: str, meant: str) -> None:
    with pytest.raises(UnknownName, match=f"Did you mean '{meant}'") as found:
        registry_of(asked)
    assert all(kind in str(found.value) for kind in KINDS)


# ---- whatever the name, the package is right ----


def unusual_names() -> list[str]:
    """The shortest, the longest, and those of things that the module or Python already knows."""
    return ["q", "a" * (LONGEST - 2) + "-z", "generator", "field", "exception", "none"]


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_the_name_ruff_has_nothing_to_say(kind: str, tmp_path: Path) -> None:
    for name in unusual_names():
        package = new_package(name, kind, author="Ann", year=2026, plugin=f"my-{name}"[:LONGEST])
        write_package(package, tmp_path)
    for command in (["check"], ["format", "--diff"]):
        words = [sys.executable, "-m", "ruff", *command, "--no-cache", "."]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["generator", "none", "exception"])
def test_a_class_hides_nothing_that_its_module_uses(name: str) -> None:
    expected = f"{name.capitalize()}Noise"
    package = new_package(name, "noise_sources", author="Ann", year=2026)
    assert package.names.class_name == expected
    assert f"class {expected}:" in package.files[f"src/{name}/__init__.py"]
    assert f':{expected}"' in package.files["pyproject.toml"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_word_of_the_templates_is_filled_in(kind: str) -> None:
    package = new_package("my-plugin", kind, author="Ann", year=2026)
    left = {path: re.findall(r"<<.*?>>", text) for path, text in package.files.items()}
    assert not any(left.values()), left


@pytest.mark.parametrize("kind", KINDS)
def test_the_package_says_who_it_is(kind: str) -> None:
    package = new_package("my-plugin", kind, author='Ann "O\\Neill" Ö', year=2031)
    project = tomllib.loads(package.files["pyproject.toml"])["project"]
    assert project["name"] == "my-plugin"
    assert project["authors"] == [{"name": 'Ann "O\\Neill" Ö'}]
    assert project["entry-points"] == {f"seqaug.{kind}": {"my-plugin": "my_plugin:MyPlugin"}}
    assert 'Copyright (c) 2031 Ann "O\\Neill" Ö' in package.files["LICENSE"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_plugin_imports_the_api_and_torch_and_says_which_version_it_was_written_for(kind: str) -> None:
    tree = ast.parse(new_package("my-plugin", kind, author="Ann", year=2026).files["src/my_plugin/__init__.py"])
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    others = {name for name in modules if name and name.split(".")[0] not in {"torch", *sys.stdlib_module_names}}
    assert others <= {"seqaug.api", "pydantic"}
    (made,) = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert "seqaug_api = 1" in [ast.unparse(node) for node in made.body]
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name != "__init__"]
    assert ast.get_docstring(tree) and all(ast.get_docstring(node) for node in (made, *functions))


@pytest.mark.parametrize("kind", KINDS)
def test_the_readme_shows_the_option_as_the_class_has_it(kind: str) -> None:
    """Name, default, and another value that it takes."""
    from seqaug.recipes.options import read_signature, validated

    package = new_package("my-plugin", kind, author="Ann", year=2026)
    with marked(package) as cls:
        signature = read_signature(cls)
    readme = package.files["README.md"]
    (row,) = re.findall(r"^\| `(\w+)` \| .* \| (\S+) \| .* \|$", readme, flags=re.MULTILINE)
    (shown,) = re.findall(r"`my-plugin:(\w+)=(\S+)`", readme)
    assert shown[0] == row[0]
    assert str(signature.options[row[0]].default) == row[1]
    _, _, wrong = validated(signature, {row[0]: tomllib.loads(f"value = {shown[1]}")["value"]})
    assert not wrong and shown[1] != row[1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_tables_that_the_readme_shows_make_a_recipe_that_rehearses(kind: str) -> None:
    from seqaug.experiments.rehearse import rehearse
    from seqaug.recipes.load import RecipeSource, load_recipe
    from seqaug.recipes.plan import make_plan

    package = new_package("my-plugin", kind, author="Ann", year=2026)
    (shown,) = re.findall(r"^```toml\n(.*?)^```", package.files["README.md"], flags=re.MULTILINE | re.DOTALL)
    recipe = load_recipe(package.recipe)
    with marked(package):
        changed = RecipeSource("mine", recipe.text, with_tables(recipe.table, tomllib.loads(shown)))
        plan = make_plan(changed, data=None)
        assert "my-plugin" in [used.info.name for used in plan.plugins()]
        rehearse(plan)


@pytest.mark.parametrize("kind", KINDS)
def test_the_workflow_runs_what_the_readme_says(kind: str) -> None:
    package = new_package("my-plugin", kind, author="Ann", year=2026)
    workflow = yaml.safe_load(package.files[".github/workflows/test.yml"])
    commands = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    assert len(commands) == 7
    assert set(commands) <= set(blocks_of(package.files["README.md"]))


@contextmanager
def marked(package: Package) -> Iterator[type[Any]]:
    """The plugin's class, as if its module had just been imported; forgotten afterwards."""
    module = ModuleType(package.names.module)
    sys.modules[module.__name__] = module  # its types are written as strings, and looked up there
    try:
        exec(compile(package.files[f"src/{module.__name__}/__init__.py"], module.__name__, "exec"), vars(module))
        yield getattr(module, package.names.class_name)
    finally:
        del sys.modules[module.__name__]
        REGISTRIES[package.kind]._marked.pop(package.names.plugin, None)


def with_tables(there: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """What an author who pastes these tables over the old ones gets."""
    merged = dict(there)
    for key, value in new.items():
        inside = isinstance(value, dict) and "use" not in value
        merged[key] = with_tables(there.get(key, {}), value) if inside else value
    return merged


# ---- author ----


def test_the_licence_names_who_was_given_else_git_s_user_else_the_authors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = tmp_path / "gitconfig"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("GIT_CONFIG_COUNT", "GIT_AUTHOR_NAME"):
        monkeypatch.delenv(name, raising=False)
    settings.write_text("[user]\n\tname = Ann Git\n", encoding="utf-8")
    assert author_for("my-noise", "Bea") == "Bea"
    assert author_for("my-noise", None) == "Ann Git"
    settings.write_text("", encoding="utf-8")
    assert author_for("my-noise", None) == "the authors of my-noise"
    monkeypatch.setenv("PATH", str(tmp_path))  # no git at all
    assert author_for("my-noise", None) == "the authors of my-noise"


@pytest.mark.parametrize("author", ["", "  ", "Ann\nBea", "Ann\x07"])
def test_an_author_who_is_no_line_of_text_is_refused(author: str) -> None:
    with pytest.raises(RecipeError, match="one line of text"):
        author_for("my-noise", author)
