"""Plugins in one file that somebody has named."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seqaug.core import plugin_files
from seqaug.core.isolation import PluginNote
from seqaug.core.plugin_files import PREFIX, file_of, load_plugin_file
from seqaug.core.registries import REGISTRIES, noise_sources
from seqaug.errors import PluginError, UnknownName

GREY = """\
import random
from dataclasses import dataclass
from seqaug.api import noise_sources

@noise_sources.register("grey")
@dataclass
class Grey:
    def draw(self, clean, items, table, generator):
        return clean * {factor}
"""

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """Writes a file; whatever the test makes of it is forgotten afterwards."""

    def put(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    before = dict(plugin_files._LOADED)
    yield put
    for path in set(plugin_files._LOADED) - set(before):
        module = plugin_files._LOADED.pop(path).module
        sys.modules.pop(module, None)
        for registry in REGISTRIES.values():
            registry.forget(module)


def test_what_a_file_marks_can_be_named(write: Write) -> None:
    path = write("my_noise.py", GREY.format(factor=2))
    found = load_plugin_file(path)
    assert [(info.kind, info.name) for info in found.plugins] == [("noise_sources", "grey")]
    info = noise_sources.describe("grey")
    assert (info.origin, info.source, info.value, info.distribution) == ("my_noise.py", "my_noise", "my_noise.py:Grey", None)
    assert noise_sources.get("my_noise/grey")().draw(3, None, None, None) == 6  # type: ignore[call-arg]


def test_two_that_one_spelling_would_name_are_told_apart_in_no_recipe(write: Write, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        load_plugin_file(write(f"{folder}/my_noise.py", GREY.format(factor=2)))
    said = r'Leave my_noise\.py away, or give one of them another name: use = "my_noise/grey" would name more than one\.$'
    with pytest.raises(PluginError, match=said):
        noise_sources.get("grey")


def test_the_hash_is_of_what_was_executed_whatever_the_file_holds_later(write: Write) -> None:
    from seqaug.experiments.environment import source_hash

    text = GREY.format(factor=2)
    path = write("my_noise.py", text)
    found = load_plugin_file(path)
    path.write_text("# nothing any more\n")
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert found.sha256 == digest == source_hash(noise_sources.get("grey"))
    assert found.content == text.encode()


def test_a_file_is_executed_once(write: Write, tmp_path: Path) -> None:
    path = write("count.py", GREY.format(factor=2) + f"\nopen({str(tmp_path / 'count')!r}, 'a').write('x')\n")
    assert load_plugin_file(path) is load_plugin_file(str(path))
    assert (tmp_path / "count").read_text() == "x"


def test_a_file_that_was_changed_is_executed_again_and_what_it_said_before_is_forgotten(write: Write) -> None:
    path = write("my_noise.py", GREY.format(factor=2))
    load_plugin_file(path)
    path.write_text(GREY.format(factor=5).replace('"grey"', '"blue"'))
    assert [info.name for info in load_plugin_file(path).plugins] == ["blue"]
    assert "grey" not in noise_sources.names()
    assert noise_sources.get("blue")().draw(3, None, None, None) == 15  # type: ignore[call-arg]


def test_a_file_that_was_changed_after_the_plan_is_refused(write: Write) -> None:
    path = write("my_noise.py", GREY.format(factor=2))
    with pytest.raises(PluginError, match="was changed after the runs were planned"):
        load_plugin_file(path, sha256="0" * 64)
    assert "grey" not in noise_sources.names()


def test_a_file_called_like_a_module_hides_nothing(write: Write) -> None:
    import random

    load_plugin_file(write("random.py", GREY.format(factor=2)))
    assert sys.modules["random"] is random
    assert noise_sources.get("grey").__module__ == f"{PREFIX}random"


def test_two_files_of_one_name_are_two_modules(write: Write) -> None:
    first = load_plugin_file(write("a/noise.py", GREY.format(factor=2)))
    second = load_plugin_file(write("b/noise.py", GREY.format(factor=3).replace('"grey"', '"blue"')))
    assert first.module != second.module
    assert first.copy != second.copy
    assert file_of(first.module) is first
    assert file_of("random") is None


def test_no_bytecode_is_left_beside_the_file(write: Write, tmp_path: Path) -> None:
    load_plugin_file(write("my_noise.py", GREY.format(factor=2)))
    assert [one.name for one in tmp_path.iterdir()] == ["my_noise.py"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import seqaug_no_such_thing", r"ModuleNotFoundError: No module named 'seqaug_no_such_thing' \(broken\.py:1\)"),
        ("x = 1\n1 / 0\n", r"ZeroDivisionError: division by zero \(broken\.py:2\)"),
        ("def broken(:\n", r"SyntaxError: .* \(broken\.py:1\)"),
        ("import sys\nsys.exit(3)\n", r"it ends the process when it is read \(SystemExit: 3\) \(broken\.py:2\)"),
        ("x = 1\n", "marks no plugin. Write the registry's decorator above the class"),
        ("import beside\n", "A plugin file stands alone"),
    ],
    ids=["import", "error", "syntax", "exit", "nothing", "neighbour"],
)
def test_a_file_that_is_no_plugin_says_why(write: Write, text: str, said: str) -> None:
    write("beside.py", "")
    with pytest.raises(PluginError, match=said):
        load_plugin_file(write("broken.py", text))
    assert not [name for name in sys.modules if name.startswith(f"{PREFIX}broken")]


def test_nothing_stays_of_a_file_that_breaks_halfway(write: Write) -> None:
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        load_plugin_file(write("half.py", GREY.format(factor=2) + "\n1 / 0\n"))
    assert "grey" not in noise_sources.names()


def test_ctrl_c_in_a_file_is_ctrl_c(write: Write) -> None:
    with pytest.raises(KeyboardInterrupt):
        load_plugin_file(write("slow.py", "raise KeyboardInterrupt\n"))


def test_a_file_registers_classes_of_its_own_only(write: Write) -> None:
    text = "from seqaug.builtin.noise_sources import GaussianNoise\nfrom seqaug.api import noise_sources\n"
    said = "registers GaussianNoise of seqaug.builtin.noise_sources as a noise source called 'mine'"
    with pytest.raises(PluginError, match=said):
        load_plugin_file(write("borrowed.py", text + "noise_sources.register('mine')(GaussianNoise)\n"))
    assert "mine" not in noise_sources.names()
    derived = text + "@noise_sources.register('mine')\nclass Mine(GaussianNoise):\n    pass\n"
    assert [info.name for info in load_plugin_file(write("derived.py", derived)).plugins] == ["mine"]


def test_what_a_file_changes_for_everybody_is_put_back_and_named(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    path = write("rude.py", GREY.format(factor=2) + "\nimport torch\ntorch.set_default_dtype(torch.float64)\nprint('hello')\n")
    with pytest.warns(PluginNote, match="torch's default dtype"):
        load_plugin_file(path)
    assert torch.get_default_dtype() is torch.float32
    assert capsys.readouterr() == ("", "hello\n")  # stdout belongs to results


def test_a_missing_file_is_named_with_its_nearest_neighbour(write: Write, tmp_path: Path) -> None:
    write("my_noise.py", GREY.format(factor=2))
    with pytest.raises(UnknownName, match=r"there is no plugin file .*my_nose\.py\. Did you mean 'my_noise\.py'\?"):
        load_plugin_file(tmp_path / "my_nose.py")
    with pytest.raises(UnknownName, match="is a folder"):
        load_plugin_file(tmp_path)
