"""What `brushbench gallery` writes: pictures, data, and the page that names them."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gallery_data import BROKEN, rows, script, scripts, values

import brushbench as suite
from brushbench.imaging.images import file_format, image_size, read_image
from brushbench.reports.counting import counted
from brushbench.reports.gallery.page import LAST, SCRIPTS, SOURCE
from brushbench.runs.folder import Run
from brushbench.runs.scores import read_scores


@pytest.fixture
def bench(write_bench) -> Path:
    return write_bench(count=3)


@pytest.fixture
def made(bench: Path, brushbench, tmp_path: Path) -> Callable[..., Path]:
    """Make runs of these methods, and return their folder."""

    def make(*methods: str, output: str = "runs", limit: int = 3) -> Path:
        options = ("--dataset", "brushbench", "--root", bench, "--metrics", "psnr,mse", "--limit", limit)
        code, _, err = brushbench("run", "--method", ",".join(methods), *options, "--output", tmp_path / output)
        assert code in (0, 3), err
        return tmp_path / output

    return make


@pytest.fixture
def broken(tmp_path: Path) -> str:
    """A method that fails on one sample."""
    (tmp_path / "broken.py").write_text(BROKEN)
    return f"{tmp_path / 'broken.py'}:Method"


def test_a_gallery_has_a_page_thumbnails_and_full_pictures(made, bench: Path, brushbench, tmp_path: Path) -> None:
    runs, target = made("telea", "mean-fill"), tmp_path / "gallery"
    code, out, _ = brushbench("gallery", runs, "-o", target)
    assert (code, out) == (0, f"gallery: {target / 'index.html'}\n")
    dataset = suite.load_dataset("brushbench", root=bench)
    for row, sample in zip(rows(target), dataset, strict=True):
        key = row["source"]
        assert row["id"] == sample.id
        assert row["caption"] == sample.caption
        assert row["share"] == pytest.approx(sample.mask.float().mean().item())
        assert np.array_equal(read_image(target / "full" / key[:2] / f"{key}.png"), sample.image)
        for shown in (row["source"], row["masked"]):
            assert file_format(target / "thumbs" / shown[:2] / f"{shown}.webp") == "WEBP"
    for run in suite_runs(runs):
        found = script(target, "run", run.record.identity.method.name)
        for name, stored in zip(found["full"]["names"], sorted((run.path / "images").iterdir()), strict=True):
            assert (target / name).read_bytes() == stored.read_bytes()


def test_thumbnails_have_at_most_256_pixels(write_bench, brushbench, tmp_path: Path) -> None:
    root = write_bench(count=1, side=320)
    options = ("--dataset", "brushbench", "--root", root, "--metrics", "mse", "--output", tmp_path / "runs")
    assert brushbench("run", "--method", "mean-fill", *options, "--gallery")[0] == 0
    target = tmp_path / "runs" / "gallery"
    assert {image_size(file) for file in (target / "thumbs").rglob("*.webp")} == {(256, 256)}
    assert {image_size(file) for file in (target / "full").rglob("*.png")} == {(320, 320)}
    # A second command reads the runs beside the gallery, and no gallery for a run.
    code, out, _ = brushbench("report", tmp_path / "runs", "--format", "csv")
    assert (code, out.count("\n")) == (0, 2)


def test_run_says_where_its_gallery_is(bench: Path, brushbench, tmp_path: Path) -> None:
    options = ("--dataset", "brushbench", "--root", bench, "--metrics", "mse", "--output", tmp_path / "runs")
    code, out, _ = brushbench("run", "--method", "mean-fill", *options, "--gallery")
    assert code == 0
    assert out.endswith(f"gallery: {tmp_path / 'runs' / 'gallery' / 'index.html'}\n")


def test_scores_are_those_of_reports_to_the_last_bit(made, brushbench, tmp_path: Path) -> None:
    runs, target = made("telea"), tmp_path / "gallery"
    assert brushbench("gallery", runs, "-o", target)[0] == 0
    (run,), found = suite_runs(runs), script(target, "run", "telea")
    scores = read_scores(run)
    for metric, info in scores.metrics.items():
        stored = scores.table[metric].to_numpy(float, na_value=np.nan)
        statuses = scores.table[f"{metric}.status"].to_numpy(str)
        assert np.array_equal(values(found, metric), counted(stored, statuses, info, "strict"))
        assert found["scores"][metric]["statuses"] == {str(k): each for k, each in enumerate(statuses) if each}


def test_a_failed_sample_has_its_reason_and_its_traceback(made, broken: str, brushbench, tmp_path: Path) -> None:
    runs, target = made(broken, "copy"), tmp_path / "gallery"
    assert brushbench("gallery", runs, "-o", target)[0] == 0
    assert script(target, "run", "Method")["missing"] == {"1": ["failed", "RuntimeError: out of <b>paint</b>"]}
    assert "out of <b>paint</b>" in script(target, "more", "Method")["tracebacks"]["1"]
    assert script(target, "run", "copy")["missing"] == {}
    page = (target / "index.html").read_text()
    assert "Partial run: Method on brushbench, split inside has 2 of 3 images (1 failed)." in page


def test_what_was_not_generated_or_has_changed_says_so(made, brushbench, tmp_path: Path) -> None:
    runs, target = made("copy"), tmp_path / "gallery"
    made("mean-fill", limit=1)
    images = runs / "brushbench-inside" / "copy" / "images"
    (images / "000000000.png").write_bytes((images / "000000001.png").read_bytes())
    (images / "000000002.png").unlink()
    brushbench("gallery", runs, "-o", target)
    assert script(target, "run", "mean-fill")["missing"] == {
        "1": ["absent", "not generated"],
        "2": ["absent", "not generated"],
    }
    assert script(target, "run", "copy")["missing"] == {
        "0": ["failed", "its image was changed after it was made"],
        "2": ["absent", "its image was deleted after it was made"],
    }


def test_the_command_makes_the_very_image_again(
    made, brushbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, target = made("telea"), tmp_path / "gallery"
    assert brushbench("gallery", runs, "-o", target)[0] == 0
    more = script(target, "more", "telea")
    monkeypatch.chdir(tmp_path)
    words = shlex.split(f"{more['command']} --shard 2/{more['shards']}")
    assert brushbench(*words[1:])[0] == 0
    (image,) = (tmp_path / "again" / "brushbench-inside" / "telea" / "images").iterdir()
    assert image.name == "000000001.png"
    assert image.read_bytes() == (runs / "brushbench-inside" / "telea" / "images" / image.name).read_bytes()


def test_seeds_and_options_are_those_of_the_run(made, brushbench, tmp_path: Path) -> None:
    runs, target = made("telea"), tmp_path / "gallery"
    assert brushbench("gallery", runs, "-o", target)[0] == 0
    more = script(target, "more", "telea")
    assert more["options"] == {"radius": "3.0"}
    strict = suite.core.protocol.PROTOCOLS["strict"]
    assert more["seeds"] == [str(strict.sample_seed(1234, row["id"])) for row in rows(target)]
    record = json.loads((target / script(target, "run", "telea")["record"]).read_text())
    assert record["identity"]["method"]["name"] == "telea"


def test_images_from_elsewhere_have_no_command(made, bench: Path, brushbench, tmp_path: Path) -> None:
    images = made("copy") / "brushbench-inside" / "copy" / "images"
    options = ("--dataset", "brushbench", "--root", bench, "--metrics", "mse", "--output", tmp_path / "other")
    assert brushbench("score", "--images", images, "--name", "mine", *options)[0] == 0
    assert brushbench("gallery", tmp_path / "other", "-o", tmp_path / "gallery")[0] == 0
    assert script(tmp_path / "gallery", "more", "mine")["command"] == ""


def test_two_protocols_are_two_places(bench: Path, brushbench, tmp_path: Path) -> None:
    for protocol in ("strict", "paper"):
        options = ("--dataset", "brushbench", "--root", bench, "--metrics", "mse", "--protocol", protocol)
        assert brushbench("run", "--method", "copy", *options, "--output", tmp_path / "runs" / protocol)[0] == 0
    assert brushbench("gallery", tmp_path / "runs", "-o", tmp_path / "gallery")[0] == 0
    (about,) = scripts(tmp_path / "gallery", "about")
    assert len({place["key"] for place in about["places"]}) == 2
    assert {place["protocol"] for place in about["places"]} == {"strict", "paper"}
    suffixes = {name[-4:] for found in scripts(tmp_path / "gallery", "run") for name in found["full"]["names"]}
    assert suffixes == {".png", ".jpg"}


def test_a_data_set_that_has_moved_is_found_by_root(made, bench: Path, brushbench, tmp_path: Path) -> None:
    runs = made("copy")
    bench.rename(tmp_path / "moved")
    result = brushbench("gallery", runs, "-o", tmp_path / "gallery")
    assert result[0] == 2
    assert brushbench("gallery", runs, "-o", tmp_path / "gallery", "--root", tmp_path / "moved")[0] == 0


def test_damaged_runs_are_left_out_and_named(made, brushbench, tmp_path: Path) -> None:
    runs = made("copy", "mean-fill")
    (runs / "brushbench-inside" / "mean-fill" / "scores.parquet").write_bytes(b"PAR1")
    code, _, err = brushbench("gallery", runs, "-o", tmp_path / "gallery")
    assert code == 3
    assert "left out:" in err
    assert "Left out:" in (tmp_path / "gallery" / "index.html").read_text()


def test_runs_without_scores_have_a_gallery_too(bench: Path, brushbench, tmp_path: Path) -> None:
    options = ("--dataset", "brushbench", "--root", bench, "--output", tmp_path / "runs")
    assert brushbench("generate", "--method", "copy", *options)[0] == 0
    assert brushbench("gallery", tmp_path / "runs", "-o", tmp_path / "gallery")[0] == 0
    assert "No table: none of these runs is scored" in (tmp_path / "gallery" / "index.html").read_text()


def test_the_page_loads_nothing_from_elsewhere_and_has_no_code_of_its_own(made, brushbench, tmp_path: Path) -> None:
    assert brushbench("gallery", made("copy"), "-o", tmp_path / "gallery")[0] == 0
    page = (tmp_path / "gallery" / "index.html").read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    addresses = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert addresses
    assert [address for address in addresses if not (tmp_path / "gallery" / address).is_file()] == []
    assert re.findall(r"<script(?! defer src=)|\son\w+=|\sstyle=|javascript:", page) == []


def test_every_script_is_in_the_list(made, brushbench, tmp_path: Path) -> None:
    files = {file.name for file in (SOURCE / "js").glob("*.js")}
    assert files == {f"{name}.js" for name in SCRIPTS} | {LAST}
    for file in (SOURCE / "js").glob("*.js"):
        text = file.read_text()
        assert '"use strict"' in text
        assert (
            re.findall(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|https?://(?!www\.w3\.org)", text
            )
            == []
        )


def test_names_and_captions_end_no_script_and_no_attribute(brushbench, bench: Path, tmp_path: Path) -> None:
    mapping = json.loads((bench / "mapping_file.json").read_text())
    mapping["000000000"]["caption"] = "</script><img src=x onerror=alert(1)>\u2028\u202e"
    (bench / "mapping_file.json").write_text(json.dumps(mapping))
    options = ("--dataset", "brushbench", "--root", bench, "--metrics", "mse", "--output", tmp_path / "runs")
    assert brushbench("run", "--method", "copy", *options)[0] == 0
    assert brushbench("gallery", tmp_path / "runs", "-o", tmp_path / "gallery")[0] == 0
    for file in (tmp_path / "gallery" / "data").glob("*.js"):
        assert "<" not in file.read_text()
    assert rows(tmp_path / "gallery")[0]["caption"] == "</script><img src=x onerror=alert(1)>"


def test_two_splits_are_two_places_of_one_page(brushbench, bench: Path, tmp_path: Path) -> None:
    options = ("--dataset", "brushbench", "--root", bench, "--metrics", "mse", "--output", tmp_path / "runs")
    assert brushbench("run", "--method", "copy", "--split", "inside,outside", *options)[0] == 0
    assert brushbench("gallery", tmp_path / "runs", "-o", tmp_path / "gallery")[0] == 0
    (about,) = scripts(tmp_path / "gallery", "about")
    assert [(place["split"], place["count"]) for place in about["places"]] == [("inside", 3), ("outside", 3)]
    # Both halves of an image share its source.
    assert len({row["source"] for row in rows(tmp_path / "gallery")}) == 3
    assert len({row["masked"] for row in rows(tmp_path / "gallery")}) == 6


def suite_runs(folder: Path) -> list[Run]:
    return [Run.open(file.parent) for file in sorted(folder.rglob("run.json"))]
