"""The family's PowerPaint: learned task tokens on the inpainting model, and the BrushNet of version 2."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, final

import torch
from diffusers import UNet2DConditionModel
from jaxtyping import Float
from torch import Tensor, nn

from brushbench.baselines.brushnet.model import BrushNetModel
from brushbench.baselines.brushnet.residuals import with_residuals
from brushbench.baselines.checkpoints import load_model
from brushbench.baselines.papercut.captions import DROPPED, Captions
from brushbench.baselines.papercut.diffusion import GUIDANCE, STEPS, Noising
from brushbench.baselines.papercut.files import load_family, runtime, save_model
from brushbench.baselines.papercut.holes import Holes, HoleSource
from brushbench.baselines.papercut.inpainting import FOLDER
from brushbench.baselines.papercut.latents import EncodedCorpus, Hole
from brushbench.baselines.papercut.sheets import sheet_of
from brushbench.baselines.papercut.training import Recipe
from brushbench.baselines.powerpaint.method import PowerPaintBranch, PowerPaintOptions, PowerPaintTokens
from brushbench.baselines.powerpaint.prompts import Task, version_1, version_2, version_2_caption
from brushbench.baselines.powerpaint.text import Prompt, TaskText
from brushbench.baselines.recent import Recent
from brushbench.baselines.sd_inpainting import StableDiffusionInpainting
from brushbench.core.types import Batch, Method
from brushbench.imaging.masks import erase
from brushbench.imaging.sheets import Sheet

TOKENS_RECIPE = Recipe(steps=150, batch=32, rate=5e-3, warmup=50, weight_decay=0.0, averaging=0.99)
BRANCH_RECIPE = Recipe(steps=300, batch=32, rate=1e-3, warmup=50, averaging=0.99)
SHOWN = 8


@dataclass(frozen=True, slots=True)
class TaskHoles:
    """Scenes with holes, each with a task and a caption."""

    holes: Holes
    tasks: tuple[Task, ...]
    captions: tuple[str, ...]


@final
class TaskSource:
    """Draws examples of every task.

    Text-guided: the hole is the object's box, or strokes. Shape-guided: the object's own shape. Object removal: the
    scene has no object and a hole where one could be; half of the time it gets another scene's caption, so that the
    model learns to leave the hole empty whatever the text says.
    """

    def __init__(self, encoded: EncodedCorpus, hole: Hole) -> None:
        empty = encoded.corpus.empty[: encoded.holed]
        filled, bare = torch.nonzero(~empty)[:, 0], torch.nonzero(empty)[:, 0]
        self._scenes = encoded.corpus.scenes
        self.sources: dict[Task, HoleSource] = {
            "text-guided": HoleSource(encoded, hole, {"box": 0.6, "brush": 0.4}, filled),
            "shape-guided": HoleSource(encoded, hole, {"inside": 1.0}, filled),
            "object-removal": HoleSource(encoded, hole, {"inside": 0.5, "box": 0.3, "brush": 0.2}, bare),
        }

    def __call__(self, count: int, draw: torch.Generator) -> TaskHoles:
        """Draw `count` examples, spread evenly over the tasks."""
        sizes = torch.arange(count).remainder(len(self.sources)).bincount(minlength=len(self.sources)).tolist()
        drawn = {task: source(size, draw) for (task, source), size in zip(self.sources.items(), sizes, strict=True)}
        tasks = tuple(task for task, holes in drawn.items() for _ in holes.chosen)
        holes = Holes.together(list(drawn.values()))
        others = torch.randint(len(self._scenes), (count,), generator=draw).tolist()
        chances = torch.rand(count, generator=draw).tolist()
        captions = []
        for task, own, other, chance in zip(tasks, holes.chosen.tolist(), others, chances, strict=True):
            misled = task == "object-removal" and chance > 0.5
            captions.append("" if chance < DROPPED else self._scenes[other if misled else own].caption)
        return TaskHoles(holes, tasks, tuple(captions))


@final
class TokensPart:
    """Training of PowerPaint version 1, Zhuang et al., arXiv:2312.03594; here only the tokens learn, not the UNet."""

    name = "powerpaint"

    def __init__(self, encoded: EncodedCorpus, output: Path) -> None:
        self._output = output
        self._sd = load_family(output)
        self._unet = load_model(UNet2DConditionModel, output / FOLDER, FOLDER, runtime(output))
        self._source = TaskSource(encoded, "grey")
        self._text = TaskText.of(self._sd.tokenizer, self._sd.text_encoder)
        self._noising = Noising()

    @property
    def trained(self) -> nn.Module:
        """The tasks' 30 vectors, which are all that learns."""
        return self._text.embedding.trainable_embeddings

    def loss(self, batch: int, draw: torch.Generator) -> Float[Tensor, ""]:
        """The loss of the noise predicted from a caption followed by the task's tokens."""
        drawn = self._source(batch, draw)
        prompts = [
            version_1(task, caption, "")[0].first for task, caption in zip(drawn.tasks, drawn.captions, strict=True)
        ]
        text = _encoded(self._text, prompts)
        noisy, noise, times = self._noising(drawn.holes.latents, draw)
        inputs = torch.cat([noisy, drawn.holes.small_masks, drawn.holes.masked], dim=1)
        return self._noising.loss(self._unet(inputs, times, text).sample, noise, times)

    def sheet(self) -> Sheet:
        """Rows of scenes with the object's box masked, inpainted by caption, and with the object removed."""
        return _sheet(self._source.sources["text-guided"].example(SHOWN), self._method)

    def save(self) -> None:
        """Save `powerpaint/text_encoder/text_encoder.safetensors`."""
        self._text.save(self._output / "powerpaint" / "text_encoder" / "text_encoder.safetensors")

    def _method(self, task: Task) -> Method:
        options = _options(1, task)
        inpainting = StableDiffusionInpainting(replace(self._sd, unet=self._unet), options)
        return PowerPaintTokens(inpainting, replace(self._text, texts=Recent()), options)


@final
class BranchPart:
    """Training of PowerPaint version 2: a BrushNet that reads task tokens, on the frozen base model."""

    name = "powerpaint_v2"

    def __init__(self, encoded: EncodedCorpus, output: Path) -> None:
        self._output = output
        self._sd = load_family(output)
        self._source = TaskSource(encoded, "black")
        other = load_family(output)
        self._text = TaskText.of(other.tokenizer, other.text_encoder)
        self._captions = Captions(self._sd.tokenizer, ())
        self._noising = Noising()
        self._branch = BrushNetModel.from_unet(self._sd.unet, attention=True)
        self._both = nn.ModuleDict({"branch": self._branch, "tokens": self._text.embedding.trainable_embeddings})

    @property
    def trained(self) -> nn.Module:
        """The branch and the tasks' 30 vectors, which learn together."""
        return self._both

    def loss(self, batch: int, draw: torch.Generator) -> Float[Tensor, ""]:
        """The loss of the base model's noise prediction from the caption, with the features of the branch."""
        drawn = self._source(batch, draw)
        pairs = list(zip(drawn.tasks, drawn.captions, strict=True))
        prompts = [version_2_caption(task, caption) for task, caption in pairs]
        tasks = _encoded(self._text, [version_2(task)[0].first for task in drawn.tasks])
        with torch.no_grad():
            text = self._sd.text_encoder(self._captions.ids(prompts)).last_hidden_state
        noisy, noise, times = self._noising(drawn.holes.latents, draw)
        condition = torch.cat([drawn.holes.masked, 1 - drawn.holes.small_masks], dim=1)
        residuals = self._branch(noisy, times, condition, encoder_hidden_states=tasks)
        with with_residuals(self._sd.unet, residuals) as unet:
            predicted = unet(noisy, times, text).sample
        return self._noising.loss(predicted, noise, times)

    def sheet(self) -> Sheet:
        """Rows of scenes with the object's box masked, inpainted by caption, and with the object removed."""
        return _sheet(self._source.sources["text-guided"].example(SHOWN), self._method)

    def save(self) -> None:
        """Save `powerpaint_v2/`, the branch with its text encoder."""
        save_model(self._branch, self._output / "powerpaint_v2")
        self._text.save(self._output / "powerpaint_v2" / "pytorch_model.safetensors")

    def _method(self, task: Task) -> Method:
        return PowerPaintBranch(self._sd, self._branch, replace(self._text, texts=Recent()), _options(2, task))


def _encoded(text: TaskText, prompts: Sequence[Prompt]) -> Float[Tensor, "n 77 c"]:
    """The encoded prompts, with gradients and without a cache."""
    return text.text_encoder(torch.tensor([text.ids(prompt) for prompt in prompts])).last_hidden_state


def _options(version: Literal[1, 2], task: Task) -> PowerPaintOptions:
    return PowerPaintOptions(steps=STEPS, guidance=GUIDANCE, version=version, task=task)


def _sheet(batch: Batch, method: Callable[[Task], Method]) -> Sheet:
    unnamed = replace(batch, captions=("",) * len(batch))
    inpainted = method("text-guided")(batch, range(SHOWN))
    removed = method("object-removal")(unnamed, range(SHOWN))
    shown = {"masked input": erase(batch.images, batch.masks), "text-guided": inpainted, "object-removal": removed}
    return sheet_of(shown, batch.captions)
