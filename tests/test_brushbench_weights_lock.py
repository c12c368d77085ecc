"""Digests of downloads: recorded at first use, checked at every later one."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hub_server import COMMIT, locked, put_in_cache
from support import assert_one_line

import brushbench as suite
from brushbench.weights import Weights, lock

Run = Callable[[], tuple[int, str, str]]
UNET = "unet/diffusion_pytorch_model.safetensors"
FAMILY = """
summary = "a miniature"
[components.sd]
source = "tiny/sd"
{revision}
licence = "none"
citation = "none"
[components.branch]
source = "tiny/sd"
subfolder = "brushnet"
licence = "none"
citation = "none"
[methods.brushnet]
base = "sd"
brushnet = "branch"
"""


@pytest.fixture
def cached(tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of `tiny/sd` in a hub's cache, as if it had been downloaded; there is no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return put_in_cache(tmp_path / "hub", "tiny/sd", tiny_weights)


@pytest.fixture
def family(tmp_path: Path) -> Path:
    (tmp_path / "tiny.toml").write_text(FAMILY.format(revision=""))
    return tmp_path / "tiny.toml"


@pytest.fixture
def run(family: Path, tmp_path: Path, write_bench, brushbench) -> Run:
    root = write_bench(count=1)
    data = ("--dataset", "brushbench", "--root", root, "--output", tmp_path / "runs")
    return lambda: brushbench("run", "--method", "brushnet", "--weights", family, "--steps", 1, *data)


def use(family: Path, name: str = "unet", files: tuple[str, ...] = (UNET,)) -> Weights:
    """Record a component's files as loading it does."""
    weights = Weights(family, "brushnet")
    folder = weights.folder("base")
    with weights.recording(name, [folder / file for file in files]):
        pass
    return weights


def tamper(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def entries(tmp_path: Path) -> dict[str, dict[str, object]]:
    return locked(tmp_path / "hub")


def test_a_tampered_file_stops_the_run(cached: Path, run: Run, tmp_path: Path) -> None:
    assert run()[0] == 0
    first = entries(tmp_path)
    assert first.keys() == {"brushnet", "scheduler", "text_encoder", "tokenizer", "unet", "vae"}
    branch = first["brushnet"]
    assert (branch["source"], branch["revision"], branch["folder"], branch["commit"]) == (
        *("tiny/sd", "main", "brushnet", COMMIT),
    )
    assert branch["files"] == ["config.json", "diffusion_pytorch_model.safetensors"]
    shutil.rmtree(tmp_path / "runs")
    assert run()[0] == 0
    assert entries(tmp_path) == first

    shutil.rmtree(tmp_path / "runs")
    tamper(cached / UNET)
    result = run()
    assert_one_line(
        (result[0], result[1], result[2].splitlines()[-1]),
        *("unet: tiny/sd/unet@main has changed since its first use", str(first["unet"]["sha256"])),
        *("to accept it, delete its entry in", str(tmp_path / "hub.brushbench.lock.json"), "a local folder"),
    )
    assert not (tmp_path / "runs").exists()
    assert entries(tmp_path) == first


@pytest.mark.parametrize("large", [0, 1 << 30])
@pytest.mark.parametrize("broken", ["", UNET, "vae/diffusion_pytorch_model.safetensors"])
def test_a_tampered_file_is_reported_whatever_else_is_wrong(
    large: int, broken: str, cached: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while large components are loaded before all of it is hashed, and one of them can't be loaded."""
    monkeypatch.setattr("brushbench.weights.resolver.LARGE", large)
    assert run()[0] == 0
    first = entries(tmp_path)
    assert first.keys() == {"brushnet", "scheduler", "text_encoder", "tokenizer", "unet", "vae"}
    shutil.rmtree(tmp_path / "runs")
    tamper(cached / UNET)
    if broken:
        (cached / broken).write_bytes(b"half a file")
    code, out, err = run()
    assert_one_line((code, out, err.splitlines()[-1]), "unet: tiny/sd/unet@main has changed since its first use")
    assert not (tmp_path / "runs").exists()
    assert entries(tmp_path) == first


def test_a_change_is_accepted_by_deleting_the_entry(cached: Path, family: Path, tmp_path: Path) -> None:
    old = use(family).digests
    tamper(cached / UNET)
    with pytest.raises(suite.UserError, match=old["unet"]):
        use(family)
    (tmp_path / "hub.brushbench.lock.json").write_text('{"schema_version": 1, "components": []}')
    new = use(family).digests
    assert new != old
    assert entries(tmp_path)["unet"]["sha256"] == new["unet"]


def test_a_file_that_is_added_is_a_change(cached: Path, family: Path) -> None:
    use(family, "tokenizer", ("tokenizer/vocab.json",))
    with pytest.raises(suite.UserError, match="tokenizer: tiny/sd/tokenizer@main has changed since its first use"):
        use(family, "tokenizer", ("tokenizer/merges.txt", "tokenizer/vocab.json"))


def test_revisions_are_locked_apart(cached: Path, family: Path, tmp_path: Path) -> None:
    use(family)
    tamper(cached / UNET)
    family.write_text(FAMILY.format(revision='revision = "v2"'))
    use(family)
    content = lock._read().components
    assert [(entry.revision, entry.component) for entry in content] == [("main", "unet"), ("v2", "unet")]


def test_what_can_t_be_loaded_isn_t_locked(cached: Path, run: Run, tmp_path) -> None:
    (cached / UNET).write_bytes(b"half a file")
    code, _, err = run()
    assert code == 2
    assert "can't be loaded" in err
    assert entries(tmp_path).keys() == {"scheduler"}


def test_a_file_that_can_t_be_read_is_named(cached: Path, family: Path) -> None:
    weights = Weights(family, "brushnet")
    file = weights.folder("base") / UNET
    file.unlink()
    file.symlink_to("lost")
    with (
        pytest.raises(suite.UserError, match=rf"{UNET}: can't be read \(No such file"),
        weights.recording("unet", [file]),
    ):
        pass
    with pytest.raises(suite.UserError, match=r"HF_HUB_OFFLINE is set; the cache is incomplete: unet/ has no weights"):
        use(family)


def test_local_folders_are_not_locked(cached: Path, tiny_weights: Path, tmp_path: Path) -> None:
    assert use(tiny_weights).digests.keys() == {"unet"}
    assert not (tmp_path / "hub.brushbench.lock.json").exists()


BROKEN = ["", "{", "[]", '{"schema_version": 2}', '{"components": [{"source": "tiny/sd"}]}', '{"other": 1}']


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_lock_file(content: str, cached: Path, run: Run, tmp_path: Path) -> None:
    lock = tmp_path / "hub.brushbench.lock.json"
    lock.write_text(content)
    code, out, err = run()
    assert_one_line(
        (code, out, err.splitlines()[-1]),
        f"{lock}: not a lock file of weights",
        "delete it to lock each component again",
    )
    assert lock.read_text() == content


def test_a_lock_file_that_can_t_be_written_is_told_and_stops_nothing(
    cached: Path, family: Path, tmp_path: Path
) -> None:
    # Where the lock's own lock would be, there is a folder: a way to forbid it that holds for root too.
    (tmp_path / ".hub.brushbench.lock.json.lock").mkdir()
    weights = use(family)
    assert weights.digests.keys() == {"unet"}
    assert f"not locked: {tmp_path / 'hub.brushbench.lock.json'} can't be written" in weights.origin


ENTRY = {"source": "tiny/sd", "revision": "main", "folder": "unet", "files": ["x"], "commit": COMMIT}
ADD = f"""
import sys
from brushbench.weights.lock import Locked, add
for index in range(20):
    add(Locked.model_validate({ENTRY!r} | {{"component": f"{{sys.argv[1]}}-{{index}}", "sha256": "0"}}))
"""


def test_processes_that_lock_at_once_lose_nothing(tmp_path: Path) -> None:
    environment = os.environ | {"HF_HUB_CACHE": str(tmp_path / "made" / "hub")}
    processes = [subprocess.Popen([sys.executable, "-c", ADD, name], env=environment) for name in "abcd"]
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    assert len(entries(tmp_path / "made")) == 80


def test_of_two_first_uses_the_second_must_be_the_same(cached: Path) -> None:
    first = lock.Locked.model_validate(ENTRY | {"component": "unet", "sha256": "1"})
    other = first.model_copy(update={"sha256": "2"})
    assert not lock.check_locked(other)
    lock.add(first)
    lock.add(first)
    with pytest.raises(suite.UserError, match=r"SHA-256 1 expected .* 2 found"):
        lock.add(other)
    assert lock._read().components == [first]
