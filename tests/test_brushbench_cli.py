"""The command line: one line and exit code 2 for a user's mistake, exit code 3 for failed samples."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from support import assert_one_line, run_on

from brushbench.imaging.images import read_image
from brushbench.imaging.masks import encode_rle

IMAGE = "images/000000000.png"
GOOD = {"image": IMAGE, "caption": "a picture", "inpainting_mask": [1, 5], "outpainting_mask": [6, 64 * 64 - 5]}


def test_a_run_ends_with_a_table(brushbench, tmp_path: Path, write_bench) -> None:
    code, out, err = brushbench(*run_on(write_bench(), tmp_path / "runs", "--split", "inside,outside"))
    assert code == 0
    assert "brushbench, split inside, protocol strict" in out
    assert "brushbench, split outside, protocol strict" in out
    assert out.count("\nscored/requested: 4/4 for each\n") == 2
    assert "generating mean-fill, brushbench/inside: 4/4 images" in err
    assert (tmp_path / "runs" / "brushbench-outside" / "mean-fill" / "scores.parquet").exists()


def test_generate_then_score_is_run(brushbench, tmp_path: Path, write_bench) -> None:
    root = write_bench()
    _, whole, _ = brushbench(*run_on(root, tmp_path / "whole"))
    arguments = run_on(root, tmp_path / "halves")
    code, out, _ = brushbench("generate", *arguments[1:])
    assert code == 0
    assert "PSNR" not in out
    code, halves, _ = brushbench("score", tmp_path / "halves")
    assert code == 0
    assert halves.replace("halves", "whole") == whole


@pytest.mark.parametrize("table_format", ["text", "markdown", "csv", "json"])
def test_report_prints_every_format(table_format: str, brushbench, tmp_path: Path, write_bench) -> None:
    brushbench(*run_on(write_bench(), tmp_path / "runs"))
    code, out, _ = brushbench("report", tmp_path / "runs", "--format", table_format)
    assert code == 0
    assert "mean-fill" in out
    assert "strict" in out


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("{not json", ["mapping_file.json", "not JSON"]),
        ("[" * 100_000, ["not JSON"]),
        ('"text"', ["must be a dict of samples or a list"]),
        ("{}", ["no samples"]),
        ('{"a": {}, "a": {}}', ["'a' occurs twice"]),
        (b"\xff\xfe\x00", ["not JSON"]),
    ],
)
def test_a_damaged_mapping_file(content, parts: list[str], brushbench, tmp_path: Path, write_bench) -> None:
    root = write_bench()
    (root / "mapping_file.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert_one_line(brushbench(*run_on(root, tmp_path / "runs")), *parts)
    assert not (tmp_path / "runs").exists()


BAD_ENTRIES = [
    ({"caption": None}, "caption"),
    ({"image": None}, "image: field required"),
    ({"inpainting_mask": None}, "inpainting_mask: a list of runs is required"),
    ({"caption": 7}, "caption: input should be a valid string"),
    ({"caption": "x" * 10_000}, "caption has 10000 characters; valid: up to"),
    ({"inpainting_mask": [1, 64 * 64 + 1]}, "out of bounds"),
    ({"inpainting_mask": [0, 5]}, "out of bounds"),
    ({"inpainting_mask": [5, -1]}, "out of bounds"),
    ({"inpainting_mask": [10**30, 1]}, "whole numbers"),
    ({"inpainting_mask": [1, 10, 5, 3]}, "overlap"),
    ({"inpainting_mask": [1, 10, 5]}, "odd count of numbers (3)"),
    ({"inpainting_mask": [1.5, 2]}, "whole numbers"),
    ({"inpainting_mask": [[1, 2]]}, "whole numbers"),
    ({"inpainting_mask": ["a", 2]}, "whole numbers"),
    ({"inpainting_mask": []}, "inpainting_mask is empty"),
    ({"image": "../outside.png"}, "outside the data set's folder"),
    ({"image": "/etc/passwd"}, "outside the data set's folder"),
    ({"image": "images/link.png"}, "outside the data set's folder"),
    ({"image": "images/none.png"}, "image not found"),
    ({"image": "images/text.png"}, "not a PNG, JPEG or WebP image"),
    ({"image": "images/cut.png"}, "not a readable image"),
    ({"image": "images/small.png"}, "32x32, the data set is 64x64"),
]


def bad_files(root: Path) -> None:
    content = (root / IMAGE).read_bytes()
    (root / ".." / "outside.png").write_bytes(content)
    (root / "images" / "link.png").symlink_to(root / ".." / "outside.png")
    (root / "images" / "text.png").write_text("no picture")
    (root / "images" / "cut.png").write_bytes(content[: len(content) // 2])
    Image.new("RGB", (32, 32)).save(root / "images" / "small.png")


@pytest.mark.parametrize(("changes", "part"), BAD_ENTRIES)
def test_one_bad_sample_among_good_ones(changes, part: str, brushbench, tmp_path: Path, write_bench) -> None:
    entry = {key: value for key, value in (GOOD | changes).items() if value is not None}
    root = write_bench(count=3, entries={"bad": entry})
    bad_files(root)
    code, out, err = brushbench(*run_on(root, tmp_path / "runs"))
    assert code == 3
    assert "3/4" in out
    assert part in err
    assert "Traceback" not in err
    ledger = (tmp_path / "runs" / "brushbench-inside" / "mean-fill" / "samples.jsonl").read_text().splitlines()
    entries = {line["id"]: line for line in map(json.loads, ledger)}
    assert [line["status"] for line in entries.values()] == ["done"] * 3 + ["failed"]
    assert part in entries["bad"]["error"]


@pytest.mark.parametrize(("changes", "part"), BAD_ENTRIES[:-1])
def test_only_bad_samples(changes, part: str, brushbench, tmp_path: Path, write_bench) -> None:
    entry = {key: value for key, value in (GOOD | changes).items() if value is not None}
    root = write_bench(count=1)
    bad_files(root)
    (root / "mapping_file.json").write_text(json.dumps({"bad": entry}))
    assert_one_line(brushbench(*run_on(root, tmp_path / "runs")), part)
    (root / "mapping_file.json").write_text(json.dumps({"good": GOOD}))
    assert brushbench(*run_on(root, tmp_path / "runs"))[0] == 0


@pytest.mark.parametrize("name", ["../escape", "a/b", "", "x" * 300, "new\nline", "\x1b[31m", ".hidden"])
def test_an_id_that_can_not_be_a_file_name(name: str, brushbench, tmp_path: Path, write_bench) -> None:
    root = write_bench(count=2, entries={name: GOOD})
    code, out, err = brushbench(*run_on(root, tmp_path / "runs"))
    assert code == 3
    assert "2/3" in out
    assert "can't be a file name" in err
    assert "\x1b" not in err + out
    assert {path.name for path in tmp_path.iterdir()} == {"bench", "runs"}


def test_unicode_captions_and_ids(brushbench, tmp_path: Path, write_bench) -> None:
    caption = "東京タワー \u202eright to left\u202c 🍰 'quoted' \x1b[31m"
    root = write_bench(count=1, entries={"タワー": GOOD | {"caption": caption, "inpainting_mask": [100, 50]}})
    code, _, err = brushbench(*run_on(root, tmp_path / "runs"))
    assert code == 0, err
    assert (tmp_path / "runs/brushbench-inside/mean-fill/images/タワー.png").exists()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (
            ["run", "--method", "telae"],
            ["unknown method 'telae'", "did you mean 'telea'?", "valid: autoencoder, biharmonic"],
        ),
        (["run", "--method", "telea", "-o", "radios=3"], ["unknown option", "did you mean 'radius'?"]),
        (["run", "--method", "telea", "-o", "radius=x"], ["radius='x'", "valid number"]),
        (["run", "--method", "telea", "-o", "radius=-1"], ["radius='-1'", "greater than 0"]),
        (["run", "--method", "telea", "-o", "radius=nan"], ["radius='nan'", "finite number"]),
        (["run", "--method", "telea", "-o", "radius"], ["'radius' is not of the form key=value"]),
        (["run", "--method", "telea", "-o", "radius=1", "-o", "radius=2"], ["'radius' is given twice"]),
        (["run", "--method", "telea", "--steps", "3"], ["unknown option of telea 'steps'"]),
        (["run", "--method", "telea", "--split", "insid"], ["unknown split 'insid'", "did you mean 'inside'?"]),
        (["run", "--method", "telea", "--metrics", "psmr"], ["unknown metric 'psmr'", "did you mean 'psnr'?"]),
        (["run", "--method", "telea", "--metrics", "psnr@here"], ["'here' is not one of known, painted, whole"]),
        (["run", "--method", "telea", "--metrics", "psnr,psnr@known"], ["one is named twice in psnr, psnr@known"]),
        (["run", "--method", "telea", "--protocol", "papre"], ["unknown protocol", "did you mean 'paper'?"]),
        (["run", "--method", "telea", "--shard", "3/2"], ["shard 3/2"]),
        (["run", "--method", "telea", "--shard", "x"], ["shard 'x'"]),
        (["run", "--method", "telea", "--limit", "0"], ["limit=0"]),
        (["run", "--method", "telea", "--limit", "x"], ["'--limit'", "'x' is not a valid integer"]),
        (["run", "--method", "telea", "--batch-size", "0"], ["batch_size=0"]),
        (["run", "--method", "telea", "--batch-size", "many"], ["batch size 'many'"]),
        (["run", "--method", "telea", "--dataset", "photo"], ["unknown dataset 'photo'", "did you mean 'photos'?"]),
        (["run", "--method", "telea", "--dataset", "brushbench"], ["--root DIR"]),
        (["run", "--method", "telea", "--weights", "w"], ["unknown weights 'w'"]),
        (["run", "--method", "telea", "--root", "./nowhere"], ["no such folder: nowhere"]),
        (["run", "--method", "none.py:None"], ["file not found: none.py"]),
        (["run", "--method", "brushnet", "--weights", "./nowhere"], ["no such folder"]),
        (["run", "--method", "brushnet", "--weights", "sd51"], ["unknown weights 'sd51'", "'sd15'"]),
        (["run", "--method", "brushnet", "-o", "blur=20"], ["blur=20", "odd"]),
        (["run", "--method", "brushnet", "-o", "start=0.5", "-o", "end=0.2"], ["start=0.5 must be less than end=0.2"]),
        (["run", "--method", "brushnet", "-o", "blend=soft"], ["blend='soft'", "'none', 'paste' or 'blur'"]),
        (["run", "--method", "brushnet", "--device", "tpu"], ["device 'tpu'"]),
        (["run", "--method", "brushnet", "--device", "cuda:99"], ["device 'cuda:99'"]),
        (["run", "--method", "brushnet", "--dtype", "int8"], ["dtype 'int8'"]),
        (["run"], ["Missing option '--method'"]),
        (["run", "--metod", "telea"], ["No such option", "--method"]),
        (["rnu"], ["No such command 'rnu'"]),
        (["report", "./nowhere"], ["no runs found in nowhere"]),
        (["score"], ["needs either run folders or --images"]),
        (["list", "method"], ["'method' is not one of"]),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], parts: list[str], brushbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BRUSHBENCH_DATA", raising=False)
    if "--weights" in arguments and "telea" in arguments:
        parts = ["--weights has no effect on methods without weights: telea"]
    assert_one_line(brushbench(*arguments), *parts)
    assert not list(tmp_path.iterdir())


def test_a_size_that_the_model_can_not_paint(brushbench, tmp_path: Path, write_bench, tiny_weights: Path) -> None:
    arguments = run_on(write_bench(side=60), tmp_path / "runs", "--weights", tiny_weights, "--steps", "1")
    arguments += ("--protocol", "paper")
    result = brushbench(*(("brushnet" if item == "mean-fill" else item) for item in arguments))
    assert_one_line(result, "60x60: both sides must be multiples of 8", "(and 3 more)")


def test_a_mask_of_everything_is_one_failure(brushbench, tmp_path: Path, write_bench) -> None:
    root = write_bench(count=2, entries={"all": GOOD | {"inpainting_mask": [1, 64 * 64]}})
    code, out, err = brushbench(*run_on(root, tmp_path / "runs"))
    assert code == 3
    assert "the mask covers the whole image" in err
    code, out, err = brushbench(
        *(("copy" if item == "mean-fill" else item) for item in run_on(root, tmp_path / "runs"))
    )
    assert code == 0
    assert "3/3" in out


def test_pictures_made_elsewhere(brushbench, tmp_path: Path, golden: Path) -> None:
    bench = golden / "brushnet" / "mini_bench"
    arguments = ("--dataset", "brushbench", "--root", bench / "data", "--protocol", "paper", "--output", tmp_path)
    official = json.loads((bench / "results.json").read_text())
    for folder, split in (("inside", "inside"), ("inside_blended", "inside"), ("outside", "outside")):
        code, _, err = brushbench(
            "score", "--images", bench / folder / "images", "--name", folder, "--split", split, *arguments
        )
        assert code == 0
        assert "2 files belong to no sample: 000000000_masked.jpg, 000000001_masked.jpg" in err
        _, out, _ = brushbench("report", tmp_path / f"brushbench-{split}" / folder, "--format", "json")
        means = {row["metric"]: row["mean"] for row in json.loads(out)}
        assert means["psnr"] == pytest.approx(official[folder]["average"]["PSNR"], rel=1e-12)
        assert means["mse"] == pytest.approx(official[folder]["average"]["MSE"], rel=1e-12)


def test_pictures_that_do_not_fit(brushbench, tmp_path: Path, write_bench) -> None:
    root = write_bench(count=3)
    images = shutil.copytree(root / "images", tmp_path / "images")
    Image.new("RGB", (32, 32)).save(images / "000000001.png")
    (images / "000000002.png").unlink()
    data = ("--dataset", "brushbench", "--root", root, "--output", tmp_path / "runs")
    code, out, err = brushbench("score", "--images", images, *data)
    assert code == 3
    assert "000000002" in err
    assert "no image given" in err
    assert "1 samples have no image: 000000002" in err
    assert "1 images are of the wrong size: 000000001 (32x32, its source is 64x64)" in err
    run = tmp_path / "runs" / "brushbench-inside" / "external"
    _, out, _ = brushbench("report", run, "--format", "csv")
    row = next(row for row in csv.DictReader(out.splitlines()) if row["metric"] == "mse")
    assert [row[name] for name in ("mean", "low", "high", "n_scored", "n_asked")] == ["0.0", "", "", "1", "3"]
    (tmp_path / "empty").mkdir()
    assert_one_line(brushbench("score", "--images", tmp_path / "empty", *data), "no image for any sample")


def test_an_embedded_data_set_is_used_and_named(brushbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BRUSHBENCH_DATA", raising=False)
    code, out, err = brushbench("run", "--method", "mean-fill", "--limit", "1", "--output", tmp_path)
    assert code == 0
    assert "BrushBench not found; using the built-in PaperCut data" in err
    assert "papercut, split inside" in out
    sheet = tmp_path / "papercut-inside" / "mean-fill" / "contact_sheet.png"
    assert f"contact sheet: {sheet}" in out
    assert sheet.exists()


def test_the_paper_s_data_set_is_used_when_it_is_here(
    brushbench, tmp_path: Path, write_bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_bench(count=1)
    (tmp_path / "data").mkdir()
    root.rename(tmp_path / "data" / "BrushDench")
    monkeypatch.setenv("BRUSHBENCH_DATA", str(tmp_path / "data"))
    code, out, _ = brushbench("run", "--method", "mean-fill", "--output", tmp_path / "runs")
    assert code == 0
    assert "brushbench, split inside" in out


def test_options_go_to_the_methods_that_have_them(brushbench, tmp_path: Path, write_bench) -> None:
    arguments = run_on(write_bench(), tmp_path / "runs", "-o", "radius=5")
    code, out, _ = brushbench(*(("telea,copy" if item == "mean-fill" else item) for item in arguments))
    assert code == 0
    assert "telea" in out


def test_weights_go_to_the_methods_that_have_them(brushbench, tmp_path: Path, write_bench, tiny_weights: Path) -> None:
    arguments = run_on(write_bench(count=1), tmp_path / "runs", "--weights", tiny_weights, "--steps", "1")
    code, out, _ = brushbench(*(("telea,brushnet" if item == "mean-fill" else item) for item in arguments))
    assert code == 0
    assert {"telea", "brushnet"} <= set(out.split())


def test_all_leaves_out_what_can_not_be_loaded(
    brushbench, tmp_path: Path, write_bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    arguments = run_on(write_bench(count=1), tmp_path / "runs")
    code, out, err = brushbench(*(("all" if item == "mean-fill" else item) for item in arguments))
    assert code == 0
    assert "brushnet is left out: base: stable-diffusion-v1-5/stable-diffusion-v1-5 is not on this machine" in err
    assert {"telea", "navier-stokes", "biharmonic", "mean-fill", "copy"} <= set(out.split())


@pytest.mark.parametrize("kind", ["methods", "metrics", "datasets", "weights"])
def test_list(kind: str, brushbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    code, out, _ = brushbench("list", kind)
    assert code == 0
    expected = {"methods": "brushnet", "metrics": "psnr", "datasets": "photos", "weights": "sd15"}
    assert expected[kind] in out


def test_doctor(brushbench) -> None:
    code, out, _ = brushbench("doctor")
    assert code == 0
    assert f"torch: {torch.__version__.partition('+')[0]}" in out
    assert "data: papercut (embedded)" in out
    assert "weights sd15: not on this machine" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        ["status", "--help"],
        ["data", "get", "--help"],
        ["--version"],
        ["list", "methods"],
        ["list", "metrics"],
        ["list", "weights"],
        ["list", "published"],
    ],
)
def test_help_and_list_are_cheap(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom brushbench.cli.main import main\n"
        f"try: main({arguments!r})\nexcept SystemExit as end: assert not end.code\n"
        "loaded = {'torch', 'pandas', 'diffusers', 'transformers'} & set(sys.modules)\nassert not loaded, loaded\n"
    )
    offline = os.environ | {"HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=offline)


def test_the_doctor_imports_no_library_of_models() -> None:
    code = (
        "import sys\nfrom brushbench.cli.main import main\n"
        "try: main(['doctor'])\nexcept SystemExit as end: assert not end.code\n"
        "loaded = {'transformers', 'diffusers', 'torchvision', 'scipy', 'open_clip', 'pandas'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    offline = os.environ | {"HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=offline)


def test_what_is_no_terminal_gets_no_escape_codes(tmp_path: Path, write_bench, forked) -> None:
    code, out, err = forked(*run_on(write_bench(count=2), tmp_path / "runs")).result()
    assert code == 0, err
    assert "\x1b" not in out + err
    assert "generating mean-fill, brushbench/inside: 2/2 images" in err


def test_asymmetric_rle_reaches_the_method_unturned(tmp_path: Path, write_bench, brushbench) -> None:
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[3, 10:60] = True
    root = write_bench(count=1, entries={"row": GOOD | {"inpainting_mask": encode_rle(mask)}})
    brushbench(*run_on(root, tmp_path / "runs"))
    result, source = (
        read_image(path) for path in (tmp_path / "runs/brushbench-inside/mean-fill/images/row.png", root / IMAGE)
    )
    changed = (result != source).any(dim=0)
    assert not changed[~mask].any()
    assert changed[mask].float().mean() > 0.9
