"""Runs scored while they are generated, and the same runs scored afterwards."""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from brushbench.core.metric_info import MetricInfo
from brushbench.core.progress import silent
from brushbench.core.types import Batch, Metric
from brushbench.evaluation.evaluate import make
from brushbench.evaluation.resolve import find_configured, load_configured, task_of
from brushbench.evaluation.select_metrics import Selection
from brushbench.runs.config import RunConfig
from brushbench.runs.folder import Run

MAIN = threading.main_thread()
PATIENCE_SECONDS = 120.0


@dataclass
class Painter:
    """Paints noise, a batch after `ahead` is set when it waits for that."""

    ahead: threading.Event | None = None
    waits_at: int = 3
    failing: Sequence[str] = ()
    stop: Callable[[int], None] = lambda _call: None
    """Called with the number of each call."""
    calls: int = 0

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> torch.Tensor:
        self.calls += 1
        self.stop(self.calls)
        if self.ahead is not None and self.calls > self.waits_at:
            assert self.ahead.wait(PATIENCE_SECONDS)
        if set(self.failing) & {*batch.ids}:
            raise ValueError("can't paint this one")
        noise = [
            torch.randint(0, 256, image.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
            for image, seed in zip(batch.images, seeds, strict=True)
        ]
        return torch.where(batch.masks, torch.stack(noise), batch.images)


@dataclass
class Watching:
    """The mean level of each image; remembers in which threads it scored which samples."""

    scored: threading.Event = field(default_factory=threading.Event)
    fails: Callable[[Batch], None] = lambda _batch: None
    ahead: list[tuple[str, ...]] = field(default_factory=list)
    """The samples of each call outside of the main thread."""
    afterwards: list[tuple[str, ...]] = field(default_factory=list)

    info = MetricInfo("watching", "", higher_is_better=True, region="whole", version="1")

    def __call__(self, batch: Batch, images: torch.Tensor) -> torch.Tensor:
        (self.afterwards if threading.current_thread() is MAIN else self.ahead).append(batch.ids)
        try:
            self.fails(batch)
            return images.double().mean(dim=(1, 2, 3))
        finally:
            if threading.current_thread() is not MAIN:
                self.scored.set()


def made(
    config: RunConfig, painter: Painter, metrics: Sequence[Metric], *, overlap: bool, watch: Callable = silent
) -> Run:
    task = task_of(config)
    selected = Selection((*(task.selection.metrics if task.selection else ()), *metrics), {})
    method = replace(load_configured(config, find_configured(task)), call=painter)
    return make(replace(task, selection=selected), method, watch, lambda _task, _method: overlap)


def configured(root: Path, output: Path, **changes: object) -> RunConfig:
    fields = {"metrics": "mse,ssim@whole", "batch_size": 4, "output": output} | changes
    return RunConfig("mean-fill", "brushbench", root, **fields)


def bytes_of(run: Run) -> dict[str, object]:
    """All that has to be the same, to the last byte where a byte is stored."""
    ledger = {name: entry.model_dump(exclude={"seconds"}) for name, entry in run.ledger().items()}
    return {
        "images": {path.name: path.read_bytes() for path in (run.path / "images").iterdir()},
        "errors": sorted(path.name for path in run.path.glob("errors/*")),
        "ledger": ledger,
        "order": [json.loads(line)["id"] for line in run.ledger_path().read_text().splitlines()],
        "scores": run.scores_path().read_bytes(),
        "notes": Run.open(run.path).record.notes,
    }


def both(
    root: Path, output: Path, painters: tuple[Painter, Painter], metrics: tuple[Watching, Watching], **changes: object
) -> tuple[Run, Run]:
    """The run scored afterwards, and the one scored meanwhile."""
    kept = [
        made(configured(root, output / name, **changes), painter, [metric], overlap=name == "ahead")
        for name, painter, metric in zip(("after", "ahead"), painters, metrics, strict=True)
    ]
    return kept[0], kept[1]
