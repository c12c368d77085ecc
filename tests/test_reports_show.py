"""`show`: one sample across methods, in the terminal and as a picture."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import write_benchmark
from PIL import Image
from report_runs import Made
from support import assert_one_line, run_on, suite

from brushbench.core.protocol import protocol_named
from brushbench.reports.one_sample_text import EXPLAINED
from brushbench.reports.sample_scores import sample_scores

METHODS = """
class Odd:
    def __call__(self, batch, seeds):
        if batch.ids[0].endswith("2"):
            raise ValueError("odd \\x1b[31mid")
        return batch.images


class Inverse:
    level: int = 0

    def __call__(self, batch, seeds):
        return 255 - batch.images
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("show")
    (root / "methods.py").write_text(METHODS)
    methods = f"telea,{root}/methods.py:Odd,{root}/methods.py:Inverse"
    more = ("--split", "inside,outside", "--metrics", "psnr,seam", "--batch-size", "1")
    assert suite(*run_on(write_benchmark(root / "bench"), root / "runs", *more, method=methods)) == 3
    return root / "runs"


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_a_sample_with_scores_units_and_directions(brushbench, runs: Path) -> None:
    code, out, err = brushbench("show", runs / "brushbench-inside", "000000001")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "000000001 on brushbench, split inside"
    assert "  caption: picture number 1" in lines
    assert "% of 64x64 pixels" in out
    rows = {line.partition("  ")[0]: line.split() for line in lines}
    assert rows["status"] == ["status", "done", "done", "done"]
    head = next(line for line in lines if line.split() == ["Inverse", "Odd", "telea"])
    assert head.startswith(" ")
    # Telea and the copy keep every known pixel; both count as 60 dB.
    assert squeezed(" ".join(rows["psnr in dB, higher is better"])).endswith("60.00 (50) 60.00 (50)")
    assert "seam in levels, lower is better" in rows
    assert squeezed(EXPLAINED) in squeezed(out)


def test_both_splits_are_shown_and_explained_once(brushbench, runs: Path) -> None:
    _, out, _ = brushbench("show", runs, "000000001")
    assert "000000001 on brushbench, split inside\n" in out
    assert "000000001 on brushbench, split outside\n" in out
    assert squeezed(out).count(squeezed(EXPLAINED)) == 1


def test_scores_of_two_protocols_stand_in_tables_of_their_own(brushbench, tmp_path: Path, write_bench) -> None:
    root = write_bench()
    for protocol in ("strict", "paper"):
        asked = run_on(root, tmp_path / protocol, "--protocol", protocol, "--metrics", "psnr", method="telea")
        assert brushbench(*asked)[0] == 0
    code, out, _ = brushbench("show", tmp_path / "strict", tmp_path / "paper", "000000001")
    assert code == 0
    titles = [line for line in out.splitlines() if line.startswith("000000001 on ")]
    assert titles == [f"000000001 on brushbench, split inside, protocol {name}" for name in ("strict", "paper")]
    assert out.count("\nstatus") == 2


def test_a_failure_is_shown_with_its_traceback(brushbench, runs: Path) -> None:
    code, out, _ = brushbench("show", runs / "brushbench-inside", "000000002")
    assert code == 0
    assert "Odd: failed: ValueError: odd [31mid" in out
    assert "  | Traceback (most recent call last):" in out
    assert "  |     raise ValueError(" in out
    assert "\x1b" not in out
    row = next(line for line in out.splitlines() if line.startswith("psnr"))
    assert len(row.partition("better")[2].split()) == 5
    assert " - " in f"{row} "


def test_the_command_makes_the_same_image_again(brushbench, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, out, _ = brushbench("show", runs / "brushbench-outside", "000000003")
    commands = [line.partition(": ")[2] for line in out.splitlines() if line.startswith("  again: ")]
    assert len(commands) == 3
    monkeypatch.chdir(runs.parent)
    words = shlex.split(next(command for command in commands if "telea" in command))
    assert brushbench(*words[1:])[0] == 0
    made = runs.parent / "again" / "brushbench-outside" / "telea" / "images"
    assert [file.name for file in made.iterdir()] == ["000000003.png"]
    stored = runs / "brushbench-outside" / "telea" / "images" / "000000003.png"
    assert (made / "000000003.png").read_bytes() == stored.read_bytes()


def test_the_seed_is_the_one_of_the_sample(brushbench, runs: Path) -> None:
    _, out, _ = brushbench("show", runs / "brushbench-inside" / "telea", "000000001")
    assert f"  seed: {protocol_named('strict').sample_seed(1234, '000000001')}\n" in out


@pytest.mark.parametrize(
    ("metric", "values", "percentiles"),
    [
        ("psnr", [10.0, 20.0, 30.0, 40.0], [12.5, 37.5, 62.5, 87.5]),
        ("mse", [1.0, 2.0, 3.0, 4.0], [87.5, 62.5, 37.5, 12.5]),
        ("ssim", [0.5, 0.5, 0.5, 0.9], [37.5, 37.5, 37.5, 87.5]),
        # An identical image counts as 60 dB, as any better one does.
        ("psnr", [np.inf, 70.0, 30.0, None], [66.667, 66.667, 16.667, np.nan]),
    ],
)
def test_percentiles_know_the_direction(
    metric: str, values: list[float | None], percentiles: list[float], tmp_path: Path
) -> None:
    scores = sample_scores(Made("a", {metric: values}).write(tmp_path / "a"))
    found = [scores.percentile(f"{place:09d}", metric) for place in range(len(values))]
    assert found == pytest.approx(percentiles, abs=1e-3, nan_ok=True)


def test_what_is_not_generated_or_changed_says_so(brushbench, tmp_path: Path, write_bench) -> None:
    root = write_bench()
    brushbench(*run_on(root, tmp_path / "runs", "--limit", "2", "--metrics", "psnr"))
    run = tmp_path / "runs" / "brushbench-inside" / "mean-fill"
    assert "mean-fill: not generated yet" in brushbench("show", run, "000000003")[1]
    Image.new("RGB", (64, 64)).save(run / "images" / "000000001.png")
    assert "mean-fill: its image was changed after it was made" in brushbench("show", run, "000000001")[1]
    (run / "images" / "000000000.png").unlink()
    assert "mean-fill: its image was deleted after it was made" in brushbench("show", run, "000000000")[1]


def test_a_run_without_scores(brushbench, tmp_path: Path, write_bench) -> None:
    arguments = run_on(write_bench(), tmp_path / "runs")
    brushbench("generate", *arguments[1:])
    code, out, _ = brushbench("show", tmp_path / "runs", "000000001")
    assert code == 0
    assert "no scores: run `brushbench score RUN`" in out
    assert EXPLAINED[:20] not in out


@pytest.fixture
def no_data_set(runs: Path) -> Iterator[None]:
    data = (runs.parent / "bench").rename(runs.parent / "elsewhere")
    yield
    data.rename(runs.parent / "bench")


@pytest.mark.usefixtures("no_data_set")
def test_without_the_data_set_the_rest_is_shown(brushbench, runs: Path) -> None:
    code, out, _ = brushbench("show", runs / "brushbench-inside", "000000001")
    assert code == 0
    assert "its caption and mask aren't known: " in out
    assert "again, with all other samples: brushbench run --method telea" in out


def test_many_methods_are_fitted_to_the_width(brushbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        Made(f"method-{number}", {"psnr": [20.0 + number]}, options={"a": number}).write(tmp_path / str(number))
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = brushbench("show", tmp_path, "000000000")
    table = [line for line in out.splitlines() if line.startswith(" " * 10) and "method-" in line]
    assert len([line for line in out.splitlines() if line.startswith("psnr")]) > 1
    table += [line for line in out.splitlines() if line.startswith(("status", "psnr"))]
    assert max(map(len, table)) <= 80
    assert all(out.count(f"{20 + number}.00 (50)") == 1 for number in range(10))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("3", ["unknown sample '3'", "did you mean '000000003'?", "valid: 4 ids, '000000000' to '000000003'"]),
        ("00000001", ["did you mean '000000001'"]),
        ("zebra", ["unknown sample 'zebra': valid: 4 ids"]),
    ],
)
def test_an_unknown_id_is_one_line(name: str, parts: list[str], brushbench, tmp_path: Path, write_bench) -> None:
    brushbench(*run_on(write_bench(), tmp_path / "runs", "--metrics", "psnr"))
    assert_one_line(brushbench("show", tmp_path / "runs", name), *parts)


def test_other_mistakes_are_one_line(brushbench, tmp_path: Path) -> None:
    assert_one_line(brushbench("show", "000000001"), "Missing argument: RUN... before the ID '000000001'")
    assert_one_line(brushbench("show", tmp_path / "nowhere", "a"), "no runs found in")
    assert_one_line(brushbench("show", tmp_path, "a", "--crop", "mask"), "--crop is for a sheet")


def test_a_sheet_shows_the_sample(brushbench, runs: Path, tmp_path: Path) -> None:
    whole, crop = tmp_path / "whole.png", tmp_path / "crop.png"
    code, out, _ = brushbench("show", runs, "000000002", "--sheet", whole)
    assert code == 0
    assert f"sheet: {whole}" in out
    assert brushbench("show", runs, "000000002", "--sheet", crop, "--crop", "mask")[0] == 0
    with Image.open(whole) as small, Image.open(crop) as large:
        # Pictures of 64 pixels; crops are enlarged to 256.
        assert large.width > 3 * small.width


@pytest.mark.parametrize(
    ("more", "parts"),
    [
        (["--worst", "2"], ["--worst is for a sheet", "--sheet FILE"]),
        (["--crop", "mask"], ["--crop is for a sheet"]),
        (["--sheet", "a.png", "--metric", "psnr"], ["--metric chooses the worst", "--worst N"]),
        (["--sheet", "a.png", "--worst", "2", "--ids", "x"], ["give only one of them"]),
        (["--sheet", "a.png", "--worst", "2", "--metric", "psmr"], ["unknown metric 'psmr'", "'psnr'"]),
        (["--sheet", "a.png", "--worst", "0"], ["'--worst'", "x>=1"]),
        (["--sheet", "a.png", "--crop", "face"], ["'face'", "mask"]),
    ],
)
def test_options_of_sheets_that_do_not_fit(
    more: list[str], parts: list[str], brushbench, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    assert_one_line(brushbench("report", runs, *more), *parts)
    assert not Path("a.png").exists()


def test_the_worst_samples_are_drawn_the_worst_first(
    brushbench, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from brushbench.reports import comparison_sheet

    texts: list[str] = []
    drawn = comparison_sheet.png

    def remembered(sheet: comparison_sheet.Sheet) -> bytes:
        texts.extend(each.text for each in sheet.texts)
        return drawn(sheet)

    monkeypatch.setattr(comparison_sheet, "png", remembered)
    inside = [runs / "brushbench-inside" / name for name in ("Inverse", "telea")]
    arguments = ("--sheet", tmp_path / "worst.png", "--worst", "3", "--metric", "psnr")
    assert brushbench("report", *inside, *arguments)[0] == 0
    told = [text for text in texts if text.startswith("mean psnr")]
    # Of Telea every sample counts as 60 dB, so the inverted pictures decide.
    from brushbench.runs.folder import Run

    values = sample_scores(Run.open(inside[0])).values["psnr"]
    expected = list(values.sort_values().head(3).index)
    assert [text.split()[4].rstrip(":") for text in told] == expected
    means = [float(text.split()[2]) for text in told]
    assert means == pytest.approx([(values[name] + 60) / 2 for name in expected], rel=1e-3)
