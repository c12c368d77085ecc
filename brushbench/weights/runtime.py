"""Where and how models compute: the device, the precision, and whether they are offloaded."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from accelerate.utils import send_to_device
from torch import nn

from brushbench.core.compute import FAST, PLAIN
from brushbench.core.errors import UserError, one_line
from brushbench.weights.recipe import check_tools, compile_in_place, computing
from brushbench.weights.resolver import Weights

Placed = TypeVar("Placed", bound=nn.Module)
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Runtime:
    """The settings with which a method's models are loaded, and where the models are.

    With `offload`, a model stays in main memory and is moved to the device when it is called.
    """

    device: torch.device
    dtype: torch.dtype
    weights: Weights
    offload: bool = False
    awake: set[nn.Module] = field(default_factory=set)
    """Models on the device, with `offload`."""
    compute: str = PLAIN
    """The recipe by which models compute: `plain` or `fast`."""

    def place(self, model: Placed) -> Placed:
        """Move a model to the device, or offload it until it is called, with its parameters laid out by the recipe."""
        if self.compute == FAST:
            _lay_out_channels_last(model)
        if not self.offload:
            return model.to(self.device)

        # A function, not a method: copying a model would copy the runtime too. Any: the model's arguments.
        def before(called: nn.Module, inputs: Any, keywords: Any) -> tuple[Any, Any]:
            self._wake(called)
            return send_to_device(inputs, self.device), send_to_device(keywords, self.device)

        model.register_forward_pre_hook(before, with_kwargs=True)
        return model.to("cpu")

    def check_tools(self) -> None:
        """Raises `UserError` if the recipe compiles, and this machine lacks what that takes."""
        check_tools(self.compute, self.device)

    def compile(self, *modules: nn.Module) -> None:
        """Have modules compute by compiled code if the recipe says so; see `compile_in_place`."""
        for module in modules if self.compute == FAST else ():
            compile_in_place(module)

    def computing(self) -> AbstractContextManager[None]:
        """Inside, models compute by the recipe. Raises `ComputeError` if they can't be compiled."""
        return computing(self.compute, self.device)

    @contextmanager
    def stage(self, *models: nn.Module) -> Iterator[None]:
        """Run one stage of generation by the recipe; models on the device before or after it are offloaded.

        `models` are needed on the device from the start, because methods other than `forward` are called, which
        torch's hooks don't see.
        """
        self._rest()
        for model in models if self.offload else ():
            self._wake(model)
        with self.computing():
            yield
        self._rest()

    def _wake(self, model: nn.Module) -> None:
        if model not in self.awake:
            # Parameters moved in inference mode could no longer take part in gradients.
            with torch.inference_mode(False):
                model.to(self.device)
            self.awake.add(model)

    def _rest(self) -> None:
        for model in self.awake:
            with torch.inference_mode(False):
                model.to("cpu")
        self.awake.clear()


def _lay_out_channels_last(model: nn.Module) -> None:
    """Lay out the kernels of 2D convolutions; PyTorch's own call fails on models that have 3D ones as well."""
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def device_named(name: str) -> torch.device:
    """Return a device by name; `auto` is a GPU if there is one. Raises `UserError` for an unavailable device."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(one_line(f"device {name!r}; valid: auto, cpu, cuda, cuda:N, mps")) from error
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device.type, False):
        valid = ", ".join(kind for kind, here in available.items() if here)
        raise UserError(one_line(f"device {name!r} is not available here; valid: auto, {valid}"))
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device {name!r}: the number of GPUs is {torch.cuda.device_count()}, the first is cuda:0")
    return device


def dtype_named(name: str, device: torch.device) -> torch.dtype:
    """Return a dtype by name; `auto` is float16 on a GPU, else float32. Raises `UserError` for an unknown name."""
    if name == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    if name not in DTYPES:
        raise UserError(one_line(f"dtype {name!r}; valid: auto, {', '.join(DTYPES)}"))
    return DTYPES[name]
