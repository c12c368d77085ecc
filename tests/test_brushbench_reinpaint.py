"""Re-inpainting consistency: its masks, its numbers, its place among a run's scores, and the removal protocol."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support import assert_one_line, suite
from torch import Tensor

import brushbench as library
from brushbench.core.protocol import PROTOCOLS
from brushbench.core.types import Batch, Sample
from brushbench.evaluation.call import MethodCall
from brushbench.evaluation.patches import GRID, Patches
from brushbench.evaluation.reinpainting import Reinpainting
from brushbench.runs.folder import Run
from brushbench.runs.scores import read_scores, status_column

Brushbench = Callable[..., tuple[int, str, str]]
MASK = torch.zeros(1, 64, 96, dtype=torch.bool)
MASK[:, 16:48, 30:66] = True
FIXED = ("--distance", "mse@whole")


def test_second_masks_are_cells_of_a_grid_beside_the_first_mask() -> None:
    for where, allowed in (("outside", ~MASK), ("inside", MASK)):
        drawn = torch.stack([Patches(where=where)(MASK, "one", number) for number in range(200)])
        assert not (drawn & ~allowed).any()
        share = drawn[:, allowed].double().mean().item()
        assert share == pytest.approx({"outside": 0.4, "inside": 0.5}[where], abs=0.02)
    cells = Patches(share=0.3)(MASK & False, "one", 0)
    whole = cells.reshape(GRID, 64 // GRID, GRID, 96 // GRID)
    assert whole.float().mean(dim=(1, 3)).unique().tolist() == [0, 1]
    assert not Patches()(~MASK & False | True, "one", 0).any()


def test_a_second_mask_depends_on_the_sample_and_its_number_alone() -> None:
    patches = Patches()
    assert patches(MASK, "one", 1).equal(patches(MASK, "one", 1))
    assert not patches(MASK, "one", 1).equal(patches(MASK, "one", 2))
    assert not patches(MASK, "one", 1).equal(patches(MASK, "two", 1))


@pytest.mark.parametrize("wrong", [{"count": 0}, {"share": 0.0}, {"share": 1.0}])
def test_masks_that_are_none(wrong: dict[str, float]) -> None:
    with pytest.raises(library.UserError, match="valid: "):
        Patches(**wrong)


def made(method: Callable[[Batch, Sequence[int]], Tensor], **options: object) -> Reinpainting:
    call = MethodCall(method, PROTOCOLS["strict"], 7, 1)
    return Reinpainting("reinpaint", call, Patches(**options), library.load_metric("mse@whole"), "1")


def batch(count: int = 2) -> tuple[Batch, Tensor]:
    draw = torch.Generator().manual_seed(3)
    images = torch.randint(0, 200, (count, 3, 64, 96), generator=draw, dtype=torch.uint8)
    return Batch.of([Sample(str(k), image * 0, MASK, f"caption {k}") for k, image in enumerate(images)]), images


def test_the_score_is_the_mean_squared_change_of_the_inpainted_cells() -> None:
    def brighter(asked: Batch, _: Sequence[int]) -> Tensor:
        return asked.images + (51 * asked.masks).to(torch.uint8)

    pair = batch()
    found = made(brighter, count=3)(*pair)
    masked = [[Patches()(MASK, str(k), number).double().mean() for number in range(3)] for k in range(2)]
    # A step of 51 levels is a fifth of the range.
    assert found.tolist() == pytest.approx([sum(shares).item() / 3 / 25 for shares in masked])


def test_the_method_gets_the_image_its_caption_and_a_seed_for_each_mask() -> None:
    seen: list[tuple[Batch, tuple[int, ...]]] = []

    def watching(asked: Batch, seeds: Sequence[int]) -> Tensor:
        seen.append((asked, tuple(seeds)))
        return asked.images

    given, images = batch()
    assert made(watching)(given, images).tolist() == [0, 0]
    assert [asked.captions for asked, _ in seen] == [given.captions] * 4
    assert all(asked.images.equal(images) for asked, _ in seen)
    assert len({seed for _, seeds in seen for seed in seeds}) == 8
    alone = made(watching)(given.take([1]), images[1:])
    assert alone.tolist() == [0]
    assert [seeds for _, seeds in seen[4:]] == [seeds[1:] for _, seeds in seen[:4]]


def test_nothing_to_score_where_all_second_masks_are_empty() -> None:
    given, images = batch()
    given.masks[0] = True
    found = made(lambda asked, _: asked.images)(given, images)
    assert found[0].isnan()
    assert found[1] == 0
    assert made(lambda asked, _: asked.images)(replace(given, masks=given.masks | True), images).isnan().all()


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    asked = ("--dataset", "papercut", "--limit", 5, "--metrics", "psnr", "--batch-size", 2, "-q")
    assert suite("run", "--method", "telea,mean-fill", *asked, "--output", folder) == 0
    return folder


def stored(runs: Path, method: str, metric: str) -> list[str]:
    scores = read_scores(Run.open(runs / "papercut-inside" / method))
    assert scores
    return scores.table[status_column(metric)].tolist()


def test_scores_stand_beside_the_others_and_are_computed_once(runs: Path, brushbench: Brushbench) -> None:
    code, out, err = brushbench("reinpaint", runs, *FIXED, "--limit", 3)
    assert code == 0, err
    assert "reinpaint-mse: 4 x 3 images to generate" in err
    assert "REINPAINT-MSE whole x1e3" in out
    assert stored(runs, "telea", "reinpaint-mse") == ["", "", "", "not scored", "not scored"]
    assert stored(runs, "telea", "psnr") == ["identical"] * 5 or "" in stored(runs, "telea", "psnr")
    code, _, err = brushbench("reinpaint", runs, *FIXED)
    assert "reinpaint-mse: 4 x 2 images to generate" in err
    assert stored(runs, "telea", "reinpaint-mse") == [""] * 5
    code, out, err = brushbench("report", runs)
    assert "REINPAINT-MSE" in out
    code, _, err = brushbench("reinpaint", runs, *FIXED, "--masks", 2)
    assert "reinpaint-mse: 2 x 5 images to generate" in err


def test_another_method_has_a_column_of_its_own_in_all_runs(runs: Path, brushbench: Brushbench) -> None:
    code, _, err = brushbench("reinpaint", runs, *FIXED, "--method", "telea", "-o", "radius=5", "--limit", 1)
    assert code == 0, err
    for method in ("telea", "mean-fill"):
        scores = read_scores(Run.open(runs / "papercut-inside" / method))
        assert scores
        assert list(scores.metrics) == ["psnr", "reinpaint-telea-mse"]
    code, out, err = brushbench("reinpaint", runs, *FIXED, "--where", "inside", "--limit", 1)
    assert "REINPAINT-INSIDE-MSE" in out


def test_an_interrupted_command_keeps_the_batches_that_are_done(
    runs: Path, brushbench: Brushbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = 0
    whole = Reinpainting.__call__

    def stopping(self: Reinpainting, asked: Batch, images: Tensor) -> Tensor:
        nonlocal called
        called += 1
        if called == 3:
            raise KeyboardInterrupt
        return whole(self, asked, images)

    monkeypatch.setattr(Reinpainting, "__call__", stopping)
    code, _, err = brushbench("reinpaint", runs / "papercut-inside/telea", *FIXED)
    assert code == 130
    assert stored(runs, "telea", "reinpaint-mse") == ["", "", "", "", "not scored"]
    code, _, err = brushbench("reinpaint", runs / "papercut-inside/telea", *FIXED)
    assert code == 0
    assert "4 x 1 images" in err


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("--distance", "psnr"), "distance psnr: compares only a part of the images; valid: a metric of whole images"),
        (("--masks", 0), "patterns=0; valid: 1 or more"),
        (("--limit", 0), "limit=0; valid: 1 or more"),
        (("-o", "radius=5"), "options of the method need --method"),
        (("--dtype", "int8"), "dtype 'int8'; valid: auto, float32"),
        (("--method", "teleia"), "telea"),
        (("--weights", "sd15"), "method 'telea' has no weights"),
    ],
)
def test_a_mistake_is_one_line(runs: Path, brushbench: Brushbench, asked: tuple[object, ...], told: str) -> None:
    result = brushbench("reinpaint", runs / "papercut-inside/telea", "-q", *FIXED, *asked)
    assert_one_line(result, told)


def test_images_made_elsewhere_need_a_method(runs: Path, tmp_path: Path, brushbench: Brushbench) -> None:
    images = runs / "papercut-inside/telea/images"
    brushbench("score", "--images", images, "--dataset", "papercut", "--metrics", "psnr", "--output", tmp_path / "own")
    own = tmp_path / "own"
    assert_one_line(brushbench("reinpaint", own, *FIXED), "its images were made elsewhere; give --method", last=True)
    code, _, err = brushbench("reinpaint", own, *FIXED, "--method", "telea", "--limit", 1)
    # The other samples of the data set were never given.
    assert code == 3, err


def test_a_method_that_has_changed_is_refused(
    runs: Path, brushbench: Brushbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brushbench.evaluation.methods.built_in_version", lambda name: 9)
    assert_one_line(
        brushbench("reinpaint", runs, *FIXED), "its method has changed: version was 1 and is now 9", last=True
    )


def test_captions_can_be_left_out_of_every_data_set(brushbench: Brushbench, tmp_path: Path) -> None:
    usual = library.load_dataset("papercut")
    bare = library.load_dataset("papercut", captions="none")
    assert {sample.caption for sample in bare} == {""}
    assert (bare.ids, bare.tags(), len(bare)) == (usual.ids, usual.tags(), len(usual))
    assert bare[3].image.equal(usual[3].image)
    assert bare.digest() != usual.digest()
    with pytest.raises(library.UserError, match=r"option captions=some of papercut; valid: none"):
        library.load_dataset("papercut", captions="some")


def test_the_removal_protocol_on_papercut(brushbench: Brushbench, tmp_path: Path) -> None:
    """Empty captions, PowerPaint's task for removal, masks of objects; then the score of the known pixels."""
    run = tmp_path / "runs"
    removal = ("-o", "version=1", "-o", "task=object-removal", "--data-option", "captions=none", "--steps", 2)
    data = ("--dataset", "papercut", "--limit", 2, "--output", run, "-q")
    code, out, err = brushbench("run", "--method", "powerpaint", *removal, *data, "--metrics", "psnr")
    assert code == 0, err
    code, out, err = brushbench("reinpaint", run, *FIXED, "--masks", 1)
    assert code == 0, err
    assert "PSNR known" in out
    assert "REINPAINT-MSE whole" in out
    assert stored(run, "powerpaint", "reinpaint-mse") == ["", ""]
    record = Run.open(run / "papercut-inside/powerpaint").record.identity
    assert record.dataset.options == {"captions": "none"}
    assert record.method.options["task"] == "object-removal"
