"""Scores from the workers of a cluster are those of a single process, to the byte, whatever happens to the workers."""

import functools
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fake_cluster import FakePool, Say, loaded_with, made_by, pool_for, pool_of, scored_by
from support import assert_one_line, run_on

from brushbench.core.errors import UserError
from brushbench.evaluation.cluster.messages import Assignment, FolderSeen, Loaded, WorkerError
from brushbench.evaluation.cluster.scoring import ScoringIdentity
from brushbench.evaluation.cluster.scoring_work import ScoringWork
from brushbench.evaluation.evaluate import generate, score
from brushbench.runs.config import RunConfig
from brushbench.runs.folder import Run

METRIC = """
import warnings
from dataclasses import dataclass
import torch
from brushbench.core.metric_info import MetricInfo

@dataclass(frozen=True)
class Placed:
    # Every score depends on its place in the batch and on the batch's size, as in half precision.
    info: MetricInfo = MetricInfo("placed", "", True, "whole", "1")

    def __call__(self, batch, images):
        warnings.warn("the metric is a test's")
        means = images.double().mean(dim=(1, 2, 3))
        return means + torch.arange(len(batch), dtype=torch.float64) + 100 * len(batch)

    def notes(self, batch):
        return [f"scored with {len(batch)}"] * len(batch)
"""
METHOD = """
def generated(batch, seeds):
    if '000000004' in batch.ids:
        raise ValueError('no')
    return batch.images.flip(3)
"""
SAMPLES = 27
ON_PAPERCUT = ["psnr", "ssim", "mse", "papercut-clip", "seam"]
LPIPS = Path(__file__).parent / "golden/metrics/lpips/squeezenet1_1_features.fp16.safetensors"


@pytest.fixture
def metrics(tmp_path: Path) -> list[str]:
    (tmp_path / "placed.py").write_text(METRIC)
    return ["psnr", "ssim@whole", f"{tmp_path}/placed.py:Placed"]


@pytest.fixture
def run(tmp_path: Path, write_bench) -> Run:
    """With an image that is gone, one that was changed, and one that failed."""
    (tmp_path / "method.py").write_text(METHOD)
    root = write_bench(count=SAMPLES)
    made = generate(
        RunConfig(f"{tmp_path}/method.py:generated", "brushbench", root, output=tmp_path / "runs", batch_size=1)
    )
    (made.path / "images" / "000000009.png").unlink()
    shutil.copy(made.path / "images" / "000000001.png", made.path / "images" / "000000012.png")
    return made


@pytest.fixture
def whole(run: Run, metrics: list[str], tmp_path: Path) -> bytes:
    """The scores of a single process."""
    shutil.copytree(run.path, tmp_path / "whole")
    return score(tmp_path / "whole", metrics).scores_path().read_bytes()


def of(**more: object) -> Callable[[object], FakePool]:
    """Makes a pool, and remembers it."""

    def make(errand: object) -> FakePool:
        make.pool = pool_of(errand, **more)
        return make.pool

    return make


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_any_number_of_workers_makes_the_scores_of_one_process(
    workers: int, run: Run, metrics: list[str], whole: bytes, tmp_path: Path
) -> None:
    make = of(room=workers)
    scored_by(run, make, metrics=metrics)
    assert run.scores_path().read_bytes() == whole
    assert len({name for name, _ in make.pool.handed_out}) == min(workers, 4)
    assert Run.open(run.path).record.notes == Run.open(tmp_path / "whole").record.notes
    assert not list(run.path.glob(".scoring-*"))


def test_only_what_lacks_a_score_is_handed_out(run: Run, metrics: list[str], tmp_path: Path) -> None:
    score(run.path, metrics[:2])
    shutil.copytree(run.path, tmp_path / "whole")
    (tmp_path / "placed.py").write_text(METRIC.replace("100 *", "200 *"))
    expected = score(tmp_path / "whole", metrics[2:]).scores_path().read_bytes()
    make, given = of(room=2), []
    scored_by(run, lambda errand: watched(make(errand), given), metrics=metrics[2:])
    assert run.scores_path().read_bytes() == expected
    assert {name for each in given for part in each.parts.values() for name in part.metrics} == {"placed"}


def watched(pool: FakePool, given: list[Assignment]) -> FakePool:
    """Keeps what is handed out."""
    do = pool.do
    pool.do = lambda name, assignment: (given.append(assignment), do(name, assignment))
    return pool


@pytest.mark.parametrize("seed", range(6))
def test_workers_that_end_freeze_and_join_at_random(seed: int, run: Run, metrics: list[str], whole: bytes) -> None:
    draw = random.Random(seed)

    def breaks(pool: FakePool) -> None:
        sound = sorted({*pool.there} - pool.frozen)
        if len(sound) > 1 and draw.random() < 0.7:
            draw.choice([pool.end, pool.frozen.add])(draw.choice(sound))
        else:
            pool.room += 1

    plan = [(draw.uniform(1, 9), breaks) for _ in range(5)]
    scored_by(run, of(room=3, plan=plan, slow={"worker 1": 8.0}), metrics=metrics)
    assert run.scores_path().read_bytes() == whole


def test_a_worker_that_does_not_see_the_run_folder_gets_the_images(
    run: Run, metrics: list[str], whole: bytes, tmp_path: Path
) -> None:
    given: list[Assignment] = []

    def make(errand: object) -> FakePool:
        pool = watched(pool_of(errand, room=2), given)
        share = pool.share
        pool.share = lambda name, folder, token: share(
            name, str(tmp_path / "elsewhere") if name == "worker 2" else folder, token
        )
        return pool

    scored_by(run, make, metrics=metrics)
    assert run.scores_path().read_bytes() == whole
    sent = [each for each in given if each.images is not None]
    assert 0 < len(sent) < len(given)
    for each in sent:
        ids = {entry.id for part in each.parts.values() for entry in part.entries.values() if entry}
        assert {*each.images} == ids - {"000000004", "000000009"}


def test_a_worker_in_another_folder_of_the_same_name_does_not_read_from_it(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "elsewhere")
    errands: list[Assignment] = []

    def make(errand: object) -> FakePool:
        pool = watched(pool_of(errand, room=1), errands)
        share = pool.share
        pool.share = lambda name, _, token: share(name, str(tmp_path / "elsewhere"), token)
        return pool

    scored_by(run, make, metrics=["mse"])
    assert all(each.images for each in errands)


def test_messages_to_it_have_few_images(run: Run, metrics: list[str], whole: bytes, monkeypatch) -> None:
    monkeypatch.setattr("brushbench.evaluation.cluster.scoring_work.MOST_BYTES", 1)
    make, given = of(room=1, seconds=0.01), []

    def blind(errand: object) -> FakePool:
        pool = watched(make(errand), given)
        pool.share = lambda name, _folder, _token: pool.later(name, "share", FolderSeen(False), 0.1)
        return pool

    scored_by(run, blind, metrics=metrics)
    assert run.scores_path().read_bytes() == whole
    assert {len(each.parts) for each in given} == {1}


def test_a_worker_with_other_weights_of_a_metric_is_left_out_and_named(run: Run, metrics: list[str], whole) -> None:
    def other(loaded: Loaded) -> Loaded:
        assert isinstance(loaded.identity, ScoringIdentity)
        changed = {"metrics": loaded.identity.metrics | {"psnr": "2 0"}, "code": {"placed": "0" * 64}}
        return replace(loaded, identity=loaded.identity.model_copy(update=changed))

    say = Say()
    scored_by(run, of(loads=loaded_with(other), machine=lambda name: f"node{name[-1]}"), say, metrics=metrics)
    assert run.scores_path().read_bytes() == whole
    told = "worker 2 (node2, process 101) is left out: it differs from the other workers in "
    assert say.lines == [f"{told}metric psnr ('1' and '2 0'), the file of metric placed"]


def test_workers_with_other_weights_than_this_machine_score_nothing(run: Run) -> None:
    def other(_name: str, answer: object) -> object:
        if not isinstance(answer, Loaded):
            return answer
        return replace(answer, identity=answer.identity.model_copy(update={"metrics": {"psnr": "2"}}))

    told = r"^this machine and most workers differ in metric psnr \('1' and '2'\); valid: the same on every machine$"
    with pytest.raises(UserError, match=told):
        scored_by(run, of(loads=other), metrics=["psnr"])
    assert not run.scores_path().exists()


def test_a_machine_that_lacks_weights_is_named_and_done_without(run: Run, metrics: list[str], whole: bytes) -> None:
    say, lacking = Say(), WorkerError("metric clip: its weights are not on this machine")
    make = of(loads=lambda name, answer: lacking if name == "worker 3" else answer)
    scored_by(run, make, say, metrics=metrics)
    assert run.scores_path().read_bytes() == whole
    assert say.lines == [f"worker 3 (node1, process 102) is left out: {lacking.text}"]


def test_a_network_that_no_worker_can_load_ends_scoring_with_its_name(run: Run, tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(LPIPS.read_bytes()[:-1000])
    asked = {"metrics": ["lpips"], "options": {"lpips": {"backbone": str(tmp_path / "broken.safetensors")}}}
    with pytest.raises(UserError, match=r"^node1: metric lpips can't be computed: .*broken.safetensors"):
        scored_by(run, of(room=2), **asked)
    assert not run.scores_path().exists()


def test_ctrl_c_lets_other_processes_score_and_leaves_nothing_behind(run: Run, metrics: list[str], whole) -> None:
    def interrupts(_pool: FakePool) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scored_by(run, of(room=1, plan=[(2.5, interrupts)]), metrics=metrics)
    assert not list(run.path.glob(".scoring-*"))
    assert score(run, metrics).scores_path().read_bytes() == whole


def test_what_a_killed_process_leaves_behind_is_tidied_up(run: Run, monkeypatch) -> None:
    monkeypatch.setattr(ScoringWork, "release", lambda _work: None)
    scored_by(run, of(room=1), metrics=["mse"])
    assert len(list(run.path.glob(".scoring-*"))) == 1
    run.tidy()
    assert not list(run.path.glob(".scoring-*"))


def test_a_complete_run_needs_no_cluster(brushbench, run: Run, write_bench, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "method.py").write_text(METHOD.replace("000000004", "none"))
    config = RunConfig(f"{tmp_path}/method.py:generated", "brushbench", tmp_path / "bench", output=tmp_path / "more")
    made = score(generate(config), ["psnr"])
    monkeypatch.setattr("brushbench.evaluation.ray.connect", lambda: pytest.fail("connected"))
    code, out, _ = brushbench("score", made.path, "--metrics", "psnr", "--engine", "ray", "--workers", 2)
    assert (code, "psnr" in out.lower()) == (0, True)


def test_workers_without_a_cluster_are_refused(brushbench, run: Run) -> None:
    told = "workers, store and fetch are options of a cluster; valid with them: engine ray"
    assert_one_line(brushbench("score", run.path, "--workers", 2), told)


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_a_real_cluster_makes_images_and_scores_of_one_process(brushbench, write_bench, tmp_path: Path) -> None:
    import ray

    root = write_bench(count=20)
    asked = ("--metrics", "psnr,ssim,lpips", "--metric-option", f"lpips.backbone={LPIPS}")
    assert brushbench(*run_on(root, tmp_path / "whole", *asked))[0] == 0
    try:
        result = brushbench(*run_on(root, tmp_path / "runs", *asked, "--engine", "ray", "--workers", 2))
        assert result[0] == 0, result
        runs = [tmp_path / name / "brushbench-inside" / "mean-fill" for name in ("whole", "runs")]
        expected, found = (run / "scores.parquet" for run in runs)
        assert found.read_bytes() == expected.read_bytes()
        found.unlink()
        assert brushbench("score", runs[1], *asked, "--engine", "ray", "--workers", 3)[0] == 0
        assert found.read_bytes() == expected.read_bytes()
    finally:
        ray.shutdown()


def sums(run: Run) -> dict[str, str | None]:
    """The digest of each image, by sample."""
    return {name: entry.sha256 for name, entry in sorted(Run.open(run.path).intact().items())}


@pytest.fixture(scope="module")
def papercut(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], RunConfig]:
    """The configuration of a run on PaperCut, in a folder of its own."""
    folder = tmp_path_factory.mktemp("papercut")
    asked = {
        "brushnet": {"weights": "papercut", "steps": 2, "limit": 5, "batch_size": 2},
        "telea": {"limit": 20, "batch_size": 3},
    }
    return lambda method: RunConfig(method, "papercut", device="cpu", output=folder, **asked[method])


@pytest.fixture(scope="module")
def alone(papercut) -> Callable[[str], Run]:
    """The run that a single process makes and scores."""
    return functools.cache(lambda method: score(generate(papercut(method)), ON_PAPERCUT))


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("method", ["telea", "brushnet"])
def test_papercut_has_images_and_scores_of_one_process(
    method: str, workers: int, papercut, alone, tmp_path: Path
) -> None:
    expected = alone(method)
    config = replace(papercut(method), output=tmp_path / "cluster")
    pool = pool_for(config, room=workers)
    run = made_by(config, pool)
    scored_by(run, of(room=workers), metrics=ON_PAPERCUT)
    assert sums(run) == sums(expected)
    assert run.scores_path().read_bytes() == expected.scores_path().read_bytes()
    assert len({name for name, _ in pool.handed_out}) == min(workers, 3 if method == "brushnet" else 7)


def test_images_that_end_every_worker_end_scoring_with_their_names(run: Run, metrics: list[str]) -> None:
    def make(errand: object) -> FakePool:
        pool = pool_of(errand, room=2)
        do = pool.do

        def ending(name: str, assignment: Assignment) -> None:
            do(name, assignment)
            if 2 in assignment.numbers:
                pool.end(name)

        pool.do = ending
        return pool

    with pytest.raises(UserError, match="every worker that scores these samples ends: 000000016, 000000017, "):
        scored_by(run, make, metrics=metrics)
    assert not run.scores_path().exists()


def test_images_that_find_no_room_are_sent_again(run: Run, metrics: list[str], whole: bytes) -> None:
    scored_by(run, of(room=2, full_until=9.0), metrics=metrics)
    assert run.scores_path().read_bytes() == whole


def test_an_object_store_that_stays_full_ends_scoring(run: Run, metrics: list[str]) -> None:
    told = "object store is full: ObjectStoreFullError: no room; valid: more memory, or a run folder that all nodes see"
    with pytest.raises(UserError, match=told):
        scored_by(run, of(room=1, full_until=1e9), metrics=metrics)


FATAL = """
import os
import signal
from placed import Placed as Sound

class Placed(Sound):
    def __call__(self, batch, images):
        try:
            os.close(os.open(FLAG, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return super().__call__(batch, images)
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_a_worker_of_a_real_cluster_dies_while_it_scores(brushbench, write_bench, metrics, tmp_path: Path) -> None:
    import ray

    flag = tmp_path / "flag"
    (tmp_path / "fatal.py").write_text(FATAL.replace("FLAG", repr(str(flag))))
    asked = ("--metrics", f"psnr,{tmp_path}/fatal.py:Placed")
    data = ("--dataset", "brushbench", "--root", write_bench(count=20))
    flag.touch()
    pictures = tmp_path / "bench" / "images"
    assert brushbench("score", "--images", pictures, *data, "--output", tmp_path / "whole", *asked)[0] == 0
    flag.unlink()
    engine = ("--engine", "ray", "--workers", 2)
    try:
        code, _, err = brushbench("score", "--images", pictures, *data, "--output", tmp_path / "runs", *asked, *engine)
    finally:
        ray.shutdown()
    assert code == 0, err
    assert flag.exists(), "no worker has died"
    found = [tmp_path / name / "brushbench-inside" / "external" / "scores.parquet" for name in ("whole", "runs")]
    assert found[0].read_bytes() == found[1].read_bytes()
