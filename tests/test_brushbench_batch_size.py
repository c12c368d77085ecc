"""`--batch-size auto` follows a table on a GPU, and the size of the pictures on the CPU."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from support import run_on

import brushbench as suite
from brushbench import baselines
from brushbench.core.types import Dataset
from brushbench.evaluation import batch_size
from brushbench.evaluation.batch_size import MeasuredBatch, automatic_batch, measured_batches, memory_warning
from brushbench.evaluation.methods import LoadedMethod, find_method
from brushbench.imaging.images import Size
from brushbench.runs.config import RunConfig

GIGABYTE = 10**9
ROWS = [
    MeasuredBatch(
        method="brushnet",
        family=family,
        height=side,
        width=side,
        dtype=dtype,
        batch_size=size,
        peak_bytes=gigabytes * GIGABYTE,
    )
    for family, side, dtype, size, gigabytes in (
        ("sd15", 512, "float16", 16, 21),
        ("sd15", 512, "float32", 8, 25),
        ("sd15", 1024, "float16", 6, 30),
        ("sdxl", 1024, "float16", 2, 35),
    )
]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_size, "measured_batches", lambda: ROWS)


@pytest.fixture
def on_gpu() -> LoadedMethod:
    """A method as if loaded on a GPU, which need not exist."""
    copy = suite.load_method("copy")
    placed = {"dtype": "float16", "device": "cuda:0", "offload": "none"}
    return LoadedMethod("brushnet", copy, {}, {}, origin="", family="sd15", **placed)


def sized(size: Size) -> Dataset:
    sample = suite.Sample("0", torch.zeros(3, *size, dtype=torch.uint8), torch.ones(1, *size, dtype=torch.bool), "")
    return Only([sample])


class Only:
    """A data set of these samples, as far as it is asked here."""

    name, split = "only", "inside"

    def __init__(self, samples: Sequence[suite.Sample]) -> None:
        self._samples = samples
        self.ids = [sample.id for sample in samples]

    def __getitem__(self, index: int) -> suite.Sample:
        return self._samples[index]

    def __len__(self) -> int:
        return len(self._samples)

    def __iter__(self) -> Iterator[suite.Sample]:
        return iter(self._samples)

    def tags(self) -> Mapping[str, Mapping[str, str]]:
        return {}

    def digest(self) -> str:
        return ""


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    ("size", "changes", "expected"),
    [
        ((512, 512), {}, 16),
        ((512, 512), {"dtype": "float32"}, 8),
        ((1024, 1024), {}, 6),
        # Smaller pictures fit where larger ones do.
        ((384, 512), {}, 16),
        ((520, 512), {}, 6),
        # Models of another family are of another size.
        ((512, 512), {"family": "sdxl"}, 2),
        # Nobody has measured these.
        ((512, 512), {"family": ""}, 4),
        ((1032, 1024), {}, 4),
        ((512, 512), {"dtype": "bfloat16"}, 4),
        ((512, 512), {"name": "powerpaint"}, 4),
    ],
)
def test_on_a_gpu_it_is_what_was_measured(
    size: Size, changes: dict[str, str], expected: int, on_gpu: LoadedMethod
) -> None:
    assert automatic_batch(sized(size), replace(on_gpu, **changes)) == expected


@pytest.mark.parametrize(("size", "expected"), [((64, 64), 8), ((256, 256), 4), ((512, 512), 1), ((1024, 1024), 1)])
def test_on_the_cpu_it_is_by_pixels(size: Size, expected: int, on_gpu: LoadedMethod) -> None:
    assert automatic_batch(sized(size), replace(on_gpu, device="cpu")) == expected


@pytest.mark.usefixtures("measured")
def test_a_first_sample_that_cannot_be_read_says_no_size(on_gpu: LoadedMethod) -> None:
    assert automatic_batch(Only([]), on_gpu) == 4
    assert automatic_batch(Only([]), replace(on_gpu, device="")) == 1
    assert memory_warning(Only([]), on_gpu, memory=lambda _: 1) == ""


def test_the_table_of_the_repository_can_be_read() -> None:
    rows = measured_batches()
    assert len({row.key for row in rows}) == len(rows)


def test_the_family_of_weights_is_the_suite_s_own_without_parts_of_the_user_s(
    golden_weights: Path, tmp_path: Path
) -> None:
    def family(weights: str | Path, **options: str) -> str:
        return find_method("brushnet", weights=weights).load(device="cpu", dtype="auto", options=options).family

    assert family("papercut") == "papercut"
    assert family(golden_weights) == ""
    own = Path(baselines.__path__[0]) / "papercut" / "weights" / "brushnet_random"
    assert family("papercut", brushnet=str(own)) == ""


@pytest.mark.usefixtures("measured")
def test_a_gpu_that_is_too_small_is_told_with_numbers(on_gpu: LoadedMethod) -> None:
    warned = partial(memory_warning, sized((512, 512)))
    assert warned(on_gpu, memory=lambda _: 12 * GIGABYTE) == (
        "brushnet may run out of memory: 16 samples per call at 512x512 in float16 need 21.0 GB, but cuda:0 has 12.0 "
        "GB. Use a smaller --batch-size, or -o offload=model"
    )
    assert warned(on_gpu, memory=lambda _: 21 * GIGABYTE) == ""
    assert warned(replace(on_gpu, offload="model"), memory=lambda _: GIGABYTE) == ""
    assert warned(replace(on_gpu, name="powerpaint"), memory=lambda _: GIGABYTE) == ""
    assert warned(replace(on_gpu, device="cpu"), memory=lambda _: GIGABYTE) == ""


def test_the_warning_is_seen_on_the_command_line(
    brushbench, write_bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_size, "memory_warning", lambda _data, method: f"{method.name} may run out of memory")
    asked = run_on(write_bench(count=2), tmp_path / "runs", "--metrics", "psnr")
    code, _, err = brushbench(*asked)
    assert code == 0
    assert err.count("mean-fill may run out of memory\n") == 1
    assert "memory" not in brushbench(*asked, "--batch-size", 8)[2]


def test_out_of_memory_names_offload_where_a_method_has_it(
    write_bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*_: object) -> None:
        raise torch.OutOfMemoryError("too large")

    asked = {"dataset": "brushbench", "root": write_bench(count=1), "weights": "papercut", "device": "cpu"}
    monkeypatch.setattr("brushbench.baselines.brushnet.BrushNet.__call__", too_large)
    for offload, said in (("none", "or -o offload=model, which changes no image$"), ("model", "valid: [^;]*$")):
        config = RunConfig("brushnet", **asked, output=tmp_path / offload, options={"offload": offload})
        with pytest.raises(suite.UserError, match=said):
            suite.run(config)
