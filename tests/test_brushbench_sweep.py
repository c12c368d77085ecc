"""Sweeps: which values, which runs, and the curve."""

import json
import shutil
from pathlib import Path

import pytest
from support import assert_one_line

from brushbench import RunConfig, UserError
from brushbench.evaluation.grid import parse_variation, plan

STEPS = """
from dataclasses import dataclass
from typing import Literal
import torch


@dataclass(frozen=True)
class Fade:
    share: float = 1.0
    blend: Literal["none", "blur"] = "none"
    blur: int = 21

    def __call__(self, batch, seeds):
        grey = torch.tensor(128, dtype=torch.uint8)
        known = (batch.images * self.share + 255 * (1 - self.share)).to(torch.uint8)
        return torch.where(batch.masks, grey, known)
"""


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("scale=0:1:0.2", ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        ("scale=0:1:0.1", ["0", *(f"0.{digit}" for digit in range(1, 10)), "1"]),
        ("scale=1:0:-0.5", ["1", "0.5", "0"]),
        ("scale=0:1:0.3", ["0", "0.3", "0.6", "0.9"]),
        ("scale=2:2:1", ["2"]),
        ("steps=10:50:20", ["10", "30", "50"]),
        ("blur=1,11,21,41", ["1", "11", "21", "41"]),
        ("sampler=ddim, unipc", ["ddim", "unipc"]),
        ("scale=1e-3:3e-3:1e-3", ["0.001", "0.002", "0.003"]),
    ],
)
def test_values(text: str, values: list[str]) -> None:
    assert list(parse_variation(text).values) == values


@pytest.mark.parametrize(
    "text",
    [
        *("", "scale", "=1", "scale=", "scale=1,,2", "s=::", f"s={'1,' * 200}1"),
        *("s=0:1:0", "s=1:0:1", "s=a:b:c", "s=0:nan:1", "s=0:inf:1"),
        *("s=0:1:1e-9", "s=0:1e300:1e-300", "s=1e99999999:0:1"),
    ],
)
def test_values_that_make_no_sense(text: str) -> None:
    with pytest.raises(UserError, match="--vary"):
        parse_variation(text)


@pytest.fixture
def sweep(brushbench, tmp_path: Path, write_bench):
    """On PaperCut, whose text alignment is scored, with a method that has options and no weights."""
    (tmp_path / "fade.py").write_text(STEPS)
    asked = ("--method", f"{tmp_path / 'fade.py'}:Fade", "--dataset", "papercut", "--output", tmp_path / "runs")
    return lambda *more: brushbench("sweep", *asked, "--limit", 3, *more)


def folders(root: Path) -> list[str]:
    return sorted(str(path.parent.relative_to(root)) for path in root.rglob("run.json"))


def test_a_sweep_is_runs_a_table_and_a_curve(sweep, tmp_path: Path) -> None:
    code, out, err = sweep("--vary", "share=0.8:1:0.1", "--split", "inside,outside")
    assert code == 0, err
    parts = [
        f"sweep/share={value}/papercut-{split}/Fade" for value in (0.8, 0.9, "1.0") for split in ("inside", "outside")
    ]
    assert folders(tmp_path / "runs") == parts
    assert "Fade share=0.9" in out
    figure = tmp_path / "runs" / "sweep" / "papercut-Fade-share.png"
    assert f"figure: {figure}" in out
    assert figure.exists()


def test_the_same_again_makes_nothing_new(sweep, brushbench, tmp_path: Path) -> None:
    sweep("--vary", "share=0.9,1")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("images/*")}
    code, _, err = sweep("--vary", "share=1.0:0.9:-0.1", "--figure", tmp_path / "f.svg")
    assert code == 0
    assert "3/3 images are already done" in err
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("images/*")}
    assert (tmp_path / "f.svg").exists()
    other = sweep("--vary", "share=1", "-o", "blur=3")
    assert "contains another run: method.options.blur was 21 and is now 3" in other[2]
    assert other[0] == 2


def test_a_report_of_all_has_the_sweep_s_default_once(sweep, brushbench, tmp_path: Path) -> None:
    assert sweep("--vary", "share=0.9,1")[0] == 0
    whole = ("--method", f"{tmp_path / 'fade.py'}:Fade", "--dataset", "papercut", "--limit", 4, "--metrics", "psnr")
    assert brushbench("run", *whole, "--output", tmp_path / "runs")[0] == 0
    code, out, err = brushbench("report", *(tmp_path / "runs").iterdir(), "--format", "json")
    assert code == 0
    asked = {row["method"]: row["n_asked"] for row in json.loads(out) if row["metric"] == "psnr"}
    assert asked == {"Fade share=1.0": 4, "Fade share=0.9": 3}
    assert "share=1.0/papercut-inside/Fade has the same images as" in err


def test_several_options_are_a_grid(sweep, tmp_path: Path) -> None:
    code, out, err = sweep("--vary", "blur=1,21", "--vary", "share=0.9,1", "--metrics", "psnr,papercut-clip")
    assert code == 0
    assert "setting blend=blur" in err
    assert len(folders(tmp_path / "runs")) == 4
    record = json.loads((tmp_path / "runs/sweep/blur=1,share=0.9/papercut-inside/Fade/run.json").read_text())
    assert record["identity"]["method"]["options"] == {"share": 0.9, "blend": "blur", "blur": 1}
    assert out.index("blur=1 ") < out.index("blur=21 ")


def test_without_text_alignment_there_is_a_table_and_a_reason(sweep) -> None:
    code, out, err = sweep("--vary", "share=0.9", "--metrics", "psnr")
    assert code == 0
    assert "PSNR" in out
    assert "no figure: the figure needs known-region PSNR and text alignment" in err


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--vary", "shar=1"), "unknown option of"),
        (("--vary", "share=x"), "share='x'"),
        (("--vary", "share=1,1.0"), "share=1.0 occurs twice"),
        (("--vary", "share=1", "--vary", "share=2"), "names an option twice"),
        (("--vary", "share=1", "-o", "share=1"), "--vary and -o both set share; give only one of them"),
        (("--vary", "blur=1", "-o", "blend=none"), "blur has no effect with blend=none"),
        (("--vary", "blur=1", "--vary", "blend=none,blur"), "blur has no effect with blend=none, blur"),
        (("--vary", "share=0:1:0.01", "--vary", "blur=1,3,5"), "303 runs of"),
        (("--vary", "share=1", "--figure", "f.gif"), "f.gif: a figure must end in"),
        ((), "Missing option '--vary'"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(arguments: tuple[str, ...], part: str, sweep, tmp_path: Path) -> None:
    assert_one_line(sweep(*arguments), part)
    assert not (tmp_path / "runs").exists()


def test_all_are_those_that_have_the_option() -> None:
    template = RunConfig("telea", "papercut")
    planned = plan(template, ["all"], ["inside"], [parse_variation("radius=3,9")])
    assert {made.method for made in planned} == {"navier-stokes", "telea"}
    assert len(planned) == 4
    with pytest.raises(UserError, match="no method has the options nothing"):
        plan(template, ["all"], ["inside"], [parse_variation("nothing=3")])


def test_values_with_any_character_are_folders_of_their_own() -> None:
    values = [parse_variation(f"negative_prompt={text}") for text in ("a/b", "a_b", "../..", "東", "x" * 300)]
    outputs = [
        made.configs[0].output
        for value in values
        for made in plan(RunConfig("brushnet", "papercut"), ["brushnet"], ["inside"], [value])
    ]
    assert len(set(outputs)) == len(values)
    assert all(path.parent == Path("runs/sweep") and path.name.isascii() and len(path.name) < 80 for path in outputs)


def test_interrupted_it_goes_on(sweep, tmp_path: Path) -> None:
    assert sweep("--vary", "share=0.9,1")[0] == 0
    whole = {path: path.read_bytes() for path in (tmp_path / "runs").rglob("images/*")}
    first, second = (tmp_path / "runs/sweep" / name / "papercut-inside/Fade" for name in ("share=0.9", "share=1.0"))
    shutil.rmtree(second)
    ledger = (first / "samples.jsonl").read_bytes()
    (first / "samples.jsonl").write_bytes(ledger[: len(ledger) // 2])
    (first / "scores.parquet").unlink()
    assert sweep("--vary", "share=0.9,1")[0] == 0
    assert whole == {path: path.read_bytes() for path in (tmp_path / "runs").rglob("images/*")}
