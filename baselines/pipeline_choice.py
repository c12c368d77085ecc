"""Choose the class of diffusers whose call inpaints with the components of a pipeline folder."""

import diffusers
from diffusers import DiffusionPipeline
from diffusers.pipelines.auto_pipeline import AUTO_INPAINT_PIPELINES_MAPPING, _get_task_class

from brushbench.baselines.pipeline_call import PipelineClass, why_not
from brushbench.baselines.pipeline_facts import facts_of
from brushbench.baselines.pipeline_folder import Index
from brushbench.core.errors import UserError, one_line
from brushbench.weights.layouts import INDEX

_ENDINGS = ("InpaintPipeline", "InpaintingPipeline")
_UNION = "ControlNetUnion"
_VALID = "a pipeline that takes an image, a mask and a prompt, see docs/pipelines.md"


def inpainting_class(index: Index, chosen: str | None = None, control: str | None = None) -> PipelineClass:
    """The class named `chosen`, or else the first that inpaints of the classes for the folder's pipeline.

    These are the class that the folder names and diffusers' inpainting pipeline for the same model, or its pipeline
    for inpainting with a ControlNet of the class `control`. Without any of them, a class that is known to edit an image
    by its prompt alone is used. A class that is `chosen` needs no mask either.

    Raises `UserError` if there is none.
    """
    if chosen is not None:
        return _chosen(chosen)
    named = _class_named(index.class_name)
    if named is None:
        raise UserError(one_line(f"{index.folder / INDEX}: {index.class_name!r} is not a pipeline of diffusers"))
    candidates = [named, *_relatives(named)] if control is None else _controlled(index.class_name, control)
    for without_mask in (False, None):
        for cls in candidates:
            if not why_not(cls, without_mask=without_mask):
                return cls
    if not candidates:
        raise UserError(one_line(f"{index.folder}: diffusers has no {control} for inpainting with {named.__name__}"))
    reason = f"{index.class_name} can't inpaint: {why_not(candidates[-1])}"
    alone = "" if why_not(named, without_mask=True) else f"; or -o pipeline={index.class_name}, which gets no mask"
    raise UserError(one_line(f"{index.folder}: {reason}; valid: {_VALID}{alone}"))


def _chosen(name: str) -> PipelineClass:
    cls = _class_named(name)
    if cls is None:
        valid = "the name of a class such as FluxKontextPipeline"
        raise UserError(one_line(f"option pipeline={name!r} is not a pipeline of diffusers; valid: {valid}"))
    if reason := why_not(cls, without_mask=True):
        raise UserError(one_line(f"option pipeline={name!r} can't inpaint: {reason}; valid: {_VALID}"))
    return cls


def _class_named(name: str) -> PipelineClass | None:
    cls = getattr(diffusers, name, None)
    return cls if isinstance(cls, type) and issubclass(cls, DiffusionPipeline) else None


def _relatives(cls: PipelineClass) -> list[PipelineClass]:
    """Inpainting pipelines for the same model: diffusers' choice, and one that is named after it.

    A class that is known to edit by its prompt alone is used as it is, unless diffusers has a choice.
    """
    # AutoPipelineForInpainting's own table; its public interface would load all weights first.
    mapped = _get_task_class(AUTO_INPAINT_PIPELINES_MAPPING, cls.__name__, throw_error_if_not_exist=False)
    stem = cls.__name__.removesuffix("Pipeline")
    named = [] if facts_of(cls.__name__).edits else [_class_named(stem + ending) for ending in _ENDINGS]
    return [each for each in (mapped, *named) if each is not None]


def _controlled(name: str, control: str) -> list[PipelineClass]:
    """Pipelines that inpaint with a ControlNet of a class, for the model of a pipeline."""
    stem = next((name.removesuffix(ending) for ending in (*_ENDINGS, "Pipeline") if name.endswith(ending)), name)
    kind = _UNION if control.startswith(_UNION) else "ControlNet"
    model = stem.removesuffix(_UNION).removesuffix("ControlNet")
    named = [_class_named(model + kind + ending) for ending in _ENDINGS]
    return [each for each in named if each is not None]
