"""What every measurement shares: the models, the sizes, and a clock that waits for the device."""

import dataclasses
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brushbench import load_method
from brushbench.core.types import Method
from on_gpu.data import batch_of
from on_gpu.models import Folders

Value = str | float | bool | None | dict[str, float]
Record = dict[str, Value]
"""One measurement, by the names of columns; `skipped` says why there are no numbers in it."""
PLAIN, FAST = "plain", "fast"


@dataclass(frozen=True, slots=True)
class Setting:
    """What is to be measured, and where."""

    device: str
    work: Path
    """Where models and data are made."""
    tiny: bool
    size: int
    """Pixels along each side."""
    steps: int
    """What rates are for."""
    short: tuple[int, int]
    """The steps of the two calls that are timed instead."""
    batches: tuple[int, ...]
    dtypes: tuple[str, ...]
    computes: tuple[str, ...]
    """Compute recipes, `plain` first."""
    samples: int
    """How many images are scored."""
    compiled: bool
    """Whether `what_if` compiles, which takes minutes."""

    @property
    def cuda(self) -> bool:
        """Whether there is a GPU to measure; the CPU is for trying the script."""
        return self.device.startswith("cuda")

    @property
    def folders(self) -> Folders:
        """Where the models are."""
        return Folders(self.work / ("tiny" if self.tiny else "real"))

    @property
    def typical(self) -> int:
        """The second largest batch size, for measurements of only one."""
        return self.batches[-2:][0]

    def sync(self) -> None:
        """Wait until the device has done all that it was told."""
        if self.cuda:
            torch.cuda.synchronize()

    def seconds(self, call: Callable[[], object], repeat: int = 1) -> float:
        """The fastest of some calls."""
        return min(self._once(call) for _ in range(repeat))

    def _once(self, call: Callable[[], object]) -> float:
        self.sync()
        start = time.perf_counter()
        call()
        self.sync()
        return time.perf_counter() - start

    def clean(self) -> None:
        """Give back the card's memory that earlier measurements have left."""
        if self.cuda:
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak_gb(self) -> float | None:
        """What tensors took at most since `clean`; None on the CPU."""
        return torch.cuda.max_memory_allocated() / 1e9 if self.cuda else None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A method on the random weights, with as many steps as a call asks for."""

    name: str
    size: int
    methods: dict[int, Method]
    """By the number of steps; they share their models."""

    def __call__(self, steps: int, count: int) -> Tensor:
        """The images of so many samples."""
        return self.methods[steps](*batch_of(range(count), self.size))

    def call(self, count: int) -> Callable[[int], Tensor]:
        """A call by the number of steps, for samples that are made before the clock starts."""
        batch, seeds = batch_of(range(count), self.size)
        return lambda steps: self.methods[steps](batch, seeds)


# Any: the options of any method.
def load(setting: Setting, name: str, dtype: str = "", compute: str = PLAIN, **options: Any) -> Loaded:
    """A method of the suite, for both numbers of steps that are timed. `dtype` empty: the setting's first."""
    few, many = setting.short
    short = load_steps(setting, name, few, dtype=dtype or setting.dtypes[0], **recipe(compute), **options)
    long = dataclasses.replace(short, options=dataclasses.replace(short.options, steps=many))
    return Loaded(name, setting.size, {few: short, many: long})


def recipe(compute: str) -> dict[str, str]:
    """The compute recipe as an argument; `plain` is what there is without."""
    return {} if compute == PLAIN else {"compute": compute}


# Any: a method with options, and these.
def load_steps(setting: Setting, name: str, steps: int, **options: Any) -> Any:
    """A method of the suite on the random weights."""
    folders = setting.folders
    own = {"version": 2, "checkpoint": str(folders.powerpaint)} if name == "powerpaint" else {}
    placed = {"dtype": setting.dtypes[0], **options, "device": setting.device}
    return load_method(name, weights=folders.weights(name), steps=steps, **own, **placed)


@dataclass(frozen=True, slots=True)
class Timing:
    """What two short calls tell of a long one."""

    step_s: float
    fixed_s: float
    """Beside the steps: encoding and decoding."""
    first_s: float
    """The first call, which chooses and loads kernels; by the recipe `fast`, it compiles them."""
    once_s: float
    """What the first call took longer than the same call later."""

    def whole_s(self, steps: int) -> float:
        """Seconds of a call with so many steps."""
        return self.fixed_s + steps * self.step_s

    def columns(self, setting: Setting, batch: int) -> Record:
        """The columns of a record."""
        return {
            "batch": batch,
            "images_s": batch / self.whole_s(setting.steps),
            "step_ms": 1e3 * self.step_s,
            "fixed_ms": 1e3 * self.fixed_s,
            "first_s": self.first_s,
            "once_s": self.once_s,
        }


def timing_of(setting: Setting, call: Callable[[int], object]) -> Timing:
    """Time a call with few steps and with many, each twice, when everything is warm."""
    few, many = setting.short
    first = setting.seconds(lambda: call(few))
    short, long = (setting.seconds(lambda steps=steps: call(steps), 2) for steps in (few, many))
    step = (long - short) / (many - few)
    return Timing(step, short - few * step, first, first - short)


Measure = Callable[[Setting, str], Iterator[Record]]
"""What measures a method, a record after the other; between two of them it can be stopped."""
