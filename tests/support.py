"""Helpers that several tests share."""

import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from brushbench.baselines.brushnet import Residuals
from brushbench.cli.main import main

DIFFUSION_METHODS = [
    ("brushnet", {}),
    ("sd-inpainting", {}),
    ("controlnet", {}),
    ("blended-latent", {}),
    ("hd-painter", {}),
    ("powerpaint", {"version": 1}),
    ("powerpaint", {"version": 2}),
]
"""Names and options."""


def slow_but(quick: Collection[str], names: Iterable[str]) -> list[object]:
    """Parameters of a test, of which all but a few run among the slow tests."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


OTHERS_SLOW, OTHERS_COMPILE = (
    [DIFFUSION_METHODS[0], *(pytest.param(*method, marks=mark) for method in DIFFUSION_METHODS[1:])]
    for mark in (pytest.mark.slow, pytest.mark.compiles)
)
"""All but BrushNet run among the slow tests, or among those that compile."""


class Touch:
    """A pickle that makes a file when it is opened without care."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.trace,)


def suite(*arguments: object) -> int:
    """The exit code of a command, for fixtures of more than one test, which can't have `brushbench`."""
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return int(exit_.value.code or 0)


def run_on(root: Path, output: Path, *more: object, method: str = "mean-fill") -> tuple[object, ...]:
    return ("run", "--method", method, "--dataset", "brushbench", "--root", root, "--output", output, *more)


def assert_one_line(result: tuple[int, str, str], *parts: str, last: bool = False) -> None:
    """The error is one line; with `last`, what was told before the mistake was found may stand above it."""
    code, out, err = result
    assert code == 2, err
    assert not out
    lines = err.splitlines()
    assert last or len(lines) == 1, err
    assert [line.startswith("brushbench: ") for line in lines] == [False] * (len(lines) - 1) + [True], err
    for part in parts:
        assert part in lines[-1]


def assert_same_tensors(actual: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(actual[name], tensor), name


def with_whole_vocabulary(file: Path, size: int = 49408) -> dict[str, Tensor]:
    """The tensors of a golden text encoder: stored are only the rows of its table that golden runs read."""
    tensors = load_file(file)
    ids = tensors.pop("used_ids")
    name = next(name for name in tensors if name.endswith(("token_embedding.weight", "wrapped.weight")))
    table = torch.zeros(size, tensors[name].shape[1], dtype=tensors[name].dtype)
    table[ids] = tensors[name]
    return tensors | {name: table}


def unpacked(golden: Path, tokenizer: Path, folder: Path) -> Path:
    """A folder in diffusers layout from golden weights, which are without tokenizer, and a tokenizer."""
    shutil.copytree(golden, folder)
    shutil.copytree(tokenizer, folder / "tokenizer")
    file = folder / "text_encoder" / "model.safetensors"
    save_file(with_whole_vocabulary(file), file)
    return folder


def named(residuals: Residuals) -> dict[str, Tensor]:
    """Name the residuals as the golden files do."""
    down = {f"down_{index:02d}": tensor for index, tensor in enumerate(residuals.down)}
    up = {f"up_{index:02d}": tensor for index, tensor in enumerate(residuals.up)}
    return down | {"mid": residuals.mid} | up


def only(residuals: Residuals, *names: str) -> Residuals:
    """All but the named ones zero."""
    kept = {name: tensor if name in names else torch.zeros_like(tensor) for name, tensor in named(residuals).items()}
    return Residuals(
        tuple(tensor for name, tensor in kept.items() if name.startswith("down")),
        kept["mid"],
        tuple(tensor for name, tensor in kept.items() if name.startswith("up")),
    )


def assert_close(actual: Tensor, expected: Tensor, tolerance: float = 2e-5) -> None:
    assert (actual - expected).abs().max() <= tolerance * expected.abs().max()
