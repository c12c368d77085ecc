"""Read LaMa's generator from a file as published: safetensors, or the official training checkpoint."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brushbench.baselines.lama.generator import LaMaGenerator
from brushbench.core.capture import capture
from brushbench.core.errors import UserError, one_line
from brushbench.weights.tensors import load_checked, read_tensors

VALID = "valid: big-lama or lama-fourier as safetensors, or the official best.ckpt"
_FIRST = "model.1.ffc.convl2l.weight"
"""The generator's first tensor. Its first dimension is the width of the network."""
_PREFIX = "generator."
_BLOCK = re.compile(r"model\.(\d+)\.conv1\.")
"""How the names of a residual block's tensors begin."""
_NAMED = (
    *("builtins.dict", "builtins.int", "builtins.list", "typing.Any"),
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    *("omegaconf.base.ContainerMetadata", "omegaconf.base.Metadata", "omegaconf.dictconfig.DictConfig"),
    *("omegaconf.listconfig.ListConfig", "omegaconf.nodes.AnyNode"),
)
"""The classes that the official checkpoint names beside tensors: settings of the training, which aren't read."""


class _Inert:
    """An object in place of one of `_NAMED`, which keeps the settings and runs no code."""

    def __new__(cls, *_: object) -> "_Inert":
        return super().__new__(cls)


def _empty(*_: object) -> dict[object, object]:
    """Stand in for `collections.defaultdict`."""
    return {}


# Any: whatever torch's unpickler calls them with.
_INERT: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    *((_Inert, name) for name in _NAMED),
    (_empty, "collections.defaultdict"),
]


def load_generator(file: Path) -> LaMaGenerator:
    """Build the generator that a file contains, with as many blocks as the file has, frozen and in float32.

    Its tensors may have any prefix that ends in `generator.`; tensors of other networks, such as the metrics that the
    official checkpoint contains, are left out. A pickle is read with `weights_only`.

    Raises `UserError` for a file that can't be read, contains no such generator or runs code (TorchScript), and for
    tensors that are missing, unknown or of the wrong shape.
    """
    tensors = _of_generator(_read(file), file)
    blocks = {match[1] for name in tensors if (match := _BLOCK.match(name))}
    with torch.device("meta"):
        generator = LaMaGenerator(_width(tensors, file), len(blocks))
    return load_checked(generator, tensors, file, assign=True)


def _read(file: Path) -> dict[str, Tensor]:
    with torch.serialization.safe_globals(_INERT):
        try:
            # The half of the official checkpoint that isn't the generator stays on disk.
            return read_tensors(file, mapped=True)
        except UserError as error:
            others = capture(torch.serialization.get_unsafe_globals_in_checkpoint, file)
            if isinstance(others, list) and others:
                reason = f"it holds a Python object ({min(others)}), which could run any code when loaded"
                raise UserError(one_line(f"{file}: can't be loaded: {reason}, so it is refused; {VALID}")) from error
            raise UserError(one_line(f"{error}; {VALID}", 1000)) from error


def _of_generator(tensors: Mapping[str, Tensor], file: Path) -> dict[str, Tensor]:
    """Return the generator's tensors under their own names, in float32, copied out of the file."""
    prefixes = {name.removesuffix(_FIRST) for name in tensors if name.endswith(_FIRST)}
    found = sorted(prefix for prefix in prefixes if not prefix or prefix.endswith(_PREFIX))
    if len(found) != 1:
        reason = f"contains several generators ({', '.join(found)})" if found else f"has no tensor {_FIRST}"
        raise UserError(one_line(f"{file}: it {reason}, with or without a prefix that ends in {_PREFIX}; {VALID}"))
    start = f"{found[0]}model."
    inside = {name.removeprefix(found[0]): tensor for name, tensor in tensors.items() if name.startswith(start)}
    return {
        # A copy, as a memory-mapped tensor can start at any byte, where some processors compute other last bits.
        name: tensor.to(torch.float32, copy=True) if tensor.is_floating_point() else tensor.clone()
        for name, tensor in inside.items()
    }


def _width(tensors: Mapping[str, Tensor], file: Path) -> int:
    shape = list(tensors[_FIRST].shape)
    if len(shape) != 4 or shape[0] < 1:
        raise UserError(one_line(f"{file}: {_FIRST} has shape {shape}, must be [64, 4, 7, 7]; {VALID}"))
    return shape[0]
