"""How PaperCut's models are trained: tokens, scenes, holes, and a loop that can be interrupted."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from support import assert_same_tensors
from torch import Tensor, nn
from transformers import CLIPTokenizer

from brushbench.baselines.papercut.captions import Captions, written
from brushbench.baselines.papercut.corpus import EVERY_EMPTY, is_empty, training_scene
from brushbench.baselines.papercut.diffusion import Noising, new_unet
from brushbench.baselines.papercut.inpainting import widened
from brushbench.baselines.papercut.latents import boxes
from brushbench.baselines.papercut.training import Recipe, Training
from brushbench.baselines.papercut.vocabulary import FILLERS, LENGTH, vocabulary_words, write_tokenizer
from brushbench.baselines.papercut.world.make import FIRST_SEED
from brushbench.baselines.papercut.world.render import render_scene
from brushbench.baselines.papercut.world.scene import combinations, write_partial_caption
from brushbench.core.errors import UserError
from brushbench.core.progress import silent
from brushbench.imaging.sheets import Sheet


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return CLIPTokenizer.from_pretrained(folder)


def test_every_word_of_the_captions_is_one_token(tokenizer: CLIPTokenizer) -> None:
    captions = [training_scene(seed).caption for seed in range(2000)]
    for word in {word for caption in captions for word in caption.replace(",", " ,").split()}:
        assert tokenizer.tokenize(word) == [f"{word}</w>"]
    assert set(vocabulary_words()) >= {word for caption in captions for word in caption.replace(",", " ").split()}


def test_a_token_has_the_same_number_each_time(tmp_path: Path) -> None:
    for name in ("first", "second", "third"):
        write_tokenizer(tmp_path / name)
    for file in ("vocab.json", "merges.txt"):
        assert len({(tmp_path / name / file).read_bytes() for name in ("first", "second", "third")}) == 1


@pytest.mark.parametrize(
    "text", ["", "東京 🍰 café", "a zebra's XYLOPHONE", "<|endoftext|>", "\u202e \x00", "a " * 500]
)
def test_every_text_has_tokens(text: str, tokenizer: CLIPTokenizer) -> None:
    ids = tokenizer(text, padding="max_length", truncation=True).input_ids
    assert len(ids) == LENGTH == tokenizer.model_max_length
    assert ids[0] == tokenizer.bos_token_id
    assert tokenizer.eos_token_id in ids
    assert max(ids) < len(tokenizer)


def test_training_never_shows_what_the_test_scenes_hold_out() -> None:
    held_out = set(combinations(held_out=True))
    scenes = [training_scene(seed) for seed in range(3000)]
    assert not {(scene.thing, scene.colour, scene.place) for scene in scenes} & held_out
    assert {(scene.thing, scene.colour, scene.place) for scene in scenes} == set(combinations(held_out=False))
    assert max(scene.seed for scene in scenes) < FIRST_SEED
    empty = [scene for scene in scenes if is_empty(scene.seed)]
    assert len(empty) == 3000 // 17
    assert all("empty scene" in scene.caption and scene.thing not in scene.caption.split() for scene in empty)


def test_an_empty_scene_differs_where_the_object_was() -> None:
    scene = training_scene(5)
    whole, mask = render_scene(scene)
    empty, same_mask = render_scene(scene, empty=True)
    assert (mask == same_mask).all()
    changed = (whole != empty).any(axis=-1)
    assert changed[mask].mean() > 0.95
    # The shadow is all that is changed outside.
    assert changed[~mask].mean() < 0.4


def test_boxes() -> None:
    masks = torch.zeros(3, 1, 6, 7, dtype=torch.bool)
    masks[0, 0, 2, 3] = True
    masks[1, 0, 1, 1] = masks[1, 0, 4, 5] = True
    found = boxes(masks)
    assert found[0].sum() == 1
    assert found[0, 0, 2, 3]
    assert found[1].sum() == 4 * 5
    assert found[1, 0, 1:5, 1:6].all()
    assert not found[2].any()


def test_captions_are_dropped_cut_and_filled_as_often_as_said(tokenizer: CLIPTokenizer) -> None:
    scene = training_scene(3)
    captions = Captions(tokenizer, [scene])
    ids = captions.drawn(torch.zeros(4000, dtype=torch.long), torch.Generator().manual_seed(0))

    def told(word: str) -> float:
        return (ids == tokenizer.convert_tokens_to_ids(f"{word}</w>")).any(dim=1).double().mean().item()

    assert told(scene.thing) == pytest.approx(0.9, abs=0.02)
    assert told(scene.colour) == pytest.approx(0.9 * (1 - 0.25 / 2), abs=0.02)
    assert (ids == captions.ids([""])).all(dim=1).double().mean() == pytest.approx(0.1 * 0.9, abs=0.02)
    assert "blurry" in FILLERS
    assert 0.02 < told("blurry") < 0.1
    assert len(ids.unique(dim=0)) > 100


def test_a_cut_caption_tells_no_more_than_colour_or_place() -> None:
    words, combination = np.random.default_rng(0), ("umbrella", "orange", "night")
    drawn = {write_partial_caption(words, combination) for _ in range(200)}
    assert drawn == {
        "an umbrella",
        "a picture of an umbrella",
        "an orange umbrella",
        "a picture of an orange umbrella",
        "an umbrella at night",
        "an umbrella under a starry sky",
        "at night, an umbrella",
        "under a starry sky, an umbrella",
        "a picture of an umbrella at night",
        "a picture of an umbrella under a starry sky",
    }


def test_a_scene_without_object_is_called_empty() -> None:
    bare = training_scene(EVERY_EMPTY - 1)
    assert "an empty scene" in written(bare, np.random.default_rng(0))
    assert "an empty scene" in written(bare, np.random.default_rng(0), partial=True)


def test_the_learning_rate_rises_and_falls_once_more_at_every_restart() -> None:
    recipe = Recipe(steps=1000, batch=1, rate=2.0, restarts=(300, 600), warmup=50, final=0.1)
    assert [recipe.rate_at(step) for step in (49, 349, 649)] == pytest.approx([2.0] * 3)
    assert [recipe.rate_at(step) for step in (0, 300, 600)] == pytest.approx([2.0 / 50] * 3)
    assert [recipe.rate_at(step) for step in (299, 599, 999)] == pytest.approx([0.2] * 3, rel=0.02)


def test_noise_is_that_of_stable_diffusion() -> None:
    noising = Noising()
    latents = torch.randn(64, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    noisy, noise, times = noising(latents, torch.Generator().manual_seed(1))
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    kept = (1 - betas).cumprod(0)[times][:, None, None, None]
    torch.testing.assert_close(noisy, (kept.sqrt() * latents + (1 - kept).sqrt() * noise).float())
    # One in each of 64 equal parts, so that no batch is all noise or all picture.
    parts = torch.arange(64) * 1000 / 64
    assert ((times.sort().values >= parts - 1) & (times.sort().values < parts + 1000 / 64)).all()
    assert noising.loss(noise, noise, times) == 0
    weights = (5 * (1 - kept) / kept).clamp(max=1)
    torch.testing.assert_close(noising.loss(noise + 1, noise, times), weights.mean().float())


@torch.inference_mode()
def test_the_wide_unet_begins_as_the_narrow_one() -> None:
    unet, text = new_unet().eval(), torch.randn(1, LENGTH, 96)
    wide = widened(unet).eval()
    latents, more = torch.randn(1, 4, 16, 16), torch.randn(1, 5, 16, 16)
    torch.testing.assert_close(wide(torch.cat([latents, more], dim=1), 7, text).sample, unet(latents, 7, text).sample)


@dataclass
class Line:
    """A part that learns to be a line: real gradients, no scenes."""

    folder: Path
    name: str = "line"
    trained: nn.Module = field(default_factory=lambda: nn.Linear(3, 1))
    stop_at: int = 1 << 30
    calls: int = 0

    def loss(self, batch: int, draw: torch.Generator) -> Tensor:
        self.calls += 1
        if self.calls > self.stop_at:
            raise KeyboardInterrupt
        points = torch.randn(batch, 3, generator=draw)
        return (self.trained(points) - points.sum(dim=1, keepdim=True)).square().mean()

    def sheet(self) -> Sheet:
        return Sheet(4, 4)

    def save(self) -> None:
        torch.save(self.trained.state_dict(), self.folder / "saved.pt")


def trained_line(folder: Path, monkeypatch: pytest.MonkeyPatch, *stops: int) -> dict[str, Tensor]:
    monkeypatch.setattr("brushbench.baselines.papercut.training.SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    recipe = Recipe(steps=120, batch=8, rate=0.05, warmup=10)
    for stop in (*stops, 1 << 30):
        torch.manual_seed(0)
        part = Line(folder, stop_at=stop)
        try:
            Training(part, recipe, folder)(silent)
        except KeyboardInterrupt:
            continue
    return torch.load(folder / "saved.pt", weights_only=True)


def test_an_interrupted_training_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("whole", "interrupted"):
        (tmp_path / name).mkdir()
    whole = trained_line(tmp_path / "whole", monkeypatch)
    assert_same_tensors(trained_line(tmp_path / "interrupted", monkeypatch, 3, 50, 17), whole)
    log = [json.loads(line) for line in (tmp_path / "whole/line/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [50, 100, 120]
    assert log[-1]["loss"] < 0.1 * log[0]["loss"]
    assert (whole["weight"] - 1).abs().max() < 0.3


def test_two_can_not_train_the_same_part_at_once(tmp_path: Path) -> None:
    (tmp_path / "line").mkdir()
    with FileLock(tmp_path / "line" / ".lock"), pytest.raises(UserError, match="trained by another process"):
        Training(Line(tmp_path), Recipe(steps=1, batch=1, rate=0.1), tmp_path)(silent)


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    recipe = Recipe(steps=2, batch=2, rate=0.1)
    Training(Line(tmp_path), recipe, tmp_path)(silent)
    with pytest.raises(UserError, match="has been trained for 2 steps already"):
        Training(Line(tmp_path), Recipe(steps=1, batch=2, rate=0.1), tmp_path)(silent)
    with pytest.raises(UserError, match="is not a checkpoint of this part"):
        Training(Line(tmp_path, trained=nn.Linear(4, 1)), recipe, tmp_path)(silent)
    (tmp_path / "line" / "checkpoint.pt").write_bytes(b"rubbish")
    with pytest.raises(UserError, match="is not a checkpoint of this part"):
        Training(Line(tmp_path), recipe, tmp_path)(silent)


def test_what_is_saved_is_the_average(tmp_path: Path) -> None:
    part = Line(tmp_path)
    Training(part, Recipe(steps=30, batch=4, rate=0.1, warmup=5), tmp_path)(silent)
    saved = torch.load(tmp_path / "saved.pt", weights_only=True)
    learned = part.trained.state_dict()
    assert (saved["weight"] - learned["weight"]).abs().max() > 1e-3


def test_the_learning_rate_rises_and_falls() -> None:
    recipe = Recipe(steps=1000, batch=1, rate=2.0, warmup=100, final=0.1)
    rates = np.array([recipe.rate_at(step) for step in range(1000)])
    assert rates.argmax() in (99, 100)
    assert rates[0] == pytest.approx(0.02)
    assert rates.max() == pytest.approx(2.0)
    assert rates[-1] == pytest.approx(0.2, rel=0.01)
