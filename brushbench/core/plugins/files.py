"""Import methods, metrics and data sets from a file, `path/to/file.py:Name`, which is executed like a script."""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import cast

from brushbench.core.capture import plugged
from brushbench.core.errors import UserError, one_line
from brushbench.core.files import file_digest

SUFFIX = ".py"


@dataclass(frozen=True, slots=True)
class _Executed:
    module: ModuleType
    sources: Mapping[Path, str]
    """The digests of the file and of the modules beside it that it imported."""


_executed: dict[Path, _Executed] = {}
_foreign: dict[Path, Mapping[str, ModuleType]] = {}
"""For each folder, the modules that were imported, by something else, before any of its files was executed."""


def plugin_file(name: str) -> Path | None:
    """The file in `path/to/file.py:Name`; None for any other name."""
    path, separator, _ = name.rpartition(":")
    return Path(path) if separator and path.endswith(SUFFIX) else None


def check_plugin_file(name: str, file: Path) -> None:
    """Raise `UserError` if the file doesn't exist, or if `name` gives no name in it."""
    if not name.rpartition(":")[2]:
        raise UserError(one_line(f"{name!r} names no class or function of the file; valid: {file}:NAME"))
    if not file.is_file():
        raise UserError(one_line(f"file not found: {file}"))


def module_of(file: Path) -> ModuleType:
    """Execute the file and return its module; modules from its own folder are imported again if they have changed.

    The folder stays on Python's path for later imports by the module. Raises `UserError` if the file can't be executed.
    """
    path = file.absolute()
    _foreign.setdefault(path.parent, dict(sys.modules))
    executed = _executed.get(path)
    if executed and executed.sources == _sources(path):
        return executed.module
    _forget_neighbours(path.parent)
    name = f"brushbench_plugin_{file.stem}_{hashlib.sha256(str(path).encode(errors='replace')).hexdigest()[:8]}"
    loader = _SourceOnly(name, str(path))
    module = importlib.util.module_from_spec(cast(ModuleSpec, importlib.util.spec_from_loader(name, loader)))
    # Dataclasses, pickle and type hints look up the module of a class.
    sys.modules[name] = module
    with _beside(path.parent):
        plugged(f"{file} can't be imported", loader.exec_module, module)
    _executed[path] = _Executed(module, _sources(path))
    return module


def public_names(module: ModuleType) -> list[str]:
    """The public classes and functions that a module defines itself."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and callable(value) and getattr(value, "__module__", None) == module.__name__
    ]


class _SourceOnly(SourceFileLoader):
    """Compiles the file each time, as Python's cached bytecode misses an edit of equal size within the same second."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


@contextmanager
def _beside(folder: Path) -> Iterator[None]:
    """Put a folder first on Python's path, as for a script, and write no bytecode inside the block."""
    while str(folder) in sys.path:
        sys.path.remove(str(folder))
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    writes_nothing = sys.dont_write_bytecode
    # Cached bytecode of the modules beside the file could be outdated, too: see `_SourceOnly`.
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes_nothing


def _sources(file: Path) -> dict[Path, str]:
    """The digests of the file and of the imported modules beside it."""
    places = (vars(module).get("__file__") for module in _neighbours(file.parent, dict(sys.modules)).values())
    files = [file, *(Path(place) for place in places if place)]
    return {path: file_digest(path) for path in files if path.is_file()}


def _neighbours(folder: Path, modules: Mapping[str, object]) -> dict[str, object]:
    """The modules that the files of a folder have imported from it."""
    foreign = _foreign[folder]
    return {
        name: module for name, module in modules.items() if foreign.get(name) is not module and _is_in(folder, module)
    }


def _is_in(folder: Path, module: object) -> bool:
    # An entry of sys.modules may be any object, even one that makes up each attribute it is asked for.
    stated = getattr(module, "__dict__", {})
    places = [stated.get("__file__"), *(stated.get("__path__") or ())]
    inside = [Path(place).relative_to(folder) for place in places if place and Path(place).is_relative_to(folder)]
    return any("site-packages" not in place.parts for place in inside)


def _forget_neighbours(folder: Path) -> None:
    """Forget this folder's modules, which may have been edited, and modules of the same names from other folders."""
    own = {path.stem for path in folder.iterdir() if path.is_dir() or path.suffix == SUFFIX}
    modules = dict(sys.modules)
    alike = {name: module for name, module in modules.items() if name.partition(".")[0] in own}
    for other in _foreign:
        for name in _neighbours(other, modules if other == folder else alike):
            sys.modules.pop(name, None)
