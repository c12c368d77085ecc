"""Examples in docstrings are run, so that none goes stale."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import brushbench


def with_examples() -> list[str]:
    """The modules of the suite that have one."""
    found = [
        (module.name, Path(spec.origin).read_text(encoding="utf-8"))
        for module in pkgutil.walk_packages(brushbench.__path__, "brushbench.")
        if (spec := module.module_finder.find_spec(module.name, None)) and spec.origin
    ]
    return [name for name, text in found if ">>> " in text]


@pytest.mark.parametrize("name", with_examples())
def test_examples_of_docstrings_do_what_they_show(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried
    assert not failed


def test_what_users_load_has_an_example() -> None:
    finder = doctest.DocTestFinder(recurse=False)
    for function in (
        brushbench.run,
        brushbench.load_method,
        brushbench.load_metric,
        brushbench.load_dataset,
    ):
        assert any(test.examples for test in finder.find(function)), function.__name__
