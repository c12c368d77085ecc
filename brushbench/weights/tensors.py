"""Checkpoints to tensors by their names, and into the modules that they are for; nothing in a file is ever run."""

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
"""How the names of files with tensors end."""
BUFFERS = ("position_ids", "token_type_ids", "attn_mask", "relative_position_index")
"""The last part of the names of constants that older versions of the libraries stored, and that modules make anew."""


def read_tensors(file: Path, *, mapped: bool = False, for_scores: bool = False) -> dict[str, Tensor]:
    """The tensors of a file: safetensors, by whatever name, or a checkpoint of torch that holds nothing but data.

    Such a checkpoint may have them under `state_dict`, with anything beside it. `mapped` leaves what can be left on the
    disk until it is used; `for_scores` makes floating-point numbers float32.
    Raises `UserError` for any other file, which says what it seems to be, and `for_scores` for values that aren't
    finite: with them a metric would find nothing to score anywhere.
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
        raise UserError(one_line(f"{file}: holds no state dict, which is a tensor for each name"))
    if not for_scores:
        return dict(inside)
    broken = [name for name, value in inside.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise UserError(one_line(f"{file}: {broken[0]} holds values that aren't finite"))
    return {name: value.float() if value.is_floating_point() else value for name, value in inside.items()}


@contextmanager
def explained(files: Iterable[Path]) -> Iterator[None]:
    """Load files by a library inside of this: where it fails, what is wrong with the first of them is raised instead.

    Other files than checkpoints, and those that can be read, have no part in it.
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
    """The module with these tensors, frozen, in evaluation mode.

    With `assign` they become its own: made on the meta device, it takes no memory before.
    Constants that the module makes itself (`BUFFERS`) are left out, with a note. Raises `UserError` that names the
    first tensor that is missing, left over or of another shape.
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


# Any: what a checkpoint of torch holds is seen later.
def _content(file: Path, mapped: bool) -> Any:
    if file.suffix == ".safetensors" or is_safetensors(file):
        return load_file(file)
    with warnings.catch_warnings():
        # Of a file in another form than torch's own: either it can be read all the same, or that is an error.
        warnings.simplefilter("ignore")
        # Only torch's newer form, an archive, can stay on the disk.
        lazy = mapped and zipfile.is_zipfile(file)
        return cast(Any, torch.load(file, map_location="cpu", weights_only=True, mmap=lazy or None))
