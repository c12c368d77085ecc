"""Where the components of a base model come from: a folder in diffusers layout, or one file with all its models."""

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
"""By their names' ends, the weights of a UNet that are as wide as the text that it reads."""
FIRST_KEYS = (f"{PLAIN}input_blocks.0.0.weight", "conv_in.weight")
"""The first layer of a UNet, in the original layout and in diffusers' own: as wide as what it reads."""


@runtime_checkable
class BaseCheckpoint(Protocol):
    """The components by their names in diffusers layout."""

    def folder(self, name: str) -> Path:
        """The folder, or file, with the configuration of a component."""
        ...

    @property
    def scheduler_changes(self) -> SchedulerConfig:
        """What takes the place of the same in the scheduler's config."""
        ...

    def model(self, cls: type[M], name: str, runtime: Runtime) -> M:
        """A model, frozen, in evaluation mode, on the runtime's device and in its dtype.

        Raises `UserError` for weights that are missing, incomplete or another model's.
        """
        ...


def base_checkpoint(
    runtime: Runtime, base: str | None, part: str = BASE, *, ema: bool = False, only: frozenset[str] | None = None
) -> BaseCheckpoint:
    """The checkpoint of the base model that weights and the option `base` say; `part` is what the family calls it.

    `only` are the components that will be asked for; None: all.

    A family may replace single components of its `base` for a method; a folder of the user's own is taken whole, a file
    by the configs of what it takes the place of. `ema` takes the EMA weights of a file's UNet.
    Raises `UserError` if it is neither here nor to be had, and with `ema` for anything but a file that has these.
    """
    weights = runtime.weights
    file = weights.single_file(part, base)
    if ema and file is None:
        valid = "a .safetensors or .ckpt file with both kinds of weights as base, or ema=false"
        raise UserError(one_line(f"ema=true: {base or weights.name} is no single file; valid: {valid}"))
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
    """A checkpoint as found on model-sharing sites, in the layout of the original latent diffusion code.

    Its models are converted by diffusers' own loaders, and built as the configs of a folder say.
    """

    file: Path
    tensors: dict[str, Tensor]
    folder: Callable[[str], Path]
    scheduler_changes: SchedulerConfig
    kind: str
    """Which weights of its UNet these are, to read; empty for a file with one kind."""

    @classmethod
    def read(cls, file: Path, folder: Callable[[str], Path], runtime: Runtime, *, ema: bool) -> "_File":
        """Copied into memory, or unpickled with `weights_only`. Raises `UserError` for a file that is no checkpoint."""
        with runtime.weights.recording("checkpoint", [file]):
            tensors = read_tensors(file, mapped=True)
        # A memory-mapped tensor starts at any byte, and on some processors an unaligned one is multiplied by other
        # kernels, with other last bits: copied, it is what the folder's would be.
        taken, kind = of_one_kind(tensors, file, ema=ema)
        copied = {name: tensor.clone() for name, tensor in taken.items()}
        return cls(file, copied, folder, scheduler_changes(file, copied.keys(), runtime), kind)

    def model(self, cls: type[M], name: str, runtime: Runtime) -> M:
        config = self.folder(name) / "config.json"
        if not config.is_file():
            raise UserError(one_line(f"{config.parent} has no config.json, by which {self.file} could be read"))
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
                raise UserError(one_line(f"{self.file}: the checkpoint lacks tensors of its {name}, by {config}"))
            if isinstance(made, Failure):
                raise UserError(one_line(f"{self.file}: its {name} can't be read: {made.error}"))
        return runtime.place(cast(M, made).requires_grad_(False).eval())

    def _input_channels(self) -> dict[str, int]:
        """What the file says, also against its config: the method knows how many it needs, and says so."""
        first = next((self.tensors[name] for name in FIRST_KEYS if name in self.tensors), None)
        return {"in_channels": first.shape[1]} if first is not None and first.ndim == 4 else {}

    def _check_text_width(self, config: Path) -> None:
        """Stable Diffusion 1.5, 2.x and SDXL read texts of 768, 1024 and 2048 numbers a token."""
        own = {tensor.shape[1] for name, tensor in self.tensors.items() if name.endswith(TEXT_KEYS)}
        said = capture(lambda: json.loads(config.read_bytes()).get("cross_attention_dim"))
        if own and isinstance(said, int) and own != {said}:
            raise UserError(
                one_line(
                    f"{self.file}: {family_of(max(own))}, but by {config} it would be {family_of(said)}; valid: a file "
                    f"of that kind, or `base` as a folder in diffusers layout"
                )
            )


def _lacks_tensors(made: nn.Module | Failure) -> bool:
    """What a checkpoint doesn't have stays a tensor without storage; some loaders fail on it, others don't."""
    if isinstance(made, Failure):
        return "meta tensor" in made.error
    return any(tensor.is_meta for tensor in made.state_dict().values())


# Any: a model class of diffusers, its object and what its loader takes.
def _diffusers_model(cls: Any, tensors: dict[str, Tensor], **keywords: Any) -> Any:
    return cls.from_single_file(dict(tensors), local_files_only=True, **keywords)
