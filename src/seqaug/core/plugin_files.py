"""Plugins in a single file that somebody has named: from an idea to a run without packaging.

A file is executed once, under a module name of its own, so that it can be called what it likes (`random.py` hides nothing).
What is executed is what was hashed. Its neighbours are not importable from it: a result has to name all the code behind it, and
a second file would be missing.
"""

from __future__ import annotations

import hashlib
import re
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from ..errors import PluginError, UnknownName, did_you_mean
from .isolation import SLOW, PluginNote, Visit
from .registries import REGISTRIES
from .registry import PLUGIN_FILE as PREFIX
from .registry import PluginInfo

__all__ = ["PREFIX", "PluginFile", "file_of", "load_plugin_file", "loaded_files"]


@dataclass(frozen=True, slots=True)
class PluginFile:
    """A file that was executed. content: what was executed; sha256: of that, hex. module: its name in `sys.modules`.
    plugins: those it marks."""

    path: Path
    content: bytes = field(repr=False)
    sha256: str
    module: str
    plugins: tuple[PluginInfo, ...]

    @property
    def copy(self) -> str:
        """Where a run folder keeps it: "plugins/my_noise.py"."""
        return f"plugins/{self.module.removeprefix(PREFIX)}.py"


_LOADED: dict[Path, PluginFile] = {}


def loaded_files() -> tuple[PluginFile, ...]:
    """The files that this process has executed, in that order."""
    return tuple(_LOADED.values())


def file_of(module: str) -> PluginFile | None:
    """The file that became this module, None where it came from elsewhere."""
    return next((one for one in _LOADED.values() if one.module == module), None)


def load_plugin_file(path: str | Path, *, sha256: str | None = None) -> PluginFile:
    """Execute a file, once a process, and say which plugins it marks.

    sha256: what it has to hash to, where somebody planned with it before. Raises UnknownName where there is no such file;
    PluginError where it has changed, does not run, or marks no plugin.
    """
    shown, path = str(path), Path(path).resolve()
    if not path.is_file():
        raise UnknownName(_missing(shown, path))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnknownName(f"the plugin file {shown} cannot be read: {error.strerror or error}.") from error
    digest = hashlib.sha256(content).hexdigest()
    if sha256 is not None and digest != sha256:
        raise PluginError(f"the plugin file {shown} was changed after the runs were planned. Start the command again.")
    known = _LOADED.get(path)
    if known is not None and known.sha256 == digest:
        return known
    name = known.module if known is not None else _module_name(path)
    _forget(name)  # as it was before, where it is read a second time
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    _LOADED[path] = PluginFile(path, content, digest, name, ())
    try:
        _execute(content, path, shown, module)
        marked = _marked_in(name)
        if not marked:
            raise PluginError(
                f"the plugin file {shown} marks no plugin. Write the registry's decorator above the class:\n"
                '  from seqaug.api import noise_sources\n\n  @noise_sources.register("my-noise")\n  class MyNoise: ...'
            )
    except BaseException as error:
        _forget(name)
        del sys.modules[name], _LOADED[path]
        if isinstance(error, PluginError | KeyboardInterrupt):
            raise
        raise PluginError(f"the plugin file {shown} does not run: {_cause(error, path)}") from error
    found = _LOADED[path] = PluginFile(path, content, digest, name, marked)
    return found


def _execute(content: bytes, path: Path, shown: str, module: ModuleType) -> None:
    """Run the file as a stranger's package is imported: what it prints, changes or ends harms nobody."""
    visit = Visit()
    try:
        with visit:
            exec(compile(content, str(path), "exec"), module.__dict__)
    finally:
        if visit.seconds > SLOW:
            said = f"the plugin file {shown} took {visit.seconds:.1f} s to read, and every command that names it waits as long."
            warnings.warn(said, PluginNote, stacklevel=2)
        if visit.changed:
            said = (
                f"the plugin file {shown} changed what the whole process shares: {', '.join(visit.changed)}. That was put back."
            )
            warnings.warn(said, PluginNote, stacklevel=2)


def _marked_in(module: str) -> tuple[PluginInfo, ...]:
    return tuple(info for registry in REGISTRIES.values() for info in registry.marked_in(module))


def _forget(module: str) -> None:
    for registry in REGISTRIES.values():
        registry.forget(module)


def _module_name(path: Path) -> str:
    """A name from the file's own that no other file of this process has."""
    plain = PREFIX + re.sub(r"\W", "_", path.stem)
    taken = {one.module for one in _LOADED.values()}
    number, name = 1, plain
    while name in taken:
        number += 1
        name = f"{plain}_{number}"
    return name


def _missing(shown: str, path: Path) -> str:
    if path.is_dir():
        return f"{shown} is a folder, and a plugin file was expected. A package is installed instead: pip install -e {shown}"
    near = [one.name for one in path.parent.glob("*.py")] if path.parent.is_dir() else []
    return f"there is no plugin file {shown}.{did_you_mean(path.name, near)}"


def _cause(error: BaseException, path: Path) -> str:
    """The error in a line, with the line of the file at which it struck, and what to do about what is often meant."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f"SyntaxError: {error.msg} ({path.name}:{error.lineno})"
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SystemExit):
        text = f"it ends the process when it is read (SystemExit: {error.code})"
    place, where = error.__traceback__, ""
    while place is not None:
        if place.tb_frame.f_code.co_filename == str(path):
            where = f" ({path.name}:{place.tb_lineno})"
        place = place.tb_next
    if isinstance(error, ModuleNotFoundError) and error.name and (path.parent / f"{error.name.partition('.')[0]}.py").exists():
        text += (
            ". A plugin file stands alone, so that a result can name all the code behind it; "
            "what needs a second file is a package: seqaug plugins new"
        )
    return text + where
