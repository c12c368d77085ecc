"""Methods, metrics and data sets that are a file: `path/to/file.py:Name`, executed as Python executes a script."""

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
    """Digests of the file, and of the modules beside it that it imported."""


_executed: dict[Path, _Executed] = {}
_foreign: dict[Path, Mapping[str, ModuleType]] = {}
"""By folder, modules that were there before any file of the folder was executed: somebody else has imported them."""


def plugin_file(name: str) -> Path | None:
    """The file of `path/to/file.py:Name`, None for any other name."""
    path, separator, _ = name.rpartition(":")
    return Path(path) if separator and path.endswith(SUFFIX) else None


def check_plugin_file(name: str, file: Path) -> None:
    """Raises `UserError` for a file that isn't there, and where no name in it is given."""
    if not name.rpartition(":")[2]:
        raise UserError(one_line(f"{name!r} names no class or function of the file; valid is {file}:NAME"))
    if not file.is_file():
        raise UserError(one_line(f"file not found: {file}"))


def module_of(file: Path) -> ModuleType:
    """The file's module, with what it imports from its own folder as it is on the disk now.

    The folder stays on Python's path, for what is imported when the module is used. Raises `UserError` for a file that
    can't be executed.
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
    # Dataclasses, pickle and hints of types look a class's module up.
    sys.modules[name] = module
    with _beside(path.parent):
        plugged(f"{file} can't be imported", loader.exec_module, module)
    _executed[path] = _Executed(module, _sources(path))
    return module


def public_names(module: ModuleType) -> list[str]:
    """Classes and functions that a module defines itself."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and callable(value) and getattr(value, "__module__", None) == module.__name__
    ]


class _SourceOnly(SourceFileLoader):
    """Compiles the file each time: cached bytecode of an edit of equal size within the same second is the old code."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


@contextmanager
def _beside(folder: Path) -> Iterator[None]:
    """Modules in a folder are found before others of their names, as they are for a script."""
    while str(folder) in sys.path:
        sys.path.remove(str(folder))
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    writes_nothing = sys.dont_write_bytecode
    # For the same reason as of the file itself.
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes_nothing


def _sources(file: Path) -> dict[Path, str]:
    """The digests of the file and of the modules beside it that are imported."""
    places = (vars(module).get("__file__") for module in _neighbours(file.parent, dict(sys.modules)).values())
    files = [file, *(Path(place) for place in places if place)]
    return {path: file_digest(path) for path in files if path.is_file()}


def _neighbours(folder: Path, modules: Mapping[str, ModuleType]) -> dict[str, ModuleType]:
    """The modules that a folder's files have imported from it."""
    foreign = _foreign[folder]
    return {
        name: module for name, module in modules.items() if foreign.get(name) is not module and _is_in(folder, module)
    }


def _is_in(folder: Path, module: ModuleType) -> bool:
    # What stands in the table of modules may be anything, and make up attributes when it is asked for one.
    stated = getattr(module, "__dict__", {})
    places = [stated.get("__file__"), *(stated.get("__path__") or ())]
    inside = [Path(place).relative_to(folder) for place in places if place and Path(place).is_relative_to(folder)]
    return any("site-packages" not in place.parts for place in inside)


def _forget_neighbours(folder: Path) -> None:
    """Forget this folder's modules, which may have been edited, and like-named modules of other folders."""
    own = {path.stem for path in folder.iterdir() if path.is_dir() or path.suffix == SUFFIX}
    modules = dict(sys.modules)
    alike = {name: module for name, module in modules.items() if name.partition(".")[0] in own}
    for other in _foreign:
        for name in _neighbours(other, modules if other == folder else alike):
            sys.modules.pop(name, None)
