"""Where scoring while others are still generated is done, and what is seen of it."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from overlapping import MAIN, Painter, Watching, bytes_of, configured, made
from tiny_metrics import clip_folder

from brushbench.core.progress import Advance
from brushbench.core.registry import method_info
from brushbench.evaluation import overlap
from brushbench.evaluation.evaluate import preflight
from brushbench.evaluation.overlap import Ahead, may_overlap, overlaps
from brushbench.evaluation.resolve import find_configured, load_configured, task_of
from brushbench.evaluation.select_metrics import Selection, load_metric
from brushbench.runs.config import Shard
from brushbench.runs.folder import Run
from brushbench.weights.memory import any_loaded, release


def test_progress_is_told_from_one_thread_stage_after_stage(tmp_path: Path, write_bench) -> None:
    told: list[tuple[object, ...]] = []

    def watch(stage: str, total: int, finished: int) -> Advance:
        assert threading.current_thread() is MAIN
        told.append((stage.partition(" ")[0], total, finished))

        def advance(done: int, failed: int) -> None:
            assert threading.current_thread() is MAIN
            told.append((done, failed))

        return advance

    ahead, root = Watching(), write_bench(count=30)
    failing = ("000000003",)
    made(configured(root, tmp_path / "after"), Painter(failing=failing), [Watching()], overlap=False, watch=watch)
    expected = told.copy()
    told.clear()
    painter = Painter(ahead.scored, 7, failing=failing)
    made(configured(root, tmp_path / "ahead"), painter, [ahead], overlap=True, watch=watch)
    assert ahead.ahead
    assert told == expected


def test_it_is_done_on_a_large_gpu_where_nothing_is_disturbed(
    tmp_path: Path, write_bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, large = write_bench(count=2), 80 * 10**9

    def may(total: int = large, **changes: object) -> bool:
        return may_overlap(task_of(configured(root, tmp_path, **changes)), lambda _: total)

    assert not may(), "on the CPU"
    monkeypatch.setattr(overlap, "device_named", lambda _name: torch.device("cuda:0"))
    assert may()
    assert not may(total=12 * 10**9)
    assert not may(shard=Shard(1, 2))
    assert not may(engine="ray")
    (tmp_path / "own.py").write_text("class Own:\n    def __call__(self, batch, seeds):\n        return batch.images\n")
    task = task_of(configured(root, tmp_path))
    assert not may_overlap(replace(task, config=replace(task.config, method=f"{tmp_path}/own.py:Own")), lambda _: large)
    assert not may_overlap(replace(task, selection=Selection((load_metric("mse"), Watching()), {})), lambda _: large)
    assert not may_overlap(replace(task, selection=None), lambda _: large)
    monkeypatch.setattr(overlap, "may_overlap", lambda _task: True)
    loaded = replace(load_configured(task.config, find_configured(task)), device="cuda:0")
    assert overlaps(task, loaded)
    for without in ({"device": "cpu"}, {"device": ""}, {"compute": "fast-1"}, {"offload": "model"}):
        assert not overlaps(task, replace(loaded, **without))


@pytest.mark.slow
def test_several_methods_and_splits_on_the_command_line(
    brushbench, tmp_path: Path, write_bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, taken = write_bench(count=20), []
    chosen = ("--method", "mean-fill,telea", "--split", "inside,outside", "--metrics", "mse,seam", "--batch-size", 4)

    def run(output: Path) -> tuple[str, dict[str, object]]:
        code, out, err = brushbench("run", *chosen, "--dataset", "brushbench", "--root", root, "--output", output)
        assert code == 0, err
        folders = sorted(file.parent for file in output.rglob("run.json"))
        return out.replace(str(output), "output"), {str(f.relative_to(output)): bytes_of(Run.open(f)) for f in folders}

    def take(ahead: Ahead, *arguments: object) -> object:
        found = real(ahead, *arguments)
        taken.append(found is not None)
        return found

    plain = run(tmp_path / "after")
    real = Ahead.take
    monkeypatch.setattr(Ahead, "take", take)
    monkeypatch.setattr("brushbench.evaluation.evaluate.overlaps", lambda _task, _method: True)
    assert run(tmp_path / "ahead") == plain
    assert len(plain[1]) == 4
    assert len(taken) == 4 * 3


def test_networks_stay_warm_where_they_are_needed_meanwhile(
    tmp_path: Path, write_bench, golden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = clip_folder(golden, tmp_path / "clip")
    config = configured(write_bench(count=1), tmp_path, metrics="clip", metric_options={"clip": {"model": str(model)}})
    release()
    preflight(task_of(config))
    assert not any_loaded()
    monkeypatch.setattr("brushbench.evaluation.evaluate.may_overlap", lambda _task: True)
    preflight(task_of(config))
    assert any_loaded()
    release()


def test_methods_and_metrics_leave_settings_of_the_process_alone() -> None:
    """Or say so, as `MethodInfo.process_wide`: another thread may be computing."""
    switches = (
        *("use_deterministic_algorithms", "set_default_dtype", "set_float32_matmul_precision", "set_num_threads"),
        *("sdpa_kernel", "backends.", "torch.manual_seed", "torch.seed(", "simplefilter", "filterwarnings"),
    )
    folders = [Path(__file__).parents[1] / name for name in ("baselines", "metrics")]
    files = [file for folder in folders for file in folder.rglob("*.py") if "papercut" not in file.parts]
    assert len(files) > 30
    found = [(file.parent.name, switch) for file in files for switch in switches if switch in file.read_text()]
    assert found == [("lama", "backends.")]
    assert {name for name, switch in found if not method_info(name).process_wide} == set()
