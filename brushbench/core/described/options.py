"""Describe the options of a method, metric or data set: meaning, unit, values, default and the paper's section.

They are the fields of a dataclass with the text below each field, which may end with `Unit: ...` and `Paper: ...`. For
any other class they are the parameters of its `__init__`, and for a function those after `batch` and `seeds`. Files are
read and not executed, so that this neither loads torch nor runs anybody's code.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from brushbench.core.described.modules import (
    Found,
    SourceModule,
    assigned,
    class_or_function,
    looked_up,
    module_in,
    module_named,
)
from brushbench.core.described.values import default_of, values_of
from brushbench.core.errors import UserError, one_line
from brushbench.core.plugins.files import plugin_file
from brushbench.core.registry import PluginKind, check_name, registered

OPTIONS, DEVICE = "Options", "device"
NOT_DESCRIBED = "not described"
_LABELLED = re.compile(r"\s*\b(Unit|Paper): (.*?)\.?(?=\s+(?:Unit|Paper): |$)")


@dataclass(frozen=True, slots=True)
class OptionDescription:
    """What a user needs to know about an option."""

    name: str
    meaning: str
    values: str
    """The valid values, in words."""
    default: str
    """As it would be given on the command line."""
    unit: str = ""
    """Empty for an option that isn't a quantity."""
    paper: str = ""
    """Paper and section that define it, if there is one."""


@dataclass(frozen=True, slots=True)
class Description:
    """A method, metric or data set, as its source describes it."""

    name: str
    summary: str
    """The first paragraph of its docstring, on one line; may be empty."""
    options: tuple[OptionDescription, ...]
    has_weights: bool = False
    """Whether it is a method that loads weights."""


def describe_options(kind: PluginKind, name: str) -> Description:
    """Describe a registered name or `path/to/file.py:Class`.

    Raises `UserError` for an unknown name, and for a file that can't be parsed or has no such class.
    """
    check_name(kind, name)
    found = _found(kind, name)
    summary = _text(found.node).partition("\n\n")[0].replace("\n", " ")
    return Description(name, summary, tuple(_options(kind, found)), kind == "method" and _has_weights(found))


def _found(kind: PluginKind, name: str) -> Found:
    if file := plugin_file(name):
        return class_or_function(module_in(file), name.rpartition(":")[2], str(file))
    target, _, own = registered(kind)[name].target.partition(":")
    if module := module_named(target):
        return class_or_function(module, own, target)
    raise UserError(one_line(f"{kind} {name!r}: the source of {target} can't be read, so its options aren't known"))


def _options(kind: PluginKind, found: Found) -> Iterator[OptionDescription]:
    if not isinstance(found.node, ast.ClassDef):
        yield from _of_function(found.module, found.node, skipped=2)
        return
    if kind == "dataset" or (kind == "method" and _has_weights(found)):
        own = _attribute(found, OPTIONS)
        yield from _of_class(own) if own else ()
        return
    # The suite gives a method without weights the run's device.
    yield from (each for each in _of_class(found) if kind == "metric" or each.name != DEVICE)


def _has_weights(found: Found) -> bool:
    """Tell what `method_options.loads_weights` tells of a class that is imported."""
    return _attribute(found, OPTIONS) is not None and _method(found, "load") is not None


def _of_class(found: Found) -> Iterator[OptionDescription]:
    if any(_is_dataclass(each.node) for each in _with_bases(found)):
        yield from _fields(found).values()
    elif init := _method(found, "__init__"):
        yield from _of_function(init.module, init.node, skipped=1)


def _fields(found: Found) -> dict[str, OptionDescription]:
    """The fields by name; those of bases come first, and keep their meaning in a class that only changes a default."""
    fields: dict[str, OptionDescription] = {}
    # Python's order for bases of which none is a base of another; options have no other kind.
    for each in reversed([*_with_bases(found)]):
        if not isinstance(each.node, ast.ClassDef) or not _is_dataclass(each.node):
            continue
        for place, node in enumerate(each.node.body):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and _is_field(node):
                name = node.target.id
                told = _meaning(each, node, each.node.body[place + 1 : place + 2])
                field = _described(each.module, name, node.annotation, _default(node.value), told)
                before = fields.get(name)
                if before and field.meaning == NOT_DESCRIBED:
                    field = replace(field, meaning=before.meaning, unit=before.unit, paper=before.paper)
                fields[name] = field
    return fields


def _described(
    module: SourceModule, name: str, annotation: ast.expr | None, default: ast.expr | None, text: str
) -> OptionDescription:
    labels = dict(_LABELLED.findall(text))
    meaning = text[: match.start()] if (match := _LABELLED.search(text)) else text
    values, given = values_of(module, annotation), default_of(module, default)
    unit, paper = labels.get("Unit", ""), labels.get("Paper", "")
    return OptionDescription(name, meaning.strip() or NOT_DESCRIBED, values, given, unit, paper)


def _of_function(module: SourceModule, node: ast.AST, skipped: int) -> Iterator[OptionDescription]:
    """The parameters of a function but the first ones."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    missing: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    pairs = list(zip(positional, [*missing, *arguments.defaults], strict=True))[skipped:]
    pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    for argument, default in pairs:
        if argument not in arguments.posonlyargs and argument.arg != DEVICE:
            yield _described(module, argument.arg, argument.annotation, default, "")


def _with_bases(found: Found) -> Iterator[Found]:
    """A class, then its bases, as far as their source can be found."""
    yield found
    for base in found.node.bases if isinstance(found.node, ast.ClassDef) else ():
        other = looked_up(found.module, base.id) if isinstance(base, ast.Name) else None
        if other and isinstance(other.node, ast.ClassDef) and other.node is not found.node:
            yield from _with_bases(other)


def _attribute(found: Found, name: str) -> Found | None:
    """The class that is an attribute of a class or of its bases, nested or by name."""
    for each in _with_bases(found):
        for node in each.node.body if isinstance(each.node, ast.ClassDef) else ():
            if isinstance(node, ast.ClassDef) and node.name == name:
                return Found(each.module, node)
            value = assigned(node, name)
            other = looked_up(each.module, value.id) if isinstance(value, ast.Name) else None
            if other and isinstance(other.node, ast.ClassDef):
                return other
    return None


def _method(found: Found, name: str) -> Found | None:
    for each in _with_bases(found):
        for node in each.node.body if isinstance(each.node, ast.ClassDef) else ():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
                return Found(each.module, node)
    return None


def _is_dataclass(node: ast.AST) -> bool:
    decorators = node.decorator_list if isinstance(node, ast.ClassDef) else ()
    called = (each.func if isinstance(each, ast.Call) else each for each in decorators)
    return any(ast.unparse(each).rpartition(".")[2] == "dataclass" for each in called)


def _is_field(node: ast.AnnAssign) -> bool:
    written = ast.unparse(node.annotation).strip("'\"")
    if any(word in written.partition("[")[0] for word in ("ClassVar", "InitVar", "KW_ONLY")):
        return False
    given = node.value.keywords if isinstance(node.value, ast.Call) else ()
    return not any(each.arg == "init" and ast.unparse(each.value) == "False" for each in given)


def _default(value: ast.expr | None) -> ast.expr | None:
    """The default of a field, also in `field(default=...)`; for a factory, the call of it."""
    if not isinstance(value, ast.Call) or ast.unparse(value.func).rpartition(".")[2] != "field":
        return value
    given = {keyword.arg: keyword.value for keyword in value.keywords}
    if factory := given.get("default_factory"):
        return ast.Call(factory, [], [])
    return given.get("default")


def _meaning(found: Found, node: ast.AnnAssign, following: list[ast.stmt]) -> str:
    """The text below a field, else the comment behind it, on one line."""
    for each in following:
        if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant) and isinstance(each.value.value, str):
            return " ".join(each.value.value.split())
    line = found.module.lines[(node.end_lineno or node.lineno) - 1][node.end_col_offset or 0 :]
    mark, _, comment = line.decode(errors="replace").strip().partition("#")
    text = comment.strip()
    is_directive = text.partition(":")[0].lower() in ("noqa", "type", "pragma", "pylint", "fmt")
    return "" if mark or is_directive else text


def _text(node: ast.AST) -> str:
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return inspect.cleandoc(ast.get_docstring(node) or "") if isinstance(node, kinds) else ""
