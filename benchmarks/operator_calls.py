"""Count the operators of a denoising step, on PaperCut's small models: python benchmarks/operator_calls.py [ROOT]

With ROOT, another checkout, its numbers are printed before this one's. A step lasts from one call of the UNet to the
next; the counted step is in the middle of a run, where no work is done for the first or the last time.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import brushbench
from brushbench.core.types import Batch, Method

OWN = Path(__file__).parent.parent
STEPS, SIDE, COUNT = 6, 64, 2
MIDDLE = 3
"""The step that is counted."""
CASES: dict[str, tuple[str, dict[str, object]]] = {
    "brushnet": ("brushnet", {"sampler": "unipc"}),
    "brushnet, scale=0.5": ("brushnet", {"sampler": "unipc", "scale": 0.5}),
    "brushnet, ddim": ("brushnet", {"sampler": "ddim"}),
    "brushnet, pndm": ("brushnet", {"sampler": "pndm"}),
    "brushnet, dpm++": ("brushnet", {"sampler": "dpm++"}),
    "brushnet, euler": ("brushnet", {"sampler": "euler"}),
    "powerpaint, version=2": ("powerpaint", {"version": 2}),
    "powerpaint, version=1": ("powerpaint", {"version": 1}),
    "sd-inpainting": ("sd-inpainting", {}),
    "controlnet": ("controlnet", {}),
    "blended-latent": ("blended-latent", {}),
    "hd-painter": ("hd-painter", {}),
}
ASKS = {"_local_scalar_dense"}
"""Operators that read a tensor's value (`.item()`, or a tensor as an index or a condition) and so wait for the GPU."""
SENDS = {"lift_fresh", "sent"}
"""Operators that make a tensor from numbers, or move one to another device."""
SOLVES = {"linalg_solve", "linalg_solve_ex", "_linalg_solve_ex"}
COPIES = {"repeat", "copy_"}
"""Operators that copy, besides products with a number; counted if the result is as large as a residual."""
WHOLE = {"upsample_nearest2d"}
"""Operators that exist only in Python, composed of other operators."""


class Recorded(TorchDispatchMode):
    """Record every operator called in the current step while this mode is on: its name and its result's shape."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[list[tuple[str, tuple[int, ...], bool]]] = [[]]
        self.views: list[int] = [0]
        self.hooks: list[int] = [0]

    def begin(self, *_: object) -> None:
        """Begin a step."""
        self.steps.append([])
        self.views.append(0)
        self.hooks.append(0)

    # Any: an operator's arguments and result.
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Record an operator, and call it; a composed one is replaced by its parts."""
        keywords = kwargs or {}
        name = func.overloadpacket.__name__
        if name not in WHOLE:
            with self:
                # In inference mode, torch would report only the composed operator.
                made = func.decompose(*args, **keywords)
            if made is not NotImplemented:
                return made
        made = func(*args, **keywords)
        shape = tuple(made.shape) if isinstance(made, torch.Tensor) else ()
        if name in {"_to_copy", "copy_"} and any(
            isinstance(each, torch.Tensor) and each.device != made.device for each in args
        ):
            name = "sent"
        scaled = len(args) == 2 and not (isinstance(args[1], torch.Tensor) and args[1].ndim)
        self.steps[-1].append((name, shape, scaled))
        self.views[-1] += func.is_view
        return made

    def counts(self, step: int, residuals: set[tuple[int, ...]]) -> dict[str, int]:
        """Return the counts of a step.

        `residuals` are the shapes, without the first dimension, of tensors that mustn't be copied.
        """
        calls = self.steps[step]
        names = Counter(name for name, _, _ in calls)
        copies = [
            name
            for name, shape, scaled in calls
            if shape[1:] in residuals and (name in COPIES or (name == "mul" and scaled))
        ]
        return {
            "operators": len(calls),
            "that make no view": len(calls) - self.views[step],
            "asked for a value": sum(names[name] for name in ASKS),
            "sent": sum(names[name] for name in SENDS),
            "systems solved": sum(names[name] for name in SOLVES),
            "residuals copied": len(copies),
            "hooks registered": self.hooks[step],
        }


@contextmanager
def counting_hooks(recorded: Recorded) -> Iterator[None]:
    """Count each registration of a hook, in the current step."""
    originals = {name: getattr(nn.Module, name) for name in ("register_forward_hook", "register_forward_pre_hook")}

    # Any: a method of torch's modules.
    def counted(original: Any) -> Any:
        def register(*arguments: Any, **keywords: Any) -> Any:
            recorded.hooks[-1] += 1
            return original(*arguments, **keywords)

        return register

    for name, original in originals.items():
        setattr(nn.Module, name, counted(original))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(nn.Module, name, original)


# Any: the object with a method's models, which the protocol of methods doesn't name.
def models_of(method: Any) -> Any:
    """Return the diffusion model that a method uses."""
    return method.inpainting.sd if hasattr(method, "inpainting") else method.sd


def recorded_run(method: Method, batch: Batch) -> Recorded:
    """Run a method, and record its steps."""
    unet, seeds = models_of(method).unet, list(range(len(batch)))
    recorded = Recorded()
    handle = unet.register_forward_pre_hook(recorded.begin)
    try:
        with counting_hooks(recorded), recorded:
            method(batch, seeds)
    finally:
        handle.remove()
    return recorded


def residual_shapes(method: Method, batch: Batch) -> set[tuple[int, ...]]:
    """Return the [channels, height, width] of a branch's outputs in a run; empty for a method without a branch."""
    branch = getattr(method, "branch", None)
    shapes: set[tuple[int, ...]] = set()

    # Any: a module and its input.
    def keep(_branch: Any, _inputs: Any, residuals: Any) -> None:
        shapes.update(tuple(tensor.shape[1:]) for tensor in (*residuals.down, residuals.mid, *residuals.up))

    handle = branch.register_forward_hook(keep) if branch is not None else None
    method(batch, list(range(len(batch))))
    if handle is not None:
        handle.remove()
    return shapes


def small_batch() -> Batch:
    """Make random images, each with a rectangular hole."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (COUNT, 3, SIDE, SIDE), generator=draw, dtype=torch.uint8)
    masks = torch.zeros(COUNT, 1, SIDE, SIDE, dtype=torch.bool)
    masks[..., SIDE // 4 : SIDE // 2, SIDE // 4 : SIDE // 2] = True
    return Batch(tuple("ab"), images, masks, ("a red balloon", "a small boat"))


def step_counts(name: str, options: dict[str, object]) -> dict[str, int]:
    """Return the counts of a method's step; if it calls the UNet twice in a step, of both calls."""
    method = brushbench.load_method(name, weights="papercut", device="cpu", dtype="float32", steps=STEPS, **options)
    batch = small_batch()
    # The first run also encodes the texts.
    shapes = residual_shapes(method, batch)
    recorded = recorded_run(method, batch)
    calls = 2 if name == "hd-painter" else 1
    counted = [recorded.counts(1 + MIDDLE * calls + call, shapes) for call in range(calls)]
    return {key: sum(counts[key] for counts in counted) for key in counted[0]}


def counts_of(root: Path) -> dict[str, dict[str, int]]:
    """Return the counts of all cases with a checkout's code, in a separate process."""
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).resolve()), "--json"]
    told = subprocess.run(command, env=environment, cwd=root, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, dict[str, int]] = json.loads(told.stdout.splitlines()[-1])
    return found


def main(arguments: Sequence[str]) -> None:
    """Print a table with a line per case, with the other checkout's number before this one's."""
    if list(arguments) == ["--json"]:
        print(json.dumps({case: step_counts(*asked) for case, asked in CASES.items()}))
        return
    tables = [counts_of(root) for root in [*(Path(place).resolve() for place in arguments), OWN]]
    columns = list(next(iter(tables[0].values())))
    print(f"{'':24}", *(f"{column:>18}" for column in columns))
    for case in CASES:
        cells = [" -> ".join(str(table[case][column]) for table in tables) for column in columns]
        print(f"{case:24}", *(f"{cell:>18}" for cell in cells))


if __name__ == "__main__":
    main(sys.argv[1:])
