"""Say in words which values an option takes, and what its default is, from the source of its field."""

import ast
from collections.abc import Callable

from brushbench.core.described.modules import SourceModule, looked_up

NAMES = {
    "int": "whole number",
    "float": "number",
    "str": "text",
    "bool": "true or false",
    "Path": "path",
    "None": "none",
}
MISSING = "none, must be given"
_DEEPEST = 10
_BOUNDS: dict[str, Callable[[str], str]] = {
    "ge": lambda value: f"of at least {value}",
    "gt": lambda value: f"above {value}",
    "le": lambda value: f"up to {value}",
    "lt": lambda value: f"below {value}",
    "multiple_of": lambda value: f"a multiple of {value}",
    "pattern": lambda value: f"matching {value}",
    "min_length": lambda value: f"of at least {value} characters",
    "max_length": lambda value: f"of up to {value} characters",
}


def values_of(module: SourceModule, annotation: ast.expr | None) -> str:
    """The values that an annotation allows, for example `whole number from 1 to 1000`."""
    if annotation is None:
        return "any"
    parts = list(dict.fromkeys(_values(module, annotation, 0)))
    # `none` is what the command line calls it, and stands last.
    parts = [*(part for part in parts if part != "none"), *(["none"] if "none" in parts else [])]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"


def default_of(module: SourceModule, value: ast.expr | None) -> str:
    """A default as it would be given on the command line; `MISSING` if there is none."""
    if value is None:
        return MISSING
    constant = _constant(module, value, 0)
    if isinstance(constant, bool) or constant is None:
        return str(constant).lower()
    if isinstance(constant, str):
        return constant if constant and constant == constant.strip() else f'"{constant}"'
    return str(constant) if not isinstance(constant, ast.expr) else ast.unparse(constant)


def _values(module: SourceModule, node: ast.expr, depth: int) -> list[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and depth < _DEEPEST:
        # An annotation in quotation marks.
        try:
            return _values(module, ast.parse(node.value, mode="eval").body, depth + 1)
        except SyntaxError:
            return [node.value]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*_values(module, node.left, depth), *_values(module, node.right, depth)]
    if isinstance(node, ast.Subscript):
        return _of_subscript(module, node, depth)
    return _of_name(module, node, depth)


def _of_name(module: SourceModule, node: ast.expr, depth: int) -> list[str]:
    """The values of a type that is named, such as `int`, or a name that the file gives to a type."""
    name = ast.unparse(node)
    known = NAMES.get(name.rpartition(".")[2])
    if known or depth >= _DEEPEST or not isinstance(node, ast.Name):
        return [known or name]
    found = looked_up(module, name)
    if found and isinstance(found.node, ast.expr):
        return _values(found.module, found.node, depth + 1)
    return [name]


def _of_subscript(module: SourceModule, node: ast.Subscript, depth: int) -> list[str]:
    name = ast.unparse(node.value).rpartition(".")[2]
    inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name == "Literal":
        return [default_of(module, each) for each in inside]
    if name == "Optional":
        return [*_values(module, inside[0], depth), "none"]
    if name == "Union":
        return [part for each in inside for part in _values(module, each, depth)]
    if name == "Annotated":
        bounds = [bound for each in inside[1:] for bound in _bounds(module, each)]
        first, *rest = _values(module, inside[0], depth)
        return [" ".join([first, *([" and ".join(bounds)] if bounds else [])]), *rest]
    return [ast.unparse(node)]


def _bounds(module: SourceModule, node: ast.expr) -> list[str]:
    if not isinstance(node, ast.Call) or ast.unparse(node.func).rpartition(".")[2] != "Field":
        return []
    given = {keyword.arg: default_of(module, keyword.value) for keyword in node.keywords}
    both = [f"from {given.pop('ge')} to {given.pop('le')}"] if {"ge", "le"} <= given.keys() else []
    return [*both, *(told(given[name]) for name, told in _BOUNDS.items() if name in given)]


def _constant(module: SourceModule, node: ast.expr, depth: int) -> object:
    """The constant that an expression stands for, or the expression itself if it isn't known without executing it."""
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        pass
    if isinstance(node, ast.Name) and depth < _DEEPEST and (found := looked_up(module, node.id)):
        return _constant(found.module, found.node, depth + 1) if isinstance(found.node, ast.expr) else node
    return node
