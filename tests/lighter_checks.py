"""Check types once, and shapes only where there are any: a half of what the checks of shapes would cost.

`--jaxtyping-packages` has every function of the suite wrapped by `jaxtyping.jaxtyped`. It binds the arguments of each
call and has them checked twice, so that an axis has one length in arguments and result. Most functions take no arrays:
those are given to the checker of types alone.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, get_args, get_type_hints

import jaxtyping

Checker = Callable[[Any], Any]
"""Any: a function or class, as it was and as it is checked."""
with_shapes = jaxtyping.jaxtyped


# Any: a function or class.
def checked(defined: Any = None, *, typechecker: Checker) -> Any:
    """Take the place of `jaxtyping.jaxtyped`."""
    if defined is None:
        return partial(checked, typechecker=typechecker)
    if not inspect.isfunction(defined):
        return with_shapes(defined, typechecker=typechecker)
    written = defined.__annotations__
    hints = {name: known(hint, defined.__globals__) for name, hint in written.items()}
    if any(map(has_shape, hints.values())):
        return with_shapes(defined, typechecker=typechecker)
    defined.__annotations__ = hints
    made = typechecker(defined)
    # Whoever reads a signature finds what is written there.
    defined.__annotations__ = made.__annotations__ = written
    return made


# Any: a hint; likewise below.
def known(hint: Any, names: dict[str, Any]) -> Any:
    """A hint that may be a text; what is only imported for readers of types is anything, as for jaxtyping."""

    def holder() -> None: ...

    holder.__annotations__ = {"hint": hint}
    try:
        return get_type_hints(holder, names, include_extras=True)["hint"]
    except (AttributeError, NameError, TypeError, ValueError):
        return Any


def has_shape(hint: Any) -> bool:
    """Tell whether there is an array of jaxtyping's anywhere in a hint."""
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    # The arguments of a callable are a list.
    return any(map(has_shape, hint if isinstance(hint, list) else get_args(hint)))


def header(packages: str | None) -> str:
    return f"checks in calls: {'shapes where there are any, else types' if packages else 'none'}"


jaxtyping.jaxtyped = checked
