"""Named pipes, devices, folders and links in place of the files that are read or written: one line, and no waiting."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import write_benchmark
from support import assert_one_line, run_on, suite

from brushbench.reports.frame import frame
from brushbench.runs.folder import Run

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from fuzz_run_folders import Fuzz
from fuzzing import run as fuzz

Change = Callable[[Path], object]


def folder(path: Path) -> None:
    path.mkdir()


def device(path: Path) -> None:
    """Link to /dev/zero, as users may not make devices."""
    path.symlink_to("/dev/zero")


KINDS = [os.mkfifo, folder, device]


@pytest.fixture
def root(write_bench) -> Path:
    return write_bench()


@pytest.fixture(scope="module")
def first_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("made")
    suite(*run_on(write_benchmark(place / "bench"), place / "runs", "--metrics", "psnr,mse"))
    return place / "runs"


@pytest.fixture
def made(first_made: Path, root: Path, tmp_path: Path) -> Path:
    """A run folder, scored, beside its data."""
    return shutil.copytree(first_made, tmp_path / "runs") / "brushbench-inside" / "mean-fill"


def put(change: Change, path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    change(path)


@pytest.mark.parametrize("change", KINDS)
@pytest.mark.parametrize("name", ["run.json", "samples.jsonl", "scores.parquet"])
def test_in_a_run_folder(name: str, change: Change, made: Path, root: Path, tmp_path: Path, brushbench) -> None:
    put(change, made / name)
    commands = [("score", made), run_on(root, tmp_path / "runs", "--metrics", "psnr,mse")]
    for command in commands if name == "samples.jsonl" else [("report", made), *commands]:
        code, out, err = brushbench(*command)
        # Of what is done before, a line may be told.
        assert_one_line((code, out, err.splitlines(keepends=True)[-1]), name)


@pytest.mark.parametrize("change", [os.mkfifo, folder])
def test_an_image(change: Change, made: Path, root: Path, tmp_path: Path, brushbench) -> None:
    put(change, made / "images" / "000000001.png")
    assert "000000001" not in Run.open(made).intact()
    brushbench("score", made)
    assert brushbench("report", made)[0] == 3
    if change is not folder:
        brushbench(*run_on(root, tmp_path / "runs"))
        assert len(Run.open(made).intact()) == 4


@pytest.mark.parametrize("change", KINDS)
def test_files_that_are_named(change: Change, made: Path, root: Path, tmp_path: Path, brushbench) -> None:
    odd = tmp_path / "odd"
    for suffix in (".json", ".toml", ".csv", ".py", ".parquet", ".zip"):
        change(odd.with_suffix(suffix))
    commands = [
        ("check", made, "--against", f"{odd}.json"),
        ("run", "--method", "brushnet", "--dataset", "photos", "--weights", f"{odd}.toml"),
        ("run", "--method", f"{odd}.py:Grey", "--dataset", "photos"),
        ("run", "--method", "copy", "--dataset", "parquet", "--root", f"{odd}.parquet"),
        ("data", "get", "--root", tmp_path / "got", "--archive", f"{odd}.zip"),
        ("list", "published", "--file", f"{odd}.csv"),
    ]
    for command in commands:
        assert_one_line(brushbench(*command), "odd")


@pytest.mark.parametrize("change", KINDS)
def test_a_mapping_file_and_the_settings(
    change: Change, root: Path, tmp_path: Path, brushbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(change, root / "mapping_file.json")
    assert_one_line(brushbench(*run_on(root, tmp_path / "runs")), "mapping_file.json")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    change(Path("brushbench.toml"))
    assert_one_line(brushbench("run", "--method", "copy", "--limit", "1"), "brushbench.toml: can't be read")


@pytest.mark.parametrize("content", ["x = " + "[" * 10_000, "[" * 10_000, "a" + ".a" * 100_000 + " = 1", "\udcff"])
def test_a_family_that_is_deeply_nested(content: str, tmp_path: Path, brushbench) -> None:
    family = tmp_path / "family.toml"
    family.write_bytes(content.encode(errors="surrogateescape"))
    result = brushbench("run", "--method", "brushnet", "--dataset", "photos", "--weights", family)
    assert_one_line(result, "family.toml")


@pytest.mark.parametrize("name", ["run.json", "baseline.json"])
def test_json_that_is_deeply_nested(name: str, made: Path, brushbench) -> None:
    (made / name).write_bytes(b'{"a":' * 100_000)
    command = ("report", made) if name == "run.json" else ("check", made, "--against", made / name)
    assert_one_line(brushbench(*command), name)


def link(path: Path) -> None:
    """Move a file elsewhere, and put a link to it in its place."""
    away = path.parent.parent / f"away of {path.name}"
    path.rename(away)
    path.symlink_to(away)


@pytest.mark.parametrize("name", ["run.json", "samples.jsonl", "scores.parquet", "images", "images/000000001.png"])
def test_a_link_in_a_run_folder(name: str, made: Path, root: Path, tmp_path: Path, brushbench) -> None:
    link(made / name)
    away = (made / name).resolve()
    before = {path: path.read_bytes() for path in [away, *away.rglob("*")] if path.is_file()}
    for command in (("score", made), ("report", made), run_on(root, tmp_path / "runs", "--limit", "3")):
        code, out, err = brushbench(*command)
        assert_one_line((code, out, err.splitlines(keepends=True)[-1]), f"{made / name} is a symbolic link")
    assert {path: path.read_bytes() for path in [away, *away.rglob("*")] if path.is_file()} == before


@pytest.mark.parametrize("name", [".partial", ".partial/000000000.png", ".lock", ".scores.parquet.partial"])
def test_a_link_that_something_would_be_written_through(name: str, root: Path, tmp_path: Path, brushbench) -> None:
    run = tmp_path / "runs" / "brushbench-inside" / "mean-fill"
    (run / name).parent.mkdir(parents=True)
    target = tmp_path / "target"
    if name == ".partial":
        target.mkdir()
    else:
        target.write_text("mine")
    (run / name).symlink_to(target)
    assert_one_line(brushbench(*run_on(root, tmp_path / "runs")), f"{name} is a symbolic link")
    assert target.is_dir() or target.read_text() == "mine"
    assert not target.is_dir() or not list(target.iterdir())


def test_the_run_folder_and_the_output_may_be_links(made: Path, root: Path, tmp_path: Path, brushbench) -> None:
    (tmp_path / "output").symlink_to(tmp_path / "runs")
    link(made)
    code, _, err = brushbench(*run_on(root, tmp_path / "output"))
    assert code == 0, err
    assert len(Run.open(tmp_path / "output" / "brushbench-inside" / "mean-fill").intact()) == 4


def test_scores_without_a_column_are_damaged(made: Path, brushbench) -> None:
    import pyarrow.parquet as pq

    file = made / "scores.parquet"
    for name in ("psnr", "psnr.status", "sha256", "id"):
        sound = pq.read_table(file)
        pq.write_table(sound.drop_columns([name]), file)
        assert_one_line(brushbench("report", made), "scores.parquet: damaged", "remove it and score again")
        pq.write_table(sound, file)
    assert len(frame(made)) == 8


def test_a_hundred_mutated_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole hundred thousand: benchmarks/fuzz_run_folders.py."""
    assert not fuzz(Fuzz, 100, 10**7, tmp_path).escaped, capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["unet/config.json", "vae/diffusion_pytorch_model.safetensors", "brushnet/config.json"]
)
def test_a_pipe_among_the_weights(name: str, golden: Path, root: Path, tmp_path: Path, brushbench) -> None:
    weights = tmp_path / "weights"
    shutil.copytree(golden / "brushnet" / "weights", weights)
    put(os.mkfifo, weights / name)
    result = brushbench(*run_on(root, tmp_path / "runs", "--weights", weights, method="brushnet"))
    assert_one_line(result, *name.split("/"))
