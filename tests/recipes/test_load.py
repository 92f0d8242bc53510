"""Recipes as text."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from seqaug.errors import RecipeError, UnknownName
from seqaug.recipes.load import load_recipe, recipe_names


def test_a_recipe_in_the_box_is_found_by_its_name() -> None:
    source = load_recipe("sasrec")
    assert (source.name, source.path) == ("sasrec", None)
    assert source.table["name"] == "sasrec"
    assert 'name  = "sasrec"' in source.text


def test_every_recipe_in_the_box_is_called_like_its_file() -> None:
    assert {"sasrec", "cl4srec", "simdiffrec"} <= set(recipe_names())
    for name in recipe_names():
        assert load_recipe(name).table["name"] == name


def test_a_recipe_is_found_by_its_path_and_its_text_is_verbatim(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = '# mine\r\nname = "own"\r\n'
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    source = load_recipe(str(path))
    assert (source.name, source.text, source.table, source.path) == ("own", text, {"name": "own"}, path)


def test_a_misspelt_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"no recipe is called 'simdifrec'. Did you mean 'simdiffrec'\?") as caught:
        load_recipe("simdifrec")
    assert "cl4srec" in str(caught.value)


@pytest.mark.parametrize("path", ["nowhere/sasrec.toml", "sasrecc.toml"])
def test_a_missing_file_is_called_a_missing_file(path: str) -> None:
    with pytest.raises(UnknownName, match="there is no recipe file"):
        load_recipe(path)


def test_what_is_not_toml_is_refused_with_file_line_and_the_line_itself(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('name = "bad"\n[training]\nepochs = yes\n')
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(path))
    assert str(caught.value).startswith(f"{path}:3: not TOML: ")
    assert str(caught.value).endswith("epochs = yes")


def test_a_key_written_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.toml"
    path.write_text('name = "a"\nname = "b"\n')
    with pytest.raises(RecipeError, match=r"twice\.toml:2"):
        load_recipe(str(path))


def test_what_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\x80\x81\x82")
    with pytest.raises(RecipeError, match="not UTF-8"):
        load_recipe(str(path))


def test_reading_recipes_imports_no_torch() -> None:
    code = (
        "import sys; from seqaug.recipes.load import load_recipe; load_recipe('sasrec')\n"
        "import seqaug.recipes.plan; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
