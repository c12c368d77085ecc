"""PowerPaint's prompts for each task, as in the official code."""

from dataclasses import dataclass
from typing import Literal

from brushbench.baselines.powerpaint.text import CONTEXT, OBJECT, SHAPE, Prompt

Task = Literal["text-guided", "shape-guided", "object-removal", "image-outpainting"]
QUALITY = ", worst quality, low quality, normal quality, bad quality, blurry "
EMPTY = "empty scene blur"


@dataclass(frozen=True, slots=True)
class PromptPair:
    """Two prompts, mixed after the encoder by the fitting degree; at 1, only the first counts."""

    first: Prompt
    second: Prompt


def version_1(task: Task, caption: str, negative: str) -> tuple[PromptPair, PromptPair]:
    """(positive prompts, negative prompts) of version 1, whose text encoder reads caption and task together."""
    if task == "text-guided":
        one, against = Prompt(caption, OBJECT), Prompt(negative, OBJECT, behind=QUALITY)
        return PromptPair(one, one), PromptPair(against, against)
    if task == "shape-guided":
        return (
            PromptPair(Prompt(caption, SHAPE), Prompt(caption, CONTEXT)),
            PromptPair(Prompt(negative, SHAPE, behind=QUALITY), Prompt(negative, CONTEXT, behind=QUALITY)),
        )
    one, against = Prompt(caption, CONTEXT, before=EMPTY), Prompt(negative, OBJECT)
    return PromptPair(one, one), PromptPair(against, against)


def version_2(task: Task) -> tuple[PromptPair, PromptPair]:
    """(positive prompts, negative prompts) for the branch of version 2, which reads only the task."""
    one, other = {
        "text-guided": (OBJECT, OBJECT),
        "shape-guided": (SHAPE, CONTEXT),
        "object-removal": (CONTEXT, CONTEXT),
        "image-outpainting": (CONTEXT, CONTEXT),
    }[task]
    positive = PromptPair(Prompt("", one), Prompt("", other))
    removed = Prompt("", OBJECT)
    return positive, PromptPair(removed, removed) if one == CONTEXT else positive


def version_2_caption(task: Task, caption: str) -> str:
    """The caption for the UNet of version 2, which knows no task tokens."""
    endings = {"object-removal": f" {EMPTY}", "image-outpainting": " empty scene"}
    return caption + endings.get(task, "")
