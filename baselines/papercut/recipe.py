"""The whole recipe: the parts in the order of training, and what each is trained from."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import torch
from diffusers import AutoencoderKL
from tabulate import tabulate
from transformers import CLIPTokenizer

from brushbench.baselines.checkpoints import load_model, load_tokenizer
from brushbench.baselines.papercut import brushnet, clip, controlnet, diffusion, inpainting, judge, powerpaint, vae
from brushbench.baselines.papercut.corpus import Corpus, draw_corpus
from brushbench.baselines.papercut.files import runtime, save_scheduler
from brushbench.baselines.papercut.latents import EncodedCorpus
from brushbench.baselines.papercut.training import Part, Recipe, Training
from brushbench.baselines.papercut.vocabulary import write_tokenizer
from brushbench.core.errors import unknown
from brushbench.core.progress import ProgressCallback

SCENES = 12_288


@final
@dataclass(frozen=True, slots=True)
class TrainingContext:
    """The folders in which a family is trained, and the number of scenes."""

    work: Path
    """Folder for scenes, latents, checkpoints, logs and sheets."""
    output: Path
    """Folder for the weights, as the family's methods load them."""
    scenes: int
    watch: ProgressCallback

    def corpus(self) -> Corpus:
        """The training scenes."""
        return draw_corpus(self.work / "scenes", self.scenes, self.watch)

    def judge_corpus(self) -> Corpus:
        """As many other scenes, which no model of the family has seen."""
        return draw_corpus(self.work / "judge_scenes", self.scenes, self.watch, judge.FIRST_SCENE)

    def encoded(self) -> EncodedCorpus:
        """The training scenes with their latents. Raises `UserError` without a trained autoencoder."""
        autoencoder = load_model(AutoencoderKL, self.output / "vae", "vae", runtime(self.output))
        return EncodedCorpus(self.corpus(), autoencoder, self.work, self.watch)

    def tokenizer(self) -> CLIPTokenizer:
        """The family's tokenizer, which is written first if it doesn't exist."""
        if not (self.output / "tokenizer").exists():
            write_tokenizer(self.output / "tokenizer")
        return load_tokenizer(self.output / "tokenizer", runtime(self.output))


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """A part of the family."""

    recipe: Recipe
    make: Callable[[TrainingContext], Part]
    summary: str


PARTS: dict[str, PlannedPart] = {
    "vae": PlannedPart(vae.RECIPE, lambda shop: vae.VAEPart(shop.corpus(), shop.output), "autoencoder"),
    "clip": PlannedPart(
        clip.RECIPE, lambda shop: clip.CLIPPart(shop.corpus(), shop.tokenizer(), shop.output), "CLIP, the judge"
    ),
    "base": PlannedPart(
        diffusion.RECIPE,
        lambda shop: diffusion.BasePart(shop.encoded(), shop.tokenizer(), shop.output),
        "text encoder and UNet; needs vae",
    ),
    "inpainting": PlannedPart(
        inpainting.RECIPE,
        lambda shop: inpainting.InpaintingPart(shop.encoded(), shop.output),
        "UNet of nine channels; needs base",
    ),
    "brushnet": PlannedPart(
        brushnet.SEGMENTATION_RECIPE,
        lambda shop: brushnet.BrushNetPart("brushnet", brushnet.SEGMENTATION, shop.encoded(), shop.output),
        "BrushNet for segmentation masks; needs base",
    ),
    "brushnet_random": PlannedPart(
        brushnet.RANDOM_RECIPE,
        lambda shop: brushnet.BrushNetPart("brushnet_random", brushnet.RANDOM, shop.encoded(), shop.output),
        "BrushNet for random masks; needs base",
    ),
    "controlnet": PlannedPart(
        controlnet.RECIPE,
        lambda shop: controlnet.ControlNetPart(shop.encoded(), shop.output),
        "inpainting ControlNet; needs base",
    ),
    "powerpaint": PlannedPart(
        powerpaint.TOKENS_RECIPE,
        lambda shop: powerpaint.TokensPart(shop.encoded(), shop.output),
        "PowerPaint's task tokens; needs inpainting",
    ),
    "powerpaint_v2": PlannedPart(
        powerpaint.BRANCH_RECIPE,
        lambda shop: powerpaint.BranchPart(shop.encoded(), shop.output),
        "PowerPaint v2's BrushNet and task tokens; needs base",
    ),
    "judge": PlannedPart(
        judge.RECIPE,
        lambda shop: judge.JudgePart(shop.judge_corpus(), shop.output),
        "ConvNeXt, the second judge; from scenes of its own",
    ),
}
"""All parts in the order of training; each one builds on earlier ones."""


def check_weights(names: Sequence[str]) -> None:
    """Raise `UserError` for a name that is not a part."""
    for name in names:
        if name not in PARTS:
            raise unknown("part", name, [*PARTS, "all"])


def train_part(name: str, shop: TrainingContext, steps: int | None = None) -> None:
    """Train one part, or resume its training. `steps` overrides the recipe's number of steps, for experiments.

    Raises `UserError` for a name that is not a part, and if a part that it builds on is missing.
    """
    check_weights([name])
    planned = PARTS[name]
    recipe = planned.recipe if steps is None else shortened(planned.recipe, steps)
    shop.output.mkdir(parents=True, exist_ok=True)
    save_scheduler(shop.output / "scheduler")
    # torch initialises layers only from its global generator.
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        part = planned.make(shop)
    Training(part, recipe, shop.work)(shop.watch)


def training_history(work: Path) -> str:
    """A Markdown table of what was trained in a work folder, according to its logs."""
    rows = []
    for name, planned in PARTS.items():
        log = work / name / "log.jsonl"
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
        if lines:
            first, last = lines[0], lines[-1]
            minutes = f"{last['seconds'] / 60:.0f}"
            rows.append(
                [name, last["step"], planned.recipe.batch, minutes, f"{first['loss']:.3f}", f"{last['loss']:.3f}"]
            )
    return str(tabulate(rows, ["part", "steps", "batch", "minutes", "first loss", "last loss"], tablefmt="pipe"))


def shortened(recipe: Recipe, steps: int) -> Recipe:
    """The recipe for fewer steps, with a shorter warm-up so that its learning rate still rises and falls."""
    return replace(recipe, steps=steps, restarts=(), warmup=min(recipe.warmup, max(1, steps // 4)))
