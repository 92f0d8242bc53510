"""What a run ran on and with: versions, device, threads, memory, the sources of its plugins."""

from __future__ import annotations

import hashlib
import inspect
import os
import platform
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from ..core.plugin_files import file_of, loaded_files
from ..errors import RecipeError

__all__ = [
    "chosen_device",
    "describe_device",
    "environment",
    "memory_now",
    "now",
    "peak_device_memory",
    "peak_memory",
    "source_hash",
    "versions",
]

_PACKAGES = ("seqaug", "torch", "numpy", "pydantic", "safetensors", "entrypoints", "click", "rich")


def versions() -> dict[str, str]:
    """Python and the packages that can change a number or a file, with their versions."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def chosen_device(name: str) -> torch.device:
    """The device that "auto", "cpu", "cuda" or "cuda:1" means here. Raises RecipeError where there is none such."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise RecipeError(f"--device {name} is not a device. Known: auto, cpu, cuda, cuda:0, cuda:1, ...") from None
    if device.type not in ("cpu", "cuda"):
        raise RecipeError(f"--device {name} is not supported. Known: auto, cpu, cuda, cuda:0, cuda:1, ...")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            seen = f"torch {torch.__version__} sees {count or 'none'} here"
            raise RecipeError(f"--device {name} asks for a CUDA device, and {seen}.")
    return device


def describe_device(device: torch.device) -> str:
    """The name of the processor behind `device`, as far as the system tells."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def environment(device: torch.device, plugins: dict[str, dict[str, str]], processes: int = 1) -> dict[str, Any]:
    """All of it, for environment.json. `plugins`: path in the recipe -> what is known of the plugin there. processes: how many
    do the run together. Plugin files stand there whether the recipe uses them or not: what was executed may have done more
    than register a plugin.
    """
    return {
        "schema": 1,
        "started": now(),
        "versions": versions(),
        "platform": platform.platform(),
        "implementation": sys.implementation.name,
        "device": {"type": str(device), "name": describe_device(device), "cuda": torch.version.cuda},
        "threads": torch.get_num_threads(),
        "processes": processes,
        "cores": os.cpu_count(),
        "plugins": plugins,
        "plugin_files": [{"file": one.path.name, "sha256": one.sha256} for one in loaded_files()],
    }


def source_hash(plugin: type) -> str:
    """sha256 of the file that defines `plugin`; of its qualified name where no file does.

    Of a plugin file it is the hash of what was executed, which the file may no longer hold; of a package of somebody else's,
    of all its modules, since the class may lean on any of them.
    """
    executed = file_of(plugin.__module__)
    if executed is not None:
        return executed.sha256
    package = _package_of(plugin)
    if package is not None:
        return _tree_hash(package)
    try:
        file = inspect.getsourcefile(plugin)
        content = Path(file).read_bytes() if file else plugin.__qualname__.encode()
    except (OSError, TypeError):
        content = f"{plugin.__module__}.{plugin.__qualname__}".encode()
    return hashlib.sha256(content).hexdigest()


def _package_of(plugin: type) -> Path | None:
    """The folder of the package that defines `plugin`, None for a single module, and for ours, whose modules are one each."""
    top = plugin.__module__.partition(".")[0]
    file = getattr(sys.modules.get(top), "__file__", None)
    if top == __name__.partition(".")[0] or file is None or Path(file).name != "__init__.py":
        return None
    return Path(file).parent


def _tree_hash(folder: Path) -> str:
    """sha256 of the names and contents of all Python files under a folder, in the order of their names."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        found.update(f"{path.relative_to(folder).as_posix()}\n{len(content)}\n".encode() + content)
    return found.hexdigest()


def peak_memory() -> int:
    """The most memory this process has had resident at any time, in bytes."""
    try:
        # Unlike ru_maxrss this starts anew with the program, so that a large parent does not count.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def memory_now(device: torch.device) -> int:
    """What this process has resident, in bytes; 0 for a CUDA device, whose memory is counted by itself."""
    if device.type == "cuda":
        return 0
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return peak_memory()


def peak_device_memory(device: torch.device) -> int | None:
    """The most memory torch has had allocated on a CUDA device, in bytes; None on the CPU."""
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else None


def now() -> str:
    """The present moment in UTC, as ISO 8601 to the second."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()
