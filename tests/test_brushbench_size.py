"""`--size`: samples resized to a size, or to the one that a method's models were made for."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import brushbench
from brushbench.core.errors import UserError
from brushbench.runs.folder import Run
from brushbench.weights import Weights, families, read_family
from brushbench.weights.native_size import native_size

SIDE = 48


def run_of(place: Path, name: str = "telea") -> Run:
    return Run.open(next(place.rglob(f"{name}/run.json")).parent)


def test_every_data_set_has_the_option(write_bench) -> None:
    root = write_bench(count=2, side=64)
    plain = brushbench.load_dataset("brushbench", root=root)
    small = brushbench.load_dataset("brushbench", root=root, size=SIDE)
    assert (small.name, small.split, list(small.ids), len(small)) == (plain.name, plain.split, list(plain.ids), 2)
    for before, after in zip(plain, small, strict=True):
        picture = Image.fromarray(before.image.permute(1, 2, 0).numpy()).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        assert np.array_equal(after.image.permute(1, 2, 0).numpy(), np.array(picture))
        mask = Image.fromarray(before.mask[0].numpy().astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.NEAREST)
        assert np.array_equal(after.mask[0].numpy(), np.array(mask) > 0)
        assert (before.id, before.caption, before.tags) == (after.id, after.caption, after.tags)
    assert small.digest() != plain.digest()
    # All its images have this size already.
    assert brushbench.load_dataset("brushbench", root=root, size=64).digest() == plain.digest()
    for wrong in (4, 5000, 64.5, "big", True):
        with pytest.raises(UserError, match="valid: native, or the side of a square of 8 to 4096 pixels"):
            brushbench.load_dataset("brushbench", root=root, size=wrong)


def test_a_run_is_generated_scored_and_resumed_at_its_size(write_bench, tmp_path: Path, brushbench) -> None:
    root = write_bench(count=3, side=64)
    given = ("--method", "telea", "--dataset", "brushbench", "--root", root, "--metrics", "psnr,mse", "--size", SIDE)
    code, out, _ = brushbench("run", *given, "--output", tmp_path / "runs")
    assert code == 0
    assert f"the samples are resized to {SIDE}x{SIDE} pixels" in out
    run = run_of(tmp_path / "runs")
    assert run.record.identity.dataset.options == {"size": SIDE}
    before = {}
    for entry in run.ledger().values():
        with Image.open(run.image_path(entry)) as image:
            assert image.size == (SIDE, SIDE)
        before[entry.id] = entry.sha256
    # Without the option, or with its long form, it's the same run or another one.
    code, _, told = brushbench("run", *given[:-2], "--output", tmp_path / "runs")
    assert (code, "dataset.options.size was 48 and is now not set" in told) == (2, True)
    assert brushbench("run", *given[:-2], "--data-option", f"size={SIDE}", "--output", tmp_path / "runs")[0] == 0
    run.image_path(run.ledger()["000000001"]).unlink()
    assert brushbench("run", *given, "--output", tmp_path / "runs")[0] == 0
    assert {entry.id: entry.sha256 for entry in run.ledger().values()} == before
    assert brushbench("score", run.path, "--metrics", "ssim")[0] == 0
    again = brushbench("show", run.path, "000000001")[1]
    assert f"--data-option size={SIDE}" in " ".join(again.split())


def test_the_size_that_is_there_already_changes_no_fingerprint(tmp_path: Path, brushbench) -> None:
    given = ("run", "--method", "brushnet", "--dataset", "papercut", "--limit", 1, "--steps", 1, "--metrics", "psnr")
    fingerprints = []
    for number, more in enumerate(((), ("--size", "native"), ("--size", 128), ("--size", 64))):
        assert brushbench(*given, *more, "--output", tmp_path / str(number))[0] == 0
        fingerprints.append(run_of(tmp_path / str(number), "brushnet").record.fingerprint)
    assert fingerprints[0] == fingerprints[1] == fingerprints[2] != fingerprints[3]


def test_runs_of_two_sizes_have_rows_of_their_own_and_are_not_compared(write_bench, tmp_path: Path, brushbench) -> None:
    root = write_bench(count=2, side=64)
    given = ("run", "--method", "telea", "--dataset", "brushbench", "--root", root, "--metrics", "mse")
    for place, more in (("a", ()), ("b", ("--size", SIDE))):
        assert brushbench(*given, *more, "--output", tmp_path / place)[0] == 0
    rows = json.loads(brushbench("report", tmp_path / "a", tmp_path / "b", "--format", "json")[1])
    assert {row["method"] for row in rows} == {"telea", "telea data.size=48"}
    out = brushbench("report", tmp_path / "a", tmp_path / "b")[1]
    assert "the samples of telea data.size=48 are resized to 48x48 pixels" in out
    code, _, told = brushbench("compare", tmp_path / "a", tmp_path / "b")
    assert (code, "nothing to compare" in told) == (2, True)


def test_the_native_size_is_the_family_s_or_the_folder_s(tmp_path: Path) -> None:
    sizes = {name: read_family(path).size for name, path in families().items()}
    assert {name: sizes[name] for name in ("sd15", "sdxl", "papercut", "lama")} == {
        "sd15": 512,
        "sdxl": 1024,
        "papercut": 128,
        "lama": None,
    }
    assert Weights("sdxl", "brushnet").size == 1024
    # The family has no part for the method.
    assert Weights("sdxl", "powerpaint").size is None
    for part, config, channels, expected in (
        ("unet", {"sample_size": 64}, [128, 256, 512, 512], 512),
        ("unet", {"sample_size": 16}, [8, 16], 32),
        ("unet", {}, [8, 16], None),
        ("transformer", {}, [128, 256, 512, 512], 1024),
        ("transformer", {"sample_size": 128}, [128, 256, 512, 512], 1024),
        ("other", {"sample_size": 64}, [1], None),
    ):
        folder = tmp_path / f"{part}-{len(list(tmp_path.iterdir()))}"
        for name, content in ((part, config), ("vae", {"block_out_channels": channels})):
            (folder / name).mkdir(parents=True)
            (folder / name / "config.json").write_text(json.dumps(content))
        assert native_size(folder) == expected
    (folder / "unet").mkdir()
    (folder / "unet" / "config.json").write_text("rubbish")
    assert native_size(folder) is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--method", "telea", "--size", "native"), "size=native: telea has no models; valid: a number of pixels"),
        (("--method", "telea", "--size", "7"), "size=7; valid: native, or the side of a square of 8 to 4096 pixels"),
        (("--method", "telea", "--size", "-8"), "size '-8'; valid: native, or a number of pixels, such as 512"),
        (("--method", "telea", "--size", "½"), "size '½'; valid: native"),
        (("--method", "telea", "--size", "64", "--data-option", "size=64"), "size is given twice"),
        (
            ("--method", "telea", "--size", "1024", "--protocol", "paper"),
            "protocol paper is defined for 512 pixels only",
        ),
        (("--method", "brushnet", "--size", "native", "--protocol", "paper"), "size=128: protocol paper is defined"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(given: tuple[str, ...], told: str, tmp_path: Path, brushbench) -> None:
    code, out, err = brushbench("run", "--dataset", "papercut", "--limit", 1, *given, "--output", tmp_path / "runs")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err
    assert not (tmp_path / "runs").exists()


def test_one_picture_at_a_size(tmp_path: Path, brushbench) -> None:
    Image.new("RGB", (100, 80), (10, 200, 30)).save(tmp_path / "a.png")
    hole = np.zeros((80, 100), np.uint8)
    hole[30:50, 40:60] = 255
    Image.fromarray(hole).save(tmp_path / "m.png")
    given = ("inpaint", "--image", tmp_path / "a.png", "--mask", tmp_path / "m.png", "--caption", "grün")
    assert brushbench(*given, "--method", "telea", "--size", 64, "--output", tmp_path / "o.png")[0] == 0
    with Image.open(tmp_path / "o.png") as image:
        assert image.size == (64, 64)
        assert np.abs(np.array(image).astype(int) - (10, 200, 30)).max() <= 4
    code, _, told = brushbench(*given, "--method", "telea", "--size", "native", "--output", tmp_path / "p.png")
    assert (code, told.count("\n"), (tmp_path / "p.png").exists()) == (2, 1, False)


def test_a_mask_that_vanishes_fails_its_sample_only(write_bench, tmp_path: Path, brushbench) -> None:
    root = write_bench(count=2, side=512)
    mapping = json.loads((root / "mapping_file.json").read_text())
    first = next(iter(mapping.values()))
    first["inpainting_mask"] = [1, 1]
    (root / "mapping_file.json").write_text(json.dumps(mapping))
    given = ("--method", "telea", "--dataset", "brushbench", "--root", root, "--metrics", "psnr", "--size", 16)
    code, _, told = brushbench("run", *given, "--output", tmp_path / "runs")
    assert code == 3
    assert "mask is empty at 16x16" in told
    assert sorted(run_of(tmp_path / "runs").statuses().values()) == ["done", "failed"]
