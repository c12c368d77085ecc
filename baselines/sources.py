"""Load the components of a base model from a folder in diffusers layout, or from one file with all models."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast, final, runtime_checkable

from diffusers import ModelMixin
from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm
from torch import Tensor, nn

from brushbench.baselines.checkpoints import SchedulerConfig, load_model
from brushbench.baselines.ema import PLAIN, of_one_kind
from brushbench.baselines.kinds import family_of
from brushbench.baselines.single_file_marks import scheduler_changes
from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.weights import BASE
from brushbench.weights.runtime import Runtime
from brushbench.weights.tensors import read_tensors

M = TypeVar("M", bound=nn.Module)
TEXT_KEYS = "transformer_blocks.0.attn2.to_k.weight"
"""Suffix of the UNet weights whose width is that of the text embeddings."""
FIRST_KEYS = (f"{PLAIN}input_blocks.0.0.weight", "conv_in.weight")
"""A UNet's first layer in the original layout and in diffusers' own; it has as many channels as the UNet's input."""


@runtime_checkable
class BaseCheckpoint(Protocol):
    """The components of a base model, by their names in diffusers layout."""

    def folder(self, name: str) -> Path:
        """The folder or file with the configuration of a component."""
        ...

    @property
    def scheduler_changes(self) -> SchedulerConfig:
        """Settings that override those of the scheduler's config."""
        ...

    def model(self, cls: type[M], name: str, runtime: Runtime) -> M:
        """A model, frozen, in evaluation mode, on the runtime's device and in its dtype.

        Raises `UserError` for weights that are missing, incomplete or another model's.
        """
        ...


def base_checkpoint(
    runtime: Runtime, base: str | None, part: str = BASE, *, ema: bool = False, only: frozenset[str] | None = None
) -> BaseCheckpoint:
    """The checkpoint of the base model given by the weights and the option `base`; `part` is its name in the family.

    `only` names the components that will be used; None: all of them.

    A family may replace single components of its `base` for a method. A user's own folder is used as a whole; a single
    file with the configs of the base that it replaces. `ema` takes the EMA weights of a file's UNet.
    Raises `UserError` for a base that isn't here and can't be downloaded, and if `ema` is set for anything but a file
    with EMA weights.
    """
    weights = runtime.weights
    file = weights.single_file(part, base)
    if ema and file is None:
        valid = "a .safetensors or .ckpt file with both kinds of weights as base, or ema=false"
        raise UserError(one_line(f"ema=true: {base or weights.name} is not a single file; valid: {valid}"))
    root = weights.configs(part, base) if file else weights.folder(part, base, only=only)

    def inside(name: str) -> Path:
        own = weights.replacement(name) if part == BASE and (base is None or file) else None
        return own or root / name

    return _File.read(file, inside, runtime, ema=ema) if file else _Folder(inside)


@final
@dataclass(frozen=True, slots=True)
class _Folder:
    folder: Callable[[str], Path]
    scheduler_changes: SchedulerConfig = field(default_factory=dict)

    def model(self, cls: type[M], name: str, runtime: Runtime) -> M:
        return load_model(cls, self.folder(name), name, runtime)


@final
@dataclass(frozen=True, slots=True)
class _File:
    """A checkpoint as on model-sharing sites, in the layout of the original latent diffusion code.

    Its models are converted by diffusers' own loaders and built according to the configs of a folder.
    """

    file: Path
    tensors: dict[str, Tensor]
    folder: Callable[[str], Path]
    scheduler_changes: SchedulerConfig
    kind: str
    """Which of its UNet's weights are used, in words; empty for a file with only one kind."""

    @classmethod
    def read(cls, file: Path, folder: Callable[[str], Path], runtime: Runtime, *, ema: bool) -> "_File":
        """Read a file into memory. Raises `UserError` for a file that is not a checkpoint."""
        with runtime.weights.recording("checkpoint", [file]):
            tensors = read_tensors(file, mapped=True)
        # A memory-mapped tensor can start at any byte. Some processors multiply an unaligned tensor by other kernels,
        # with other last bits; a copy gives the same numbers as the tensor of a folder.
        taken, kind = of_one_kind(tensors, file, ema=ema)
        copied = {name: tensor.clone() for name, tensor in taken.items()}
        return cls(file, copied, folder, scheduler_changes(file, copied.keys(), runtime), kind)

    def model(self, cls: type[M], name: str, runtime: Runtime) -> M:
        config = self.folder(name) / "config.json"
        if not config.is_file():
            raise UserError(one_line(f"{config.parent} has no config.json, which is needed to read {self.file}"))
        own: dict[str, int] = {}
        if name == "unet":
            self._check_text_width(config)
            own = self._input_channels()
            runtime.weights.remark(self.kind)
        convert = _diffusers_model if issubclass(cls, ModelMixin) else create_diffusers_clip_model_from_ldm
        read = partial(convert, cls, self.tensors, config=str(config.parent), torch_dtype=runtime.dtype, **own)
        with runtime.weights.recording(f"{name}_config", [config]):
            made = capture(read)
            if _lacks_tensors(made):
                raise UserError(one_line(f"{self.file}: the checkpoint lacks tensors of its {name} as in {config}"))
            if isinstance(made, Failure):
                raise UserError(one_line(f"{self.file}: its {name} can't be read: {made.error}"))
        return runtime.place(cast(M, made).requires_grad_(False).eval())

    def _input_channels(self) -> dict[str, int]:
        """The UNet's input channels according to the file, which override its config: methods check them themselves."""
        first = next((self.tensors[name] for name in FIRST_KEYS if name in self.tensors), None)
        return {"in_channels": first.shape[1]} if first is not None and first.ndim == 4 else {}

    def _check_text_width(self, config: Path) -> None:
        """Raise `UserError` for a file of another family than its config.

        Stable Diffusion 1.5, 2.x and SDXL read text embeddings of width 768, 1024 and 2048.
        """
        own = {tensor.shape[1] for name, tensor in self.tensors.items() if name.endswith(TEXT_KEYS)}
        said = capture(lambda: json.loads(config.read_bytes()).get("cross_attention_dim"))
        if own and isinstance(said, int) and own != {said}:
            raise UserError(
                one_line(
                    f"{self.file}: {family_of(max(own))}, but {config} is for {family_of(said)}; valid: a file of that "
                    f"kind, or `base` as a folder in diffusers layout"
                )
            )


def _lacks_tensors(made: nn.Module | Failure) -> bool:
    """Whether the checkpoint lacked tensors: they stay without storage, on which some loaders fail and others don't."""
    if isinstance(made, Failure):
        return "meta tensor" in made.error
    return any(tensor.is_meta for tensor in made.state_dict().values())


# Any: a model class of diffusers, its instance and its loader's arguments.
def _diffusers_model(cls: Any, tensors: dict[str, Tensor], **keywords: Any) -> Any:
    return cls.from_single_file(dict(tensors), local_files_only=True, **keywords)
