"""Exports: what is in them, what is not, and that reports read them like the runs themselves."""

import hashlib
import json
import shutil
import socket
from pathlib import Path

import pytest
from report_runs import Made

from brushbench.reports.export import without_paths
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.runs.scores import read_scores


def digests(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two finished runs of one method and two seeds, and one of which a sample failed, with paths in many places."""
    for seed in (1, 2):
        folder = tmp_path / "runs" / f"seed={seed}" / "brushbench-inside" / "brushnet"
        run = Made("brushnet", {"psnr": [20.0 + seed, 30.5]}, seed=seed, ids=["café", "b"]).write(folder)
        digest = {name: run.write_image(f"{name}.png", f"{name}{seed}".encode()) for name in ("café", "b")}
        run.append(*(LedgerEntry(id=name, status="done", image=f"{name}.png", sha256=digest[name]) for name in digest))
        run.append_line("workers.jsonl", json.dumps({"host": "a-host", "command": "brushbench run"}))
    made = Made(
        "sdi", {"psnr": [25.0, None]}, provenance={"weights.unet": "/home/lovelace/models/unet", "device": "cuda"}
    )
    failed = made.write(tmp_path / "runs" / "z" / "brushbench-inside" / "sdi")
    failed.append(LedgerEntry(id="000000001", status="failed", error="OSError: /home/lovelace/b.png is gone"))
    failed.write_error("000000001", "Traceback in /home/lovelace/x.py")
    failed.add_notes(["read from ~/secret/folder/w.safetensors"])
    return tmp_path / "runs"


def test_reports_of_an_export_are_those_of_its_runs(runs: Path, tmp_path: Path, brushbench) -> None:
    out = tmp_path / "out"
    code, told, _ = brushbench("export", runs, "-o", out)
    assert (code, told) == (0, f"exported 3 runs to {out}, listed in {out / 'export.json'}\n")
    for options in (["--format", "json"], ["--seeds", "mean"], ["--table", "paper", "--format", "latex"]):
        code, table, _ = brushbench("report", runs, *options)
        assert brushbench("report", out, *options)[:2] == (code, without_paths(table))
    shutil.rmtree(runs)
    listed = json.loads((out / "export.json").read_text())
    assert (listed["schema_version"], listed["images"]) == (1, False)
    assert [(each["folder"], each["seed"], each["done"], each["failed"]) for each in listed["runs"]] == [
        ("brushbench-inside/brushnet-seed=1", 1, 2, 0),
        ("brushbench-inside/brushnet-seed=2", 2, 2, 0),
        ("brushbench-inside/sdi", 1234, 0, 1),
    ]
    for each in listed["runs"]:
        run = Run.open(out / each["folder"])
        assert (run.record.fingerprint, each["metrics"]) == (each["fingerprint"], ["psnr"])
        assert not (run.path / "images").exists()
    scores = read_scores(Run.open(out / listed["runs"][0]["folder"]))
    assert scores is not None
    assert list(scores.table["psnr"]) == [21.0, 30.5]


def test_nothing_says_who_or_where(runs: Path, tmp_path: Path, brushbench) -> None:
    assert brushbench("export", runs, "-o", tmp_path / "out")[0] == 0
    content = b"\n".join(file.read_bytes() for file in (tmp_path / "out").rglob("*") if file.is_file())
    for secret in (
        b"/home",
        b"lovelace",
        b"secret",
        b"a-host",
        str(tmp_path).encode(),
        socket.gethostname().encode() + b"-",
    ):
        assert secret not in content
    record = Run.open(tmp_path / "out" / "brushbench-inside" / "sdi").record
    assert record.provenance == {"weights.unet": "unet", "device": "cuda"}
    assert record.notes == ("read from w.safetensors",)
    assert b"OSError: b.png is gone" in content


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("/a/b c", "b c"),
        ("cannot open '/data/x y/é.png': gone", "cannot open 'x y/é.png': gone"),
        (r"C:\Users\lovelace\w.bin", "w.bin"),
        ("psnr/known at 1/2, see https://huggingface.co/a/b", "psnr/known at 1/2, see https://huggingface.co/a/b"),
        ("runwayml/stable-diffusion-v1-5", "runwayml/stable-diffusion-v1-5"),
        ("s3://bucket/key", "s3://bucket/key"),
        (str(Path.home() / "a b" / "c"), "a b/c"),
        ("", ""),
    ],
)
def test_of_a_path_only_its_last_name_is_left(text: str, cleaned: str) -> None:
    assert without_paths(text) == cleaned


def test_a_path_that_identifies_a_run_is_told(tmp_path: Path, brushbench) -> None:
    Made("brushnet", {"psnr": [20.0]}, options={"brushnet": "/models/mine"}).write(tmp_path / "runs" / "a")
    code, _, told = brushbench("export", tmp_path / "runs", "-o", tmp_path / "out")
    assert code == 0
    assert "method.options.brushnet is the path /models/mine, which identifies the run" in told


def test_the_bytes_depend_only_on_the_runs(runs: Path, tmp_path: Path, brushbench, monkeypatch) -> None:
    brushbench("export", runs, "-o", tmp_path / "one", "--images")
    shutil.copytree(runs, tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    brushbench("export", *sorted((tmp_path / "moved").rglob("sdi")), "moved", "-o", "two", "--images")
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    images = [name for name in digests(tmp_path / "one") if "/images/" in name]
    assert len(images) == 4
    # Exporting again replaces the first, and what was in it only then is gone.
    brushbench("export", runs / "z" / "brushbench-inside", "-o", tmp_path / "one")
    assert list(digests(tmp_path / "one")) == [
        *(f"brushbench-inside/sdi/{name}" for name in ("images.sha256", "run.json", "samples.jsonl", "scores.parquet")),
        "export.json",
    ]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["moved", "one", "runs", "two"]


def test_mistakes_are_one_line_and_leave_nothing(runs: Path, tmp_path: Path, brushbench) -> None:
    image = next(runs.rglob("b.png"))
    image.write_bytes(b"changed")
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    before = digests(tmp_path)
    for output, options, reason in (
        ("file", (), "is a file; valid: a new folder"),
        ("full", (), "has other files; valid: a new folder, or one with an earlier export"),
        ("out", ("--images",), "the image of b is"),
        ("s3://bucket/x", (), "can't be written to a store"),
    ):
        place = output if ":" in output else tmp_path / output
        code, printed, told = brushbench("export", runs, "-o", place, *options)
        assert (code, printed, told.count("\n")) == (2, "", 1)
        assert reason in told
    assert brushbench("export", tmp_path / "full", "-o", tmp_path / "out")[0] == 2
    assert digests(tmp_path) == before


def test_what_can_t_be_read_is_left_out_and_said(runs: Path, tmp_path: Path, brushbench) -> None:
    (runs / "z" / "brushbench-inside" / "sdi" / "scores.parquet").write_bytes(b"rubbish")
    code, _, told = brushbench("export", runs, "-o", tmp_path / "out")
    assert code == 3
    assert "left out: " in told
    assert len(json.loads((tmp_path / "out" / "export.json").read_text())["runs"]) == 2
