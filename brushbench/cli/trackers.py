"""The trackers of experiments that `--log-to` names, each through its own client, which is imported only then.

A tracker is only ever called by one thread, see `brushbench.cli.tracking`. Any of its calls may fail or hang.
"""

import importlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, final, runtime_checkable

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line, unknown

PROJECT = "brushbench"
"""The project or experiment, unless the client's own environment variable names another one."""
SHEET = "contact_sheet"
QUIET = (("MLFLOW_DISABLE_TELEMETRY", "true"), ("WANDB_ERROR_REPORTING", "false"))
"""Variables that keep clients from reporting their own use and errors, unless the user has set them."""
Values = Mapping[str, int | float]


@runtime_checkable
class TrackedRun(Protocol):
    """A run in a tracker."""

    def log(self, values: Values, step: int) -> None:
        """Log numbers after so many samples."""
        ...

    def finish(self, values: Values, picture: Path | None, *, whole: bool) -> None:
        """Log the final numbers and a PNG file, and end the run; `whole` is False if it was interrupted."""
        ...


@runtime_checkable
class Tracker(Protocol):
    """A tracker of experiments."""

    def begin(self, name: str, settings: Mapping[str, str]) -> TrackedRun:
        """Begin a run with these parameters."""
        ...


@final
class WandB:
    """Weights & Biases."""

    def __init__(self, folder: Path) -> None:
        import wandb

        if os.environ.get("WANDB_MODE", "online") == "online" and not wandb.login(prompt=False):
            raise UserError("there is no API key; run `wandb login`, or set WANDB_MODE=offline")
        self._wandb = wandb
        self._folder = folder

    def begin(self, name: str, settings: Mapping[str, str]) -> TrackedRun:
        """See `Tracker`."""
        options = self._wandb.Settings(console="off", silent=True)
        project = os.environ.get("WANDB_PROJECT", PROJECT)
        self._folder.mkdir(parents=True, exist_ok=True)
        folder = os.environ.get("WANDB_DIR", str(self._folder))
        # Runs stay open until their contact sheets are drawn, so there may be several.
        run = self._wandb.init(
            project=project, name=name, config=dict(settings), dir=folder, reinit="create_new", settings=options
        )
        return _WandBRun(run, self._wandb.Image)


@final
class _WandBRun:
    # Any: a run of wandb.
    def __init__(self, run: Any, picture: Callable[[str], Any]) -> None:
        self._run = run
        self._picture = picture

    def log(self, values: Values, step: int) -> None:
        self._run.log({**values, "samples": step})

    def finish(self, values: Values, picture: Path | None, *, whole: bool) -> None:
        self._run.summary.update(dict(values))
        if picture:
            self._run.log({SHEET: self._picture(str(picture))})
        self._run.finish(exit_code=0 if whole else 1)


@final
class MLflow:
    """MLflow."""

    def __init__(self, _folder: Path) -> None:
        from mlflow import MlflowClient

        self._client = MlflowClient()

    def begin(self, name: str, settings: Mapping[str, str]) -> TrackedRun:
        """See `Tracker`."""
        from mlflow.entities import Param

        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        known = self._client.get_experiment_by_name(experiment)
        place = known.experiment_id if known else self._client.create_experiment(experiment)
        number = self._client.create_run(place, run_name=name).info.run_id
        self._client.log_batch(number, params=[Param(key, value) for key, value in settings.items()])
        return _MLflowRun(self._client, number)


@final
class _MLflowRun:
    # Any: MLflow's client.
    def __init__(self, client: Any, number: str) -> None:
        self._client = client
        self._number = number

    def log(self, values: Values, step: int) -> None:
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        self._client.log_batch(
            self._number, metrics=[Metric(key, float(value), now, step) for key, value in values.items()]
        )

    def finish(self, values: Values, picture: Path | None, *, whole: bool) -> None:
        self.log(values, 0)
        if picture:
            self._client.log_artifact(self._number, str(picture))
        self._client.set_terminated(self._number, "FINISHED" if whole else "KILLED")


@final
class TensorBoard:
    """TensorBoard's files, in the folder `tensorboard` of the output folder."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter
        self._folder = folder / "tensorboard"

    def begin(self, name: str, settings: Mapping[str, str]) -> TrackedRun:
        """See `Tracker`."""
        from torch.utils.tensorboard import summary

        # Any: torch doesn't type these.
        hparams: Any = summary.hparams
        writer: Any = self._writer(str(self._folder / name))
        for part in hparams(dict(settings), {})[:2]:
            writer.file_writer.add_summary(part)
        for key, value in settings.items():
            writer.add_text(key, value)
        return _TensorBoardRun(writer)


@final
class _TensorBoardRun:
    # Any: a writer of TensorBoard.
    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def log(self, values: Values, step: int) -> None:
        for key, value in values.items():
            self._writer.add_scalar(key, value, step)
        self._writer.flush()

    def finish(self, values: Values, picture: Path | None, *, whole: bool) -> None:
        self.log(values, 0)
        if picture:
            import numpy as np
            from PIL import Image

            with Image.open(picture) as opened:
                self._writer.add_image(SHEET, np.asarray(opened.convert("RGB")), dataformats="HWC")
        self.log({"interrupted": int(not whole)}, 0)
        self._writer.close()


TRACKERS: Mapping[str, tuple[str, Callable[[Path], Tracker]]] = {
    "wandb": ("wandb", WandB),
    "mlflow": ("mlflow", MLflow),
    "tensorboard": ("torch.utils.tensorboard", TensorBoard),
}
"""Each tracker with the module of its client."""


def open_trackers(names: Sequence[str], folder: Path) -> dict[str, Tracker]:
    """Open trackers by name; one that keeps files beside the runs keeps them in `folder`.

    Raises `UserError` for an unknown name, for a client that isn't installed, and for one that isn't set up.
    """
    for name in names:
        if name not in TRACKERS:
            raise unknown("tracker", name, TRACKERS)
    return {name: _opened(name, folder) for name in names}


def _opened(name: str, folder: Path) -> Tracker:
    client, make = TRACKERS[name]
    # Nothing leaves the machine but what the user wants to log.
    for setting in QUIET:
        os.environ.setdefault(*setting)
    try:
        importlib.import_module(client)
    except ImportError as error:
        raise UserError(f"--log-to {name} needs its client: pip install 'brushbench[{name}]'") from error
    found = capture(make, folder)
    if isinstance(found, Failure):
        raise UserError(one_line(f"--log-to {name}: {found.error}"))
    return found
