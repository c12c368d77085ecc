"""The checks of calls: shapes where a function has any, and types in all others."""

import importlib.util
from pathlib import Path
from types import ModuleType

import jaxtyping
import lighter_checks
import pytest
import torch
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import TypeCheckError, install_import_hook

SOURCE = '''
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from nowhere import Missing


def same(a: Float[Tensor, "n"], b: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    return a[: len(b)]


def several(given: "dict[str, list[Float[Tensor, 'n']]] | None", to: Callable[[Float[Tensor, "n"]], int]) -> None: ...


def plain(number: int, text: "str" = "") -> list[str]:
    """Plain."""
    return [text] if number > 0 else number


def partly(thing: "Missing", number: int) -> "Missing":
    return thing


def each(number: int) -> Iterator[int]:
    yield number


class Thing:
    @property
    def size(self) -> int:
        return "none"

    @staticmethod
    def of(number: int) -> "Thing":
        return Thing() if number else None

    @classmethod
    def all(cls, count: int) -> "list[Thing]":
        return [cls()] * count


@dataclass(frozen=True)
class Record:
    name: str
    values: Float[Tensor, "n"]
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (tmp_path / "checked_here.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    with install_import_hook("checked_here", "beartype.beartype"):
        spec = importlib.util.find_spec("checked_here")
        assert spec
        assert spec.loader
        made = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
    return made


def test_a_length_must_be_the_same_in_arguments_and_result(module: ModuleType) -> None:
    assert len(module.same(torch.zeros(2), torch.zeros(2))) == 2
    with pytest.raises(TypeCheckError):
        module.same(torch.zeros(2), torch.zeros(3))
    with pytest.raises(TypeCheckError):
        module.same(torch.zeros(2), torch.zeros(2, 1))
    with pytest.raises(TypeCheckError):
        module.same(torch.zeros(2, dtype=torch.int64), torch.zeros(2))


def test_shapes_are_found_wherever_they_stand(module: ModuleType) -> None:
    for name in ("same", "several"):
        # Only jaxtyping's own wrapper has these.
        assert module.__dict__[name].__globals__ is lighter_checks.with_shapes.__globals__
    module.several({"a": [torch.zeros(2)]}, len)
    with pytest.raises(TypeCheckError):
        module.several({"a": ["b"]}, len)


def test_without_shapes_types_are_checked(module: ModuleType) -> None:
    assert module.plain(1, "a") == ["a"]
    for arguments in (("a",), (1, 2), (0,)):
        with pytest.raises(BeartypeCallHintViolation):
            module.plain(*arguments)
    assert list(module.each(1)) == [1]
    with pytest.raises(BeartypeCallHintViolation):
        list(module.each("a"))


def test_so_are_methods_of_every_kind_and_fields(module: ModuleType) -> None:
    assert len(module.Thing.all(2)) == 2
    for call in (lambda: module.Thing().size, lambda: module.Thing.of("a"), lambda: module.Thing.all("2")):
        with pytest.raises(BeartypeCallHintViolation):
            call()
    assert module.Record("a", torch.zeros(2)).name == "a"
    for given in ((1, torch.zeros(2)), ("a", torch.zeros(2, 2))):
        with pytest.raises(TypeCheckError):
            module.Record(*given)


def test_what_readers_of_types_alone_know_can_be_anything(module: ModuleType) -> None:
    assert module.partly("anything", 1) == "anything"
    with pytest.raises(BeartypeCallHintViolation):
        module.partly("anything", "a")


def test_signatures_stay_as_they_are_written(module: ModuleType) -> None:
    assert module.plain.__annotations__["text"] == "str"
    assert module.plain.__doc__ == "Plain."
    assert module.plain.__name__ == "plain"


def test_they_are_the_checks_of_these_tests() -> None:
    assert jaxtyping.jaxtyped is lighter_checks.checked
    assert "none" in lighter_checks.header(None)
    assert "types" in lighter_checks.header("brushbench,beartype.beartype")
