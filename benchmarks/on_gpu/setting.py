"""The settings of all measurements: the models, the sizes, and a clock that waits for the device."""

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
"""One measurement, by the names of columns; `skipped` says why it has no numbers."""
PLAIN, FAST = "plain", "fast"


@dataclass(frozen=True, slots=True)
class Setting:
    """What to measure, and on which device."""

    device: str
    work: Path
    """Folder for models and data."""
    tiny: bool
    size: int
    """Pixels per side."""
    steps: int
    """Number of steps that rates refer to."""
    short: tuple[int, int]
    """Numbers of steps of the two calls that are timed instead."""
    batches: tuple[int, ...]
    dtypes: tuple[str, ...]
    computes: tuple[str, ...]
    """Compute recipes, `plain` first."""
    samples: int
    """Number of images to score."""
    compiled: bool
    """Whether `what_if` compiles, which takes minutes."""

    @property
    def cuda(self) -> bool:
        """Whether a GPU is measured; the CPU is for trying the script."""
        return self.device.startswith("cuda")

    @property
    def folders(self) -> Folders:
        """The models' folders."""
        return Folders(self.work / ("tiny" if self.tiny else "real"))

    @property
    def typical(self) -> int:
        """The second largest batch size, for measurements with only one size."""
        return self.batches[-2:][0]

    def sync(self) -> None:
        """Wait until the device has finished its work."""
        if self.cuda:
            torch.cuda.synchronize()

    def seconds(self, call: Callable[[], object], repeat: int = 1) -> float:
        """Return the seconds of the fastest of several calls."""
        return min(self._once(call) for _ in range(repeat))

    def _once(self, call: Callable[[], object]) -> float:
        self.sync()
        start = time.perf_counter()
        call()
        self.sync()
        return time.perf_counter() - start

    def clean(self) -> None:
        """Free the card's memory that earlier measurements left allocated."""
        if self.cuda:
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak_gb(self) -> float | None:
        """Return the peak memory of tensors since `clean`; None on the CPU."""
        return torch.cuda.max_memory_allocated() / 1e9 if self.cuda else None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A method on the random weights, for calls with different numbers of steps."""

    name: str
    size: int
    methods: dict[int, Method]
    """The methods by number of steps; they share their models."""

    def __call__(self, steps: int, count: int) -> Tensor:
        """Generate the images of this many samples."""
        return self.methods[steps](*batch_of(range(count), self.size))

    def call(self, count: int) -> Callable[[int], Tensor]:
        """Return a call that takes the number of steps, for samples made before the clock starts."""
        batch, seeds = batch_of(range(count), self.size)
        return lambda steps: self.methods[steps](batch, seeds)


# Any: the options of any method.
def load(setting: Setting, name: str, dtype: str = "", compute: str = PLAIN, **options: Any) -> Loaded:
    """Load a method for both numbers of steps that are timed; an empty `dtype` is the setting's first."""
    few, many = setting.short
    short = load_steps(setting, name, few, dtype=dtype or setting.dtypes[0], **recipe(compute), **options)
    long = dataclasses.replace(short, options=dataclasses.replace(short.options, steps=many))
    return Loaded(name, setting.size, {few: short, many: long})


def recipe(compute: str) -> dict[str, str]:
    """Return the compute recipe as an argument; `plain` needs none."""
    return {} if compute == PLAIN else {"compute": compute}


# Any: a method with options, and the options.
def load_steps(setting: Setting, name: str, steps: int, **options: Any) -> Any:
    """Load a method of the suite on the random weights."""
    folders = setting.folders
    own = {"version": 2, "checkpoint": str(folders.powerpaint)} if name == "powerpaint" else {}
    placed = {"dtype": setting.dtypes[0], **options, "device": setting.device}
    return load_method(name, weights=folders.weights(name), steps=steps, **own, **placed)


@dataclass(frozen=True, slots=True)
class Timing:
    """The timing of two short calls, and the extrapolation to a long one."""

    step_s: float
    fixed_s: float
    """Seconds outside the steps: encoding and decoding."""
    first_s: float
    """Seconds of the first call, which chooses and loads kernels; with the recipe `fast`, it compiles them."""
    once_s: float
    """Seconds by which the first call took longer than the same call later."""

    def whole_s(self, steps: int) -> float:
        """Extrapolate the seconds of a call with this many steps."""
        return self.fixed_s + steps * self.step_s

    def columns(self, setting: Setting, batch: int) -> Record:
        """Return the columns of a record."""
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
"""Measures a method record by record; it can be stopped between two records."""
