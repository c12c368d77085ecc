"""Whatever happens to the workers of a cluster, the run is complete and has the bytes of a single process."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from fake_cluster import FakeCrew, Say, crew_for, loaded_with, made_by
from support import assert_one_line, run_on

from brushbench.core.errors import UserError
from brushbench.evaluation.cluster.foreman import Patience
from brushbench.evaluation.cluster.worker import Loaded, Made, Mistake
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
    crew = crew_for(config, room=workers)
    run = made_by(config, crew)
    assert digests(run) == whole
    assert len({name for name, _ in crew.handed_out}) == workers
    lines = (run.path / "workers.jsonl").read_text()
    assert lines.count('"began"') == lines.count('"finished": true') == workers
    assert not (run.path / ".owners").exists()


@pytest.mark.parametrize("seed", range(12))
def test_workers_that_end_freeze_and_join_at_random(seed: int, config: RunConfig, whole) -> None:
    draw = random.Random(seed)

    def ends(crew: FakeCrew) -> None:
        if len(crew.there) > 1:
            crew.end(draw.choice(crew.there))

    def freezes(crew: FakeCrew) -> None:
        if len({*crew.there} - crew.frozen) > 1:
            crew.frozen.add(draw.choice(crew.there))

    def joins(crew: FakeCrew) -> None:
        crew.room += 1

    def loses_its_machine(crew: FakeCrew) -> None:
        crew.room = max(1, crew.room - 1)
        for name in crew.there[:2]:
            crew.end(name)

    faults = [(draw.uniform(0, 8), draw.choice([ends, freezes, joins, loses_its_machine])) for _ in range(4)]
    crew = crew_for(config, plan=faults, slow={"worker 2": draw.choice([1, 10])})
    assert digests(made_by(config, crew)) == whole
    assert not crew.plan or crew.now < 8
    assert not crew.there


def test_a_worker_that_freezes_for_good_is_done_without_and_named(config: RunConfig, whole) -> None:
    crew, say = crew_for(config, room=2, plan=[(2.5, lambda crew: crew.frozen.add("worker 1"))]), Say()
    run = made_by(config, crew, say)
    assert digests(run) == whole
    assert crew.now < 20
    assert say.lines[-1] == "done without worker 1 (node1, process 100), which had not answered yet"
    lines = (run.path / "workers.jsonl").read_text()
    assert (lines.count('"began"'), lines.count('"finished": true'), lines.count('"finished": false')) == (2, 1, 1)


def test_the_only_worker_freezes_and_another_takes_its_place(config: RunConfig, whole) -> None:
    crew, say = crew_for(config, room=1, plan=[(1.5, lambda crew: crew.frozen.add("worker 1"))]), Say()
    assert digests(made_by(config, crew, say)) == whole
    assert 60 < crew.now < 90
    assert "worker 1 (node1, process 100) was lost" in say.lines[0]
    assert "it hasn't answered for 60 s" in say.lines[0]


def test_a_late_worker_is_said_to_be_and_its_answer_counts_once(config: RunConfig, whole) -> None:
    say, crew = Say(), crew_for(config, room=2, slow={"worker 1": 6.5})
    assert digests(made_by(config, crew, say)) == whole
    assert say.lines == ["worker 1 (node1, process 100) is overdue after 6 s: other workers do its part, too"]
    assert sum(batches == (0,) for _, batches in crew.handed_out) == 2


def test_a_cluster_without_room_is_said_to_have_none(config: RunConfig, whole, monkeypatch) -> None:
    crew, say = crew_for(config, room=1), Say()
    start = crew.start
    monkeypatch.setattr(crew, "start", lambda name: crew.plan.append((100.0, lambda _: start(name))))
    assert digests(made_by(config, crew, say)) == whole
    assert say.lines == ["the cluster has had no room for a worker, which needs a core; still waiting"]


def test_a_worker_with_other_weights_is_left_out_and_named(config: RunConfig, whole) -> None:
    def other(loaded: Loaded) -> Loaded:
        method = loaded.identity.method.model_copy(update={"digests": {"unet": "0" * 64, "file": "1"}})
        return replace(loaded, identity=loaded.identity.model_copy(update={"method": method, "dtype": "float16"}))

    crew, say = crew_for(config, loads=loaded_with(other), machine=lambda name: f"node-of-{name[-1]}"), Say()
    assert digests(made_by(config, crew, say)) == whole
    assert {name for name, _ in crew.handed_out} == {"worker 1", "worker 3"}
    assert crew.resting == ["worker 2"]
    told = "worker 2 (node-of-2, process 101) is left out: it differs from the other workers in "
    assert say.lines == [f"{told}the files of file, the files of unet, dtype ( and float16)"]


def test_where_no_side_is_larger_the_run_does_not_begin(config: RunConfig) -> None:
    def other(loaded: Loaded) -> Loaded:
        dataset = loaded.identity.dataset.model_copy(update={"digest": "0" * 64})
        return replace(loaded, identity=loaded.identity.model_copy(update={"dataset": dataset}))

    crew = crew_for(config, room=2, loads=loaded_with(other))
    with pytest.raises(UserError) as error:
        made_by(config, crew)
    assert str(error.value).endswith(
        "would make different runs: the files of the data set; valid: the same on every node"
    )
    assert not config.output.exists()
    assert not crew.there


def test_the_run_in_the_folder_decides_which_side_is_right(config: RunConfig, whole) -> None:
    def other(loaded: Loaded) -> Loaded:
        return replace(loaded, identity=loaded.identity.model_copy(update={"dtype": "float16"}))

    run = generate(replace(config, limit=4))
    (run.path / "images" / "000000003.png").unlink()
    crew = crew_for(config, room=2, loads=loaded_with(other))
    made = made_by(config, crew)
    assert {name: entry.sha256 for name, entry in made.intact().items()} == whole
    # Every sample keeps its place in its batch: the second batch lacks one of its two.
    assert crew.handed_out[0] == ("worker 1", (1,))


def test_a_machine_that_lacks_something_is_named_and_done_without(config: RunConfig, whole) -> None:
    say = Say()
    lacking = Mistake("no data set in /data/BrushBench")
    crew = crew_for(config, loads=lambda name, answer: lacking if name == "worker 3" else answer)
    assert digests(made_by(config, crew, say)) == whole
    assert say.lines == ["worker 3 (node1, process 102) is left out: no data set in /data/BrushBench"]


def test_if_all_machines_lack_something_the_run_ends_with_their_names(config: RunConfig) -> None:
    lacking = Mistake("no data set in /data/BrushBench")
    crew = crew_for(config, loads=lambda _name, _answer: lacking, machine=lambda name: f"node{name[-1]}")
    with pytest.raises(UserError, match=r"^node1, node2, node3: no data set in /data/BrushBench$"):
        made_by(config, crew)


def test_a_sample_that_ends_every_worker_ends_the_run_after_the_others_are_done(config: RunConfig, whole) -> None:
    crew = crew_for(config, room=2)
    generate = crew.generate

    def ending(name: str, wanted, *, resumed: bool) -> None:
        generate(name, wanted, resumed=resumed)
        if 3 in wanted:
            crew.end(name)

    crew.generate = ending
    with pytest.raises(UserError, match="every worker that generates these samples ends: 000000006, 000000007; the"):
        made_by(config, crew)
    made = Run.open(config.output / "brushbench-inside" / "generated").intact()
    assert {*whole} - {*made} == {"000000006", "000000007"}


def test_workers_that_end_before_they_have_done_anything_end_the_run(config: RunConfig) -> None:
    crew = crew_for(config, room=2)
    load = crew.load

    def ending(name: str) -> None:
        load(name)
        crew.end(name)

    crew.load = ending
    with pytest.raises(UserError, match="end before they have generated anything: ActorDiedError"):
        made_by(config, crew)


def test_results_without_room_are_tried_again_in_smaller_pieces(config: RunConfig, whole) -> None:
    crew = crew_for(config, room=2, full_until=9.0)
    assert digests(made_by(config, crew)) == whole
    assert crew.now > 9


def test_an_object_store_that_stays_full_ends_the_run(config: RunConfig) -> None:
    crew = crew_for(config, room=2, full_until=1e9)
    with pytest.raises(UserError, match="object store is full: ObjectStoreFullError: no room; valid: more memory"):
        made_by(config, crew)


def test_workers_that_share_the_folder_store_their_images_themselves(config: RunConfig, whole) -> None:
    config = replace(config, engine="ray", store="shared")
    crew = crew_for(config, room=2)
    sent: list[Made] = []
    later = crew.later
    crew.later = lambda name, step, answer, seconds: (
        sent.extend(made for batch in answer.values() for made in batch) if isinstance(answer, dict) else None,
        later(name, step, answer, seconds),
    )
    assert digests(made_by(config, crew)) == whole
    assert len(sent) == SAMPLES
    assert all(made.content is None and made.entry.sha256 for made in sent)


def test_a_machine_without_the_shared_folder_is_left_out(config: RunConfig, whole, tmp_path: Path) -> None:
    config = replace(config, engine="ray", store="shared")
    crew, say = crew_for(config, room=2), Say()
    share, elsewhere = crew.worker.share, tmp_path / "elsewhere"
    crew.share = lambda name, folder, claim: crew.later(
        name, "share", share(str(elsewhere) if name == "worker 2" else folder, claim), 0.1
    )
    assert digests(made_by(config, crew, say)) == whole
    told = f"worker 2 (node1, process 101) is left out: {elsewhere} is not the run's folder there; valid: a folder that"
    assert say.lines == [f"{told} all nodes share, or --store driver"]


def test_failures_are_recorded_as_in_one_process_and_too_many_end_it(config: RunConfig, tmp_path: Path) -> None:
    failing = NOISE.replace("    noise =", "    if '000000004' in batch.ids: raise ValueError('no')\n    noise =")
    (tmp_path / "noise.py").write_text(failing)
    run = made_by(config, crew_for(config))
    alone = generate(replace(config, output=tmp_path / "whole"))
    assert run.ledger()["000000004"].error == alone.ledger()["000000004"].error == "ValueError: no"
    assert [(path / "errors" / "000000004.txt").exists() for path in (run.path, alone.path)] == [True, True]
    assert len(run.ledger()) == SAMPLES
    few = made_by(replace(config, output=tmp_path / "few", max_failures=0), crew_for(config, room=1))
    assert 5 <= len(few.ledger()) < SAMPLES


def test_ctrl_c_stores_what_is_being_generated(config: RunConfig, whole) -> None:
    def interrupts(_crew: FakeCrew) -> None:
        raise KeyboardInterrupt

    crew = crew_for(config, room=2, plan=[(2.3, interrupts)])
    with pytest.raises(KeyboardInterrupt):
        made_by(config, crew)
    folder = config.output / "brushbench-inside" / "generated"
    assert len(Run.open(folder).intact()) == 8
    assert not crew.there
    assert not (folder / ".owners").exists()
    assert digests(made_by(config, crew_for(config, room=3))) == whole


def test_a_second_ctrl_c_does_not_wait(config: RunConfig) -> None:
    def interrupts(_crew: FakeCrew) -> None:
        raise KeyboardInterrupt

    crew = crew_for(config, room=2, seconds=5, plan=[(2.3, interrupts), (2.4, interrupts)])
    with pytest.raises(KeyboardInterrupt):
        made_by(config, crew)
    assert crew.now < 3


def test_a_frozen_worker_does_not_hold_up_ctrl_c_for_long(config: RunConfig) -> None:
    def interrupts(crew: FakeCrew) -> None:
        crew.frozen |= {*crew.there}
        raise KeyboardInterrupt

    crew = crew_for(config, room=2, plan=[(2.3, interrupts)])
    with pytest.raises(KeyboardInterrupt):
        made_by(config, crew, patience=Patience(parting=7))
    assert 9 < crew.now < 10


def test_a_complete_run_needs_one_worker_and_hands_out_nothing(config: RunConfig) -> None:
    generate(config)
    crew = crew_for(config, room=5)
    made_by(config, crew)
    assert not crew.handed_out


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
