"""Measure how a step spends its time, and what internal changes would gain."""

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile

from on_gpu.setting import Loaded, Record, Setting, load, timing_of

KINDS = (
    ("layout", r"nchwToNhwc|nhwcToNchw|Nchw|transpose|permute|copy_|CatArray|Memcpy|Memset"),
    ("attention", r"flash|fmha|attention|sdpa"),
    ("convolution", r"conv|implicit|xmma_fprop|wgrad|dgrad|winograd"),
    ("matrix", r"gemm|matmul|cutlass|sm90|nvjet|splitK|cublas"),
    ("norm", r"group_norm|GroupNorm|layer_norm|RowwiseMoments|softmax"),
    ("elementwise", r"elementwise|vectorized|reduce|unrolled|triton_|upsample"),
)
"""Kinds of kernels by parts of their names; the first match counts."""


@dataclass(slots=True)
class Kernels:
    """The GPU's work in a profile, and how often the processor waited for the GPU."""

    seconds: Counter[str] = field(default_factory=Counter)
    """Time by kind of kernel."""
    count: int = 0
    copies: int = 0
    """Number of copies from or to the processor."""
    waits: int = 0

    @classmethod
    def of(cls, profiler: profile) -> "Kernels":
        """Sort the kernels of a profile by their names."""
        found = cls()
        for event in profiler.key_averages():
            if re.search(r"(Stream|Device|Event)Synchronize", event.key):
                found.waits += event.count
            seconds = event.self_device_time_total / 1e6
            if str(event.device_type).endswith("CUDA") and seconds:
                kind = next((name for name, known in KINDS if re.search(known, event.key, re.IGNORECASE)), "other")
                found.seconds[kind] += seconds
                found.count += event.count
                found.copies += event.count if re.search(r"Memcpy (HtoD|DtoH)", event.key) else 0
        return found


def steps(setting: Setting, method: str) -> Iterator[Record]:
    """Count a step's kernels and waits, their time by kind and the GPU's load, with one image and with many."""
    few, many = setting.short
    loaded = load(setting, method)
    for batch in dict.fromkeys((setting.batches[0], setting.typical)):
        timing = timing_of(setting, loaded.call(batch))
        short, long = (_profiled(setting, loaded, steps, batch) for steps in (few, many))
        per_step = {kind: (long.seconds[kind] - short.seconds[kind]) / (many - few) for kind in long.seconds}
        yield {
            "method": method,
            "dtype": setting.dtypes[0],
            "batch": batch,
            "step_ms": 1e3 * timing.step_s,
            "kernels": (long.count - short.count) / (many - few),
            "waits": (long.waits - short.waits) / (many - few),
            "copies": (long.copies - short.copies) / (many - few),
            "gpu_busy": sum(per_step.values()) / timing.step_s if setting.cuda else None,
            **{f"{kind}_ms": 1e3 * per_step[kind] if kind in per_step else None for kind, _ in (*KINDS, ("other", ""))},
        }


def _profiled(setting: Setting, loaded: Loaded, steps: int, batch: int) -> Kernels:
    call = loaded.call(batch)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if setting.cuda else [])]
    with profile(activities=activities) as profiler:
        call(steps)
        setting.sync()
    return Kernels.of(profiler)


Networks = dict[str, nn.Module]


def what_if(setting: Setting, method: str) -> Iterator[Record]:
    """Measure changes, each added to the earlier ones, in a loaded method; its networks are found in its fields."""
    few, _ = setting.short
    loaded, batch = load(setting, method), setting.typical
    networks = networks_in(loaded.methods[few])
    call = loaded.call(batch)
    before = call(few)
    with ExitStack() as changed:
        for change, apply in CHANGES.items():
            if change == COMPILED and not setting.compiled:
                continue
            changed.enter_context(apply(networks))
            timing = timing_of(setting, call)
            apart = (before.int() - call(few).int()).abs()
            yield {
                "method": method,
                "dtype": setting.dtypes[0],
                "change": change,
                **timing.columns(setting, batch),
                "most_levels": apart.max().item(),
                "mean_levels": apart.float().mean().item(),
            }


# Any: a dataclass.
def networks_in(thing: Any, depth: int = 3) -> Networks:
    """Find the networks in a dataclass's fields, or in their fields."""
    found: Networks = {}
    for each in dataclasses.fields(thing):
        value = getattr(thing, each.name)
        if isinstance(value, nn.Module):
            found[each.name] = value
        elif depth and dataclasses.is_dataclass(value):
            found |= networks_in(value, depth - 1)
    return found


def _channels_last(networks: Networks) -> AbstractContextManager[object]:
    for name, network in networks.items():
        if "text" not in name:
            network.to(memory_format=torch.channels_last)
    return nullcontext()


def _cudnn_attention(_: Networks) -> AbstractContextManager[object]:
    rest = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    return sdpa_kernel([SDPBackend.CUDNN_ATTENTION, *rest], set_priority=True)


def _fused_projections(networks: Networks) -> AbstractContextManager[object]:
    for network in networks.values():
        if hasattr(network, "fuse_qkv_projections"):
            network.fuse_qkv_projections()
    return nullcontext()


@contextmanager
def _cudnn_search(_: Networks) -> Iterator[None]:
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = False


def _blocks_compiled(networks: Networks) -> AbstractContextManager[object]:
    """Compile each block separately, as hooks run between them."""
    torch._dynamo.config.cache_size_limit = 64
    for name, network in networks.items():
        for module in network.modules() if "text" not in name else ():
            if type(module).__name__ in ("BasicTransformerBlock", "ResnetBlock2D"):
                module.compile(dynamic=False)
    return nullcontext()


COMPILED = "and blocks compiled"
CHANGES: dict[str, Callable[[Networks], AbstractContextManager[object]]] = {
    "as it is": lambda _: nullcontext(),
    "channels last": _channels_last,
    "and cuDNN's attention first": _cudnn_attention,
    "and fused projections": _fused_projections,
    "and cuDNN's search": _cudnn_search,
    COMPILED: _blocks_compiled,
}
