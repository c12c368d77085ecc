"""The recipe `fast`: blocks that are compiled, an order of attention kernels, and what these need on a machine.

The compiler of PyTorch is imported only where the recipe is used: it takes seconds.
"""

import logging
import os
import shutil
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import cached_assets_path
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from brushbench.core.capture import Failure, capture
from brushbench.core.compute import FAST, PLAIN
from brushbench.core.errors import ComputeError, UserError, one_line

# Any: what a backend is given, and what it makes.
Backend = str | Callable[..., Any]
BACKEND: Backend = "inductor"
"""Of `torch.compile`; tests use others, which call no compiler."""
DETERMINISTIC: dict[str, str | int | bool | Callable[..., Any]] = {
    "deterministic": True,
    "max_autotune": False,
    "triton.cudagraphs": False,
}
"""What inductor is told: nothing is chosen by a stopwatch, which could choose differently in the next run."""
MANY = 1 << 16
"""As many versions of a block as there are shapes. PyTorch would compile eight and compute the others as `plain` does,
so that bytes would depend on which shapes came first."""
ATTENTION = [
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]
"""Kernels on a GPU, the first that can compute a layer computes it."""
CACHE = "TORCHINDUCTOR_CACHE_DIR"
REMEDY = f"valid: {PLAIN}, which needs nothing of that"


def check_tools(compute: str, device: torch.device) -> None:
    """Raises `UserError` for `fast` where this machine lacks what compiles blocks for the device."""
    if compute == FAST and BACKEND == "inductor" and (lacking := _lacking(device)):
        raise UserError(one_line(f"compute {compute!r}: {lacking}; {REMEDY}"))


def _lacking(device: torch.device) -> str:
    """What is missing, in words; empty if nothing is."""
    if device.type not in ("cpu", "cuda"):
        return f"blocks are compiled for cpu and cuda, not for {device.type}"
    if device.type == "cuda" and find_spec("triton") is None:
        return "the package triton, which compiles blocks for a GPU, is not installed"
    if device.type == "cuda" and not any(map(shutil.which, [os.environ.get("CC", "gcc"), "clang"])):
        return "no C compiler was found (gcc, clang or $CC), which triton needs"
    if device.type == "cpu" and isinstance(capture(_cpp_compiler), Failure):
        return "no C++ compiler was found (g++ or $CXX), which compiles blocks for the CPU"
    header = Path(sysconfig.get_path("include")) / "Python.h"
    return "" if header.is_file() else f"Python's headers, which compiled blocks need, are missing: {header}"


def _cpp_compiler() -> str:
    from torch._inductor.cpp_builder import get_cpp_compiler

    return get_cpp_compiler()


def compile_in_place(module: nn.Module) -> None:
    """Have a module compute by compiled code, which all modules of its class share, from its next call on.

    Its hooks stay around the compiled code, and change as freely as before; those of modules inside of it are compiled
    when it is first called, and must not change any more. Names in its `state_dict` are the same as before, and a copy
    of it is compiled too.
    """
    _use_cache_folder()
    # It would tell of a CUDA toolkit that finds no GPU, which compiled code for the CPU doesn't look for.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    vars(module)["forward"] = partial(_compiled(type(module).forward, BACKEND), module)


# Any: the arguments and the result of any module.
@cache
def _compiled(forward: Callable[..., Any], backend: Backend) -> Callable[..., Any]:
    options = DETERMINISTIC if backend == "inductor" else None
    return torch.compile(forward, fullgraph=True, dynamic=False, backend=backend, options=options)


def _use_cache_folder() -> None:
    """Keep compiled code beside what was downloaded from the hub, unless the user has named another folder."""
    if CACHE not in os.environ:
        # In a folder that can't be written, the compiler's own choice stands: a temporary one.
        with suppress(OSError, ValueError):
            os.environ[CACHE] = str(cached_assets_path("brushbench", "compiled", "blocks"))


@contextmanager
def computing(compute: str, device: torch.device) -> Iterator[None]:
    """Inside, models compute by the recipe. Raises `ComputeError` if they can't be compiled."""
    if compute != FAST:
        yield
        return
    from torch._dynamo import config
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

    with ExitStack() as stack:
        stack.enter_context(config.patch(recompile_limit=MANY, accumulated_recompile_limit=MANY))
        if device.type == "cuda":
            stack.enter_context(sdpa_kernel(ATTENTION, set_priority=True))
        try:
            yield
        except (FailOnRecompileLimitHit, TorchDynamoException) as error:
            raise ComputeError(
                one_line(f"compute {compute!r}: blocks can't be compiled here; {REMEDY}: {error}", limit=300)
            ) from error


@contextmanager
def eagerly() -> Iterator[None]:
    """Inside, compiled modules compute as if they weren't: for what is too rare to compile, and for gradients."""
    # Where nothing is compiled, the compiler isn't even imported.
    with torch.compiler.set_stance("force_eager") if _compiled.cache_info().currsize else nullcontext():
        yield
