"""The suite as a library: what a notebook and a type checker see of it."""

from importlib.resources import files
from pathlib import Path

import pytest
import torch

import brushbench
from brushbench.core.types import Batch, Sample
from brushbench.runs.folder import Run


@pytest.fixture
def run(write_bench, tmp_path: Path) -> Run:
    entries = {"bad": {"image": "images/none.png", "caption": "", "inpainting_mask": [], "outpainting_mask": []}}
    config = brushbench.RunConfig(
        method="telea",
        dataset="brushbench",
        root=write_bench(entries=entries),
        output=tmp_path / "<runs> & so on",
        metrics="psnr",
    )
    return brushbench.run(config)


def test_a_run_tells_what_it_is(run: Run) -> None:
    assert repr(run) == f"<Run of telea on brushbench/inside, 4 of 5 done, 1 failed, strict, in {str(run.path)!r}>"
    with (run.path / "samples.jsonl").open("a") as ledger:
        ledger.write("no JSON\n")
    assert "with a damaged ledger" in repr(run)


def test_a_run_has_a_form_for_notebooks(run: Run) -> None:
    shown = run._repr_html_()
    assert "<caption>Run of telea</caption>" in shown
    assert "<td style='text-align: left'>4 of 5 done, 1 failed</td>" in shown
    assert "radius=3.0" in shown
    assert "&lt;runs&gt; &amp; so on" in shown
    assert "<runs>" not in shown


def test_a_run_is_scored_as_on_the_command_line(run: Run) -> None:
    brushbench.score(run, "mse, psnr@painted")
    assert set(brushbench.frame(run)["metric"]) == {"psnr", "mse", "psnr@painted"}
    with pytest.raises(brushbench.UserError, match="unknown metric 'x'"):
        brushbench.score(run, "psnr,x")


def test_samples_and_batches_are_told_without_their_pixels() -> None:
    mask = torch.zeros(1, 8, 16, dtype=torch.bool)
    mask[:, :2] = True
    sample = Sample("a", torch.zeros(3, 8, 16, dtype=torch.uint8), mask, "a cat", {"subject": "animal"})
    assert repr(sample) == "<Sample 'a', 8x16, 25% masked, 'a cat', {'subject': 'animal'}>"
    assert repr(Batch.of([sample, sample])) == "<Batch of 2, 8x16, a, a>"


def test_the_public_names_are_what_is_listed() -> None:
    assert dir(brushbench) == sorted([*brushbench.__all__, "__version__"])
    assert {"run", "score", "frame", "Batch", "MetricInfo", "DatasetInfo", "load_method"} <= set(dir(brushbench))


@pytest.mark.parametrize("package", ["brushbench", "brushbench.baselines", "brushbench.metrics", "brushbench.reports"])
def test_the_packages_say_that_they_are_typed(package: str) -> None:
    assert (files(package) / "py.typed").is_file()


@pytest.mark.parametrize(
    ("ids", "images", "masks", "captions", "told"),
    [
        (
            1,
            "(1, 3, 8, 8).float()",
            "(1, 1, 8, 8).bool()",
            1,
            "images are float32 [1, 3, 8, 8], must be uint8 [1, 3, h, w]",
        ),
        (1, "(3, 8, 8).byte()", "(1, 1, 8, 8).bool()", 1, "images are uint8 [3, 8, 8], must be uint8 [1, 3, h, w]"),
        (
            2,
            "(1, 3, 8, 8).byte()",
            "(1, 1, 8, 8).bool()",
            2,
            "images are uint8 [1, 3, 8, 8], must be uint8 [2, 3, h, w]",
        ),
        (1, "(1, 3, 8, 8).byte()", "(1, 1, 8, 8).byte()", 1, "masks are uint8 [1, 1, 8, 8], must be bool [1, 1, 8, 8]"),
        (1, "(1, 3, 8, 8).byte()", "(1, 1, 8, 4).bool()", 1, "masks are bool [1, 1, 8, 4], must be bool [1, 1, 8, 8]"),
        (1, "(1, 3, 8, 8).byte()", "(1, 1, 8, 8).bool()", 2, "2 captions, must be 1"),
    ],
)
def test_batches_of_another_shape_are_user_errors(
    ids: int, images: str, masks: str, captions: int, told: str, script
) -> None:
    """Run in a separate process, where no earlier check of shapes interferes."""
    code = (
        "import torch, brushbench\n"
        f"try: brushbench.Batch(('a',) * {ids}, torch.zeros{images}, torch.zeros{masks}, ('',) * {captions})\n"
        "except brushbench.UserError as error: print(error)\n"
    )
    assert script(code) == (0, f"batch of {ids}: {told}\n", "")
