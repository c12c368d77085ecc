"""Measure images per second and memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch.utils.flop_counter import FlopCounterMode

from brushbench.core.capture import Failure, capture
from on_gpu.setting import PLAIN, Loaded, Record, Setting, load, load_steps, recipe, timing_of

CAPS = (8, 16)
"""Memory of small cards, in GB."""


def speed(setting: Setting, method: str) -> Iterator[Record]:
    """Time all batch sizes by every compute recipe in the first dtype, and the typical size in the other dtypes."""
    flop = None
    for dtype in setting.dtypes:
        for compute in setting.computes if dtype == setting.dtypes[0] else setting.computes[:1]:
            loaded = load(setting, method, dtype, compute)
            # What inductor computes by kernels of its own would not be counted.
            flop = flop or flop_of_image(setting, loaded if compute == PLAIN else load(setting, method, dtype))
            shown: Record = {"method": method, "dtype": dtype, "compute": compute, "tflop_image": flop / 1e12}
            for batch in setting.batches if dtype == setting.dtypes[0] else [setting.typical]:
                yield {**shown, **timed(setting, loaded, batch)}


def timed(setting: Setting, loaded: Loaded, batch: int) -> Record:
    """Return the columns of a timing and the peak memory; `skipped` if memory runs out."""
    setting.clean()
    found = capture(timing_of, setting, loaded.call(batch))
    if not isinstance(found, Failure):
        return {**found.columns(setting, batch), "peak_gb": setting.peak_gb()}
    if found.out_of_memory:
        return {"batch": batch, "skipped": "out of memory"}
    raise RuntimeError(found.traceback)


def flop_of_image(setting: Setting, loaded: Loaded) -> float:
    """Count the operations of products, convolutions and attention for an image, from two short calls."""
    few, many = setting.short
    call = loaded.call(1)
    short, long = (_counted(lambda steps=steps: call(steps)) for steps in (few, many))
    return short + (long - short) / (many - few) * (setting.steps - few)


def _counted(call: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        call()
    return float(counter.get_total_flops())


def full(setting: Setting, method: str) -> Iterator[Record]:
    """Time one call with all its steps, to check the extrapolation."""
    for compute in setting.computes:
        whole = load_steps(setting, method, setting.steps, **recipe(compute))
        call = Loaded(method, setting.size, {setting.steps: whole}).call(setting.typical)
        setting.clean()
        seconds = setting.seconds(lambda call=call: call(setting.steps))
        yield {
            "method": method,
            "dtype": setting.dtypes[0],
            "compute": compute,
            "batch": setting.typical,
            "images_s": setting.typical / seconds,
            "peak_gb": setting.peak_gb(),
        }


def offload(setting: Setting, method: str) -> Iterator[Record]:
    """Measure with each model on the card only while it is needed, within the memory of small cards."""
    for cap in CAPS:
        with _within(setting, cap):
            loaded = load(setting, method, compute=PLAIN, offload="model")
            for batch in setting.batches:
                found = timed(setting, loaded, batch)
                yield {"method": method, "cap_gb": cap, "dtype": setting.dtypes[0], **found}
                if "skipped" in found:
                    break


@contextmanager
def _within(setting: Setting, cap: float) -> Iterator[None]:
    """Limit memory to that of a card with this many GB, including CUDA's own; on the CPU, nothing is limited."""
    if not setting.cuda:
        yield
        return
    setting.clean()
    torch.zeros(1, device=setting.device)
    free, total = torch.cuda.mem_get_info()
    beside = total - free - torch.cuda.memory_reserved()
    torch.cuda.set_per_process_memory_fraction(min(1.0, max(0.0, (cap * 1e9 - beside) / total)))
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
