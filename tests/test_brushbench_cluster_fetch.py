"""`--fetch`: a machine of a cluster downloads once what it lacks, and checks it; without it, what it lacks is named."""

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from fake_cluster import FakePool, made_by, pool_of, scored_by
from file_server import Served as WebServed
from file_server import serving
from hub_server import Hub, Served, use_hub
from support import assert_one_line, run_on
from test_brushbench_downloads import FAMILY, UNET
from test_brushbench_editbench import write_a
from test_brushbench_editbench_get import packed
from tiny_metrics import clip_folder

from brushbench.core.errors import UserError
from brushbench.core.progress import silent
from brushbench.core.registry import built_in, dataset_info
from brushbench.evaluation.cluster.driver import Driver
from brushbench.evaluation.cluster.generating import GenerationErrand
from brushbench.evaluation.cluster.scoring import ScoringErrand
from brushbench.evaluation.evaluate import generate
from brushbench.evaluation.fetch import once_per_machine
from brushbench.evaluation.resolve import task_of
from brushbench.metrics.clip import OPENAI
from brushbench.runs.config import RunConfig


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that nothing was fetched to yet."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    monkeypatch.setattr("brushbench.curation.fetch.download.PAUSES", (0.0, 0.0))
    return tmp_path / "tmp"


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[dict[str, object]], Hub]]:
    """Start a hub that the real client asks."""
    hubs: list[Hub] = []

    def started(repositories: dict[str, object]) -> Hub:
        hubs.append(Hub(repositories))
        use_hub(monkeypatch, hubs[-1], tmp_path / "cache")
        return hubs[-1]

    yield started
    for hub in hubs:
        hub.close()


@pytest.fixture
def config(tmp_path: Path, write_bench, tiny_weights: Path) -> RunConfig:
    """A run with weights of the hub."""
    (tmp_path / "tiny.toml").write_text(FAMILY.format(revision=""))
    asked = {"weights": tmp_path / "tiny.toml", "steps": 1, "batch_size": 1, "device": "cpu"}
    return RunConfig("brushnet", "brushbench", write_bench(count=3), output=tmp_path / "runs", **asked)


@pytest.fixture
def repositories(tiny_weights: Path, tmp_path: Path) -> dict[str, object]:
    sd = shutil.copytree(tiny_weights, tmp_path / "sd", ignore=shutil.ignore_patterns("brushnet"))
    return {"lab/sd": Served(sd), "lab/branch": tiny_weights / "brushnet"}


def test_one_process_of_a_machine_loads_first_and_the_others_after_it() -> None:
    begun, release = threading.Event(), threading.Event()
    order: list[str] = []

    def first() -> str:
        begun.set()
        release.wait(60)
        order.append("first")
        return "loaded"

    def later() -> str:
        order.append("later")
        return "loaded"

    with ThreadPoolExecutor(3) as pool:
        results = [pool.submit(once_per_machine, "one", first)]
        begun.wait(60)
        results += [pool.submit(once_per_machine, "one", later) for _ in range(2)]
        release.set()
        assert [result.result() for result in results] == ["loaded"] * 3
    assert order == ["first", "later", "later"]


def test_after_one_that_failed_the_next_one_is_the_first() -> None:
    def fails() -> str:
        raise UserError("the hub can't be reached")

    with pytest.raises(UserError):
        once_per_machine("one", fails)
    assert once_per_machine("one", lambda: "loaded") == "loaded"


def test_weights_are_downloaded_once_and_the_images_are_those_of_one_process(
    config: RunConfig, repositories, start, tmp_path: Path
) -> None:
    hub = start(repositories)
    run = made_by(config, pool_of(GenerationErrand(config, "token"), room=2))
    assert len([asked for asked in hub.asked if asked.endswith(UNET)]) == 2, "one question for its size, one download"
    alone = generate(replace(config, output=tmp_path / "alone"))
    digests = [{name: entry.sha256 for name, entry in made.intact().items()} for made in (run, alone)]
    assert digests[0] == digests[1]


def test_a_damaged_download_is_named_with_its_machine(config: RunConfig, repositories, start) -> None:
    repositories["lab/sd"].damaged.add(UNET)
    start(repositories)
    pool = pool_of(GenerationErrand(config, "token"), room=1, machine=lambda _name: "node7")
    with pytest.raises(UserError, match=r"^node7: .*was damaged during download"):
        made_by(config, pool)


def test_a_machine_without_a_network_is_named(config: RunConfig, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    pool = pool_of(GenerationErrand(config, "token"), room=1, machine=lambda _name: "node7")
    with pytest.raises(UserError, match=r"^node7: base: lab/sd is not on this machine and can't be downloaded: HF_HUB"):
        made_by(config, pool)


class Here:
    """An order that no worker gets so far as to begin."""

    stored = None
    most_workers = 1
    verb, instead = "generate", ""

    def begin(self, loaded: object, watch: object) -> None:
        pytest.fail("begun")


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServed]:
    """EditBench at its known address."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "BRUSHBENCH_DATA"):
        monkeypatch.delenv(name, raising=False)
    write_a(tmp_path / "whole")
    with serving(WebServed(packed(tmp_path / "whole"))) as served:
        entry = built_in("dataset")["editbench"]
        there = replace(entry.info, download=replace(entry.info.download, address=served.address))
        monkeypatch.setitem(built_in("dataset"), "editbench", replace(entry, info=there))
        yield served


def test_a_data_set_is_downloaded_once_to_where_the_run_expects_it(published, tmp_path: Path) -> None:
    config = RunConfig("mean-fill", "editbench", tmp_path / "nodes" / "EditBench", output=tmp_path / "runs")
    with pytest.raises(UserError, match="EditBench"):
        GenerationErrand(config).load()
    made = [GenerationErrand(config, "token").load()[0].identity for _ in range(2)]
    assert made[0] == made[1]
    assert len(published.asked) == 1


def test_the_machine_that_hands_out_the_work_fetches_its_data_set_too(published, tmp_path: Path) -> None:
    config = RunConfig("mean-fill", "editbench", tmp_path / "here", output=tmp_path / "runs", engine="ray", fetch=True)
    assert len(task_of(config, scored=False).dataset.ids) == 3
    assert len(published.asked) == 1


def test_an_address_that_does_not_answer_is_one_line_that_names_the_machine(published, tmp_path: Path) -> None:
    published.status = 404
    config = RunConfig("mean-fill", "editbench", tmp_path / "here", output=tmp_path / "runs")
    pool = pool_of(GenerationErrand(config, "token"), room=1, machine=lambda _name: "node7")
    told = r"^node7: data set editbench can't be fetched: .*404"
    with pytest.raises(UserError, match=told):
        Driver(Here(), pool, silent, clock=pool.clock)()


def test_a_data_set_without_an_address_is_said_to_have_none(tmp_path: Path) -> None:
    assert not dataset_info("brushbench").download.address
    config = RunConfig("mean-fill", "brushbench", tmp_path / "nothing", output=tmp_path / "runs")
    with pytest.raises(UserError, match=r"; --fetch can't get it, as brushbench has no public address$"):
        GenerationErrand(config, "token").load()


def test_weights_of_metrics_are_downloaded_only_if_fetched(
    golden: Path, write_bench, start, tmp_path: Path, unsized_manifests: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = start({OPENAI: clip_folder(golden, tmp_path / "clip")})
    run = generate(RunConfig("mean-fill", "brushbench", write_bench(count=2), output=tmp_path / "runs"))
    errands: list[ScoringErrand] = []

    def make(errand: ScoringErrand) -> FakePool:
        errands.append(errand)
        return pool_of(errand, room=2)

    scored_by(run, make, metrics=["clip"])
    before = len(hub.asked)
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(UserError, match=r"^metric clip: its weights are not on this machine"):
        errands[0].load()
    assert len(hub.asked) == before
    loaded = [replace(errands[0], fetch="token").load()[0].identity for _ in range(2)]
    assert loaded[0] == loaded[1]
    assert len([asked for asked in hub.asked[before:] if asked.endswith("model.safetensors")]) == 2


def test_fetch_without_a_cluster_is_refused(brushbench, write_bench, tmp_path: Path) -> None:
    told = "workers, store and fetch are options of a cluster; valid with them: engine ray"
    assert_one_line(brushbench(*run_on(write_bench(), tmp_path / "runs", "--fetch")), told)
