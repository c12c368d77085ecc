"""Runs in an object store: an S3 server on this machine, and what works within one process."""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import fsspec
import pytest
from conftest import elsewhere
from object_store import Bucket
from PIL import Image

import brushbench as suite
from brushbench.core.errors import UserError
from brushbench.runs.config import RunConfig
from brushbench.runs.folder import Run
from brushbench.runs.scores import read_scores
from brushbench.runs.status import status_of
from brushbench.storage.places import local, url_in
from brushbench.storage.store import Store

METHOD = ("--method", "mean-fill", "--dataset", "brushbench", "--metrics", "psnr,mse", "--batch-size", "2")
RUN = "results/brushbench-inside/mean-fill"
Make = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bench(write_bench) -> Path:
    return write_bench(count=5)


@pytest.fixture
def make(brushbench, bench: Path) -> Make:
    return lambda output, *more: brushbench("run", *METHOD, "--root", bench, "--output", output, *more)


@pytest.fixture
def here(make: Make, tmp_path: Path) -> Run:
    """The run in a folder of this machine."""
    assert make(tmp_path / "here")[0] == 0
    return Run.open(tmp_path / "here" / "brushbench-inside" / "mean-fill")


@pytest.fixture
def memory() -> Iterator[str]:
    yield "memory://tests/results"
    files = fsspec.filesystem("memory")
    if files.exists("/tests"):
        files.rm("/tests", recursive=True)


def outcomes(run: Run) -> dict[str, object]:
    return {key: entry.model_dump(exclude={"seconds"}) for key, entry in run.ledger().items()}


def assert_equal(run: Run, other: Run) -> None:
    """The runs have equal ledgers, images and scores."""
    assert outcomes(run) == outcomes(other)
    for entry in run.ledger().values():
        assert run.image_path(entry).read_bytes() == other.image_path(entry).read_bytes()
    assert run.changed_images() == {}
    assert run.scores_path().read_bytes() == other.scores_path().read_bytes()


def test_a_run_in_a_bucket_is_the_run_in_a_folder(bucket: Bucket, make: Make, here: Run) -> None:
    code, out, err = make(f"{bucket.url}/results")
    assert code == 0, err
    assert f"images and scores: {bucket.url}/{RUN}\n" in out
    elsewhere()
    assert_equal(Run.open(f"{bucket.url}/{RUN}"), here)


@pytest.mark.slow
def test_what_the_store_contains_is_a_run_folder(bucket: Bucket, make: Make, here: Run, tmp_path: Path) -> None:
    make(f"{bucket.url}/results")
    for key, content in bucket.files().items():
        (tmp_path / "synced" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "synced" / key).write_bytes(content)
    synced = tmp_path / "synced" / RUN
    assert_equal(Run.open(synced), here)
    names = {file.name for file in synced.iterdir()}
    assert names == {"run.json", "samples", "images", "workers", "scores.parquet", "contact_sheet.png"}
    assert [each.state for each in status_of(synced).workers] == ["finished"]


@pytest.mark.slow
def test_and_a_downloaded_one_is_resumed(bucket: Bucket, make: Make, here: Run, tmp_path: Path) -> None:
    make(f"{bucket.url}/results", "--limit", "3", "--allow-partial")
    for key, content in bucket.files().items():
        (tmp_path / "synced" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "synced" / key).write_bytes(content)
    assert make(tmp_path / "synced" / "results")[0] == 0
    assert_equal(Run.open(tmp_path / "synced" / RUN), here)


@pytest.mark.slow
def test_a_folder_that_was_uploaded_is_resumed_in_the_store(bucket: Bucket, make: Make, here: Run, tmp_path) -> None:
    make(tmp_path / "begun", "--limit", "3")
    folder = tmp_path / "begun" / "brushbench-inside" / "mean-fill"
    for file in folder.rglob("*"):
        if file.is_file() and not file.name.startswith("."):
            bucket.write(f"{RUN}/{file.relative_to(folder)}", file.read_bytes())
    assert make(f"{bucket.url}/results")[0] == 0
    elsewhere()
    assert_equal(Run.open(f"{bucket.url}/{RUN}"), here)


def test_the_same_command_resumes_and_stores_no_image_again(bucket: Bucket, make: Make, here: Run) -> None:
    make(f"{bucket.url}/results", "--limit", "3")
    first = {key: bucket.client.head_object(Bucket=bucket.name, Key=key) for key in bucket.keys(f"{RUN}/images")}
    elsewhere()
    code, _, err = make(f"{bucket.url}/results")
    assert code == 0
    assert "generating mean-fill, brushbench/inside: 5/5 images" in err
    assert len(bucket.keys(f"{RUN}/images")) == 5
    for key, found in first.items():
        assert bucket.client.head_object(Bucket=bucket.name, Key=key)["LastModified"] == found["LastModified"]
    elsewhere()
    assert_equal(Run.open(f"{bucket.url}/{RUN}"), here)


def test_reports_read_runs_below_a_prefix(bucket: Bucket, make: Make, brushbench, tmp_path: Path) -> None:
    make(f"{bucket.url}/results")
    make(f"{bucket.url}/results", "--method", "copy")
    make(tmp_path / "folder")
    make(tmp_path / "folder", "--method", "copy")
    table = brushbench("report", tmp_path / "folder")[1]
    elsewhere()
    code, out, _ = brushbench("report", f"{bucket.url}/results")
    assert (code, out) == (0, table)
    code, out, _ = brushbench("report", bucket.url, "--format", "json")
    assert code == 0
    assert "mean-fill" in out
    assert str(tmp_path) not in out
    pair = ("compare", f"{bucket.url}/{RUN}", f"{bucket.url}/{RUN.replace('mean-fill', 'copy')}")
    code, out, err = brushbench(*pair, "--metric", "mse", "--output", tmp_path / "pictures")
    assert code == 0, err
    assert "mean-fill" in out
    assert brushbench("check", bucket.url, "--write", tmp_path / "baseline.json")[0] == 0
    assert brushbench("check", bucket.url, "--against", tmp_path / "baseline.json")[0] in (0, 4)
    code, out, _ = brushbench("show", f"{bucket.url}/results", "000000001")
    assert code == 0
    assert f"image: {bucket.url}/{RUN}/images/000000001.png" in out


@pytest.mark.slow
def test_a_gallery_of_a_bucket_is_that_of_a_folder(bucket: Bucket, make: Make, here: Run, brushbench, tmp_path) -> None:
    make(f"{bucket.url}/results")
    elsewhere()
    assert brushbench("gallery", f"{bucket.url}/results", "-o", tmp_path / "far")[0] == 0
    assert brushbench("gallery", here.path, "-o", tmp_path / "near")[0] == 0
    pictures = [sorted(file.name for file in (tmp_path / name).rglob("*.png")) for name in ("far", "near")]
    assert pictures[0] == pictures[1] != []
    assert_one_line(brushbench("gallery", f"{bucket.url}/results", "--link", "-o", tmp_path / "link"), "without --link")


@pytest.mark.slow
def test_images_are_read_once(bucket: Bucket, make: Make, brushbench, tmp_path: Path, monkeypatch) -> None:
    make(f"{bucket.url}/results")
    read: list[str] = []
    whole = Store.read
    monkeypatch.setattr(Store, "read", lambda self, name: read.append(name) or whole(self, name))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other cache"))
    elsewhere()
    assert brushbench("report", f"{bucket.url}/results")[0] == 0
    assert [name for name in read if name.startswith("images/")] == []
    assert brushbench("gallery", f"{bucket.url}/results", "-o", tmp_path / "one")[0] == 0
    assert len([name for name in read if name.startswith("images/")]) == 5
    elsewhere()
    assert brushbench("gallery", f"{bucket.url}/results", "-o", tmp_path / "two")[0] == 0
    assert len([name for name in read if name.startswith("images/")]) == 5


def test_a_changed_and_a_deleted_image_are_noticed_and_made_again(bucket: Bucket, make: Make, here: Run, brushbench):
    make(f"{bucket.url}/results")
    right = bucket.read(f"{RUN}/images/000000001.png")
    bucket.write(f"{RUN}/images/000000001.png", bucket.read(f"{RUN}/images/000000002.png"))
    bucket.delete(f"{RUN}/images/000000003.png")
    elsewhere()
    run = Run.open(f"{bucket.url}/{RUN}")
    assert run.changed_images() == {
        "000000001": "its image was changed after it was made",
        "000000003": "its image was deleted after it was made",
    }
    assert "scored/requested: 3/5" in brushbench("report", f"{bucket.url}/results")[1]
    assert make(f"{bucket.url}/results")[0] == 0
    assert bucket.read(f"{RUN}/images/000000001.png") == right
    elsewhere()
    assert_equal(Run.open(f"{bucket.url}/{RUN}"), here)


@pytest.mark.slow
def test_a_damaged_cache_is_not_believed(bucket: Bucket, make: Make, here: Run, tmp_path: Path) -> None:
    make(f"{bucket.url}/results")
    cached = [file for file in (tmp_path / "cache" / "brushbench" / "stores" / "images").rglob("*") if file.is_file()]
    assert len(cached) == 5
    for file in cached:
        file.write_bytes(b"damaged")
    elsewhere()
    assert_equal(Run.open(f"{bucket.url}/{RUN}"), here)


@pytest.mark.slow
def test_cached_images_are_kept_for_a_month(bucket: Bucket, make: Make, here: Run, tmp_path: Path) -> None:
    make(f"{bucket.url}/results")
    folder = tmp_path / "cache" / "brushbench" / "stores"
    old, *recent = [file for file in (folder / "images").rglob("*") if file.is_file()]
    for file, days in ((old, 31), *((file, 29) for file in recent)):
        os.utime(file, (time.time() - days * 86400,) * 2)
    elsewhere()
    Run.open(f"{bucket.url}/{RUN}")
    assert [file for file in (folder / "images").rglob("*") if file.is_file()] == recent


def test_the_folder_of_a_killed_process_is_removed(bucket: Bucket, make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "brushbench" / "stores"
    left = folder / f"{socket.gethostname()}-1-00000000"
    other = folder / "node7-1-00000000"
    for place in (left, other):
        (place / "s3").mkdir(parents=True)
        place.with_name(f"{place.name}.lock").touch()
    local(f"{bucket.url}/results")
    assert not left.exists()
    assert not left.with_name(f"{left.name}.lock").exists()
    assert other.exists()


@pytest.mark.slow
def test_scores_are_added_to_a_run_in_a_store(bucket: Bucket, make: Make, brushbench) -> None:
    make(f"{bucket.url}/results", "--metrics", "psnr")
    elsewhere()
    code, out, _ = brushbench("score", f"{bucket.url}/results", "--metrics", "mse")
    assert code == 0
    assert f"images and scores: {bucket.url}/{RUN}" in out
    elsewhere()
    scores = read_scores(Run.open(f"{bucket.url}/{RUN}"))
    assert scores is not None
    assert list(scores.metrics) == ["psnr", "mse"]
    assert ".scores.lease" not in "".join(bucket.keys())


def test_from_python(bucket: Bucket, bench: Path) -> None:
    config = RunConfig("mean-fill", "brushbench", bench, output=f"{bucket.url}/results", metrics="mse")
    run = suite.run(config)
    assert run.place == f"{bucket.url}/{RUN}"
    assert f"in '{bucket.url}/{RUN}'" in repr(run)
    elsewhere()
    assert len(Run.open(f"{bucket.url}/{RUN}").ledger()) == 5
    frame = suite.frame([f"{bucket.url}/results"])
    assert set(frame["run"]) == {f"{bucket.url}/{RUN}"}
    again = suite.score(f"{bucket.url}/{RUN}", "psnr")
    assert again.record.fingerprint == run.record.fingerprint


def test_within_a_process_there_is_memory(memory: str, make: Make, here: Run, brushbench) -> None:
    code, out, _ = make(memory)
    assert code == 0
    assert f"images and scores: {memory}/brushbench-inside/mean-fill" in out
    assert_equal(Run.open(f"{memory}/brushbench-inside/mean-fill"), here)
    assert brushbench("report", memory)[0] == 0
    assert make(memory)[0] == 0


def test_a_file_url_is_a_folder(make: Make, here: Run, tmp_path: Path, brushbench) -> None:
    assert make(f"file://{tmp_path}/near")[0] == 0
    assert_equal(Run.open(tmp_path / "near" / "brushbench-inside" / "mean-fill"), here)
    assert (tmp_path / "near" / "brushbench-inside" / "mean-fill" / "samples.jsonl").exists()
    assert brushbench("report", f"file://{tmp_path}/near")[0] == 0


@pytest.mark.slow
def test_captions_and_ids_of_any_language(bucket: Bucket, write_bench, brushbench, tmp_path: Path) -> None:
    root = write_bench(count=1)
    mapping = json.loads((root / "mapping_file.json").read_text())
    (image,) = mapping.values()
    for name in ("ein Bär", "猫 と 犬", "100% +plus &amp= #hash", "naïve 🐻"):
        Image.open(root / image["image"]).save(root / "images" / f"{name}.png")
        mapping[name] = image | {"image": f"images/{name}.png", "caption": f"{name}: „schön“ \u2028 ₂"}
    (root / "mapping_file.json").write_text(json.dumps(mapping))
    options = ("run", *METHOD, "--root", root, "--output")
    assert brushbench(*options, f"{bucket.url}/Läufe/so & so")[0] == 0
    assert brushbench(*options, tmp_path / "folder")[0] == 0
    elsewhere()
    far = Run.open(f"{bucket.url}/Läufe/so & so/brushbench-inside/mean-fill")
    assert_equal(far, Run.open(tmp_path / "folder" / "brushbench-inside" / "mean-fill"))
    assert brushbench("report", f"{bucket.url}/Läufe/so & so")[0] == 0


def test_a_prefix_without_runs(bucket: Bucket, brushbench) -> None:
    assert_one_line(brushbench("report", f"{bucket.url}/results"), f"no runs found in {bucket.url}/results")
    assert_one_line(brushbench("status", bucket.url), f"no runs found in {bucket.url}")
    with pytest.raises(UserError, match="is not a run folder"):
        Run.open(f"{bucket.url}/results")


def test_a_prefix_with_something_else_is_left_alone(bucket: Bucket, make: Make) -> None:
    bucket.write(f"{RUN}/thesis.tex", b"precious")
    assert_one_line(make(f"{bucket.url}/results"), f"{bucket.url}/{RUN} is not empty but contains no run")
    assert bucket.files() == {f"{RUN}/thesis.tex": b"precious"}


@pytest.mark.slow
def test_another_run_at_the_same_place_is_refused(bucket: Bucket, make: Make) -> None:
    make(f"{bucket.url}/results")
    before = bucket.files()
    elsewhere()
    assert_one_line(make(f"{bucket.url}/results", "--seed", "7"), f"{bucket.url}/{RUN} already contains another run")
    assert bucket.files() == before


def test_another_run_without_images_gives_way(bucket: Bucket, make: Make, here: Run, bench: Path) -> None:
    identity = here.record.identity.model_copy(update={"seed": 7})
    Run.start(f"{bucket.url}/{RUN}", identity, 5, {})
    elsewhere()
    assert make(f"{bucket.url}/results")[0] == 0
    assert_equal(Run.open(f"{bucket.url}/{RUN}"), here)


def test_unless_somebody_is_at_work_on_it(bucket: Bucket, make: Make, here: Run) -> None:
    identity = here.record.identity.model_copy(update={"seed": 7})
    other = Run.start(f"{bucket.url}/{RUN}", identity, 5, {}, claim=True)
    owner = (RUN, f".owners/{other.claim}.json")
    stored = json.loads(bucket.read("/".join(owner)))
    bucket.write("/".join(owner), json.dumps(stored | {"host": "node7"}).encode())
    elsewhere()
    assert_one_line(make(f"{bucket.url}/results"), f"{bucket.url}/{RUN} is in use by another run: process")


@pytest.mark.parametrize("seed", [7, 1234])
def test_of_two_that_begin_at_once_one_is_first(bucket: Bucket, here: Run, seed: int, monkeypatch) -> None:
    """The other process is on another machine, and stores its record just before this one would."""
    place, identity = f"{bucket.url}/{RUN}", here.record.identity
    other = identity.model_copy(update={"seed": seed})
    record = here.record.model_copy(update={"identity": other, "fingerprint": other.fingerprint()})
    create = Store.create

    def late(self: Store, name: str, content: bytes) -> bool:
        since = datetime.now().astimezone().isoformat()
        owner = {"host": "node7", "pid": 41, "since": since, "fingerprint": record.fingerprint}
        bucket.write(f"{RUN}/.owners/node7-41-0.json", json.dumps(owner).encode())
        bucket.write(f"{RUN}/run.json", record.model_dump_json().encode())
        return create(self, name, content)

    monkeypatch.setattr(Store, "create", late)
    if seed == identity.seed:
        Run.start(place, identity, 5, {}, claim=True).release()
    else:
        with pytest.raises(UserError, match="is in use by another run: process 41 on node7, at work since"):
            Run.start(place, identity, 5, {}, claim=True)
    assert bucket.read(f"{RUN}/run.json").startswith(record.model_dump_json().encode()[:-1])
    assert bucket.keys(f"{RUN}/.owners") == [f"{RUN}/.owners/node7-41-0.json"]


def test_shards_on_two_machines_make_one_run(bucket: Bucket, make: Make, here: Run, tmp_path: Path, monkeypatch):
    """Each shard sees the other's samples only in the store."""
    assert make(f"{bucket.url}/results", "--shard", "1/2", "--allow-partial")[0] == 0
    elsewhere()
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    assert make(f"{bucket.url}/results", "--shard", "2/2")[0] == 0
    elsewhere()
    assert_equal(Run.open(f"{bucket.url}/{RUN}"), here)


@pytest.mark.slow
def test_notes_of_several_writers_are_kept(bucket: Bucket, make: Make) -> None:
    make(f"{bucket.url}/results", "--limit", "1")
    one = Run.open(f"{bucket.url}/{RUN}")
    one.add_notes(["first"])
    elsewhere()
    two = Run.open(f"{bucket.url}/{RUN}")
    two.add_notes(["first", "second", "zwei\nLinien"])
    elsewhere()
    assert Run.open(f"{bucket.url}/{RUN}").record.notes == ("first", "second", "zwei\nLinien")


@pytest.mark.slow
def test_failures_are_stored_and_removed(bucket: Bucket, bench: Path, brushbench, tmp_path: Path) -> None:
    (tmp_path / "fragile.py").write_text(
        "import os\nfrom brushbench.baselines.classical import MeanFill\n\n\nclass Fragile:\n"
        "    def __call__(self, batch, seeds):\n"
        "        if os.environ.get('BREAKS') and '000000001' in batch.ids:\n"
        "            raise RuntimeError('broke')\n"
        "        return batch.images.clone()\n"
    )
    command = ("run", "--method", f"{tmp_path / 'fragile.py'}:Fragile", *METHOD[2:], "--root", bench)
    os.environ["BREAKS"] = "1"
    try:
        code, _, err = brushbench(*command, "--output", f"{bucket.url}/results", "--batch-size", "1")
    finally:
        del os.environ["BREAKS"]
    assert code == 3
    place = "results/brushbench-inside/Fragile"
    assert f"{bucket.url}/{place}" in err
    assert b"RuntimeError: broke" in bucket.read(f"{place}/errors/000000001.txt")
    elsewhere()
    assert brushbench(*command, "--output", f"{bucket.url}/results", "--batch-size", "1")[0] == 0
    assert bucket.keys(f"{place}/errors") == []


def test_status_from_another_machine(bucket: Bucket, make: Make, brushbench, monkeypatch) -> None:
    make(f"{bucket.url}/results", "--limit", "4", "--shard", "1/2", "--allow-partial")
    run = Run.open(f"{bucket.url}/{RUN}")
    at_work = Run.start(run.path, run.record.identity, 4, {}, claim=True)
    at_work.append_line("workers.jsonl", json.dumps(_began("2/2")))
    elsewhere()
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop")
    code, out, _ = brushbench("status", bucket.url)
    assert code == 3
    assert f"{bucket.url}/{RUN}" in out
    assert "1 at work" in out
    assert [word for word in out.split() if word == "2/4"]
    found = json.loads(brushbench("status", bucket.url, "--format", "json")[1])[0]
    assert found["run"] == f"{bucket.url}/{RUN}"
    assert [each["state"] for each in found["workers"]] == ["finished", "at work"]


def _began(shard: str) -> dict[str, object]:
    now = datetime.now().astimezone().isoformat()
    host = socket.gethostname()
    return {"worker": f"{host}-x", "began": now, "host": host, "pid": os.getpid(), "command": "run", "shard": shard}


@pytest.mark.slow
def test_a_killed_run_resumes_with_equal_bytes(bucket: Bucket, bench: Path, brushbench, forked, tmp_path: Path) -> None:
    (tmp_path / "grey.py").write_text(
        "import time\nfrom pathlib import Path\n\n\nclass Grey:\n    def __call__(self, batch, seeds):\n"
        f"        while batch.ids[0] == '000000003' and Path({str(tmp_path / 'hangs')!r}).exists():\n"
        "            time.sleep(1)\n        return batch.images // 2\n"
    )
    method = ("--method", f"{tmp_path / 'grey.py'}:Grey", *METHOD[2:], "--batch-size", "1", "--root", bench)
    place = "results/brushbench-inside/Grey"
    (tmp_path / "hangs").touch()
    running = forked("run", *method, "--output", f"{bucket.url}/results")
    # A batch is recorded when the next one has been generated.
    while running.is_alive and len([key for key in bucket.keys(f"{place}/samples") if key.endswith(".jsonl")]) < 2:
        time.sleep(0.05)
    running.send(signal.SIGKILL)
    running.result()
    (tmp_path / "hangs").unlink()
    assert 2 <= len(Run.open(f"{bucket.url}/{place}").ledger()) < 5
    assert brushbench("run", *method, "--output", f"{bucket.url}/results")[0] == 0
    assert brushbench("run", *method, "--output", tmp_path / "whole")[0] == 0
    elsewhere()
    assert_equal(Run.open(f"{bucket.url}/{place}"), Run.open(tmp_path / "whole" / "brushbench-inside" / "Grey"))


def test_what_a_store_cannot_do_is_said_in_one_line(bucket: Bucket, make: Make, brushbench, tmp_path: Path) -> None:
    assert_one_line(make(f"{bucket.url}/results", "--fresh"), "valid: another output, or delete the run there")
    shared = ("--engine", "ray", "--store", "shared")
    assert_one_line(make(f"{bucket.url}/results", *shared), "valid with it: store driver")
    assert_one_line(make(f"{bucket.url}/results", "--gallery"), "valid: a path on this machine")
    assert_one_line(brushbench("gallery", bucket.url, "-o", f"{bucket.url}/page"), "valid: a path on this machine")
    assert_one_line(brushbench("report", bucket.url, "--sheet", "s3://a/b.png"), "valid: a path on this machine")
    assert bucket.keys() == []


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("az://bucket/runs", "can't be stored by az://; valid: s3://BUCKET/PREFIX"),
        ("s3://", "not a place for runs"),
        ("s3://bucket//runs", "not a place for runs"),
        ("s3://bucket/../runs", "not a place for runs"),
        (f"s3://bucket/{'x' * 201}", "not a place for runs"),
    ],
)
def test_wrong_urls(make: Make, output: str, told: str) -> None:
    assert_one_line(make(output), told)


def test_a_missing_bucket(bucket: Bucket, make: Make, brushbench) -> None:
    assert_one_line(make("s3://no-such-bucket/results"), "no such bucket: s3://no-such-bucket")
    assert_one_line(brushbench("report", "s3://no-such-bucket"), "no such bucket: s3://no-such-bucket")


def test_missing_credentials(bucket: Bucket, make: Make, monkeypatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    elsewhere()
    assert_one_line(make(f"{bucket.url}/results"), "Unable to locate credentials; check the bucket's name")


def test_a_missing_library(make: Make, monkeypatch) -> None:
    elsewhere()
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    assert_one_line(make("s3://bucket/results"), "pip install 'brushbench[s3]'")


def test_a_path_keeps_the_url() -> None:
    assert str(url_in(Path("s3://bucket/a/b"))) == "s3://bucket/a/b"
    assert url_in("folder/s3:/x") is None
    assert local("plain/folder") == Path("plain/folder")


def assert_one_line(found: tuple[int, str, str], told: str) -> None:
    code, _, err = found
    assert code == 2, err
    assert told in err
    assert err.count("\n") == 1, err


@pytest.mark.slow
def test_two_shards_at_the_same_time(bucket: Bucket, bench: Path, here: Run, forked) -> None:
    """Whichever scores last has the scores of both, as one waits for the other."""
    for _ in range(3):
        command = ("run", *METHOD, "--root", bench, "--allow-partial", "--output", f"{bucket.url}/results")
        shards = [forked(*command, "--shard", f"{number}/2") for number in (1, 2)]
        ends = [shard.result() for shard in shards]
        assert [code for code, _, _ in ends] == [0, 0], ends
        elsewhere()
        assert_equal(Run.open(f"{bucket.url}/{RUN}"), here)
        for key in bucket.files():
            bucket.delete(key)


@pytest.mark.slow
def test_of_two_runs_at_the_same_time_exactly_one_wins(bucket: Bucket, bench: Path, forked) -> None:
    for _ in range(3):
        command = ("run", *METHOD, "--root", bench, "--output", f"{bucket.url}/results")
        both = [forked(*command, "--seed", str(seed)) for seed in (1, 2)]
        ends = [each.result() for each in both]
        won = [seed for seed, (code, _, _) in enumerate(ends, 1) if code == 0]
        assert len(won) == 1, ends
        code, _, err = ends[2 - won[0]]
        assert code == 2
        assert len([line for line in err.splitlines() if line.startswith("brushbench: ")]) == 1
        elsewhere()
        run = Run.open(f"{bucket.url}/{RUN}")
        assert run.record.identity.seed == won[0]
        assert len(run.intact()) == 5
        for key in bucket.files():
            bucket.delete(key)


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_the_driver_of_a_cluster_stores_the_run(bucket: Bucket, make: Make, here: Run, request) -> None:
    request.getfixturevalue("cluster")
    assert make(f"{bucket.url}/results", "--engine", "ray", "--limit", "3")[0] == 0
    elsewhere()
    assert make(f"{bucket.url}/results", "--engine", "ray")[0] == 0
    elsewhere()
    assert_equal(Run.open(f"{bucket.url}/{RUN}"), here)


@pytest.mark.slow
def test_a_sweep_and_a_study_make_their_runs_in_a_store(bucket: Bucket, bench: Path, brushbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = ("--dataset", "brushbench", "--root", bench, "--metrics", "psnr", "--output", f"{bucket.url}/results")
    code, out, err = brushbench("sweep", "--method", "telea", "--vary", "radius=1,3", *data)
    assert code == 0, err
    assert f"images and scores: {bucket.url}/results/sweep/radius=3.0/brushbench-inside/telea" in out
    (tmp_path / "study.toml").write_text(
        f'[run]\nmethod = ["mean-fill"]\ndataset = "brushbench"\nroot = "{bench}"\noutput = "{bucket.url}/study"\n'
        '[[table]]\nfile = "table.md"\n'
    )
    code, out, err = brushbench("run", tmp_path / "study.toml", "--metrics", "psnr")
    assert code == 0, err
    assert "mean-fill" in (tmp_path / "table.md").read_text()
    elsewhere()
    assert len(set(suite.frame([bucket.url])["run"])) == 3
