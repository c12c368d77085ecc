"""Runs in an object store that fails: the S3 server on this machine, behind a proxy with a plan of faults."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import elsewhere
from object_store import FAULTS, Bucket, at_random, proxy
from test_brushbench_storage import assert_equal, assert_one_line

from brushbench.core.errors import UserError
from brushbench.evaluation.evaluate import run as run_all
from brushbench.runs.config import RunConfig
from brushbench.runs.folder import Run
from brushbench.storage import store
from brushbench.storage.store import Store, StoreError
from brushbench.storage.urls import Url

QUICK = ("500", "lost", "short")
RUN = "results/brushbench-inside/mean-fill"


@pytest.fixture
def config(bucket: Bucket, write_bench) -> Callable[..., RunConfig]:
    root = write_bench(count=6)
    given = {"metrics": "psnr", "batch_size": 2}
    return lambda output, **more: RunConfig("mean-fill", "brushbench", root, output=output, **given | more)


@pytest.fixture
def whole(config, tmp_path: Path) -> Run:
    """The run in a folder of this machine."""
    return run_all(config(tmp_path / "whole"))


@pytest.mark.parametrize(
    "fault", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FAULTS]
)
def test_each_fault_ends_well(bucket: Bucket, config, whole: Run, monkeypatch, fault: str) -> None:
    """Every third request that the fault suits fails."""
    if fault == "hung":
        monkeypatch.setattr(store, "LONGEST_SECONDS", 1.0)
    count = 0

    def plan(method: str, address: str) -> str:
        nonlocal count
        suits = {"garbled": "list-type" in address, "short": method == "PUT"}.get(fault, True)
        count += suits
        return fault if suits and count % (9 if fault == "hung" else 3) == 0 else ""

    with proxy(bucket.endpoint, plan) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.endpoint)
        elsewhere()
        run_all(config(f"{bucket.url}/results"))
        assert between.happened
        assert_equal(Run.open(f"{bucket.url}/{RUN}"), whole)
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    elsewhere()
    assert_equal(Run.open(f"{bucket.url}/{RUN}"), whole)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_faults_at_random(bucket: Bucket, config, whole: Run, monkeypatch, seed: int) -> None:
    with proxy(bucket.endpoint, at_random(seed, 0.3)) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.endpoint)
        elsewhere()
        run_all(config(f"{bucket.url}/results", shard="1/2"))
        elsewhere()
        run_all(config(f"{bucket.url}/results", shard="2/2"))
        assert len({*between.happened}) > 3
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    elsewhere()
    assert_equal(Run.open(f"{bucket.url}/{RUN}"), whole)


@pytest.mark.slow
def test_an_outage_ends_the_run_with_a_line_and_the_next_one_completes_it(
    bucket: Bucket, config, whole: Run, monkeypatch, brushbench, write_bench
) -> None:
    monkeypatch.setattr(store, "PAUSES", (0.0,))
    parts: list[str] = []

    def plan(method: str, address: str) -> str:
        if method == "PUT" and "/samples/" in address:
            parts.append(address)
        return "500" if len(parts) > 3 else ""

    root = config("x").root
    command = ("--method", "mean-fill", "--dataset", "brushbench", "--root", root, "--metrics", "psnr")
    command += ("--batch-size", 2, "--output", f"{bucket.url}/results")
    with proxy(bucket.endpoint, plan) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.endpoint)
        elsewhere()
        code, _, err = brushbench("run", *command)
    told = err.splitlines()[-1]
    assert code == 2
    assert re.match(f"brushbench: (reading|writing) {bucket.url}/{RUN}/[^ ]*: Internal Server Error; check", told)
    assert "check the bucket's name, the credentials and the endpoint, or wait" in told
    assert told.endswith("Finished samples are kept: run the same command again to resume")
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    elsewhere()
    assert 0 < len(Run.open(f"{bucket.url}/{RUN}").ledger()) < 6
    assert brushbench("run", *command)[0] == 0
    elsewhere()
    assert_equal(Run.open(f"{bucket.url}/{RUN}"), whole)


def test_a_refusal_is_told_at_once(bucket: Bucket, config, monkeypatch, brushbench) -> None:
    refused = []

    def plan(method: str, address: str) -> str:
        refused.append(address)
        return "403"

    with proxy(bucket.endpoint, plan) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.endpoint)
        elsewhere()
        assert_one_line(brushbench("report", f"{bucket.url}/results"), "AccessDenied")
    assert len(refused) == 1


def test_a_store_that_is_not_there(bucket: Bucket, brushbench, monkeypatch) -> None:
    monkeypatch.setattr(store, "PAUSES", (1000.0,))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    elsewhere()
    found = brushbench("report", f"{bucket.url}/results")
    assert_one_line(found, f"listing {bucket.url}/results: Could not connect to the endpoint URL")


def test_waiting_ends_after_some_time(bucket: Bucket, monkeypatch) -> None:
    """However many pauses there are: the clock decides."""
    monkeypatch.setattr(store, "PATIENCE_SECONDS", 0.0)
    with proxy(bucket.endpoint, lambda *_: "500") as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.endpoint)
        elsewhere()
        with pytest.raises(StoreError, match="InternalError"):
            Store(Url("s3", (bucket.name,))).top()
        assert len(between.requests) == 1


def test_what_is_created_belongs_to_whoever_created_it(bucket: Bucket, monkeypatch) -> None:
    """Also if the answer was lost, so that the repetition finds the object there."""
    lost = ["lost"]
    with proxy(bucket.endpoint, lambda method, _: lost.pop() if method == "PUT" and lost else "") as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.endpoint)
        elsewhere()
        mine = Store(Url("s3", (bucket.name,)))
        assert mine.create("run.json", b"mine")
        assert between.happened == ["lost"]
        assert not mine.create("run.json", b"another's")
    assert bucket.read("run.json") == b"mine"


@pytest.mark.slow
def test_tags_that_are_no_md5_cost_reading_only(bucket: Bucket, config, whole: Run, monkeypatch) -> None:
    """Amazon's key management encrypts objects, and their tags only look like an MD5."""
    entry = store._entry
    scrambled = [str.maketrans("0123456789abcdef", "123456789abcdef0")]
    monkeypatch.setattr(store, "_entry", lambda info: replace(one := entry(info), md5=one.md5.translate(*scrambled)))
    run_all(config(f"{bucket.url}/results"))
    elsewhere()
    assert_equal(Run.open(f"{bucket.url}/{RUN}"), whole)
    bucket.write(f"{RUN}/images/000000001.png", bucket.read(f"{RUN}/images/000000002.png"))
    elsewhere()
    assert list(Run.open(f"{bucket.url}/{RUN}").changed_images()) == ["000000001"]


@pytest.mark.parametrize(
    "info",
    [
        # As s3fs and gcsfs say it, by their sources.
        {"size": 5, "ETag": '"5d41402abc4b2a76b9719d911017c592"', "LastModified": datetime(2026, 12, 1, tzinfo=UTC)},
        {"size": 5, "etag": "CKih16GjycIC", "md5Hash": "XUFAKrxLKna5cZ2REBfFkg==", "updated": "2026-12-01T00:00:00Z"},
        {"size": 5, "ETag": '"5d41402abc4b2a76b9719d911017c592-2"', "LastModified": datetime(2026, 12, 1, tzinfo=UTC)},
    ],
)
def test_what_stores_say_of_an_object(info: dict[str, object]) -> None:
    entry = store._entry(info)
    assert (entry.size, entry.modified) == (5, datetime(2026, 12, 1, tzinfo=UTC).timestamp())
    assert entry.version
    assert entry.md5 in ({""} if "-2" in str(info) else {"5d41402abc4b2a76b9719d911017c592"})


@pytest.mark.parametrize(
    "error", [PermissionError("no"), OSError("Forbidden: https://storage\nno access"), ValueError("Invalid endpoint")]
)
def test_a_request_that_cannot_succeed_is_made_once(bucket: Bucket, monkeypatch, error: Exception) -> None:
    tried = []

    def listing(*_: object, **__: object) -> None:
        tried.append(1)
        raise error

    own = Store(Url("s3", (bucket.name,)))
    monkeypatch.setattr(own._files, "ls", listing)
    with pytest.raises(UserError, match=r"listing s3://.*check the bucket's name, the credentials and the endpoint$"):
        own.top()
    assert tried == [1]
