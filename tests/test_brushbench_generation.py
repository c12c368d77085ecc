"""Every byte of a run is the same however the run came about."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from support import run_on

import brushbench
from brushbench.core.protocol import PROTOCOLS
from brushbench.imaging.images import encode_for_keeps, read_image
from brushbench.runs.config import RunConfig, Shard
from brushbench.runs.folder import Run

METHOD = """
import time
import torch
from dataclasses import dataclass

@dataclass(frozen=True)
class Noise:
    seconds: float = 0.0
    fail: str = ""

    def __call__(self, batch, seeds):
        time.sleep(self.seconds)
        if self.fail in batch.ids:
            raise ValueError(f"can't paint {self.fail}")
        images = [
            torch.randint(0, 256, image.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
            for image, seed in zip(batch.images, seeds)
        ]
        return torch.where(batch.masks, torch.stack(images), batch.images)
"""


@pytest.fixture
def noise(tmp_path: Path) -> str:
    file = tmp_path / "noise.py"
    file.write_text(METHOD)
    return f"{file}:Noise"


def stored(run: Run) -> dict[str, object]:
    """Everything that has to be the same: image bytes, ledger but for the seconds, scores."""
    images = {path.name: path.read_bytes() for path in (run.path / "images").iterdir()}
    ledger = {name: entry.model_dump(exclude={"seconds"}) for name, entry in run.ledger().items()}
    scores = pd.read_parquet(run.scores_path()).to_dict("list")
    return {"images": images, "ledger": ledger, "scores": json.dumps(scores, default=str)}


def brushnet(root: Path, output: Path, weights: Path, **changes: object) -> RunConfig:
    fields = {"options": {"steps": 2}, "dataset": "brushbench", "batch_size": 2, "device": "cpu"} | changes
    return RunConfig(method="brushnet", root=root, output=output, weights=weights, **fields)


def test_two_runs_are_equal_and_the_seed_matters(tmp_path: Path, write_bench, tiny_weights: Path) -> None:
    root = write_bench()
    runs = [
        brushbench.run(brushnet(root, tmp_path / str(index), tiny_weights, seed=seed))
        for index, seed in enumerate((1, 1, 2))
    ]
    first, second, third = (stored(run)["images"] for run in runs)
    assert first == second
    assert all(first[name] != third[name] for name in first)


def test_shards_together_equal_one_run(tmp_path: Path, write_bench, tiny_weights: Path) -> None:
    root = write_bench(count=5)
    whole = brushbench.run(brushnet(root, tmp_path / "whole", tiny_weights))
    for index in (1, 2):
        part = brushbench.run(brushnet(root, tmp_path / "parts", tiny_weights, shard=Shard(index, 2)))
    assert stored(part) == stored(whole)


def test_a_shard_makes_only_its_own_samples(tmp_path: Path, write_bench, noise: str) -> None:
    run = brushbench.run(
        RunConfig(noise, "brushbench", write_bench(count=5), output=tmp_path / "runs", shard=Shard(2, 2))
    )
    assert list(run.ledger()) == ["000000001", "000000003"]
    assert run.record.asked == 5


def test_batch_sizes_differ_by_a_level_at_most(tmp_path: Path, write_bench, tiny_weights: Path) -> None:
    root = write_bench(count=3)
    folders = [
        brushbench.run(brushnet(root, tmp_path / str(size), tiny_weights, batch_size=size)).path / "images"
        for size in (1, 2, 3)
    ]
    for name in sorted(path.name for path in folders[0].iterdir()):
        images = [read_image(folder / name).int() for folder in folders]
        assert (images[0] - images[1]).abs().max() <= 1
        assert (images[0] - images[2]).abs().max() <= 1


def test_an_image_does_not_depend_on_its_place_in_the_batch(write_bench, tiny_weights: Path) -> None:
    dataset = brushbench.load_dataset("brushbench", root=write_bench(count=3))
    method = brushbench.load_method("brushnet", weights=tiny_weights, device="cpu", steps=2)
    samples = list(dataset)
    forward = method(brushbench.Batch.of(samples), [1, 2, 3])
    backward = method(brushbench.Batch.of(samples[::-1]), [3, 2, 1])
    assert torch.equal(forward, backward.flip(0))


def test_a_resumed_run_paints_only_what_is_missing(tmp_path: Path, write_bench, noise: str) -> None:
    config = RunConfig(noise, "brushbench", write_bench(), output=tmp_path / "runs", batch_size=2)
    run = brushbench.run(config)
    before = stored(run)
    ledger = (run.path / "samples.jsonl").read_bytes()
    (run.path / "images" / "000000001.png").unlink()
    (run.path / "images" / "000000002.png").write_bytes(b"damaged")
    with (run.path / "samples.jsonl").open("ab") as file:
        file.write(b'{"id":"000000003","status":"do')
    again = brushbench.run(config)
    assert stored(again) == before
    lines = (run.path / "samples.jsonl").read_bytes()
    assert lines.startswith(ledger)
    assert [json.loads(line)["id"] for line in lines[len(ledger) :].splitlines()] == ["000000001", "000000002"]


def test_images_that_an_earlier_version_encoded_stay_and_count(
    tmp_path: Path, write_bench, noise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_bench()
    monkeypatch.setattr("brushbench.evaluation.generate.encode_image", lambda image, _: encode_for_keeps(image))
    old = brushbench.run(RunConfig(noise, "brushbench", root, output=tmp_path / "old", limit=2))
    before = stored(old)["images"]
    monkeypatch.undo()
    grown = brushbench.run(RunConfig(noise, "brushbench", root, output=tmp_path / "old"))
    whole = brushbench.run(RunConfig(noise, "brushbench", root, output=tmp_path / "whole"))
    assert len(grown.intact()) == 4
    assert not grown.changed_images()
    now = stored(grown)["images"]
    assert {name: now[name] for name in before} == before
    assert all(before[name] != content for name, content in stored(whole)["images"].items() if name in before)
    for entry in whole.ledger().values():
        assert torch.equal(read_image(grown.image_path(entry)), read_image(whole.image_path(entry)))
    columns = [brushbench.frame(run).drop(columns="run") for run in (grown, whole)]
    pd.testing.assert_frame_equal(*columns)


def test_more_samples_can_be_asked_for_later(tmp_path: Path, write_bench, noise: str) -> None:
    root = write_bench()
    few = brushbench.run(RunConfig(noise, "brushbench", root, output=tmp_path / "few", limit=2))
    assert list(few.ledger()) == ["000000000", "000000001"]
    more = brushbench.run(RunConfig(noise, "brushbench", root, output=tmp_path / "few"))
    whole = brushbench.run(RunConfig(noise, "brushbench", root, output=tmp_path / "whole"))
    assert stored(more) == stored(whole)


def test_a_run_with_another_fingerprint_is_left_alone(tmp_path: Path, write_bench, noise: str) -> None:
    root = write_bench()
    run = brushbench.run(RunConfig(noise, "brushbench", root, output=tmp_path / "runs"))
    before = stored(run)
    with pytest.raises(brushbench.UserError, match=r"method\.options\.seconds was 0\.0 and is now 0\.001.*--output"):
        brushbench.run(
            RunConfig(noise, "brushbench", root, output=tmp_path / "runs", options={"seconds": "0.001"}, seed=1234)
        )
    with pytest.raises(brushbench.UserError, match="seed was 1234 and is now 7"):
        brushbench.run(RunConfig(noise, "brushbench", root, output=tmp_path / "runs", seed=7))
    (root / "images" / "000000003.png").write_bytes((root / "images" / "000000002.png").read_bytes())
    with pytest.raises(brushbench.UserError, match=r"dataset\.digest"):
        brushbench.run(RunConfig(noise, "brushbench", root, output=tmp_path / "runs"))
    assert stored(run) == before


def test_a_failing_sample_does_not_take_its_batch_with_it(tmp_path: Path, write_bench, noise: str) -> None:
    root = write_bench(count=5)
    config = RunConfig(noise, "brushbench", root, output=tmp_path / "bad", batch_size=2, options={"fail": "000000001"})
    run = brushbench.run(config)
    bad = run.ledger()
    assert [entry.status for entry in bad.values()] == ["done", "failed", "done", "done", "done"]
    assert bad["000000001"].error == "ValueError: can't paint 000000001"
    good = brushbench.run(RunConfig(noise, "brushbench", root, output=tmp_path / "good", batch_size=2)).ledger()
    assert {name: entry.sha256 for name, entry in bad.items() if entry.status == "done"} == {
        name: entry.sha256 for name, entry in good.items() if name != "000000001"
    }
    lines = (run.path / "samples.jsonl").read_bytes()
    brushbench.run(config)
    assert (run.path / "samples.jsonl").read_bytes() == lines


@pytest.mark.parametrize(("size", "part"), [(2, "a smaller --batch-size"), (1, "another --device or --dtype")])
def test_a_batch_that_is_too_large_stops_the_run(size: int, part: str, tmp_path: Path, write_bench) -> None:
    lines = ["import torch", "class Large:", "    calls = 0", "    def __call__(self, batch, seeds):"]
    lines += [
        "        self.calls += 1",
        "        if self.calls > 1:",
        "            raise torch.OutOfMemoryError('too large')",
    ]
    (tmp_path / "large.py").write_text("\n".join([*lines, "        return batch.images\n"]))
    config = RunConfig(f"{tmp_path}/large.py:Large", "brushbench", write_bench(), output=tmp_path, batch_size=size)
    with pytest.raises(brushbench.UserError, match=f"out of memory with {size} samples per call; valid: {part}"):
        brushbench.run(config)
    ledger = Run.open(tmp_path / "brushbench-inside" / "Large").ledger()
    assert [entry.status for entry in ledger.values()] == ["done"] * size


def test_it_stops_when_too_many_samples_fail(tmp_path: Path, write_bench, noise: str) -> None:
    entries = {f"bad{index}": {"image": "images/none.png"} for index in range(20)}
    config = RunConfig(
        *(noise, "brushbench", write_bench(count=2, entries=entries)),
        output=tmp_path / "runs",
        max_failures=2,
        batch_size=1,
    )
    run = brushbench.run(config)
    assert 3 <= sum(entry.status == "failed" for entry in run.ledger().values()) <= 5


@pytest.mark.parametrize("returned", ["batch.images.float()", "batch.images[:, :, 1:]", "batch.images[:1]"])
def test_what_a_method_returns_is_checked(returned: str, tmp_path: Path, write_bench) -> None:
    (tmp_path / "odd.py").write_text(f"class Odd:\n    def __call__(self, batch, seeds):\n        return {returned}\n")
    config = RunConfig(f"{tmp_path}/odd.py:Odd", "brushbench", write_bench(), output=tmp_path / "runs", batch_size=2)
    with pytest.raises(brushbench.UserError, match="the method returned"):
        brushbench.run(config)


def test_images_of_several_sizes_share_a_run(tmp_path: Path, write_bench, noise: str) -> None:
    root = write_bench(count=3)
    (root / "mapping_file.json").rename(tmp_path / "mapping.json")
    (root / "masks").mkdir()
    for path in sorted((root / "images").iterdir()):
        image = read_image(path)[:, :, : 64 - 8 * int(path.stem)]
        encode(path, image)
        encode(root / "masks" / path.name, torch.full_like(image, 255) * (torch.arange(image.shape[2]) > 20))
    (root / "captions.txt").write_text("one\ntwo\nthree\n")
    run = brushbench.run(RunConfig(noise, "folder", root, output=tmp_path / "runs", batch_size=2))
    assert [entry.status for entry in run.ledger().values()] == ["done"] * 3
    assert brushbench.frame(run)["status"].isin(["", "identical"]).all()


def encode(path: Path, image: torch.Tensor) -> None:
    from brushbench.imaging.images import encode_image

    path.write_bytes(encode_image(image, "PNG"))


def test_the_paper_protocol_stores_jpeg_with_one_seed(tmp_path: Path, write_bench, noise: str) -> None:
    run = brushbench.run(RunConfig(noise, "brushbench", write_bench(), output=tmp_path / "runs", protocol="paper"))
    assert {path.suffix for path in (run.path / "images").iterdir()} == {".jpg"}
    assert PROTOCOLS["paper"].sample_seed(1234, "a") == PROTOCOLS["paper"].sample_seed(1234, "b") == 1234
    assert PROTOCOLS["strict"].sample_seed(1234, "a") != PROTOCOLS["strict"].sample_seed(1234, "b")


@pytest.mark.parametrize("size", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_five_times_it_ends_like_one_never_killed(
    size: int, tmp_path: Path, write_bench, noise: str, forked
) -> None:
    root = write_bench(count=24)
    options = {"seconds": 0.05}
    whole = brushbench.run(
        RunConfig(noise, "brushbench", root, output=tmp_path / "whole", options=options, batch_size=size)
    )
    command = run_on(root, tmp_path / "killed", "-o", "seconds=0.05", "--batch-size", size, method=noise)
    folder = tmp_path / "killed" / "brushbench-inside" / "Noise"
    chance = random.Random(0)
    for _ in range(5):
        running, before = forked(*command), lines_in(folder)
        while running.is_alive and lines_in(folder) == before:
            time.sleep(0.002)
        time.sleep(chance.random() * 0.1)
        running.end()
    code, _, err = forked(*command).result()
    assert code == 0, err
    assert stored(Run.open(folder)) == stored(whole)
    leftovers = {path.name for path in folder.iterdir()}
    assert leftovers == {path.name for path in whole.path.iterdir()} | {"contact_sheet.png"}


def lines_in(folder: Path) -> int:
    return lines_of(folder / "samples.jsonl")


def lines_of(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def test_two_processes_can_share_a_folder(tmp_path: Path, write_bench, noise: str, forked) -> None:
    root = write_bench(count=12)
    whole = brushbench.run(RunConfig(noise, "brushbench", root, output=tmp_path / "whole", options={"seconds": 0.02}))
    command = run_on(root, tmp_path / "shared", "-o", "seconds=0.02", "--allow-partial", method=noise)
    shards = [forked(*command, "--shard", f"{index}/2") for index in (1, 2)]
    assert [shard.result()[0] for shard in shards] == [0, 0]
    assert stored(Run.open(tmp_path / "shared" / "brushbench-inside" / "Noise")) == stored(whole)


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="needs /dev/full")
def test_a_full_disk_is_one_line(tmp_path: Path, write_bench, noise: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Run.write_image
    calls = []

    def full(self: Run, name: str, content: bytes) -> str:
        calls.append(name)
        if len(calls) == 2:
            Path("/dev/full").write_bytes(content)
        return real(self, name, content)

    monkeypatch.setattr(Run, "write_image", full)
    config = RunConfig(noise, "brushbench", write_bench(), output=tmp_path / "runs")
    with pytest.raises(OSError, match="No space left"):
        brushbench.run(config)
    monkeypatch.undo()
    run = brushbench.run(config)
    assert len(run.intact()) == 4


def test_what_was_written_before_the_disk_was_full_is_kept(
    tmp_path: Path, write_bench, noise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Run.write_image

    def full(self: Run, name: str, content: bytes) -> str:
        if name == "000000001.png":
            raise OSError(28, "No space left on device")
        return real(self, name, content)

    monkeypatch.setattr(Run, "write_image", full)
    with pytest.raises(OSError, match="No space left"):
        brushbench.run(RunConfig(noise, "brushbench", write_bench(), output=tmp_path / "runs", batch_size=4))
    assert list(Run.open(tmp_path / "runs/brushbench-inside/Noise").intact()) == ["000000000"]


def test_a_batch_waits_once_for_its_lines_and_after_all_of_its_images(
    tmp_path: Path, write_bench, noise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "runs/brushbench-inside/Noise"
    on_disk: set[int] = set()
    waits: list[tuple[str, int]] = []

    def fsync(file: int) -> None:
        on_disk.add(os.fstat(file).st_ino)
        for name in ("images.sha256", "samples.jsonl"):
            if (folder / name).exists() and (folder / name).stat().st_ino == os.fstat(file).st_ino:
                waits.append((name, lines_of(folder / name)))
                images = {image.stat().st_ino for image in (folder / "images").iterdir()}
                assert images <= on_disk
                assert len(images) >= lines_of(folder / name)

    monkeypatch.setattr(os, "fsync", fsync)
    brushbench.run(RunConfig(noise, "brushbench", write_bench(count=5), output=tmp_path / "runs", batch_size=2))
    assert waits == [(name, lines) for lines in (2, 4, 5) for name in ("images.sha256", "samples.jsonl")]


@pytest.mark.xdist_group("ray")
@pytest.mark.usefixtures("cluster")
def test_a_cluster_makes_the_same_run(tmp_path: Path, write_bench, noise: str, request) -> None:
    call = request.getfixturevalue("brushbench")
    root = write_bench(count=5)
    whole = brushbench.run(RunConfig(noise, "brushbench", root, output=tmp_path / "whole"))
    command = run_on(root, tmp_path / "cluster", "--engine", "ray", method=noise)
    code, out, err = call(*command)
    assert code == 0, err
    assert stored(Run.open(tmp_path / "cluster" / "brushbench-inside" / "Noise")) == stored(whole)
    assert "5/5" in out
    code, out, err = call(*command, "--seed", "7")
    assert code == 2
    assert "seed was 1234 and is now 7" in err.splitlines()[-1]
    assert not out


@pytest.mark.xdist_group("ray")
@pytest.mark.usefixtures("cluster")
def test_a_part_that_a_cluster_did_not_finish_is_no_success(tmp_path: Path, write_bench, request) -> None:
    lines = ["import torch", "class Large:", "    def __call__(self, batch, seeds):"]
    lines += ["        if batch.ids[0] == '000000003':", "            raise torch.OutOfMemoryError('too large')"]
    (tmp_path / "large.py").write_text("\n".join([*lines, "        return batch.images\n"]))
    command = run_on(
        *(write_bench(), tmp_path / "cluster", "--engine", "ray", "--batch-size", "1"),
        method=f"{tmp_path}/large.py:Large",
    )
    code, _, err = request.getfixturevalue("brushbench")(*command)
    assert code == 2
    assert "out of memory" in err.splitlines()[-1]
    ledger = Run.open(tmp_path / "cluster" / "brushbench-inside" / "Large").ledger()
    assert {"000000000", "000000002"} <= ledger.keys() < {f"{index:09d}" for index in range(4)}


@pytest.mark.slow
def test_where_there_is_no_cluster_one_is_started(tmp_path: Path, write_bench, noise: str) -> None:
    root = write_bench(count=5)
    whole = brushbench.run(RunConfig(noise, "brushbench", root, output=tmp_path / "whole"))
    command = run_on(root, tmp_path / "cluster", "--engine", "ray", method=noise)
    done = subprocess.run(
        [sys.executable, "-m", "brushbench", *map(str, command)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "5/5" in done.stdout
    assert stored(Run.open(tmp_path / "cluster" / "brushbench-inside" / "Noise")) == stored(whole)
