"""`--log-to`: runs in trackers of experiments, read back from the files of their own clients; all are offline."""

import builtins
import json
import struct
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import pytest
from support import assert_one_line, run_on

from brushbench.cli import tracking
from brushbench.cli.trackers import TRACKERS, TrackedRun, Values
from brushbench.reports.run_means import run_means
from brushbench.runs.folder import Run

FAILS = """
class Fails:
    def __call__(self, batch, seeds):
        if "000000001" in batch.ids:
            raise ValueError("no")
        return batch.images
"""


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlflow").as_uri())
    # What MLflow calls an old way to store is the only one without a server or a database.
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    for name in ("WANDB_PROJECT", "WANDB_DIR", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)


class Fake:
    """A tracker that keeps what it is told; calls named in `failing` fail, and those in `hanging` never end."""

    def __init__(self, failing: str = "", hanging: str = "") -> None:
        self.failing, self.hanging = failing, hanging
        self.calls: list[tuple[object, ...]] = []

    def _called(self, name: str, *arguments: object) -> None:
        self.calls.append((name, *arguments))
        if name == self.hanging:
            threading.Event().wait()
        if name == self.failing:
            raise ConnectionError("no network")

    def begin(self, name: str, settings: Mapping[str, str]) -> TrackedRun:
        self._called("begin", name, dict(settings))
        return FakeRun(self, name)

    def of(self, name: str) -> list[tuple[object, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]


class FakeRun:
    def __init__(self, fake: Fake, name: str) -> None:
        self.fake, self.name = fake, name

    def log(self, values: Values, step: int) -> None:
        self.fake._called("log", self.name, dict(values), step)

    def finish(self, values: Values, picture: Path | None, *, whole: bool) -> None:
        self.fake._called("finish", self.name, dict(values), picture, whole)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch):
    """Put a fake in the place of W&B."""

    def make(**how: str) -> Fake:
        made = Fake(**how)
        monkeypatch.setitem(TRACKERS, "wandb", ("json", lambda _folder: made))
        return made

    return make


def test_a_tracker_gets_parameters_progress_means_and_the_sheet(brushbench, write_bench, tmp_path: Path, fake) -> None:
    found = fake()
    root = write_bench(count=7)
    code, _, err = brushbench(*run_on(root, tmp_path / "runs", "--metrics", "psnr,ssim@whole", "--log-to", "wandb"))
    assert code == 0, err
    run = Run.open(tmp_path / "runs" / "brushbench-inside" / "mean-fill")
    ((name, settings),) = found.of("begin")
    assert name == "brushbench-inside/mean-fill"
    assert settings["fingerprint"] == run.record.fingerprint
    assert settings["method"] == "mean-fill"
    assert settings["requested"] == "7"
    assert settings["seed"] == "1234"
    assert found.of("log") == [
        (name, {"generating/done": 7, "generating/failed": 0}, 7),
        (name, {"scoring/done": 7, "scoring/failed": 0}, 7),
    ]
    ((_, values, picture, whole),) = found.of("finish")
    assert whole
    assert picture == run.path / "contact_sheet.png"
    assert (values["done"], values["failed"], values["missing"]) == (7, 0, 0)
    assert {key: values[key] for key in run_means(run)} == run_means(run)
    assert values["ssim.whole/n"] == values["psnr/n"] == 7
    assert values["ssim.whole/low"] < values["ssim.whole/mean"] < values["ssim.whole/high"]


def test_options_of_the_method_are_parameters(brushbench, write_bench, tmp_path: Path, fake) -> None:
    found = fake()
    asked = run_on(write_bench(count=1), tmp_path / "runs", "-o", "radius=7", method="telea")
    assert brushbench("generate", *asked[1:], "--log-to", "wandb")[0] == 0
    ((_, settings),) = found.of("begin")
    assert settings["option.radius"] == "7.0"
    ((_, values, _, _),) = found.of("finish")
    assert values == {"done": 1, "failed": 0, "missing": 0}


def test_failures_are_logged(brushbench, write_bench, tmp_path: Path, fake) -> None:
    found = fake()
    (tmp_path / "fails.py").write_text(FAILS)
    asked = run_on(
        write_bench(count=2),
        tmp_path / "runs",
        "--metrics",
        "psnr",
        "--log-to",
        "wandb",
        method=f"{tmp_path / 'fails.py'}:Fails",
    )
    assert brushbench(*asked)[0] == 3
    assert found.of("log")[0][1] == {"generating/done": 2, "generating/failed": 1}
    ((_, values, _, _),) = found.of("finish")
    assert (values["done"], values["failed"]) == (1, 1)
    # Fewer samples than six have no interval.
    assert "psnr/n" in values
    assert "psnr/low" not in values


def test_progress_is_logged_every_ten_seconds(tmp_path: Path, fake, monkeypatch: pytest.MonkeyPatch) -> None:
    found, now = fake(), [0.0]
    monkeypatch.setattr(tracking, "_settings_of", lambda _path: {"data": "d", "split": "s"})
    monkeypatch.setattr(tracking, "monotonic", lambda: now[0])
    with tracking.tracking_to("wandb", tmp_path) as following:
        advance = following.following(tmp_path / "m", lambda *_stage: lambda *_done: None)("generating x", 100, 10)
        for _ in range(45):
            now[0] += 1
            advance(2, 0)
    assert [step for _, _, step in found.of("log")] == [32, 54, 76, 98, 100]


def test_several_runs_of_one_command_are_apart(brushbench, write_bench, tmp_path: Path, fake) -> None:
    found = fake()
    asked = run_on(
        write_bench(count=1),
        tmp_path / "runs",
        "--split",
        "inside,outside",
        "--metrics",
        "psnr",
        method="mean-fill,telea",
    )
    assert brushbench(*asked, "--log-to", "wandb")[0] == 0
    names = [f"brushbench-{split}/{method}" for method in ("mean-fill", "telea") for split in ("inside", "outside")]
    assert [name for name, _ in found.of("begin")] == names
    assert [name for name, *_ in found.of("finish")] == names


def test_score_sweep_and_studies_log_too(brushbench, write_bench, tmp_path: Path, fake) -> None:
    root, found = write_bench(count=1), fake()
    asked = ("--dataset", "brushbench", "--root", root, "--metrics", "psnr", "--log-to", "wandb")
    output = tmp_path / "sweep"
    swept = brushbench("sweep", "--method", "telea", "--vary", "radius=3,5", *asked, "--output", output)
    assert swept[0] == 0, swept
    assert [settings["option.radius"] for _, settings in found.of("begin")] == ["3.0", "5.0"]

    study = tmp_path / "study.toml"
    study.write_text(
        f'[run]\nmethods = ["mean-fill"]\ndataset = "brushbench"\nroot = "{root}"\nmetrics = "psnr"\nlog-to = "wandb"\n'
    )
    found = fake()
    assert brushbench("run", study)[0] == 0
    assert [name for name, _ in found.of("begin")] == ["brushbench-inside/mean-fill"]

    found = fake()
    run = tmp_path / "runs" / "brushbench-inside" / "mean-fill"
    assert brushbench("score", run, "--metrics", "mse", "--log-to", "wandb")[0] == 0
    ((_, values, _, _),) = found.of("finish")
    assert values["mse/n"] == 1

    found = fake()
    images = run / "images"
    assert brushbench("score", "--images", images, *asked, "--output", tmp_path / "made")[0] == 0
    assert [name for name, _ in found.of("begin")] == ["brushbench-inside/external"]


@pytest.mark.parametrize("failing", ["begin", "log", "finish"])
def test_a_tracker_that_fails_costs_one_warning(
    failing: str, brushbench, write_bench, tmp_path: Path, fake, recwarn
) -> None:
    root = write_bench(count=2)
    plain = brushbench(*run_on(root, tmp_path / "plain", "--metrics", "psnr"))
    fake(failing=failing)
    asked = run_on(root, tmp_path / "runs", "--metrics", "psnr", "--log-to", "wandb,tensorboard")
    code, out, err = brushbench(*asked)
    assert code == 0
    assert out == plain[1].replace(str(tmp_path / "plain"), str(tmp_path / "runs"))
    told = [line for line in err.splitlines() if "warning" in line]
    assert told == ["warning: nothing more is logged to wandb: ConnectionError: no network"]
    # The other tracker has everything.
    assert scalars(tmp_path / "runs" / "tensorboard" / "brushbench-inside" / "mean-fill")["done"] == 2
    plain_run, run = (Run.open(tmp_path / place / "brushbench-inside" / "mean-fill") for place in ("plain", "runs"))
    assert run.record.notes == plain_run.record.notes == ()
    assert {entry.sha256 for entry in run.ledger().values()} == {entry.sha256 for entry in plain_run.ledger().values()}


def test_a_tracker_that_hangs_is_given_up(brushbench, write_bench, tmp_path: Path, fake, monkeypatch) -> None:
    monkeypatch.setattr(tracking, "PARTING_SECONDS", 0.05)
    found = fake(hanging="begin")
    code, _, err = brushbench(
        *run_on(write_bench(count=1), tmp_path / "runs", "--metrics", "psnr", "--log-to", "wandb")
    )
    assert code == 0
    assert "warning: wandb didn't take everything in time; what it lacks is in the run folders" in err
    assert [call[0] for call in found.calls] == ["begin"]


def test_a_warning_of_a_client_is_no_note_of_the_run(
    brushbench, write_bench, tmp_path: Path, fake, monkeypatch
) -> None:
    found = fake()

    def warn(name: str, settings: Mapping[str, str]) -> TrackedRun:
        import warnings

        warnings.warn("an old version", UserWarning, stacklevel=1)
        return FakeRun(found, name)

    monkeypatch.setattr(found, "begin", warn)
    code, _, err = brushbench(
        *run_on(write_bench(count=1), tmp_path / "runs", "--metrics", "psnr", "--log-to", "wandb")
    )
    assert code == 0
    assert "an old version" not in err
    assert Run.open(tmp_path / "runs" / "brushbench-inside" / "mean-fill").record.notes == ()


def test_an_interrupted_run_is_ended_as_such(brushbench, write_bench, tmp_path: Path, fake) -> None:
    found = fake()
    method = tmp_path / "stopping.py"
    method.write_text("class Stopping:\n    def __call__(self, batch, seeds):\n        raise KeyboardInterrupt\n")
    asked = run_on(
        write_bench(count=1), tmp_path / "runs", "--metrics", "psnr", "--log-to", "wandb", method=f"{method}:Stopping"
    )
    assert brushbench(*asked)[0] == 130
    ((_, values, picture, whole),) = found.of("finish")
    assert (values, picture, whole) == ({}, None, False)


@pytest.mark.parametrize(("name", "module"), [("wandb", "wandb"), ("mlflow", "mlflow"), ("tensorboard", "tensorboard")])
def test_a_missing_client_is_named_before_anything_is_generated(
    name: str, module: str, brushbench, write_bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = builtins.__import__

    def without(wanted: str, *more: object) -> ModuleType:
        if wanted.partition(".")[0] == module:
            raise ModuleNotFoundError(wanted)
        return imported(wanted, *more)

    import sys

    for loaded in [one for one in sys.modules if one.partition(".")[0] == module or "utils.tensorboard" in one]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr("sys.meta_path", [Refusing(module), *sys.meta_path])
    result = brushbench(*run_on(write_bench(count=1), tmp_path / "runs", "--log-to", name))
    assert_one_line(result, f"--log-to {name} needs its client: pip install 'brushbench[{name}]'")
    assert not (tmp_path / "runs").exists()


class Refusing:
    def __init__(self, module: str) -> None:
        self.module = module

    def find_spec(self, name: str, *_more: object) -> None:
        if name.partition(".")[0] == self.module:
            raise ModuleNotFoundError(name)


def test_an_unknown_tracker(brushbench, write_bench, tmp_path: Path) -> None:
    result = brushbench(*run_on(write_bench(count=1), tmp_path / "runs", "--log-to", "wand"))
    assert_one_line(result, "unknown tracker 'wand'", "mlflow, tensorboard, wandb")


def test_a_client_that_is_not_set_up(brushbench, write_bench, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setattr("wandb.login", lambda prompt: prompt)
    result = brushbench(*run_on(write_bench(count=1), tmp_path / "runs", "--metrics", "psnr", "--log-to", "wandb"))
    assert_one_line(result, "--log-to wandb: there is no API key; run `wandb login`, or set WANDB_MODE=offline")


def scalars(folder: Path) -> dict[str, float]:
    """The last value of each scalar in TensorBoard's files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {tag: events.Scalars(tag)[-1].value for tag in events.Tags()["scalars"]}


def logged_run(name: str, brushbench, write_bench, tmp_path: Path) -> Run:
    code, _, err = brushbench(*run_on(write_bench(count=6), tmp_path / "runs", "--metrics", "psnr", "--log-to", name))
    assert code == 0, err
    assert "warning" not in err
    return Run.open(tmp_path / "runs" / "brushbench-inside" / "mean-fill")


def test_tensorboard_s_files(brushbench, write_bench, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = logged_run("tensorboard", brushbench, write_bench, tmp_path)
    folder = tmp_path / "runs" / "tensorboard" / "brushbench-inside" / "mean-fill"
    found = scalars(folder)
    assert found["psnr/mean"] == pytest.approx(run_means(run)["psnr/mean"])
    assert (found["psnr/n"], found["done"], found["failed"], found["interrupted"]) == (6, 6, 0, 0)
    events = EventAccumulator(str(folder)).Reload()
    assert events.Tags()["images"] == ["contact_sheet"]
    texts = {tag: events.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in events.Tags()["tensors"]}
    assert texts["fingerprint/text_summary"] == run.record.fingerprint
    assert "_hparams_/session_start_info" in events.summary_metadata


def test_mlflow_s_store(brushbench, write_bench, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    run = logged_run("mlflow", brushbench, write_bench, tmp_path)
    client = MlflowClient()
    experiment = client.get_experiment_by_name("brushbench")
    assert experiment
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.run_name == "brushbench-inside/mean-fill"
    assert found.info.status == "FINISHED"
    assert found.data.params["fingerprint"] == run.record.fingerprint
    assert {key: found.data.metrics[key] for key in run_means(run)} == run_means(run)
    assert [file.path for file in client.list_artifacts(found.info.run_id)] == ["contact_sheet.png"]


def records(file: Path) -> Iterator[object]:
    """The records in an offline file of W&B, which has the format of LevelDB's log: blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, pending = file.read_bytes(), 7, b""
    while place + 7 <= len(content):
        if (left := 32768 - place % 32768) < 7:
            place += left
            continue
        length, kind = struct.unpack("<HB", content[place + 4 : place + 7])
        pending += content[place + 7 : place + 7 + length]
        place += 7 + length
        # Whole records, and the last parts of those in several blocks.
        if kind in (1, 4):
            record = Record()
            record.ParseFromString(pending)
            yield record
            pending = b""


def test_wandb_s_offline_file(brushbench, write_bench, tmp_path: Path) -> None:
    run = logged_run("wandb", brushbench, write_bench, tmp_path)
    (file,) = (tmp_path / "runs" / "wandb").glob("offline-run-*/*.wandb")
    found = list(records(file))
    begun = next(record.run for record in found if record.HasField("run"))
    assert (begun.project, begun.display_name) == ("brushbench", "brushbench-inside/mean-fill")
    config = {item.key: json.loads(item.value_json) for item in begun.config.update}
    assert config["fingerprint"] == run.record.fingerprint
    summary = {
        item.key or "/".join(item.nested_key): json.loads(item.value_json)
        for record in found
        if record.HasField("summary")
        for item in record.summary.update
    }
    assert {key: summary[key] for key in run_means(run)} == run_means(run)
    pictures = list(file.parent.glob("files/media/images/contact_sheet*.png"))
    assert [picture.read_bytes() for picture in pictures] == [(run.path / "contact_sheet.png").read_bytes()]
