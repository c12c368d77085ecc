"""The training loop of every part: seeded at each step, with averaged weights, resumable to the bit."""

import copy
import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, final, runtime_checkable

import torch
from filelock import FileLock, Timeout
from jaxtyping import Float
from torch import Tensor, nn

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.core.progress import ProgressCallback
from brushbench.imaging.sheets import Sheet, png

SECONDS_BETWEEN_CHECKPOINTS = 120.0
STEPS_BETWEEN_LINES = 50


@dataclass(frozen=True, slots=True)
class Recipe:
    """Training settings of a part."""

    steps: int
    batch: int
    """Number of scenes per step."""
    rate: float
    """Peak learning rate, reached after `warmup` steps; a cosine then lowers it to the fraction `final` of the peak."""
    restarts: tuple[int, ...] = ()
    """Steps at which the learning rate rises and falls again: Loshchilov and Hutter, arXiv:1608.03983."""
    warmup: int = 200
    final: float = 0.02
    weight_decay: float = 0.01
    averaging: float = 0.999
    """Decay of the exponential moving average of the weights; the average is what is saved."""
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """The learning rate at a step."""
        begin = max([0, *(restart for restart in self.restarts if restart <= step)])
        end = min([self.steps, *(restart for restart in self.restarts if restart > step)])
        rise = min(1.0, (step - begin + 1) / self.warmup)
        progress = max(0, step - begin - self.warmup) / max(1, end - begin - self.warmup)
        return self.rate * rise * (self.final + (1 - self.final) * (1 + math.cos(math.pi * progress)) / 2)

    def averaging_at(self, step: int) -> float:
        """The decay of the average at a step: lower at first, so that the random initial weights are forgotten."""
        return min(self.averaging, (1 + step) / (10 + step))


@runtime_checkable
class Part(Protocol):
    """A part of the family that can be trained."""

    @property
    def name(self) -> str:
        """The part's name, which is also its folder's in the work folder."""
        ...

    @property
    def trained(self) -> nn.Module:
        """All parameters that learn."""
        ...

    def loss(self, batch: int, draw: torch.Generator) -> Float[Tensor, ""]:
        """The loss of `batch` scenes; every random choice is drawn from `draw`."""
        ...

    def sheet(self) -> Sheet:
        """A picture that shows what the part has learned so far."""
        ...

    def save(self) -> None:
        """Save the weights where the family's methods load them."""
        ...


@final
class Training:
    """Trains a part from its last checkpoint, or from the start.

    The work folder gets `checkpoint.pt`, `log.jsonl` (step, mean loss since the last line, seconds so far) and sheets.
    The choices of a step are drawn from (seed, step), so a training that was interrupted ends with the same weights.
    """

    def __init__(self, part: Part, recipe: Recipe, work: Path) -> None:
        self._part = part
        self._recipe = recipe
        self._folder = work / part.name
        # This memory format is faster on the CPU.
        part.trained.to(memory_format=torch.channels_last)
        self._average = copy.deepcopy(part.trained).requires_grad_(False)
        self._optimizer = torch.optim.AdamW(
            part.trained.parameters(), recipe.rate, betas=(0.9, 0.99), weight_decay=recipe.weight_decay
        )
        self._step = 0
        self._seconds = 0.0

    def __call__(self, watch: ProgressCallback) -> None:
        """Train to the end, then save the averaged weights.

        Raises `UserError` for a checkpoint that isn't this part's or has more steps than the recipe, and while another
        process trains this part in the same folder.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._folder / ".lock", timeout=0):
                self._train(watch)
        except Timeout as error:
            raise UserError(f"{self._folder} is being trained by another process; valid: another --work") from error

    def _train(self, watch: ProgressCallback) -> None:
        self._resume()
        if self._step > self._recipe.steps:
            raise UserError(f"{self._folder} has been trained for {self._step} steps already; valid: another --work")
        advance = watch(f"training {self._part.name}, steps", self._recipe.steps, self._step)
        begun, saved, losses = time.monotonic() - self._seconds, time.monotonic(), []
        while self._step < self._recipe.steps:
            losses.append(self._learn())
            self._step += 1
            self._seconds = time.monotonic() - begun
            advance(1, 0)
            last = self._step == self._recipe.steps
            if self._step % STEPS_BETWEEN_LINES == 0 or last:
                self._log(sum(losses) / len(losses))
                losses.clear()
            if last or time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                self._checkpoint()
                saved = time.monotonic()
        with self._averaged():
            self._part.save()

    def _learn(self) -> float:
        draw = torch.Generator().manual_seed((self._recipe.seed << 32) + self._step)
        for group in self._optimizer.param_groups:
            group["lr"] = self._recipe.rate_at(self._step)
        loss = self._part.loss(self._recipe.batch, draw)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._part.trained.parameters(), 1.0)
        self._optimizer.step()
        weight = 1 - self._recipe.averaging_at(self._step)
        with torch.no_grad():
            torch._foreach_lerp_(list(self._average.parameters()), list(self._part.trained.parameters()), weight)
        return loss.item()

    def _log(self, loss: float) -> None:
        line = {"step": self._step, "loss": round(loss, 6), "seconds": round(self._seconds, 1)}
        with (self._folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _checkpoint(self) -> None:
        state = {
            "step": self._step,
            "seconds": self._seconds,
            "trained": self._part.trained.state_dict(),
            "average": self._average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        torch.save(state, self._folder / ".checkpoint.partial")
        (self._folder / ".checkpoint.partial").replace(self._folder / "checkpoint.pt")
        with self._averaged():
            sheet = self._part.sheet()
        (self._folder / f"{self._step:06d}.png").write_bytes(png(sheet))

    def _resume(self) -> None:
        file = self._folder / "checkpoint.pt"
        if file.exists() and isinstance(tried := capture(self._load, file), Failure):
            raise UserError(one_line(f"{file} is not a checkpoint of this part: {tried.error}; valid: another --work"))
        # Steps after the last checkpoint are trained again.
        log = self._folder / "log.jsonl"
        lines = log.read_text(encoding="utf-8").splitlines(keepends=True) if log.exists() else []
        log.write_text(
            "".join(line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= self._step),
            encoding="utf-8",
        )

    def _load(self, file: Path) -> None:
        state = torch.load(file, weights_only=True)
        self._part.trained.load_state_dict(state["trained"])
        self._average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._step, self._seconds = state["step"], state["seconds"]

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Give the part the averaged weights while the context is open."""
        trained = self._part.trained
        learned = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
        trained.load_state_dict(self._average.state_dict())
        try:
            with torch.inference_mode():
                yield
        finally:
            trained.load_state_dict(learned)
