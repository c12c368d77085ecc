"""Read which defaults of options each family of weights replaces, without loading what reads weights."""

from pathlib import Path

import brushbench
from brushbench.core.files import read_toml

FAMILIES = Path(brushbench.__file__).parent / "baselines" / "weights"


def family_defaults(method: str) -> dict[str, dict[str, str]]:
    """The defaults that the suite's own families for a method replace, by family and option."""
    replaced = {}
    for file in sorted(FAMILIES.glob("*.toml")):
        content = read_toml(file)
        given, methods = content.get("defaults"), content.get("methods")
        if isinstance(given, dict) and isinstance(methods, dict) and method in methods:
            replaced[file.stem] = {option: str(value) for option, value in given.items()}
    return replaced
