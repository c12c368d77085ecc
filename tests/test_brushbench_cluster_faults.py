"""Whatever happens to the workers of a cluster, the run is complete and has the bytes of a single process."""

import errno
import json
import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fake_cluster import FakePool, Say, loaded_with, made_by, pool_for
from support import assert_one_line, run_on

from brushbench.core.errors import UserError
from brushbench.core.machine import refusal
from brushbench.evaluation.cluster.driver import Patience
from brushbench.evaluation.cluster.messages import EncodedResult, Loaded, WorkerError
from brushbench.evaluation.evaluate import generate
from brushbench.runs.config import RunConfig
from brushbench.runs.folder import Run

NOISE = """
import torch

def generated(batch, seeds):
    # Every image depends on its place in the batch and on the batch's size, as in half precision.
    noise = [
        torch.randint(0, 256, image.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
        + 10 * place + len(batch)
        for place, (image, seed) in enumerate(zip(batch.images, seeds))
    ]
    return torch.where(batch.masks, torch.stack(noise), batch.images)
"""
SAMPLES = 15


@pytest.fixture
def config(tmp_path: Path, write_bench) -> RunConfig:
    (tmp_path / "noise.py").write_text(NOISE)
    method = f"{tmp_path}/noise.py:generated"
    return RunConfig(method, "brushbench", write_bench(count=SAMPLES), output=tmp_path / "cluster", batch_size=2)


@pytest.fixture
def whole(config: RunConfig, tmp_path: Path) -> dict[str, str | None]:
    return digests(generate(replace(config, output=tmp_path / "whole")))


def digests(run: Run) -> dict[str, str | None]:
    """The digest of each image, which is what is on the disk."""
    entries = Run.open(run.path).intact()
    lines = (run.path / "samples.jsonl").read_text().splitlines()
    assert len(lines) == len(entries)
    return {name: entries[name].sha256 for name in sorted(entries)}


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_any_number_of_workers_makes_the_bytes_of_one_process(workers: int, config: RunConfig, whole) -> None:
    pool = pool_for(config, room=workers)
    run = made_by(config, pool)
    assert digests(run) == whole
    assert len({name for name, _ in pool.handed_out}) == workers
    lines = (run.path / "workers.jsonl").read_text()
    assert lines.count('"began"') == lines.count('"finished": true') == workers
    assert not (run.path / ".owners").exists()


@pytest.mark.parametrize("seed", range(12))
def test_workers_that_end_freeze_and_join_at_random(seed: int, config: RunConfig, whole) -> None:
    draw = random.Random(seed)

    def ends(pool: FakePool) -> None:
        if len(pool.there) > 1:
            pool.end(draw.choice(pool.there))

    def freezes(pool: FakePool) -> None:
        if len({*pool.there} - pool.frozen) > 1:
            pool.frozen.add(draw.choice(pool.there))

    def joins(pool: FakePool) -> None:
        pool.room += 1

    def loses_its_machine(pool: FakePool) -> None:
        pool.room = max(1, pool.room - 1)
        for name in pool.there[:2]:
            pool.end(name)

    faults = [(draw.uniform(0, 8), draw.choice([ends, freezes, joins, loses_its_machine])) for _ in range(4)]
    pool = pool_for(config, plan=faults, slow={"worker 2": draw.choice([1, 10])})
    assert digests(made_by(config, pool)) == whole
    assert not pool.plan or pool.now < 8
    assert not pool.there


def test_a_worker_that_freezes_for_good_is_done_without_and_named(config: RunConfig, whole) -> None:
    pool, say = pool_for(config, room=2, plan=[(2.5, lambda pool: pool.frozen.add("worker 1"))]), Say()
    run = made_by(config, pool, say)
    assert digests(run) == whole
    assert pool.now < 20
    assert say.lines[-1] == "done without worker 1 (node1, process 100), which had not answered yet"
    lines = (run.path / "workers.jsonl").read_text()
    assert (lines.count('"began"'), lines.count('"finished": true'), lines.count('"finished": false')) == (2, 1, 1)


def test_the_only_worker_freezes_and_another_takes_its_place(config: RunConfig, whole) -> None:
    pool, say = pool_for(config, room=1, plan=[(1.5, lambda pool: pool.frozen.add("worker 1"))]), Say()
    assert digests(made_by(config, pool, say)) == whole
    assert 60 < pool.now < 90
    assert "worker 1 (node1, process 100) was lost" in say.lines[0]
    assert "it hasn't answered for 60 s" in say.lines[0]


def test_a_late_worker_is_said_to_be_and_its_answer_counts_once(config: RunConfig, whole) -> None:
    say, pool = Say(), pool_for(config, room=2, slow={"worker 1": 6.5})
    assert digests(made_by(config, pool, say)) == whole
    assert say.lines == ["worker 1 (node1, process 100) is overdue after 6 s: other workers do its part, too"]
    assert sum(batches == (0,) for _, batches in pool.handed_out) == 2


def test_a_cluster_without_room_is_said_to_have_none(config: RunConfig, whole, monkeypatch) -> None:
    pool, say = pool_for(config, room=1), Say()
    start = pool.start
    monkeypatch.setattr(pool, "start", lambda name: pool.plan.append((100.0, lambda _: start(name))))
    assert digests(made_by(config, pool, say)) == whole
    assert say.lines == ["the cluster has had no room for a worker, which needs a core; still waiting"]


def test_a_worker_with_other_weights_is_left_out_and_named(config: RunConfig, whole) -> None:
    def other(loaded: Loaded) -> Loaded:
        method = loaded.identity.method.model_copy(update={"digests": {"unet": "0" * 64, "file": "1"}})
        return replace(loaded, identity=loaded.identity.model_copy(update={"method": method, "dtype": "float16"}))

    pool, say = pool_for(config, loads=loaded_with(other), machine=lambda name: f"node-of-{name[-1]}"), Say()
    assert digests(made_by(config, pool, say)) == whole
    assert {name for name, _ in pool.handed_out} == {"worker 1", "worker 3"}
    assert pool.resting == ["worker 2"]
    told = "worker 2 (node-of-2, process 101) is left out: it differs from the other workers in "
    assert say.lines == [f"{told}the files of file, the files of unet, dtype ('' and 'float16')"]


def test_a_worker_that_is_quick_to_load_does_not_decide_alone(config: RunConfig, whole) -> None:
    def other(loaded: Loaded) -> Loaded:
        return replace(loaded, identity=loaded.identity.model_copy(update={"dtype": "float16"}))

    say = Say()
    pool = pool_for(config, loads=loaded_with(other), starts={"worker 1": 9, "worker 3": 9})
    assert digests(made_by(config, pool, say)) == whole
    assert {name for name, _ in pool.handed_out} == {"worker 1", "worker 3"}
    assert [line.partition(":")[0] for line in say.lines] == ["worker 2 (node1, process 101) is left out"]


def test_a_worker_that_the_cluster_has_no_room_for_is_waited_for_a_minute(config: RunConfig, whole) -> None:
    pool = pool_for(config, room=2, starts={"worker 2": 1e6})
    assert digests(made_by(config, pool)) == whole
    assert 60 < pool.now < 80


def test_where_no_side_is_larger_the_run_does_not_begin(config: RunConfig) -> None:
    def other(loaded: Loaded) -> Loaded:
        dataset = loaded.identity.dataset.model_copy(update={"digest": "0" * 64})
        return replace(loaded, identity=loaded.identity.model_copy(update={"dataset": dataset}))

    pool = pool_for(config, room=2, loads=loaded_with(other))
    with pytest.raises(UserError) as error:
        made_by(config, pool)
    assert str(error.value).endswith(
        "would make different runs: the files of the data set; valid: the same on every node"
    )
    assert not config.output.exists()
    assert not pool.there


def test_the_run_in_the_folder_decides_which_side_is_right(config: RunConfig, whole) -> None:
    def other(loaded: Loaded) -> Loaded:
        return replace(loaded, identity=loaded.identity.model_copy(update={"dtype": "float16"}))

    run = generate(replace(config, limit=4))
    (run.path / "images" / "000000003.png").unlink()
    pool = pool_for(config, room=2, loads=loaded_with(other))
    made = made_by(config, pool)
    assert {name: entry.sha256 for name, entry in made.intact().items()} == whole
    # Every sample keeps its place in its batch: the second batch lacks one of its two.
    assert pool.handed_out[0] == ("worker 1", (1,))


def test_a_machine_that_lacks_something_is_named_and_done_without(config: RunConfig, whole) -> None:
    say = Say()
    lacking = WorkerError("no data set in /data/BrushBench")
    pool = pool_for(config, loads=lambda name, answer: lacking if name == "worker 3" else answer)
    assert digests(made_by(config, pool, say)) == whole
    assert say.lines == ["worker 3 (node1, process 102) is left out: no data set in /data/BrushBench"]


def test_if_all_machines_lack_something_the_run_ends_with_their_names(config: RunConfig) -> None:
    lacking = WorkerError("no data set in /data/BrushBench")
    pool = pool_for(config, loads=lambda _name, _answer: lacking, machine=lambda name: f"node{name[-1]}")
    with pytest.raises(UserError, match=r"^node1, node2, node3: no data set in /data/BrushBench$"):
        made_by(config, pool)


def test_a_sample_that_ends_every_worker_ends_the_run_after_the_others_are_done(config: RunConfig, whole) -> None:
    pool = pool_for(config, room=2)
    do = pool.do

    def ending(name: str, assignment) -> None:
        do(name, assignment)
        if 3 in assignment.numbers:
            pool.end(name)

    pool.do = ending
    with pytest.raises(UserError, match="every worker that generates these samples ends: 000000006, 000000007; the"):
        made_by(config, pool)
    made = Run.open(config.output / "brushbench-inside" / "generated").intact()
    assert {*whole} - {*made} == {"000000006", "000000007"}


def test_workers_that_end_before_they_have_done_anything_end_the_run(config: RunConfig) -> None:
    pool = pool_for(config, room=2)
    load = pool.load

    def ending(name: str) -> None:
        load(name)
        pool.end(name)

    pool.load = ending
    with pytest.raises(UserError, match="end before they have generated anything: ActorDiedError"):
        made_by(config, pool)


def test_results_without_room_are_tried_again_in_smaller_pieces(config: RunConfig, whole) -> None:
    pool = pool_for(config, room=2, full_until=9.0)
    assert digests(made_by(config, pool)) == whole
    assert pool.now > 9


def test_an_object_store_that_stays_full_ends_the_run(config: RunConfig) -> None:
    pool = pool_for(config, room=2, full_until=1e9)
    with pytest.raises(UserError, match="object store is full: ObjectStoreFullError: no room; valid: more memory"):
        made_by(config, pool)


def test_workers_that_share_the_folder_store_their_images_themselves(config: RunConfig, whole) -> None:
    config = replace(config, engine="ray", store="shared")
    pool = pool_for(config, room=2)
    sent: list[EncodedResult] = []
    later = pool.later
    pool.later = lambda name, step, answer, seconds: (
        sent.extend(each for batch in answer.batches.values() for each in batch) if step == "do" else None,
        later(name, step, answer, seconds),
    )
    assert digests(made_by(config, pool)) == whole
    assert len(sent) == SAMPLES
    assert all(each.content is None and each.entry.sha256 for each in sent)


def test_a_machine_without_the_shared_folder_is_left_out(config: RunConfig, whole, tmp_path: Path) -> None:
    config = replace(config, engine="ray", store="shared")
    pool, say = pool_for(config, room=2), Say()
    share, elsewhere = pool.share, tmp_path / "elsewhere"
    pool.share = lambda name, folder, claim: share(name, str(elsewhere) if name == "worker 2" else folder, claim)
    assert digests(made_by(config, pool, say)) == whole
    told = f"worker 2 (node1, process 101) is left out: {elsewhere} is not the run's folder there; valid: a folder that"
    assert say.lines == [f"{told} all nodes share, or --store driver"]


def test_failures_are_recorded_as_in_one_process_and_too_many_end_it(config: RunConfig, tmp_path: Path) -> None:
    failing = NOISE.replace("    noise =", "    if '000000004' in batch.ids: raise ValueError('no')\n    noise =")
    (tmp_path / "noise.py").write_text(failing)
    run = made_by(config, pool_for(config))
    alone = generate(replace(config, output=tmp_path / "whole"))
    assert run.ledger()["000000004"].error == alone.ledger()["000000004"].error == "ValueError: no"
    assert [(path / "errors" / "000000004.txt").exists() for path in (run.path, alone.path)] == [True, True]
    assert len(run.ledger()) == SAMPLES
    few = made_by(replace(config, output=tmp_path / "few", max_failures=0), pool_for(config, room=1))
    assert 5 <= len(few.ledger()) < SAMPLES


def test_the_record_has_what_one_process_writes(config: RunConfig, tmp_path: Path, monkeypatch) -> None:
    warning = "import warnings\n\ndef generated(batch, seeds):\n    warnings.warn('weights are old')\n"
    (tmp_path / "noise.py").write_text(NOISE.replace("def generated(batch, seeds):\n", warning))
    monkeypatch.setattr("brushbench.evaluation.local.commit_of", lambda folder: f"commit of {folder.name}")
    stages: list[str] = []

    def watch(stage: str, total: int, finished: int) -> Callable[[int, int], None]:
        stages.append(f"{stage}: {finished}/{total}")
        return lambda _done, _failed: None

    run = made_by(config, pool_for(config, room=2), watch)
    alone = generate(replace(config, output=tmp_path / "whole"), watch)
    assert run.record.notes == alone.record.notes == ("weights are old",)
    assert stages == ["generating generated, brushbench/inside: 0/15"] * 2
    apart = {"worker", "began", "pid", "host", "engine", "driver"}
    lines = [json.loads((path / "workers.jsonl").read_text().splitlines()[0]) for path in (run.path, alone.path)]
    first, second = ({key: value for key, value in line.items() if key not in apart} for line in lines)
    assert first == second
    assert first["commit"] == f"commit of {tmp_path.name}"


def test_a_full_disk_ends_it_as_in_one_process(config: RunConfig, whole, monkeypatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    pool = pool_for(config, room=2, plan=[(3.0, lambda _pool: monkeypatch.setattr(os, "fsync", full))])
    with pytest.raises(OSError, match="No space left") as error:
        made_by(config, pool)
    assert str(refusal(error.value)).endswith("Finished samples are kept: run the same command again to resume")
    monkeypatch.undo()
    assert not (config.output / "brushbench-inside" / "generated" / ".owners").exists()
    assert digests(made_by(config, pool_for(config))) == whole


def test_ctrl_c_stores_what_is_being_generated(config: RunConfig, whole) -> None:
    def interrupts(_pool: FakePool) -> None:
        raise KeyboardInterrupt

    pool = pool_for(config, room=2, plan=[(2.3, interrupts)])
    with pytest.raises(KeyboardInterrupt):
        made_by(config, pool)
    folder = config.output / "brushbench-inside" / "generated"
    assert len(Run.open(folder).intact()) == 8
    assert not pool.there
    assert not (folder / ".owners").exists()
    assert digests(made_by(config, pool_for(config, room=3))) == whole


def test_a_second_ctrl_c_does_not_wait(config: RunConfig) -> None:
    def interrupts(_pool: FakePool) -> None:
        raise KeyboardInterrupt

    pool = pool_for(config, room=2, seconds=5, plan=[(2.3, interrupts), (2.4, interrupts)])
    with pytest.raises(KeyboardInterrupt):
        made_by(config, pool)
    assert pool.now < 3


def test_a_frozen_worker_does_not_hold_up_ctrl_c_for_long(config: RunConfig) -> None:
    def interrupts(pool: FakePool) -> None:
        pool.frozen |= {*pool.there}
        raise KeyboardInterrupt

    pool, say = pool_for(config, room=2, plan=[(2.3, interrupts)]), Say()
    with pytest.raises(KeyboardInterrupt):
        made_by(config, pool, say, Patience(parting=7))
    assert 9 < pool.now < 10
    assert say.lines[-1] == "waiting up to 7 s for the images that are being generated; interrupt again to stop now"


def test_a_complete_run_needs_one_worker_and_hands_out_nothing(config: RunConfig) -> None:
    generate(config)
    pool = pool_for(config, room=5)
    made_by(config, pool)
    assert not pool.handed_out


@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("error", [ConnectionError, RuntimeError])
def test_a_cluster_that_does_not_answer_is_one_line(
    error: type[Exception], brushbench, write_bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    def refuse(**_options: object) -> None:
        raise error("ray client:\nno GCS at 10.0.0.1:6379")

    monkeypatch.setattr(ray, "init", refuse)
    result = brushbench(*run_on(write_bench(), tmp_path / "runs", "--engine", "ray"))
    told = "can't connect to a Ray cluster: ray client: no GCS at 10.0.0.1:6379; valid: RAY_ADDRESS of a cluster"
    assert_one_line(result, told)
