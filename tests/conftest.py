"""Small data sets and tiny real models for all tests.

What takes long to import, torch above all, is imported where it is used: this file is read also where no test of it is.
"""

import gc
import json
import os
import shutil
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import lighter_checks
import pytest
from filelock import FileLock
from forked import Running, scripted, started
from hub_server import Content, Hub
from hypothesis import settings
from studies import METHODS

from brushbench.cli.main import main
from brushbench.core.bars import without_bars

if TYPE_CHECKING:
    import numpy as np
    import torch
    from browser import Visit
    from object_store import Bucket
    from playwright.sync_api import Browser
    from published import Publication
    from tiny_pipelines import Folders

    from brushbench.core.types import Sample

# Tiny models are slower with more threads. It holds for processes that tests start, too.
os.environ["OMP_NUM_THREADS"] = "1"
# No test depends on how busy the machine is.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

GOLDEN = Path(__file__).parent / "golden"
SIDE = 64
Write = Callable[..., Path]


def pytest_report_header(config: pytest.Config) -> str:
    """Say which checks there are; they are set up when `lighter_checks` is imported, before the suite is."""
    return lighter_checks.header(config.getoption("jaxtyping_packages"))


def pytest_collection_finish() -> None:
    """Let the garbage collector leave alone what was imported: looking at it again and again took long."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _no_wait_for_the_disk() -> Iterator[None]:
    """Files of tests needn't outlive a power cut; on a busy disk, most of the time went there.

    The processes that tests start do wait, and tests of a full disk put an `fsync` of their own in this place.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _file: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _compiled_code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiled code is kept for all workers, but not among a user's own."""
    own = tmp_path_factory.getbasetemp()
    root = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(root / "compiled"))
        yield


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The recipe `fast` in all but compiling, which takes long."""
    import torch

    from brushbench.weights import recipe

    monkeypatch.setattr(recipe, "BACKEND", "eager")
    with torch.compiler.set_stance("force_eager"):
        yield


@pytest.fixture(scope="session")
def golden() -> Path:
    return GOLDEN


@pytest.fixture(scope="session")
def golden_weights() -> Path:
    """Stable Diffusion 1.5 and BrushNet in miniature, random: a folder in diffusers layout."""
    return GOLDEN / "brushnet" / "weights"


@pytest.fixture(scope="session")
def tiny_weights(golden_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden model with fewer layers and words, for tests that need no golden picture."""
    from tiny_weights import halved

    with without_bars():
        return halved(golden_weights, tmp_path_factory.mktemp("tiny") / "weights")


@pytest.fixture(scope="session")
def inpainting_weights(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny weights with a UNet of nine input channels."""
    import torch
    from diffusers import UNet2DConditionModel

    folder = tmp_path_factory.mktemp("inpainting") / "weights"
    shutil.copytree(tiny_weights, folder, ignore=shutil.ignore_patterns("unet", "brushnet"))
    config = json.loads((tiny_weights / "unet" / "config.json").read_text())
    torch.manual_seed(0)
    UNet2DConditionModel.from_config(config | {"in_channels": 9}).save_pretrained(folder / "unet")
    return folder


@pytest.fixture(scope="session")
def sdxl_weights(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SDXL and BrushNet in miniature, random: a folder in diffusers layout."""
    from safetensors.torch import save_file
    from support import with_whole_vocabulary

    folder = tmp_path_factory.mktemp("sdxl") / "weights"
    shutil.copytree(golden / "brushnet_sdxl" / "weights", folder)
    tokenizer = golden / "brushnet" / "weights" / "tokenizer"
    shutil.copytree(tokenizer, folder / "tokenizer")
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(tokenizer / name, folder / "tokenizer_2" / name)
    for part in ("text_encoder", "text_encoder_2"):
        file = folder / part / "model.safetensors"
        save_file(with_whole_vocabulary(file), file)
    return folder


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory: pytest.TempPathFactory, golden_weights: Path) -> "Folders":
    """The folder of a tiny pipeline of diffusers, made when it is first asked for, once for all workers."""
    from tiny_pipelines import make

    own = tmp_path_factory.getbasetemp()
    root = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "pipelines"
    root.mkdir(exist_ok=True)

    def folder(kind: str) -> Path:
        with FileLock(root / f"{kind}.lock"), without_bars():
            if not (root / kind).exists():
                make(kind, root / f"{kind}.partial", golden_weights / "tokenizer" / "vocab.json").rename(root / kind)
        return root / kind

    return folder


@pytest.fixture
def changed_pipeline(pipelines: "Folders", tmp_path: Path) -> "Folders":
    """A copy of one, to be damaged."""
    return lambda kind: shutil.copytree(pipelines(kind), tmp_path / "changed")


@pytest.fixture
def write_bench(tmp_path: Path) -> Write:
    return lambda **changes: write_benchmark(tmp_path / "bench", **changes)


@pytest.fixture
def samples(write_bench: Write) -> "list[Sample]":
    """Three of them."""
    from brushbench import load_dataset

    return list(load_dataset("brushbench", root=write_bench(count=3)))


def write_benchmark(root: Path, count: int = 4, side: int = SIDE, entries: dict[str, object] | None = None) -> Path:
    """A data set in BrushBench's format: smooth random pictures, a rectangle each as mask; `entries` are added."""
    from PIL import Image

    from brushbench.imaging.masks import encode_rle

    (root / "images").mkdir(parents=True)
    mapping: dict[str, object] = {}
    for index in range(count):
        name = f"{index:09d}"
        Image.fromarray(picture(index, side)).save(root / "images" / f"{name}.png")
        mask = rectangle(index, side)
        mapping[name] = {
            "image": f"images/{name}.png",
            "caption": f"picture number {index}",
            "inpainting_mask": encode_rle(mask),
            "outpainting_mask": encode_rle(~mask),
        }
    (root / "mapping_file.json").write_text(json.dumps(mapping | (entries or {})))
    return root


def picture(seed: int, side: int) -> "np.ndarray":
    import numpy as np
    from PIL import Image

    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def rectangle(seed: int, side: int) -> "torch.Tensor":
    import torch

    mask = torch.zeros(side, side, dtype=torch.bool)
    top, left = 4 + 3 * seed % (side // 4), 8 + 5 * seed % (side // 4)
    mask[top : top + side // 2, left : left + side // 3] = True
    return mask


@pytest.fixture(scope="session")
def published(
    tiny_weights: Path, inpainting_weights: Path, sdxl_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> "Publication":
    """Every repository that families and metrics name, as its manifest lists it, in miniature."""
    from published import publish, tiny_sources

    root = tmp_path_factory.mktemp("published")
    sources = tiny_sources(GOLDEN, tiny_weights, inpainting_weights, sdxl_weights, root / "tiny")
    return publish(sources, root)


@pytest.fixture
def unsized_manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Manifests without digests, for small weights under the names of published ones."""
    from published import unsized

    monkeypatch.setattr("brushbench.weights.manifest.FOLDER", unsized(tmp_path / "unsized manifests"))


@pytest.fixture
def brushbench(capsys: pytest.CaptureFixture[str]):
    """Run the command line in this process: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(exit_.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def study_place(tmp_path: Path, write_bench: Write, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the study, with data and a method; the working folder is another one."""
    write_bench(count=3)
    (tmp_path / "shade.py").write_text(METHODS)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


@pytest.fixture
def study(study_place: Path, brushbench) -> Callable[..., tuple[int, str, str]]:
    """Run a study of this text."""

    def call(text: str, *more: object) -> tuple[int, str, str]:
        (study_place / "study.toml").write_text(text)
        return brushbench("run", study_place / "study.toml", *more)

    return call


@pytest.fixture
def hub() -> Iterator[Callable[[dict[str, Content]], Hub]]:
    """Start a hub that serves these folders."""
    with ExitStack() as stack:
        yield lambda repositories: stack.enter_context(closing(Hub(repositories)))


@pytest.fixture
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Running]]:
    """Start the command line in a process of its own: to be killed, or to work beside others."""
    with ExitStack() as stack:

        def start(*arguments: object, site: Path | None = None) -> Running:
            running = started([str(argument) for argument in arguments], tmp_path_factory.mktemp("forked"), site)
            stack.callback(running.end)
            return running

        yield start


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], tuple[int, str, str]]:
    """Run a script in a process of its own, where shapes and types aren't checked: exit code, stdout, stderr."""
    return lambda code: scripted(code, tmp_path).result()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server on this machine, which lives as long as the tests of this process."""
    import logging

    from moto.server import ThreadedMotoServer

    # It would print a line for each request.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[Bucket]":
    """An empty bucket, with the environment that makes it reachable, and nothing else."""
    import boto3
    import fsspec
    from object_store import SETTINGS, Bucket

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    keys = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    own = {"AWS_ENDPOINT_URL": s3_server, "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1"}
    for name, value in (keys | own | {"XDG_CACHE_HOME": str(tmp_path / "cache")}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(fsspec.config.conf, "s3", SETTINGS)
    monkeypatch.setattr("brushbench.storage.store.PAUSES", (0.01,) * 20)
    client = boto3.client("s3", endpoint_url=s3_server)
    name = f"runs-{uuid.uuid4().hex[:8]}"
    client.create_bucket(Bucket=name)
    elsewhere()
    yield Bucket(name, s3_server, client)
    elsewhere()
    client.close()


def elsewhere() -> None:
    """From here on, this process is as one on another machine: it knows nothing of stores."""
    import s3fs

    from brushbench.runs import mirror
    from brushbench.storage import places

    s3fs.S3FileSystem.clear_instance_cache()
    mirror._mirror.cache_clear()
    places._root.cache_clear()


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The address of a Ray cluster of two cores, which this process is connected to.

    Tests that use it are marked `xdist_group("ray")`, so that one worker has them all, and there is one cluster.
    """
    # Without it, Ray warns at every start on a machine without a GPU.
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    import ray

    # Ray takes the signal to terminate for itself.
    before = signal.getsignal(signal.SIGTERM)
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    signal.signal(signal.SIGTERM, before)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """One for all tests, which are marked `xdist_group("browser")`, so that one worker has them all."""
    from browser import started

    with started() as found:
        yield found


@pytest.fixture(scope="session")
def papercut_gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of three methods on 40 scenes of PaperCut, and the gallery of them."""
    from gallery_pages import COUNT, METHODS
    from support import suite

    place = tmp_path_factory.mktemp("papercut")
    options = ("--dataset", "papercut", "--limit", COUNT, "--output", place / "runs")
    assert suite("run", "--method", ",".join(METHODS), *options) == 0
    assert suite("gallery", place / "runs", "-o", place / "gallery") == 0
    return place


@pytest.fixture
def visit(browser: "Browser", papercut_gallery: Path) -> "Iterator[Callable[..., Visit]]":
    """Open the gallery; whatever goes wrong on the page fails the test."""
    from browser import Visit

    open_: list[Visit] = []

    def make(hash_: str = "", *, dark: bool = False, file: Path | None = None) -> Visit:
        page = file or papercut_gallery / "gallery" / "index.html"
        open_.append(Visit(browser, page, hash_=hash_, dark=dark))
        return open_[-1]

    yield make
    for each in open_:
        each.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run slow tests first, so that no worker waits for one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None and item.get_closest_marker("first") is None)
