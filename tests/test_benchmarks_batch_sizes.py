"""The table of batch sizes, from made-up results of the script that measures on a GPU."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

import brushbench as suite
from brushbench.evaluation import batch_size
from brushbench.evaluation.batch_size import automatic_batch, measured_batches, memory_warning
from brushbench.evaluation.methods import LoadedMethod

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def gpu() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        import gpu

        yield gpu


@pytest.fixture
def table(gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A table in place of the repository's, empty at first."""
    file = tmp_path / "batch_sizes.json"
    file.write_text("[]")
    monkeypatch.setattr(gpu, "TABLE", file)
    monkeypatch.setattr(batch_size, "TABLE", file)
    measured_batches.cache_clear()
    yield file
    measured_batches.cache_clear()


Row = tuple[int, float, float]
"""Batch size, images per second, peak memory in GB."""


def records(rows: list[Row], method: str = "brushnet", **changes: str) -> list[dict[str, object]]:
    of_kind = {"method": method, "dtype": "float16", "compute": "plain"} | changes
    return [of_kind | {"batch": batch, "images_s": rate, "peak_gb": peak} for batch, rate, peak in rows]


def results(folder: Path, speed: list[dict[str, object]], **changes: object) -> Path:
    setting = {"device": "cuda", "tiny": False, "size": 512, "steps": 50, "short": [4, 12]} | changes
    file = folder / "gpu-some-card-2027-01-01.json"
    content = {"about": {"card": "Some Card"}, "setting": setting, "records": {"speed": speed}}
    file.write_text(json.dumps(content | {"failures": {}, "seconds": {}}))
    return file


def written(gpu: ModuleType, file: Path) -> list[tuple[object, ...]]:
    """Method, dtype and batch size of each row of the table afterwards."""
    assert gpu.main(["--batch-sizes", str(file)]) == 0
    measured_batches.cache_clear()
    return [(row.method, row.dtype, row.batch_size) for row in measured_batches()]


RISING: list[Row] = [(1, 1.0, 4.0), (4, 2.0, 8.0), (16, 3.0, 21.05), (32, 3.05, 38.0)]


def test_a_run_takes_the_batch_size_that_was_measured(gpu: ModuleType, table: Path, tmp_path: Path) -> None:
    assert written(gpu, results(tmp_path, records(RISING))) == [("brushnet", "float16", 16)]
    copy, sample = suite.load_method("copy"), torch.zeros(3, 512, 512, dtype=torch.uint8)
    data = [suite.Sample("0", sample, torch.ones(1, 512, 512, dtype=torch.bool), "")]
    placed = {"dtype": "float16", "device": "cuda:0", "offload": "none"}
    method = LoadedMethod("brushnet", copy, {}, {}, origin="", family="sd15", **placed)
    assert automatic_batch(Listed(data), method) == 16
    assert "16 samples per call at 512x512 in float16 need 21.1 GB, but cuda:0 has 12.0 GB" in memory_warning(
        Listed(data), method, memory=lambda _: 12 * 10**9
    )


class Listed(list):
    """Samples as a data set, as far as it is asked here."""

    name, split = "listed", "inside"

    @property
    def ids(self) -> list[str]:
        return [sample.id for sample in self]

    def tags(self) -> dict[str, dict[str, str]]:
        return {}

    def digest(self) -> str:
        return ""


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (RISING, 16),
        # Twice the memory is worth two percent, and not less.
        ([(1, 1.0, 4.0), (2, 1.019, 6.0)], 1),
        ([(1, 1.0, 4.0), (2, 1.021, 6.0)], 2),
        ([(1, 1.0, 4.0), (2, 1.015, 6.0), (4, 1.03, 9.0)], 2),
        # The order of the file means nothing, and a larger batch can be slower.
        ([(16, 2.5, 20.0), (1, 1.0, 4.0), (4, 3.0, 8.0)], 4),
    ],
)
def test_the_smallest_batch_that_is_as_good_as_the_fastest(
    rows: list[Row], expected: int, gpu: ModuleType, table: Path, tmp_path: Path
) -> None:
    assert written(gpu, results(tmp_path, records(rows))) == [("brushnet", "float16", expected)]


def test_what_was_not_compared_has_no_row(gpu: ModuleType, table: Path, tmp_path: Path) -> None:
    speed = [
        *records(RISING),
        {"method": "brushnet", "dtype": "float16", "compute": "plain", "batch": 64, "skipped": "out of memory"},
        *records([(16, 2.0, 20.0)], dtype="bfloat16"),
        *records([(16, 9.0, 20.0), (32, 12.0, 30.0)], compute="fast"),
        *records(RISING, method="controlnet"),
        {"method": "controlnet", "skipped": "time was up"},
        *(
            {"method": "powerpaint", "dtype": "float16", "compute": "plain", "batch": size, "skipped": "out of memory"}
            for size in (1, 4)
        ),
    ]
    assert written(gpu, results(tmp_path, speed)) == [("brushnet", "float16", 16)]


def test_new_rows_take_the_place_of_those_for_the_same(gpu: ModuleType, table: Path, tmp_path: Path) -> None:
    written(gpu, results(tmp_path, [*records(RISING), *records(RISING, method="controlnet")]))
    faster = records([(4, 2.0, 8.0), (16, 5.0, 21.0), (32, 9.0, 30.0)])
    rows = [("brushnet", "float16", 32), ("controlnet", "float16", 16)]
    assert written(gpu, results(tmp_path, faster)) == rows
    before = table.read_bytes()
    assert written(gpu, results(tmp_path, faster)) == rows
    assert table.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tiny": True}, "results of tiny models; valid: results of real size from a GPU"),
        ({"device": "cpu"}, "results from the CPU; valid: results of real size from a GPU"),
        ({"tiny": True, "device": "cpu"}, "results of tiny models"),
    ],
)
def test_results_that_say_nothing_of_a_gpu_are_refused(
    changes: dict[str, object],
    told: str,
    gpu: ModuleType,
    table: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert gpu.main(["--batch-sizes", str(results(tmp_path, records(RISING), **changes))]) == 2
    out, err = capsys.readouterr()
    assert told in err
    assert (out, err.count("\n")) == ("", 1)
    assert table.read_text() == "[]"


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"])
def test_a_file_without_results_is_refused(
    content: str | None, gpu: ModuleType, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "other.json"
    if content is not None:
        file.write_text(content)
    assert gpu.main(["--batch-sizes", str(file)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert table.read_text() == "[]"
