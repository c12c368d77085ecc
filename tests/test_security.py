"""SECURITY.md promises nothing that no test says."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
CODE = [ROOT / name for name in ("brushbench", "baselines", "metrics", "reports")]


def nodes() -> Iterator[tuple[Path, ast.AST]]:
    for file in (file for folder in CODE for file in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            yield file, node


def test_nothing_trusts_remote_code() -> None:
    keywords = [(file, node) for file, node in nodes() if isinstance(node, ast.keyword)]
    assert len(keywords) > 100
    trusting = {"trust_remote_code", "custom_pipeline"}
    assert [f"{file}:{node.value.lineno}" for file, node in keywords if node.arg in trusting] == []


def test_checkpoints_are_read_as_tensors_only() -> None:
    calls = [node for _, node in nodes() if isinstance(node, ast.Call)]
    loads = [ast.unparse(call) for call in calls if ast.unparse(call.func) == "torch.load"]
    assert loads
    assert [call for call in loads if "weights_only=True" not in call] == []


def test_the_tests_that_the_page_names_exist() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/\w+\.py)(?:::(\w+))?`", page)
    assert len(named) > 8
    for file, function in named:
        text = (ROOT / file).read_text(encoding="utf-8")
        assert not function or f"def {function}(" in text, f"{file}::{function}"
