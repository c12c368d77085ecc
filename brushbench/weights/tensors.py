"""Read named tensors from checkpoints and load them into modules; no code in a file is ever run."""

import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.core.notes import note
from brushbench.weights.file_kinds import is_safetensors, problem_of

M = TypeVar("M", bound=nn.Module)
CHECKPOINTS = (".safetensors", ".bin", ".ckpt", ".pt", ".pth")
"""Suffixes of files with tensors."""
BUFFERS = ("position_ids", "token_type_ids", "attn_mask", "relative_position_index")
"""Last parts of the names of constants that older library versions stored, and that modules compute themselves."""


def read_tensors(file: Path, *, mapped: bool = False, for_scores: bool = False) -> dict[str, Tensor]:
    """Read the tensors of a file: safetensors under any name, or a torch checkpoint that contains nothing but data.

    A torch checkpoint may have them under `state_dict`, beside anything else. `mapped` leaves tensors on disk until
    they are used, if possible; `for_scores` converts floating-point numbers to float32.
    Raises `UserError` for any other file, saying what it seems to be, and with `for_scores` for values that aren't
    finite, which would leave every score NaN.
    """
    content = capture(_content, file, mapped)
    if isinstance(content, Failure):
        if content.out_of_memory:
            raise MemoryError(content.error)
        raise UserError(one_line(f"{file}: can't be loaded: {problem_of(file, content.error)}"))
    inside = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(inside, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in inside.items()
    ):
        raise UserError(one_line(f"{file}: contains no state dict (a tensor for each name)"))
    if not for_scores:
        return dict(inside)
    broken = [name for name, value in inside.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise UserError(one_line(f"{file}: {broken[0]} holds values that aren't finite"))
    return {name: value.float() if value.is_floating_point() else value for name, value in inside.items()}


@contextmanager
def explained(files: Iterable[Path]) -> Iterator[None]:
    """Let a library load files inside this context; if it fails, raise what is wrong with the first bad file instead.

    Files that aren't checkpoints, or that can be read, are skipped.
    """
    try:
        yield
    except UserError:
        for file in files:
            if file.suffix in CHECKPOINTS:
                read_tensors(file, mapped=True)
                if is_safetensors(file) and file.suffix != ".safetensors":
                    reason = "it is a safetensors file under another name: rename it to .safetensors"
                    raise UserError(one_line(f"{file}: can't be loaded: {reason}")) from None
        raise


def load_checked(module: M, tensors: Mapping[str, Tensor], file: Path, *, assign: bool = False) -> M:
    """Return the module with these tensors, frozen and in evaluation mode.

    With `assign`, the module takes over the tensors themselves, so that one on the meta device needs no memory before.
    Constants that the module computes itself (`BUFFERS`) are left out, with a note. Raises `UserError` with the name of
    the first tensor that is missing, unknown or of another shape.
    """
    wanted = module.state_dict()
    extra = sorted(tensors.keys() - wanted.keys())
    left_out = [name for name in extra if name.rpartition(".")[2] in BUFFERS]
    unknown = [name for name in extra if name not in left_out]
    for problem, names in (("lacks", sorted(wanted.keys() - tensors.keys())), ("has unknown", unknown)):
        if names:
            raise UserError(one_line(f"{file}: the checkpoint {problem} {names[0]} ({len(names)} in all)"))
    for name, tensor in wanted.items():
        if tensors[name].shape != tensor.shape:
            shapes = f"{list(tensors[name].shape)}, must be {list(tensor.shape)}"
            raise UserError(one_line(f"{file}: {name} has shape {shapes}"))
    module.load_state_dict({name: tensors[name] for name in wanted}, assign=assign)
    if left_out:
        note(one_line(f"{file.name}: left out as constants: {', '.join(left_out)}"))
    return module.eval().requires_grad_(requires_grad=False)


# Any: the content of a torch checkpoint is checked later.
def _content(file: Path, mapped: bool) -> Any:
    if file.suffix == ".safetensors" or is_safetensors(file):
        return load_file(file)
    with warnings.catch_warnings():
        # Warnings about a file in a foreign format: either it can be read all the same, or an error follows.
        warnings.simplefilter("ignore")
        # Only torch's newer format, a zip archive, can stay on disk.
        lazy = mapped and zipfile.is_zipfile(file)
        return cast(Any, torch.load(file, map_location="cpu", weights_only=True, mmap=lazy or None))
