"""A hub that is gated, renamed, breaks off, or hasn't what it should have: one line, and nothing half-written."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
import torch
from hub_server import Hub, Moved, Served, locked, put_in_cache, use_hub
from safetensors.torch import load_file, save_file
from support import assert_one_line

from brushbench.core import files
from brushbench.core.files import file_digest
from brushbench.weights import Weights, manifest

Start = Callable[..., Hub]
Brushbench = Callable[..., tuple[int, str, str]]
UNET = "unet/diffusion_pytorch_model.safetensors"
FAMILY = """
summary = "a miniature"
[components.sd]
source = "lab/sd"
{revision}
licence = "none"
citation = "none"
[components.branch]
source = "lab/branch"
licence = "none"
citation = "none"
[methods.brushnet]
base = "sd"
brushnet = "branch"
"""
LISTING = """
repository = "lab/sd"
formerly = ["old/sd"]
{commit}
complete = true
licence = {{ name = "none", source = "us" }}
revision_source = {{ source = "us" }}
[sources.us]
where = "here"
confidence = "read"
[[files]]
path = "unet/diffusion_pytorch_model.safetensors"
source = "us"
sha256 = "{digest}"
"""
COMMIT = "c" * 40


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "hub"


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[Start]:
    """Start a hub that the real client asks; a download is tried again without waiting."""
    hubs = []

    def started(**repositories: object) -> Hub:
        hubs.append(Hub({name.replace("__", "/"): content for name, content in repositories.items()}))
        use_hub(monkeypatch, hubs[-1], cache)
        return hubs[-1]

    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    yield started
    for hub in hubs:
        hub.close()


@pytest.fixture
def sd(tiny_weights: Path, tmp_path: Path) -> Path:
    """Stable Diffusion in miniature, to be changed."""
    return shutil.copytree(tiny_weights, tmp_path / "sd", ignore=shutil.ignore_patterns("brushnet"))


@pytest.fixture
def generate(brushbench: Brushbench, write_bench, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """A run of one sample with the tiny family; of what it tells only the last line."""
    root = write_bench(count=1)

    def run(revision: str = "", *options: str) -> tuple[int, str, str]:
        family = tmp_path / "tiny.toml"
        family.write_text(FAMILY.format(revision=f'revision = "{revision}"' if revision else ""))
        arguments = ("--method", "brushnet", "--weights", family, "--dataset", "brushbench", "--root", root)
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)
        code, out, err = brushbench("generate", *arguments, "--steps", 1, "--output", tmp_path / "runs", *options)
        return code, out, err.splitlines()[-1] if code else err

    return run


def list_it(monkeypatch: pytest.MonkeyPatch, folder: Path, digest: str = "0" * 64, commit: str = COMMIT) -> None:
    """The only manifest is that of lab/sd, which was old/sd."""
    folder.mkdir()
    (folder / "sd.toml").write_text(LISTING.format(digest=digest, commit=f'commit = "{commit}"'))
    monkeypatch.setattr(manifest, "FOLDER", folder)


def files_in(cache: Path) -> set[str]:
    """Name the weights in the hub's cache: blobs, links and half-written files."""
    found = {path.name for path in cache.rglob("*") if path.is_file() and "refs" not in path.parts}
    return {name for name in found if not name.endswith((".json", ".txt", ".lock", ".TAG")) and len(name) != 40}


def test_gated_weights(start: Start, sd: Path, generate, tiny_weights: Path, tmp_path: Path) -> None:
    start(lab__sd=Served(sd, gated=True), lab__branch=tiny_weights / "brushnet")
    assert_one_line(generate(), "base: lab/sd ", "it is gated", "accept its terms on the hub, then run `hf auth login`")
    assert not (tmp_path / "runs").exists()


def test_a_renamed_repository_that_redirects(start: Start, sd: Path, generate, tiny_weights: Path, cache: Path) -> None:
    start(lab__sd=Moved("new/sd"), new__sd=sd, lab__branch=tiny_weights / "brushnet")
    assert generate()[0] == 0
    assert locked(cache)["unet"]["source"] == "lab/sd"


def test_a_repository_is_found_by_its_other_name_and_locked_once(
    start: Start, sd: Path, generate, tiny_weights: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_it(monkeypatch, tmp_path / "manifests")
    branch, served = tiny_weights / "brushnet", Served(sd, commit="e" * 40)
    start(old__sd=served, lab__branch=branch)
    assert generate()[0] == 0
    first = locked(cache)
    assert first["unet"]["source"] == "lab/sd"
    # The same by today's name, and another one there: it isn't what it was at first use, under whatever name.
    start(lab__sd=served, lab__branch=branch)
    assert generate()[0] == 0
    assert locked(cache) == first
    tensors = load_file(sd / UNET)
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, sd / UNET, metadata={"format": "pt"})
    shutil.rmtree(cache)
    assert_one_line(generate(), "unet: lab/sd/unet@main has changed since its first use")


def test_what_is_in_the_cache_under_the_old_name_is_used_offline(
    sd: Path, generate, tiny_weights: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_it(monkeypatch, tmp_path / "manifests", digest=file_digest(sd / UNET))
    put_in_cache(cache, "old/sd", sd)
    put_in_cache(cache, "lab/branch", tiny_weights / "brushnet")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert generate()[0] == 0


def test_a_revision_that_is_gone(start: Start, sd: Path, generate, tiny_weights: Path, cache: Path) -> None:
    start(lab__sd=sd, lab__branch=tiny_weights / "brushnet")
    result = generate("d" * 40)
    assert_one_line(
        result, "base: lab/sd", f"no such revision ({'d' * 40})", "-o base=lab/sd, which uses its main branch"
    )
    assert not files_in(cache)


def halve(model: Path, *, keep: bool) -> None:
    """Weights in half precision, beside the plain ones or in their place."""
    for file in model.glob("*.safetensors"):
        tensors = {name: tensor.half() for name, tensor in load_file(file).items()}
        save_file(tensors, file.with_name(f"{file.stem}.fp16.safetensors"), metadata={"format": "pt"})
        if not keep:
            file.unlink()


def pickle(model: Path, stem: str) -> None:
    for file in model.glob("*.safetensors"):
        torch.save(load_file(file), file.with_name(f"{stem}.bin"))


def test_of_two_variants_one_is_downloaded(start: Start, sd: Path, generate, tiny_weights: Path, cache: Path) -> None:
    for name in ("unet", "vae"):
        halve(sd / name, keep=True)
        pickle(sd / name, "diffusion_pytorch_model")
    hub = start(lab__sd=sd, lab__branch=tiny_weights / "brushnet")
    code, _, err = generate()
    assert (code, "fp16" in err) == (0, False)
    assert files_in(cache) >= {"diffusion_pytorch_model.safetensors", "model.safetensors"}
    assert not [path for path in hub.asked if ".fp16." in path or path.endswith(".bin")]


def test_a_base_without_plain_safetensors(start: Start, sd: Path, generate, tiny_weights: Path, cache: Path) -> None:
    halve(sd / "unet", keep=False)
    pickle(sd / "vae", "diffusion_pytorch_model")
    (sd / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    (sd / "vae" / "diffusion_pytorch_model.bin").rename(sd / "vae" / "diffusion_pytorch_model-002.bin")
    start(lab__sd=sd, lab__branch=tiny_weights / "brushnet")
    code, _, err = generate()
    assert code == 0
    assert "; unet from fp16 files (no plain safetensors found)" in err
    assert locked(cache)["vae"]["files"] == ["config.json", "diffusion_pytorch_model-002.bin"]


def test_a_base_without_any_weights_says_what_there_is(start: Start, sd: Path, generate, tiny_weights: Path) -> None:
    (sd / UNET).rename(sd / "unet" / "diffusion_flax_model.msgpack")
    hub = start(lab__sd=sd, lab__branch=tiny_weights / "brushnet")
    result = generate()
    assert_one_line(
        result,
        *("base: lab/sd: unet/ has no weights that can be read (diffusion_flax_model.msgpack)", "valid: diffusion_py"),
        "or give a folder: -o base=FOLDER",
    )
    assert not [path for path in hub.asked if path.endswith((".safetensors", ".msgpack"))]


def test_a_download_that_breaks_off_goes_on_where_it_was(start: Start, sd: Path, generate, tiny_weights: Path) -> None:
    size = (sd / UNET).stat().st_size
    served = Served(sd, breaks={UNET: [size // 2, size // 4]})
    start(lab__sd=served, lab__branch=tiny_weights / "brushnet")
    assert generate()[0] == 0
    assert served.breaks[UNET] == []


def test_a_download_that_stays_broken_leaves_nothing_half_written(
    start: Start, sd: Path, generate, tiny_weights: Path, cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    served = Served(sd, breaks={UNET: [(sd / UNET).stat().st_size // 2, *([0] * 20)]})
    start(lab__sd=served, lab__branch=tiny_weights / "brushnet")
    caplog.set_level("WARNING", "huggingface_hub")
    assert_one_line(generate(), "base: lab/sd", "the download broke off (", "the same command")
    assert not caplog.records
    assert not list(cache.rglob("*.incomplete"))
    assert not list(cache.rglob(f"snapshots/*/{UNET}"))
    assert not (tmp_path / "runs").exists()
    served.breaks.clear()
    assert generate()[0] == 0


@pytest.mark.parametrize("name", [UNET, "scheduler/scheduler_config.json"])
def test_a_file_that_came_damaged_is_removed(
    name: str, start: Start, sd: Path, generate, tiny_weights: Path, cache: Path
) -> None:
    served = Served(sd, damaged={name})
    start(lab__sd=served, lab__branch=tiny_weights / "brushnet")
    file = name.rpartition("/")[2]
    assert_one_line(
        generate(),
        f"base: lab/sd: {file} was damaged during download: the hub announces",
        "run the same command to download it again",
    )
    assert not list(cache.rglob(f"snapshots/*/{name}"))
    served.damaged.clear()
    assert generate()[0] == 0


def test_a_file_that_was_damaged_in_a_download_that_was_killed_is_found_when_it_is_loaded(
    start: Start, sd: Path, generate, tiny_weights: Path, cache: Path, tmp_path: Path
) -> None:
    start(lab__sd=sd, lab__branch=tiny_weights / "brushnet")
    assert generate()[0] == 0
    (tmp_path / "hub.brushbench.lock.json").unlink()
    blob = next(cache.rglob(f"snapshots/*/{UNET}")).resolve()
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    assert_one_line(generate(), "was damaged during download: the hub announces")
    assert not blob.exists()
    assert generate()[0] == 0


def test_the_second_use_reads_no_large_file_that_is_as_it_was(
    start: Start, sd: Path, generate, tiny_weights: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(lab__sd=sd, lab__branch=tiny_weights / "brushnet")
    assert generate()[0] == 0
    digests = locked(cache)
    files._DIGESTS.clear()
    read: set[str] = set()
    real = hashlib.file_digest

    def noting(opened: BinaryIO, digest: str) -> object:
        read.add(Path(opened.name).name)
        return real(opened, digest)

    monkeypatch.setattr(hashlib, "file_digest", noting)
    assert generate()[0] == 0
    blob = next(cache.rglob(f"snapshots/*/{UNET}")).resolve()
    assert len(blob.name) == 64
    assert not {path.name for path in blob.parent.iterdir() if len(path.name) == 64} & read
    assert locked(cache) == digests


@pytest.mark.parametrize("kept", [-1, 100])
def test_a_large_file_that_was_changed_after_its_first_use_is_found(
    kept: int, start: Start, sd: Path, generate, tiny_weights: Path, cache: Path, tmp_path: Path
) -> None:
    """Whether or not it can still be loaded."""
    start(lab__sd=sd, lab__branch=tiny_weights / "brushnet")
    assert generate()[0] == 0
    link = next(cache.rglob(f"snapshots/*/{UNET}"))
    changed = link.read_bytes()[:kept] + b"?"
    while link.stat().st_ctime_ns <= link.lstat().st_ctime_ns:
        link.resolve().write_bytes(changed)
    assert_one_line(generate(), "was damaged during download: the hub announces")
    assert not (tmp_path / "runs").exists()


def test_another_file_than_the_published_one_is_told_before_it_is_downloaded(
    start: Start, sd: Path, generate, tiny_weights: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_it(monkeypatch, tmp_path / "manifests", digest="1" * 64)
    start(lab__sd=Served(sd, commit=COMMIT), lab__branch=tiny_weights / "brushnet")
    assert_one_line(
        generate(COMMIT),
        *(
            f"base: lab/sd: {UNET} is not the published file: its SHA-256 on the hub is ",
            f", {'1' * 64} was published (commit",
            "nothing was downloaded",
        ),
        "or give a folder: -o base=FOLDER",
    )
    assert not files_in(cache)
    # What was published is about that commit: the main branch may have moved on.
    shutil.rmtree(cache, ignore_errors=True)
    start(lab__sd=Served(sd, commit="e" * 40), lab__branch=tiny_weights / "brushnet")
    assert generate()[0] == 0


def test_a_pinned_revision_that_is_here_is_not_asked_for(
    start: Start, sd: Path, generate, tiny_weights: Path, tmp_path: Path
) -> None:
    repositories = {"lab__sd": Served(sd, commit=COMMIT), "lab__branch": tiny_weights / "brushnet"}
    start(**repositories)
    assert generate(COMMIT)[0] == 0
    hub = start(**repositories)
    assert generate(COMMIT)[0] == 0
    assert not [path for path in hub.asked if "lab/sd" in path]


def test_a_pinned_download_is_used_offline_by_the_repository_s_name(
    start: Start, sd: Path, generate, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_it(monkeypatch, tmp_path / "manifests", digest=file_digest(sd / UNET))
    start(lab__sd=Served(sd, commit=COMMIT), lab__branch=tiny_weights / "brushnet")
    assert generate(COMMIT)[0] == 0
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name in ("lab/sd", "old/sd"):
        assert generate(COMMIT, "-o", f"base={name}")[0] == 0


def test_what_an_interrupted_download_left_isn_t_used_offline(
    start: Start, sd: Path, generate, tiny_weights: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(lab__sd=sd, lab__branch=tiny_weights / "brushnet")
    assert generate()[0] == 0
    next(cache.rglob(f"snapshots/*/{UNET}")).unlink()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert_one_line(
        generate(), "base: lab/sd", "HF_HUB_OFFLINE is set", "the cache is incomplete: unet/ has no weights"
    )


def test_a_local_folder_in_half_precision_only(
    sd: Path, tiny_weights: Path, brushbench: Brushbench, write_bench, tmp_path: Path
) -> None:
    for name in ("unet", "vae", "text_encoder"):
        halve(sd / name, keep=False)
    shutil.copytree(tiny_weights / "brushnet", sd / "brushnet")
    arguments = ("--weights", sd, "--dataset", "brushbench", "--root", write_bench(count=1), "--steps", 1)
    code, _, err = brushbench("generate", "--method", "brushnet", *arguments, "--output", tmp_path / "runs")
    assert code == 0, err
    assert f"{sd}; unet, text_encoder, vae from fp16 files (no plain safetensors found)" in err
    digests = json.loads(next(tmp_path.glob("runs/*/*/run.json")).read_text())["identity"]["method"]["digests"]
    assert digests["unet"] == Weights(sd, "brushnet")._checked_digest(
        [sd / "unet" / name for name in ("config.json", "diffusion_pytorch_model.fp16.safetensors")]
    )
