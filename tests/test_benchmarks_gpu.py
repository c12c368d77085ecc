"""The script that measures on a GPU, tried on the CPU with tiny models; and the page that it writes."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
FEW = ("speed", "naive", "offload")
ALL = (*FEW, "same", "steps", "whole", "score", "papercut", "full", "what_if")


@pytest.fixture(scope="module")
def gpu() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        import gpu

        yield gpu


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny models, which are made once."""
    return tmp_path_factory.mktemp("gpu")


def tried(gpu: ModuleType, work: Path, out: Path, *more: str) -> int:
    fixed = ("--tiny", "--device", "cpu", "--methods", "brushnet", "--batches", "1", "--work", str(work))
    return gpu.main([*fixed, "--out", str(out), *more])


@pytest.fixture
def unmade(gpu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither machine nor models: for parts that measure nothing."""
    for part in gpu.NEEDED:
        monkeypatch.setitem(gpu.PARTS, part, gpu.Part(lambda _setting, _method: iter(()), gpu.PARTS[part].methods))


def results_in(folder: Path) -> dict:
    (file,) = folder.glob("gpu-cpu-*.json")
    return json.loads(file.read_text())


@pytest.mark.slow
@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("parts", [ALL])
def test_parts_measure_the_columns_of_their_tables(
    gpu: ModuleType, work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], parts: tuple[str, ...]
) -> None:
    from on_gpu.columns import TABLES
    from on_gpu.results import Results
    from on_gpu.table import shown

    assert tried(gpu, work, tmp_path, "--parts", ",".join(parts)) == 0
    found = results_in(tmp_path)
    assert found["failures"] == {}
    assert found["about"]["card"] == "cpu"
    assert found["about"]["torch"] != "-"
    results = Results.read(next(tmp_path.glob("*.json")))
    told = capsys.readouterr().out
    for table in TABLES:
        if table.part in ("machine", *parts):
            rows = shown(results, table.part)
            assert rows != []
            assert all(table.columns.keys() <= row.keys() for row in rows)
            assert f"### {table.title}" in told
    speed = found["records"]["speed"]
    assert [(row["compute"], row["batch"]) for row in speed] == [("plain", 1), ("fast", 1)]
    assert all(row["once_s"] < row["first_s"] for row in speed)
    assert all(row["images_s"] > 0 for row in found["records"]["naive"])
    # No memory is measured, or limited, without a card.
    assert {row["peak_gb"] for part in FEW for row in found["records"][part]} == {None}


def test_every_part_has_a_table(gpu: ModuleType) -> None:
    from on_gpu.columns import TABLES

    assert {*gpu.PARTS} - {"models"} == {table.part for table in TABLES}


@pytest.mark.usefixtures("unmade")
def test_a_part_that_fails_is_recorded_and_the_others_go_on(
    gpu: ModuleType, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_setting: object, method: str) -> Iterator[dict]:
        yield {"method": method, "batch": 1, "images_s": 2.0}
        raise RuntimeError("the card is on fire")

    def works(_setting: object, method: str) -> Iterator[dict]:
        yield {"method": method, "batch": 1}

    for part, measure in (("speed", breaks), ("full", works)):
        monkeypatch.setitem(gpu.PARTS, part, gpu.Part(measure, gpu.PARTS[part].methods))
    assert tried(gpu, work, tmp_path, "--parts", "speed,full") == 1
    found = results_in(tmp_path)
    first, second = found["records"]["speed"]
    assert first["images_s"] == 2.0
    assert second == {"method": "brushnet", "skipped": "failed: RuntimeError: the card is on fire"}
    assert [*found["failures"]] == ["speed brushnet"]
    assert found["records"]["full"] == [{"method": "brushnet", "batch": 1}]


@pytest.mark.usefixtures("unmade")
def test_what_was_measured_is_kept_when_the_process_is_killed(
    gpu: ModuleType, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_setting: object, method: str) -> Iterator[dict]:
        yield {"method": method, "batch": 1, "images_s": 2.0}
        raise KeyboardInterrupt

    monkeypatch.setitem(gpu.PARTS, "speed", gpu.Part(killed, gpu.PARTS["speed"].methods))
    with pytest.raises(KeyboardInterrupt):
        tried(gpu, work, tmp_path, "--parts", "speed")
    assert results_in(tmp_path)["records"]["speed"] == [{"method": "brushnet", "batch": 1, "images_s": 2.0}]


@pytest.mark.usefixtures("unmade")
def test_without_time_left_it_says_so(
    gpu: ModuleType, work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tried(gpu, work, tmp_path, "--parts", "speed,score", "--budget", "0") == 0
    records = results_in(tmp_path)["records"]
    assert records["speed"] == [{"method": "brushnet", "skipped": "time was up"}]
    assert records["score"] == [{"skipped": "time was up"}]
    assert "| brushnet | - | - | - | - | - | - | - | - | - | - | - | time was up |" in capsys.readouterr().out


@pytest.mark.usefixtures("unmade")
def test_a_second_run_of_a_day_has_a_file_of_its_own(gpu: ModuleType, work: Path, tmp_path: Path) -> None:
    for _ in range(2):
        tried(gpu, work, tmp_path, "--parts", "full", "--budget", "0")
    first, second = sorted((file.stem for file in tmp_path.iterdir()), key=len)
    assert second == f"{first}-2"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--keep",), "--keep is only for a GPU and without --tiny"),
        (("--parts", "speed,fly"), "fly; valid: machine, models, speed"),
    ],
)
def test_what_makes_no_sense_is_refused(
    gpu: ModuleType, work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], given: tuple[str, ...], told: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        tried(gpu, work, tmp_path, *given)
    assert told in capsys.readouterr().err


def test_a_kept_result_is_a_section_with_shares_and_ratios(gpu: ModuleType) -> None:
    from on_gpu.results import Results
    from on_gpu.table import page

    speed = {"method": "brushnet", "dtype": "float16", "compute": "plain", "tflop_image": 100.0}
    records = {
        "machine": [{"card": "Some Card", "memory_gb": 80.0, "matmul_tflop_s": 800.0}],
        "speed": [
            speed | {"batch": 1, "images_s": 1.0, "peak_gb": 4.0},
            speed | {"batch": 16, "images_s": 4.0, "peak_gb": 12.0},
            speed | {"batch": 32, "skipped": "out of memory"},
        ],
        "naive": [{"method": "brushnet", "dtype": "float16", "images_s": 0.5}],
        "full": [{"method": "brushnet", "dtype": "float16", "compute": "plain", "batch": 16, "images_s": 3.9}],
    }
    setting = {"size": 512, "steps": 50, "short": [4, 12]}
    about = {"card": "Some Card", "date": "2027-01-01", "torch": "2.14.1", "driver": "-"}
    lines = page([Results(Path("unused"), about, setting, records)]).splitlines()
    assert "## Some Card, 2027-01-01" in lines
    assert "With torch 2.14.1; 512 x 512 pixels, 50 steps, extrapolated from 4 and 12." in lines
    assert "| brushnet | float16 | plain | 16 | 4 | - | - | - | - | 100 | 0.5 | 12 | - |" in lines
    assert "| brushnet | float16 | plain | 32 | - | - | - | - | - | 100 | - | - | out of memory |" in lines
    assert "| brushnet | float16 | 0.5 | - | 2 | 8 | batch 16, plain |" in lines
    assert "| brushnet | float16 | plain | 16 | 3.9 | 4 | - |" in lines


def test_the_page_is_what_the_script_writes(gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "PAGE", tmp_path / "speed.md")
    assert gpu.main(["--table"]) == 0
    assert (ROOT / "docs" / "speed.md").read_text(encoding="utf-8") == gpu.PAGE.read_text(encoding="utf-8")


def test_without_results_all_cells_are_dashes(gpu: ModuleType) -> None:
    from on_gpu.table import page

    _, tables = page([]).split("## No card yet")
    rows = [line for line in tables.splitlines() if line.startswith("| ")]
    assert len(rows) > 40
    assert "| brushnet | - | - | 32 | - | - | - | - | - | - | - | - |" in rows
    assert "| sd-inpainting | - | 16 | - | - | - |" in rows
