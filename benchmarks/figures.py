"""Count figures of the source tree, and the look-ups of a run: python benchmarks/figures.py [ROOT] [--traced]

ROOT is another checkout to compare with; it is parsed, never imported. `--traced` runs
`brushbench run --method brushnet --limit 1` in this file's checkout.
"""

import ast
import io
import re
import statistics
import subprocess
import sys
import tempfile
import tokenize
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("brushbench", "baselines", "metrics", "reports")
LONG = 50
"""Lines of a function."""
NESTING = (ast.If, ast.For, ast.While, ast.With, ast.Try)
SUPPRESSIONS = re.compile(r"#\s*(noqa|type:\s*ignore|pragma)")
TRACED = (
    "locate",
    "open_dataset",
    "load_class",
    "_built_in_class",
    "file_digest",
    "_read_digest",
    "image_size",
    "load_configured",
)
TRACE = """
import collections, sys
calls = collections.Counter()
def seen(frame, event, _):
    code = frame.f_code
    if event == "call" and code.co_name in NAMES and any(f"/{package}/" in code.co_filename for package in PACKAGES):
        calls[code.co_name] += 1
from brushbench.cli.main import main
sys.setprofile(seen)
try:
    main(["run", "--method", "brushnet", "--limit", "1", "--dataset", "papercut", "--output", sys.argv[1]])
except SystemExit:
    sys.setprofile(None)
print("TRACED", dict(calls))
"""


def files_of(root: Path) -> list[Path]:
    """List the Python files of the four packages; a package that is a link is counted once."""
    found = [path for package in PACKAGES for path in (root / package).rglob("*.py")]
    return sorted({path.resolve() for path in found if "__pycache__" not in path.parts})


def functions_in(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield all functions, including methods and nested functions."""
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def depth(node: ast.AST, level: int = 0) -> int:
    """Return how deeply blocks are nested in a function."""
    inner = [depth(child, level + isinstance(child, NESTING)) for child in ast.iter_child_nodes(node)]
    return max([level, *inner])


def lines_of_code(text: str, tree: ast.Module) -> int:
    """Count the lines with code: no blank lines, comments or docstrings."""
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in silent]
    code = {line for token in tokens for line in range(token.start[0], token.end[0] + 1)}
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    said = {line for node in texts for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    return len(code - said)


def public_names(tree: ast.Module) -> list[str]:
    """Name the classes and functions of a module that don't begin with an underscore."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]


def figures(root: Path) -> dict[str, object]:
    """Return the figures by name."""
    files = files_of(root)
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    trees = {path: ast.parse(text) for path, text in texts.items()}
    lines = {path: len(text.splitlines()) for path, text in texts.items()}
    functions = [node for tree in trees.values() for node in functions_in(tree)]
    lengths = [(node.end_lineno or node.lineno) - node.lineno + 1 for node in functions]
    names = Counter(name for tree in trees.values() for name in public_names(tree))
    total = sum(lines.values())
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    largest = max(lines, key=lambda path: lines[path])
    any_count = sum(
        isinstance(node, ast.Name) and node.id == "Any" for tree in trees.values() for node in ast.walk(tree)
    )
    suppressed = sum(len(SUPPRESSIONS.findall(text)) for text in texts.values())
    return {
        "files": len(files),
        "lines": total,
        "lines of code": sum(lines_of_code(texts[path], trees[path]) for path in files),
        "lines of a file, median": statistics.median(lines.values()),
        "largest file": f"{lines[largest]} ({largest.relative_to(root.resolve())})",
        "functions": len(functions),
        "lines of a function, median": statistics.median(lengths),
        f"functions over {LONG} lines": sum(length > LONG for length in lengths),
        "deepest nesting": max(depth(node) for node in functions),
        "uses of Any": any_count,
        "suppressions per thousand lines": round(1000 * suppressed / total, 2),
        "import layers": max(len(contract.get("layers", [])) for contract in contracts),
        "modules in the root of brushbench/": len(list((root / "brushbench").glob("*.py"))),
        "public names defined twice or more": sum(count > 1 for count in names.values()),
    }


def traced(root: Path) -> dict[str, int]:
    """Count how often a run of one sample calls the functions that resolve names and files."""
    code = f"NAMES = {set(TRACED)!r}\nPACKAGES = {PACKAGES!r}\n{TRACE}"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", code, folder], cwd=root, capture_output=True, text=True, check=True
        )
    line = next(line for line in done.stdout.splitlines() if line.startswith("TRACED "))
    found: dict[str, int] = ast.literal_eval(line.removeprefix("TRACED "))
    return found


def main() -> None:
    """Print this checkout's figures, beside ROOT's if it is given."""
    here = Path(__file__).parent.parent
    others = [Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")]
    tables = [figures(root) for root in (*others, here)]
    for name in tables[-1]:
        print(f"{name:38} {'  '.join(f'{table[name]!s:>34}' for table in tables)}")
    if "--traced" in sys.argv:
        for name, count in sorted(traced(here).items()):
            print(f"{f'calls of {name}':38} {count}")


if __name__ == "__main__":
    main()
