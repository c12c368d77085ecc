"""Scoring while others are still generated: every byte is the one of scoring afterwards, whatever goes wrong."""

import json
import signal
import threading
import warnings
from pathlib import Path

import pytest
import torch
from overlapping import MAIN, Painter, Watching, both, bytes_of, configured, made
from tiny_metrics import clip_folder

from brushbench.core.machine import terminable
from brushbench.core.progress import silent
from brushbench.core.types import Batch
from brushbench.datasets.open import load_dataset
from brushbench.evaluation.overlap import Ahead
from brushbench.evaluation.score import Scoring
from brushbench.evaluation.select_metrics import Selection, load_metric
from brushbench.runs.folder import Run
from brushbench.weights.memory import any_loaded, release


def test_scores_computed_meanwhile_are_those_computed_afterwards(tmp_path: Path, write_bench) -> None:
    after, ahead = Watching(), Watching()
    failing = ("000000003", "000000009")
    painters = Painter(failing=failing), Painter(ahead.scored, failing=failing, waits_at=12)
    plain, meanwhile = both(write_bench(count=30), tmp_path, painters, (after, ahead))
    assert bytes_of(meanwhile) == bytes_of(plain)
    assert not after.ahead
    assert ahead.ahead
    # The parts are the same, whoever scores them.
    assert ahead.ahead + ahead.afterwards == after.afterwards


def test_pictures_of_several_sizes_share_parts_as_they_do_afterwards(tmp_path: Path, write_bench) -> None:
    root = write_bench(count=9)
    small = write_bench_of(tmp_path / "small", 48)
    mapping, others = (json.loads((folder / "mapping_file.json").read_text()) for folder in (root, small))
    for name, row in others.items():
        (small / row["image"]).rename(root / "images" / f"small{name}.png")
        mapping[f"small{name}"] = row | {"image": f"images/small{name}.png"}
    (root / "mapping_file.json").write_text(json.dumps(dict(sorted(mapping.items(), key=lambda pair: pair[0][-1]))))
    after, ahead = Watching(), Watching()
    plain, meanwhile = both(root, tmp_path, (Painter(), Painter(ahead.scored)), (after, ahead))
    assert bytes_of(meanwhile) == bytes_of(plain)
    assert ahead.ahead
    assert ahead.ahead + ahead.afterwards == after.afterwards


def write_bench_of(root: Path, side: int) -> Path:
    from conftest import write_benchmark

    return write_benchmark(root, count=9, side=side)


def test_a_resumed_run_with_more_metrics_and_a_lost_image_is_the_same(tmp_path: Path, write_bench) -> None:
    root = write_bench(count=30)
    after, ahead = Watching(), Watching()
    for name, painter, metric in (("after", Painter(), after), ("ahead", Painter(ahead.scored, 2), ahead)):
        first = made(configured(root, tmp_path / name, limit=11, metrics="mse"), Painter(), [], overlap=False)
        (first.path / "images" / "000000002.png").unlink()
        made(configured(root, tmp_path / name), painter, [metric], overlap=name == "ahead")
    runs = [Run.open(tmp_path / name / "brushbench-inside" / "mean-fill") for name in ("after", "ahead")]
    assert bytes_of(runs[1]) == bytes_of(runs[0])
    assert ahead.ahead
    assert ahead.ahead + ahead.afterwards == after.afterwards


def test_an_image_that_comes_out_differently_is_scored_again(tmp_path: Path, write_bench) -> None:
    """The parts were planned with the scores that the image had: none of them is taken."""
    root = write_bench(count=20)
    for name in ("after", "ahead"):
        config = configured(root, tmp_path / name)
        made(config, Painter(), [Watching()], overlap=False)
        folder = tmp_path / name / "brushbench-inside" / "mean-fill"
        (folder / "images" / "000000001.png").unlink()
        other = Painter(failing=["000000001"])
        made(config, other, [Watching()], overlap=name == "ahead")
    runs = [Run.open(tmp_path / name / "brushbench-inside" / "mean-fill") for name in ("after", "ahead")]
    assert bytes_of(runs[1]) == bytes_of(runs[0])


def test_a_metric_that_raises_is_settled_afterwards(tmp_path: Path, write_bench) -> None:
    def broken(batch: Batch) -> None:
        if "000000004" in batch.ids:
            raise ValueError("not this one")

    after, ahead = Watching(fails=broken), Watching(fails=broken)
    plain, meanwhile = both(write_bench(count=30), tmp_path, (Painter(), Painter(ahead.scored)), (after, ahead))
    assert bytes_of(meanwhile) == bytes_of(plain)
    assert ahead.afterwards[: len(after.afterwards)] != ahead.ahead
    assert len(ahead.ahead[0]) == 8


def test_where_memory_runs_short_all_the_rest_is_scored_afterwards(tmp_path: Path, write_bench) -> None:
    def short(_batch: Batch) -> None:
        if threading.current_thread() is not MAIN:
            raise torch.OutOfMemoryError("too much at once")

    ahead = Watching(fails=short)
    painters = Painter(), Painter(ahead.scored)
    plain, meanwhile = both(write_bench(count=30), tmp_path, painters, (Watching(), ahead))
    assert bytes_of(meanwhile) == bytes_of(plain)
    assert len(ahead.ahead) == 1


def test_a_method_that_runs_out_of_memory_gets_that_of_the_metrics(tmp_path: Path, write_bench, golden: Path) -> None:
    model = clip_folder(golden, tmp_path / "clip")

    def needs_room(_call: int) -> None:
        if any_loaded():
            raise torch.OutOfMemoryError("no room beside a network")

    root, clip = write_bench(count=10), load_metric("clip", model=model)
    release()
    plain = made(configured(root, tmp_path / "after"), Painter(), [clip], overlap=False)
    painter = Painter(stop=needs_room)
    meanwhile = made(configured(root, tmp_path / "ahead"), painter, [clip], overlap=True)
    assert bytes_of(meanwhile) == bytes_of(plain)
    assert painter.calls == 4
    # Networks that an earlier run left behind give way, too.
    assert any_loaded()
    again = made(configured(root, tmp_path / "again"), Painter(stop=needs_room), [clip], overlap=False)
    assert bytes_of(again) == bytes_of(plain)


@pytest.mark.parametrize("end", ["Ctrl-C", "SIGTERM", "an error"])
def test_a_run_that_is_ended_keeps_its_images_and_resumes(end: str, tmp_path: Path, write_bench) -> None:
    def ending(call: int) -> None:
        if call == 5 and end == "SIGTERM":
            signal.raise_signal(signal.SIGTERM)
        if call == 5:
            raise KeyboardInterrupt

    def failing(*_arguments: object) -> None:
        raise OSError("the disk is gone")

    root = write_bench(count=30)
    plain = made(configured(root, tmp_path / "after"), Painter(), [Watching()], overlap=False)
    config, first = configured(root, tmp_path / "ahead"), Watching()
    before = set(threading.enumerate())
    with pytest.MonkeyPatch.context() as patch, terminable():
        painter = Painter(first.scored, 3, stop=ending)
        if end == "an error":
            inpainted = "brushbench.evaluation.batch_inpainting.BatchInpainter._inpainted"
            patch.setattr(painter, "stop", lambda call: patch.setattr(inpainted, failing) if call == 4 else None)
        with pytest.raises(OSError if end == "an error" else KeyboardInterrupt):
            made(config, painter, [first], overlap=True)
    # The thread that keeps the run's owner alive is told to end, and may take a moment.
    assert [thread.name for thread in threading.enumerate() if thread not in before and thread.name != "beat"] == []
    assert first.ahead
    folder = tmp_path / "ahead" / "brushbench-inside" / "mean-fill"
    assert len(Run.open(folder).intact()) == 16
    assert not Run.open(folder).scores_path().exists()
    second = Watching()
    meanwhile = made(config, Painter(second.scored, 2), [second], overlap=True)
    assert bytes_of(meanwhile) == bytes_of(plain)


def test_a_run_with_too_many_failures_is_scored_as_far_as_it_came(tmp_path: Path, write_bench) -> None:
    failing = tuple(f"{index:09d}" for index in range(17, 30))
    ahead = Watching()
    painters = Painter(failing=failing), Painter(ahead.scored, failing=failing)
    plain, meanwhile = both(write_bench(count=40), tmp_path, painters, (Watching(), ahead), max_failures=3)
    assert bytes_of(meanwhile) == bytes_of(plain)
    assert ahead.ahead
    assert len(meanwhile.ledger()) < 40


def test_an_image_of_the_wrong_size_is_reported(tmp_path: Path, write_bench) -> None:
    run = made(configured(write_bench(count=9), tmp_path), Painter(), [], overlap=False)
    run.scores_path().unlink()
    other = load_dataset("brushbench", root=write_bench_of(tmp_path / "small", 48))
    watching = Watching()
    selection = Selection((load_metric("mse"), watching), {})
    plain = Scoring(run, other, selection)
    plain(silent)
    expected, wrong = run.scores_path().read_bytes(), plain.wrong_sizes
    run.scores_path().unlink()
    ahead = Ahead(other, selection)
    with ahead.during(run, []):
        pass
    taken: list[bool] = []

    def take(*arguments: object) -> object:
        found = ahead.take(*arguments)
        taken.append(found is not None)
        return found

    meanwhile = Scoring(run, other, selection, ahead=take)
    meanwhile(silent)
    assert run.scores_path().read_bytes() == expected
    assert meanwhile.wrong_sizes == wrong
    assert len(wrong) == 9
    assert taken[0]


def test_notes_stand_where_they_stood(tmp_path: Path, write_bench) -> None:
    def odd(batch: Batch) -> None:
        warnings.warn(f"a metric finds {batch.ids[0]} odd", stacklevel=1)

    def loud(call: int) -> None:
        warnings.warn(f"call {call} of the method", stacklevel=1)

    ahead = Watching(fails=odd)
    painters = Painter(stop=loud), Painter(ahead.scored, stop=loud)
    plain, meanwhile = both(write_bench(count=30), tmp_path, painters, (Watching(fails=odd), ahead))
    assert ahead.ahead
    notes = Run.open(meanwhile.path).record.notes
    assert notes == Run.open(plain.path).record.notes
    assert [note.split()[1] for note in notes] == [*map(str, range(1, 9)), *["metric"] * 4]
