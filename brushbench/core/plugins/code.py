"""Find the code of a user's own method, which is part of the identity of its runs.

It consists of the local modules that the method's file imports, directly or indirectly. They are found by reading the
files. Modules in site-packages, of Python itself and of the suite don't count. A module that is only named at run time
(`importlib.import_module(name)`) isn't found.
"""

import ast
import hashlib
import importlib.util
import site
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import brushbench
from brushbench.core.capture import Failure, capture
from brushbench.core.files import file_digest

if TYPE_CHECKING:
    # Where the backport importlib_metadata is installed, Python's own functions return its class in place of this one.
    from importlib.metadata import Distribution

_PACKAGE = Path(brushbench.__file__).resolve().parent
SUITE = [_PACKAGE, *((_PACKAGE / name).resolve() for name in ("baselines", "metrics", "reports"))]
"""The suite's own folders. In a checkout, three of them are links to folders beside the package."""


def imported_files(file: Path) -> dict[str, Path]:
    """The local modules that a Python file imports, by their path below the folder that they are imported from."""
    found: dict[str, Path] = {}
    waiting: list[tuple[Path, Path]] = [(file, file.parent)]
    seen = {file.resolve()}
    while waiting:
        path, package = waiting.pop()
        for name in _imports(path, package, _roots(file.parent)):
            for root, module in _files_of(name, file.parent):
                if module.resolve() not in seen:
                    seen.add(module.resolve())
                    found[module.relative_to(root).as_posix()] = module
                    waiting.append((module, module.parent))
    return dict(sorted(found.items()))


def distribution_digests(distribution: "Distribution") -> dict[str, str]:
    """The digest of all files of an installed distribution but compiled ones, by its name and version."""
    name = f"{distribution.metadata['Name']} {distribution.version}"
    total = hashlib.sha256()
    for file in sorted(distribution.files or [], key=str):
        path = Path(str(distribution.locate_file(file)))
        # Files in .dist-info record where and when the code was installed, not the code.
        written = path.parent.name.endswith(".dist-info")
        if path.is_file() and path.suffix != ".pyc" and not written:
            total.update(str(file).encode() + b"\0" + digest_of_place(path).encode())
    return {name: total.hexdigest()}


def digest_of_place(path: Path) -> str:
    """The digest of a file, or of a folder's files and their names. Raises `UserError` if a file can't be read."""
    total = hashlib.sha256()
    files = sorted(found for found in path.rglob("*") if found.is_file()) if path.is_dir() else [path]
    for found in files:
        if path.is_dir():
            total.update(found.relative_to(path).as_posix().encode() + b"\0")
        total.update(bytes.fromhex(file_digest(found)))
    return total.hexdigest()


def is_local(path: Path) -> bool:
    """Tell whether a module is neither installed nor part of Python or of the suite."""
    resolved = path.resolve()
    installed = [Path(place).resolve() for place in (*site.getsitepackages(), site.getusersitepackages())]
    installed += [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    if any(resolved.is_relative_to(place) for place in installed):
        return False
    return not any(resolved.is_relative_to(own) for own in SUITE)


def _roots(beside: Path) -> list[Path]:
    """The folders that are searched for a module, the method file's own folder first."""
    return [beside, *(Path(place or ".") for place in sys.path)]


def _imports(file: Path, package: Path, roots: list[Path]) -> Iterator[str]:
    """The dotted names that a file imports anywhere, including inside functions."""
    tree = capture(lambda: ast.parse(file.read_bytes()))
    if isinstance(tree, Failure):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package, roots)
            yield base
            # Each imported name may be a module.
            yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)


def _absolute(node: ast.ImportFrom, package: Path, roots: list[Path]) -> str:
    """The absolute dotted name of the module in a `from` import, which may be relative to the file's package."""
    if not node.level:
        return node.module or ""
    folder = package
    for _ in range(node.level - 1):
        folder = folder.parent
    for root in roots:
        if folder.resolve().is_relative_to(root.resolve()):
            inside = folder.resolve().relative_to(root.resolve()).parts
            return ".".join([*inside, *([node.module] if node.module else [])])
    return node.module or ""


def _files_of(name: str, beside: Path) -> Iterator[tuple[Path, Path]]:
    """The local files of the packages and the module in a dotted name, each with the folder that it is imported from.

    Any parts after the module are names in it.
    """
    parts = [part for part in name.split(".") if part]
    if not parts or parts[0] in sys.builtin_module_names:
        return
    for root in [*_roots(beside), *_found_elsewhere(parts[0])]:
        own = [root.joinpath(*parts[:size]) for size in range(1, len(parts) + 1)]
        files = [file for place in own for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()]
        if files or own[0].is_dir():
            yield from ((root, file) for file in files if is_local(file))
            if files:
                return


def _found_elsewhere(name: str) -> list[Path]:
    """The folder of a top-level module that an import hook finds, such as an editable installation's."""
    spec = capture(importlib.util.find_spec, name) if name not in sys.modules else sys.modules[name].__spec__
    origin = None if spec is None or isinstance(spec, Failure) else spec.origin
    if not origin or not origin.endswith(".py"):
        return []
    file = Path(origin)
    return [file.parent.parent if file.name == "__init__.py" else file.parent]
