"""Find the classes, functions and constants that a source file names, without executing it."""

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import brushbench
from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line, unknown
from brushbench.core.files import read_bytes
from brushbench.core.plugins.files import SUFFIX

SUITE = "brushbench"
_DEEPEST = 20
"""The most imports that are followed from one name."""


@dataclass(frozen=True, slots=True)
class SourceModule:
    """A source file, parsed but not executed."""

    file: Path
    name: str
    """The dotted name by which it is imported; for a plug-in's file, its stem."""
    tree: ast.Module
    lines: tuple[bytes, ...]
    beside: Path | None = None
    """The folder of a plug-in's file, in which its imports are found; None for an installed module."""

    @property
    def package(self) -> list[str]:
        """The parts of the name of the package that its relative imports start from."""
        parts = self.name.split(".")
        return parts if self.file.name == "__init__.py" else parts[:-1]


@dataclass(frozen=True, slots=True)
class Found:
    """What a name stands for: a class, a function, or the value that is assigned to it, with its module."""

    module: SourceModule
    node: ast.AST


def module_in(file: Path) -> SourceModule:
    """Parse the file of a user's own method, metric or data set. Raises `UserError` if it can't be parsed."""
    return _parsed(file, file.stem, file.parent)


def module_named(name: str) -> SourceModule | None:
    """Parse a module of the suite or of an installed plug-in; None if it has no source file that can be parsed."""
    file = _file_of(name, None)
    parsed = capture(_parsed, file, name) if file else None
    return None if isinstance(parsed, Failure) else parsed


def class_or_function(module: SourceModule, name: str, place: str) -> Found:
    """Find a class or function that a module defines or imports. Raises `UserError` if it has none of that name."""
    found = looked_up(module, name)
    if found is None or not isinstance(found.node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        kinds = (ast.ClassDef, ast.FunctionDef)
        public = [node.name for node in module.tree.body if isinstance(node, kinds) and not node.name.startswith("_")]
        raise unknown(f"class or function of {place}", name, public)
    return found


def looked_up(module: SourceModule, name: str, depth: int = 0) -> Found | None:
    """Find what a name stands for at the top level of a module; None if that isn't known without executing it.

    Imports are followed within the suite, within the package of a plug-in, and to files beside a plug-in's file.
    """
    for node in _statements(module.tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return Found(module, node)
        if (value := assigned(node, name)) is not None:
            return Found(module, value)
        if isinstance(node, ast.ImportFrom) and depth < _DEEPEST:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    source = _imported(module, node)
                    return looked_up(source, alias.name, depth + 1) if source else None
    return None


def assigned(node: ast.AST, name: str) -> ast.expr | None:
    """The value that a statement assigns to a name; None if it doesn't."""
    if isinstance(node, ast.Assign) and [*map(_name, node.targets)] == [name]:
        return node.value
    if isinstance(node, ast.AnnAssign) and _name(node.target) == name:
        return node.value
    return None


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements at the top level, including those that run only under a condition or in a `try`."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop(0)
        yield node
        if isinstance(node, ast.If | ast.Try):
            waiting[:0] = [*node.body, *node.orelse]


def _imported(module: SourceModule, node: ast.ImportFrom) -> SourceModule | None:
    base = module.package[: len(module.package) - node.level + 1] if node.level else []
    name = ".".join([*base, *([node.module] if node.module else [])])
    own = {SUITE, module.name.partition(".")[0]}
    file = _file_of(name, module.beside) if name.partition(".")[0] in own or module.beside else None
    parsed = capture(_parsed, file, name, module.beside) if file else None
    return None if isinstance(parsed, Failure) else parsed


@cache
def _parsed(file: Path, name: str, beside: Path | None = None) -> SourceModule:
    content = read_bytes(file)
    tree = capture(ast.parse, content)
    if isinstance(tree, Failure):
        raise UserError(one_line(f"{file} can't be read as Python: {tree.error}"))
    return SourceModule(file, name, tree, tuple(content.splitlines()), beside)


def _file_of(name: str, beside: Path | None) -> Path | None:
    """The source file of a module; one beside a plug-in's file comes first, other modules are only the suite's own.

    Only the top-level package is searched for, as Python would execute it to find anything in it.
    """
    top, *rest = name.split(".")
    if top == SUITE:
        return _below(Path(brushbench.__file__).parent, rest)
    if beside is not None:
        return _below(beside, [top, *rest]) if top else None
    spec = capture(importlib.util.find_spec, top) if top else None
    if spec is None or isinstance(spec, Failure):
        return None
    for folder in spec.submodule_search_locations or ():
        if found := _below(Path(folder), rest):
            return found
    origin = Path(spec.origin or "")
    return origin if not rest and origin.suffix == SUFFIX and origin.is_file() else None


def _below(folder: Path, parts: list[str]) -> Path | None:
    place = folder.joinpath(*parts)
    files = [place / "__init__.py", *([place.with_suffix(SUFFIX)] if parts else [])]
    return next((file for file in files if file.is_file()), None)
