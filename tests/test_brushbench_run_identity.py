"""A run is what it says it is: code, files, versions and batch size are part of it, and who is at work is known."""

import json
import os
import subprocess
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support import assert_one_line, run_on

import brushbench
from brushbench.core.plugins.code import imported_files
from brushbench.core.registry import built_in
from brushbench.runs import owners
from brushbench.runs.folder import Run
from brushbench.runs.folders import expand
from brushbench.runs.record import Identity

METHOD = """
from dataclasses import dataclass
from pathlib import Path

import helper
from parts.colour import shade

@dataclass
class Mine:
    checkpoint: Path | None = None

    def __call__(self, batch, seeds):
        return (batch.images // helper.FACTOR + shade()).byte()
"""


@pytest.fixture
def research(tmp_path: Path) -> Path:
    """A folder with a method of one's own and the modules that it imports."""
    folder = tmp_path / "research"
    (folder / "parts").mkdir(parents=True)
    (folder / "mine.py").write_text(METHOD)
    (folder / "helper.py").write_text("import deeper\n\nFACTOR = 2\n")
    (folder / "deeper.py").write_text("")
    (folder / "unused.py").write_text("")
    (folder / "parts" / "__init__.py").write_text("")
    (folder / "parts" / "colour.py").write_text("from . import base\n\ndef shade():\n    return base.SHADE\n")
    (folder / "parts" / "base.py").write_text("SHADE = 1\n")
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint" / "weights.bin").write_bytes(b"first")
    return folder


def test_the_local_modules_behind_a_file(research: Path) -> None:
    found = imported_files(research / "mine.py")
    assert sorted(found) == ["deeper.py", "helper.py", "parts/__init__.py", "parts/base.py", "parts/colour.py"]
    (research / "mine.py").write_text(
        "import json, numpy, torch.nn\nfrom brushbench import types\nimport nothing_here\n"
    )
    assert imported_files(research / "mine.py") == {}


@pytest.fixture
def run_once(forked, research: Path) -> Callable[..., tuple[int, str, str]]:
    """Run in a separate process, as imported modules never change within one."""

    def run(root: Path, *more: object) -> tuple[int, str, str]:
        asked = run_on(root, research.parent / "runs", "--metrics", "mse", *more, method=f"{research / 'mine.py'}:Mine")
        return forked(*asked, site=research).result()

    return run


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("helper.py", "FACTOR = 3\n", "helper.py changed since"),
        ("parts/base.py", "SHADE = 2\n", "parts/base.py changed since"),
        ("mine.py", METHOD + "\n", "the file of Mine changed since"),
        ("checkpoint/weights.bin", "second", "the file of option checkpoint changed since"),
        ("checkpoint/more.bin", "", "the file of option checkpoint changed since"),
    ],
)
def test_an_edit_is_refused_and_named(
    file: str, content: str, said: str, research: Path, write_bench, run_once
) -> None:
    root, option = write_bench(count=2), ("-o", f"checkpoint={research / 'checkpoint'}")
    assert run_once(root, *option)[0] == 0
    before = images(research)
    (research / file).write_text(content)
    assert_one_line(run_once(root, *option), said, "--fresh", last=True)
    assert images(research) == before
    code, _, err = run_once(root, *option, "--fresh")
    assert code == 0, err
    [old] = (research.parent / "runs" / ".aside" / "brushbench-inside").iterdir()
    assert {path.name: path.read_bytes() for path in (old / "images").iterdir()} == before
    # Tables don't look there.
    assert len(expand([research.parent / "runs"])) == 1


def images(research: Path) -> dict[str, bytes]:
    folder = research.parent / "runs" / "brushbench-inside" / "Mine" / "images"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_edit_of_what_is_not_imported_changes_nothing(research: Path, write_bench, run_once) -> None:
    root = write_bench(count=1)
    assert run_once(root)[0] == 0
    (research / "unused.py").write_text("X = 1\n")
    assert run_once(root)[0] == 0


def test_another_batch_size_is_another_run(brushbench, write_bench, tmp_path: Path) -> None:
    asked = ("run", "--method", "telea", "--dataset", "brushbench", "--root", write_bench(), "--output", tmp_path)
    assert brushbench(*asked, "--batch-size", 2)[0] == 0
    assert_one_line(brushbench(*asked, "--batch-size", 3), "batch_size was 2 and is now 3", last=True)
    record = json.loads((tmp_path / "brushbench-inside/telea/run.json").read_text())
    assert record["identity"]["batch_size"] == 2
    # auto is the number that it became.
    assert_one_line(brushbench(*asked), "batch_size was 2 and is now 8", last=True)


def test_runs_from_before_batch_sizes_keep_their_fingerprint(brushbench, write_bench, tmp_path: Path) -> None:
    root = write_bench()
    asked = ("run", "--method", "telea", "--dataset", "brushbench", "--root", root, "--output", tmp_path)
    assert brushbench(*asked, "--batch-size", 2, "--limit", 2)[0] == 0
    file = tmp_path / "brushbench-inside/telea/run.json"
    record = json.loads(file.read_text())
    del record["identity"]["batch_size"]
    old = Identity.model_validate(record["identity"])
    record |= {"fingerprint": old.fingerprint(), "provenance": record["provenance"] | {"batch_size": "2"}}
    file.write_text(json.dumps(record))
    ledger = file.with_name("samples.jsonl")
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    ledger.write_text("".join(json.dumps(line | {"fingerprint": None}) + "\n" for line in lines))
    assert "batch_size" not in record["identity"]
    assert brushbench("report", tmp_path)[0] == 0
    code, _, err = brushbench(*asked, "--batch-size", 2)
    assert code == 0, err
    assert "2/4 images are already done" in err
    assert Run.open(file.parent).record.fingerprint == old.fingerprint()
    assert brushbench(*asked, "--batch-size", 3)[0] == 2


def test_a_new_version_of_a_method_is_another_run(
    brushbench, write_bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("run", "--method", "telea", "--dataset", "brushbench", "--root", write_bench(), "--output", tmp_path)
    assert brushbench(*asked)[0] == 0
    known = built_in("method")
    telea = known["telea"]
    monkeypatch.setitem(known, "telea", replace(telea, info=replace(telea.info, version=2)))
    assert_one_line(brushbench(*asked), "method.version was 1 and is now 2", last=True)


def test_a_newer_version_has_a_line_in_the_log() -> None:
    page = (Path(__file__).parent.parent / "docs" / "methods.md").read_text()
    log = page.partition("## Versions")[2].partition("\n## ")[0]
    assert "all methods are at version 1" in log
    for name, entry in built_in("method").items():
        assert entry.info.version == 1 or f"`{name}`, version {entry.info.version}:" in log


def test_fresh_and_a_shard_are_refused(brushbench, tmp_path: Path) -> None:
    asked = ("run", "--method", "telea", "--dataset", "photos", "--output", tmp_path, "--fresh", "--shard", "1/2")
    assert_one_line(brushbench(*asked), "fresh would move the other shards' images")


def test_a_live_owner_blocks_another_identity(brushbench, write_bench, tmp_path: Path) -> None:
    asked = ("run", "--method", "telea", "--dataset", "brushbench", "--root", write_bench(), "--output", tmp_path)
    folder = tmp_path / "brushbench-inside" / "telea"
    assert brushbench(*asked, "--limit", 1)[0] == 0
    run = Run.open(folder)
    with run._lock:
        claim = owners.Claim(folder, run.record.fingerprint)
    for more in (("-o", "radius=9"), ("-o", "radius=9", "--fresh"), ("--fresh",)):
        assert_one_line(
            brushbench(*asked, *more), f"is in use by another run: process {os.getpid()} on", "since", last=True
        )
    # The same run may be helped with.
    assert brushbench(*asked, "--limit", 2)[0] == 0
    claim.release()
    assert not (folder / ".owners").exists()
    assert_one_line(brushbench(*asked, "-o", "radius=9"), "method.options.radius was 3.0 and is now 9.0", last=True)
    assert brushbench(*asked, "-o", "radius=9", "--fresh")[0] == 0


def test_what_is_being_scored_is_not_moved(brushbench, write_bench, tmp_path: Path) -> None:
    asked = ("run", "--method", "telea", "--dataset", "brushbench", "--root", write_bench(), "--output", tmp_path)
    assert brushbench(*asked)[0] == 0
    with Run.open(tmp_path / "brushbench-inside" / "telea").scoring():
        assert_one_line(brushbench(*asked, "--fresh"), "is being scored by another process", last=True)


def test_a_live_owner_without_an_image_is_not_given_up(brushbench, write_bench, tmp_path: Path) -> None:
    """Today's loss: the second job took the folder over, and both painted into it."""
    asked = ("run", "--method", "telea", "--dataset", "brushbench", "--root", write_bench(), "--output", tmp_path)
    assert brushbench(*asked)[0] == 0
    folder = tmp_path / "brushbench-inside" / "telea"
    for name in ("samples.jsonl", "scores.parquet", "images.sha256"):
        (folder / name).unlink()
    run = Run.open(folder)
    with run._lock:
        claim = owners.Claim(folder, run.record.fingerprint)
    assert brushbench(*asked, "-o", "radius=9")[0] == 2
    claim.release()
    # What a dead owner leaves behind blocks nobody.
    dead = folder / ".owners" / "elsewhere-1-0.json"
    dead.parent.mkdir()
    dead.write_text('{"host": "elsewhere", "pid": 1, "since": "2026-01-01T00:00:00Z", "fingerprint": "x"}')
    assert brushbench(*asked, "-o", "radius=9")[0] == 0
    assert not dead.exists()


def test_lines_of_another_run_never_count(brushbench, write_bench, tmp_path: Path) -> None:
    asked = ("run", "--method", "telea", "--dataset", "brushbench", "--root", write_bench(), "--output", tmp_path)
    assert brushbench(*asked, "--limit", 2)[0] == 0
    folder = tmp_path / "brushbench-inside" / "telea"
    lines = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    assert {line["fingerprint"] for line in lines} == {Run.open(folder).record.fingerprint}
    foreign = lines[0] | {"id": "000000002", "fingerprint": "f" * 64}
    with (folder / "samples.jsonl").open("a") as file:
        file.write(json.dumps(foreign) + "\n")
    assert "000000002" not in Run.open(folder).ledger()


def test_a_folder_that_became_another_runs_gets_no_line(write_bench, tmp_path: Path) -> None:
    config = brushbench.RunConfig("telea", "brushbench", write_bench(), output=tmp_path, limit=1)
    run = brushbench.run(config)
    entry = run.ledger()["000000000"]
    other = run.record.identity.model_copy(update={"seed": 7})
    record = run.record.model_copy(update={"identity": other, "fingerprint": other.fingerprint()})
    (run.path / "run.json").write_text(record.model_dump_json())
    for write in (lambda: run.append(entry), lambda: run.write_image("000000000.png", b"")):
        with pytest.raises(brushbench.UserError, match="now contains another run"):
            write()


def test_the_workers_say_what_they_did(brushbench, write_bench, tmp_path: Path) -> None:
    asked = ("run", "--method", "telea", "--dataset", "brushbench", "--root", write_bench(), "--output", tmp_path)
    assert brushbench(*asked, "--limit", 3)[0] == 0
    assert brushbench(*asked)[0] == 0
    file = tmp_path / "brushbench-inside/telea/workers.jsonl"
    began, ended, again, end = (json.loads(line) for line in file.read_text().splitlines())
    assert began["worker"] == ended["worker"] != again["worker"] == end["worker"]
    assert (ended["images"], end["images"]) == (3, 1)
    assert began["pid"] == os.getpid()
    assert began["command"]
    assert {"host", "began", "device", "torch", "brushbench", "shard"} <= began.keys()
    assert began["began"] <= ended["ended"]


def test_a_commit_of_the_user_s_repository_is_recorded(research: Path, write_bench, run_once) -> None:
    git = ["git", "-C", str(research), "-c", "user.name=n", "-c", "user.email=e"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert run_once(write_bench(count=1))[0] == 0
    file = research.parent / "runs/brushbench-inside/Mine/workers.jsonl"
    assert json.loads(file.read_text().splitlines()[0])["commit"] == commit


def test_an_entry_point_is_told_apart_by_version_and_files(tmp_path: Path, write_bench, forked) -> None:
    site = tmp_path / "site"
    (site / "plug").mkdir(parents=True)

    def install(version: str, factor: int) -> None:
        (site / "plug" / "__init__.py").write_text(
            textwrap.dedent(f"""
            class Plugged:
                def __call__(self, batch, seeds):
                    return batch.images // {factor}
            """)
        )
        for old in site.glob("*.dist-info"):
            for file in old.iterdir():
                file.unlink()
            old.rmdir()
        info = site / f"plug-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: plug\nVersion: {version}\n")
        (info / "entry_points.txt").write_text("[brushbench.methods]\nplugged = plug:Plugged\n")
        (info / "RECORD").write_text(f"plug/__init__.py,,\n{info.name}/METADATA,,\n{info.name}/RECORD,,\n")

    def run() -> tuple[int, str, str]:
        asked = run_on(root, tmp_path / "runs", "--metrics", "mse", method="plugged")
        return forked(*asked, site=site).result()

    root = write_bench(count=1)
    install("1.0", 2)
    assert run()[0] == 0
    assert run()[0] == 0
    install("1.0", 3)
    assert_one_line(run(), "plug 1.0 changed since", last=True)
    install("1.1", 2)
    assert_one_line(run(), "plug 1.1 is new since", last=True)
