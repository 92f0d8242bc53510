"""What a stranger's import prints, changes, ends or takes stays with the stranger."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from seqaug.core import isolation
from seqaug.core.isolation import PluginNote, Visit
from seqaug.core.registry import Registry
from seqaug.errors import PluginError
from strangers import DRAW, SOURCE, forgotten, put


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    with forgotten():
        yield folder


@pytest.fixture
def registry() -> Registry[object]:
    return Registry("noise_sources", "seqaug.core.protocols:NoiseSource")


def other_dtype() -> None:
    torch.set_default_dtype(torch.float64)


def other_threads() -> None:
    torch.set_num_threads(torch.get_num_threads() + 1)


def hide_warnings() -> None:
    warnings.filterwarnings("ignore")


SHARED = {
    "Python's random generator": (lambda: random.seed(3), random.getstate),
    "numpy's random generator": (lambda: np.random.seed(3), lambda: np.random.get_state()[1].tolist()),  # type: ignore[index,union-attr]
    "torch's random generator": (lambda: torch.manual_seed(3), lambda: torch.get_rng_state().tolist()),
    "torch's default dtype": (other_dtype, torch.get_default_dtype),
    "torch's default device": (lambda: torch.set_default_device("meta"), torch.get_default_device),
    "torch's number of threads": (other_threads, torch.get_num_threads),
    "whether torch records gradients": (lambda: torch.set_grad_enabled(False), torch.is_grad_enabled),
    "whether torch insists on deterministic algorithms": (
        lambda: torch.use_deterministic_algorithms(True),
        torch.are_deterministic_algorithms_enabled,
    ),
    "torch's precision of products": (
        lambda: torch.set_float32_matmul_precision("medium"),
        torch.get_float32_matmul_precision,
    ),
    "the working folder": (lambda: os.chdir("/"), os.getcwd),
    "what becomes of warnings": (hide_warnings, lambda: list(warnings.filters)),
    "where errors are said": (lambda: setattr(sys, "stderr", io.StringIO()), lambda: sys.stderr),
    "how warnings are shown": (lambda: setattr(warnings, "showwarning", print), lambda: warnings.showwarning),
    "what Ctrl-C does": (lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), lambda: signal.getsignal(signal.SIGINT)),
    "what SIGTERM does": (lambda: signal.signal(signal.SIGTERM, lambda *_: None), lambda: signal.getsignal(signal.SIGTERM)),
}


@pytest.mark.parametrize("what", SHARED)
def test_what_a_process_shares_is_put_back_and_named(what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    change, read = SHARED[what]
    before = read()
    with Visit() as visit:
        change()
        assert read() != before
    assert read() == before
    assert [one for one in visit.changed if one.startswith(what)] == list(visit.changed) != []


def test_a_change_is_told_with_both_values() -> None:
    with Visit() as visit:
        other_dtype()
    assert visit.changed == ("torch's default dtype (torch.float32 to torch.float64)",)


def test_it_is_put_back_after_an_import_that_fails_too() -> None:
    with pytest.raises(ZeroDivisionError), Visit() as visit:
        other_dtype()
        1 / 0
    assert torch.get_default_dtype() is torch.float32
    assert visit.changed


def test_who_changes_nothing_is_told_nothing() -> None:
    with Visit() as visit:
        import email.mime.audio  # noqa: F401

        # A filter for warnings of its own is a package's own business: scikit-learn has one.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="stranger")
    assert visit.changed == ()


def test_none_of_the_box_is_watched(registry: Registry[object], recwarn: pytest.WarningsRecorder) -> None:
    registry.get("gaussian")
    assert not [one for one in recwarn if one.category is PluginNote]


def test_a_plugin_that_changes_what_is_shared_loads_and_is_told_of_once(registry: Registry[object], site: Path) -> None:
    code = f"import torch, random\ntorch.set_default_dtype(torch.float64)\nrandom.seed(1)\n{SOURCE}"
    put(site, "stranger-seeds", code)
    state = random.getstate()
    with pytest.warns(PluginNote) as told:
        for _ in range(3):
            assert registry.get("pink").__module__ == "stranger_seeds"
    assert [str(one.message) for one in told] == [
        "importing stranger-seeds 0.1 (the noise source 'pink') changed what the whole process shares: "
        "Python's random generator, torch's default dtype (torch.float32 to torch.float64). That was put back."
    ]
    assert random.getstate() == state and torch.get_default_dtype() is torch.float32


def test_a_plugin_that_makes_errors_of_warnings_makes_none_of_ours(registry: Registry[object], site: Path) -> None:
    put(site, "stranger-strict", f"import warnings\nwarnings.simplefilter('error')\n{SOURCE}")
    with pytest.warns(PluginNote, match="shares: what becomes of warnings. That was put back"):
        assert registry.get("pink").__module__ == "stranger_strict"


# ---- slow ----


def slow(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """From now on each import seems to take so long."""
    now = iter(number * seconds for number in range(100))
    monkeypatch.setattr(isolation, "_clock", lambda: next(now))


def test_an_import_of_over_two_seconds_is_one_warning_with_the_time_and_the_distribution(
    registry: Registry[object], site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(site, "stranger-slow", version="0.7")
    slow(monkeypatch, 2.34)
    with pytest.warns(PluginNote) as told:
        for _ in range(3):
            registry.get("pink")
    assert [str(one.message) for one in told] == [
        "importing stranger-slow 0.7 (the noise source 'pink') took 2.3 s, and every command that uses it waits as long."
    ]


def test_a_slow_import_that_fails_is_told_once_too(
    registry: Registry[object], site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(site, "stranger-slow", "1 / 0")
    slow(monkeypatch, 3)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(2):
            with pytest.raises(PluginError, match="ZeroDivisionError"):
                registry.get("pink")
    assert len([one for one in told if "took 3.0 s" in str(one.message)]) == 1


def test_an_import_of_two_seconds_is_no_warning(
    registry: Registry[object], site: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    put(site, "stranger-slow")
    slow(monkeypatch, isolation.SLOW)
    registry.get("pink")
    assert not recwarn.list


# ---- what it prints ----

PRINTS = """
import sys
from pathlib import Path
sys.path.insert(0, {site!r})
from seqaug.core.registries import noise_sources
print("before")
noise_sources.get("pink")
print("after")
"""


@pytest.mark.parametrize(
    "prints",
    [
        "print('loud')",
        "import os; os.system('echo loud')",
        "import os; os.write(1, b'loud\\n')",
        "import sys; sys.__stdout__.write('loud\\n')",
        "import logging, sys; logging.basicConfig(stream=sys.stdout, force=True); logging.warning('loud')",
        "print('loud'); 1 / 0",
    ],
)
def test_what_an_import_prints_goes_to_stderr(site: Path, prints: str) -> None:
    put(site, "stranger-loud", f"{prints}\n{SOURCE}")
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    code = PRINTS.format(site=str(site))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=buffered)
    assert done.stdout.splitlines() in (["before", "after"], ["before"])
    assert "loud" in done.stderr
    assert ("after" in done.stdout) is ("1 / 0" not in prints)


def test_what_an_import_prints_goes_to_stderr_in_a_notebook_too(
    registry: Registry[object], site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where `sys.stdout` is no file, and for a stream that the module keeps."""
    put(site, "stranger-loud", f"import sys\nprint('loud')\nkept = sys.stdout\n{SOURCE}")
    registry.get("pink")
    print("louder", file=sys.modules["stranger_loud"].kept)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "loud\nlouder\n")


def test_an_import_is_no_worse_off_where_stdout_is_closed(site: Path) -> None:
    put(site, "stranger-loud", f"print('loud')\n{SOURCE}")
    code = f"import sys, os; sys.path.insert(0, {str(site)!r}); os.close(1)\n"
    code += "from seqaug.core.registries import noise_sources\nnoise_sources.get('pink')\nsys.stderr.write('done')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "loud\n" in done.stderr and "done" in done.stderr


# ---- how it ends ----


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("import sys; sys.exit()", "it ends the process when imported (SystemExit: None)"),
        ("import sys; sys.exit('no licence')", "it ends the process when imported (SystemExit: no licence)"),
        ("class Stop(BaseException): ...\nraise Stop('enough')", "Stop: enough"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("import asyncio; raise asyncio.CancelledError", "CancelledError"),
    ],
)
def test_a_base_exception_at_import_is_a_broken_plugin_like_any_other(
    registry: Registry[object], site: Path, code: str, cause: str
) -> None:
    put(site, "stranger-quits", code)
    with pytest.raises(PluginError) as caught:
        registry.get("pink")
    assert str(caught.value).startswith("the noise source 'pink' (stranger-quits 0.1) will not load: stranger_quits:Pink: ")
    assert cause in str(caught.value)
    assert caught.value.state == "broken" and caught.value.exit_code == 4


def test_ctrl_c_during_an_import_still_stops(registry: Registry[object], site: Path) -> None:
    put(site, "stranger-stopped", "import signal\nsignal.raise_signal(signal.SIGINT)\nraise AssertionError('not stopped')")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            registry.get("pink")
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_a_module_marked_before_it_failed_is_forgotten(site: Path) -> None:
    from seqaug.core.registries import negative_samplers, noise_sources

    code = (
        "from seqaug.api import negative_samplers, noise_sources\n"
        f"@negative_samplers.register('stranger_pink')\n@noise_sources.register('pink')\n{SOURCE}1 / 0\n"
    )
    put(site, "stranger-half", code)
    for _ in range(2):  # a second time it must not seem whole
        with pytest.raises(PluginError, match="ZeroDivisionError"):
            noise_sources.get("pink")
    assert "stranger_pink" not in negative_samplers.names()


def test_a_plugin_mended_meanwhile_loads(registry: Registry[object], site: Path) -> None:
    put(site, "stranger-mended", f"import nothing_like_this\nclass Pink:\n{DRAW}")
    with pytest.raises(PluginError):
        registry.get("pink")
    (site / "stranger_mended.py").write_text(SOURCE)
    assert registry.get("pink").__module__ == "stranger_mended"
