"""Load an inpainting pipeline from a pipeline folder of diffusers, component by component, each of them checked.

Only classes of diffusers and transformers are used: code that comes with a folder is never run.
"""

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import ConfigMixin, ModelMixin
from diffusers.image_processor import VaeImageProcessor
from transformers import FeatureExtractionMixin, PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin
from transformers.image_processing_base import ImageProcessingMixin

from brushbench.baselines.checkpoints import load_component, load_settings, load_tokenizer, loaded
from brushbench.baselines.pipeline_call import PipelineClass, parameters_of
from brushbench.baselines.schedulers import SAMPLERS, Sampler
from brushbench.core.capture import capture
from brushbench.core.errors import UserError, one_line
from brushbench.weights.layouts import CONFIG, INDEX, LEFT_OUT
from brushbench.weights.runtime import Runtime

_SWITCHES = {"requires_safety_checker": False, "add_watermarker": False}
_PRIOR = "prior_"
CONTROLNET = "controlnet"
"""The component that is a ControlNet."""
_SETTINGS = (ConfigMixin, FeatureExtractionMixin, ImageProcessingMixin, PreTrainedTokenizerBase, ProcessorMixin)


@dataclass(frozen=True, slots=True)
class Index:
    """The content of `model_index.json`."""

    folder: Path
    class_name: str
    components: Mapping[str, tuple[str, str] | None]
    """Library and class of each component; None for one that the pipeline does without."""
    settings: Mapping[str, object]
    """Arguments of the pipeline's class that aren't components."""


@dataclass(frozen=True, slots=True)
class Edition:
    """Choices in how a pipeline is loaded."""

    variant: str | None
    """The variant of the weight files, for example `fp16`; None: the plain files."""
    sampler: Sampler | None
    """None: the folder's own sampler."""
    controlnet: Path | None = None
    """The folder of a ControlNet in place of the pipeline folder's own, if that has one."""


def read_index(folder: Path) -> Index:
    """The index of a pipeline folder. Raises `UserError` for a folder without a pipeline's `model_index.json`."""
    file = folder / INDEX
    if not file.is_file():
        raise UserError(one_line(f"{folder} has no {INDEX}, so it is not a pipeline of diffusers"))
    content = capture(lambda: json.loads(file.read_bytes()))
    if not isinstance(content, dict) or not isinstance(content.get("_class_name"), str):
        raise UserError(one_line(f"{file}: must be a JSON object whose _class_name names a pipeline of diffusers"))
    entries = {name: value for name, value in content.items() if not name.startswith("_")}
    pairs = {name: value for name, value in entries.items() if isinstance(value, list) and len(value) == 2}
    return Index(
        folder=folder,
        class_name=content["_class_name"],
        components={
            name: None if name in LEFT_OUT or pair[0] is None else (str(pair[0]), str(pair[1]))
            for name, pair in pairs.items()
        },
        settings={name: value for name, value in entries.items() if name not in pairs},
    )


def needs_prior(cls: PipelineClass, index: Index) -> bool:
    """Whether the pipeline needs a prior that isn't in its folder, as Kandinsky does."""
    return any(name.startswith(_PRIOR) and name not in index.components for name in parameters_of(cls.__init__))


# Any: a pipeline of diffusers, here and below.
def load_pipeline(cls: PipelineClass, index: Index, prior: Index | None, edition: Edition, runtime: Runtime) -> Any:
    """The pipeline on the runtime's device and in its dtype, without safety checker, watermark or progress bar.

    The digests of all components are recorded. Raises `UserError` for a component that is missing or can't be used,
    for a sampler that doesn't fit, and for a variant that the folder doesn't have.
    """
    if edition.variant and not any(index.folder.glob(f"*/*.{edition.variant}[.-]*")):
        raise UserError(one_line(f"variant={edition.variant}: {index.folder} has no weights of this variant"))
    # A pipeline moves its models itself.
    resting = replace(runtime, device=torch.device("cpu"), offload=False) if runtime.offload else runtime
    with runtime.weights.recording("pipeline", [index.folder / INDEX]):
        parts = _components(index, "", edition.variant, resting)
        if prior:
            with runtime.weights.recording(f"{_PRIOR}pipeline", [prior.folder / INDEX]):
                parts |= _components(prior, _PRIOR, edition.variant, resting)
        if edition.controlnet:
            control = getattr(diffusers, controlnet_class(edition.controlnet))
            parts[CONTROLNET] = load_component(control, edition.controlnet, CONTROLNET, resting, edition.variant)
        if edition.sampler:
            parts["scheduler"] = _sampler(parts["scheduler"], edition.sampler)
        wanted = parameters_of(cls.__init__)
        arguments = wanted | {name: value for name, value in _all(index, parts).items() if name in wanted}
        if lost := [name for name, value in arguments.items() if value is inspect.Parameter.empty]:
            valid = f"; valid: -o {CONTROLNET}=FOLDER" if lost[0] == CONTROLNET else ""
            raise UserError(one_line(f"{index.folder / INDEX} has no {lost[0]!r}, which {cls.__name__} needs{valid}"))
        pipeline = loaded(index.folder, lambda _path, **_: cls(**arguments).to(resting.device))
    if runtime.offload and runtime.device.type != "cpu":
        pipeline.enable_model_cpu_offload(device=runtime.device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def multiple_of(pipeline: Any) -> int:
    """The number of pixels that both sides of an image must be multiples of."""
    own = vars(pipeline)
    if decoder := own.get("decoder_pipe"):
        # Kandinsky rounds sides up to a multiple of its VAE's factor, squared.
        return int(decoder.movq_scale_factor**2)
    processor = own.get("image_processor")
    step = processor.config.vae_scale_factor if isinstance(processor, VaeImageProcessor) else 1
    return max(int(step), int(own.get("vae_scale_factor", 1) * own.get("patch_size", 1)))


def _all(index: Index, parts: Mapping[str, object]) -> dict[str, object]:
    return {**index.settings, **_SWITCHES, **dict.fromkeys(LEFT_OUT), **parts}


def _components(index: Index, prefix: str, variant: str | None, runtime: Runtime) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    for name, pair in index.components.items():
        cls = _class_of(index, name, *pair) if pair else None
        folder, part = index.folder / name, prefix + name
        if cls is None:
            parts[part] = None
        elif issubclass(cls, (ModelMixin, PreTrainedModel)):
            parts[part] = load_component(cls, folder, part, runtime, variant)
        elif issubclass(cls, PreTrainedTokenizerBase):
            parts[part] = load_tokenizer(folder, runtime, part, cls)
        else:
            parts[part] = load_settings(cls, folder, part, runtime)
    return parts


def controlnet_class(folder: Path) -> str:
    """The class of the ControlNet in a folder. Raises `UserError` for a folder with anything else."""
    config = capture(lambda: json.loads((folder / CONFIG).read_bytes()))
    name = config.get("_class_name") if isinstance(config, dict) else None
    cls = getattr(diffusers, name, None) if isinstance(name, str) else None
    if not isinstance(cls, type) or not issubclass(cls, ModelMixin) or "ControlNet" not in cls.__name__:
        raise UserError(one_line(f"{folder}: its {CONFIG} names no ControlNet of diffusers"))
    return cls.__name__


# Any: a class of diffusers or transformers.
def _class_of(index: Index, name: str, library: str, class_name: str) -> Any:
    libraries = {"diffusers": diffusers, "transformers": transformers}
    module = libraries.get(library) or getattr(diffusers.pipelines, library, None)
    cls = getattr(module, class_name, None)
    if not isinstance(cls, type) or not issubclass(cls, (ModelMixin, PreTrainedModel, *_SETTINGS)):
        reason = "not a component of diffusers or transformers, and other code is never run"
        raise UserError(one_line(f"{index.folder / INDEX}: {name} is {library}.{class_name}, {reason}"))
    return cls


# Any: a scheduler of diffusers.
def _sampler(own: Any, sampler: Sampler) -> Any:
    fitting = {cls.__name__ for cls in own.compatibles}
    name, changes = SAMPLERS[sampler]
    if name not in fitting:
        valid = ", ".join(key for key, (kind, _) in SAMPLERS.items() if kind in fitting) or "none, to keep its own"
        raise UserError(f"sampler={sampler} can't replace this model's {type(own).__name__}; valid: {valid}")
    return getattr(diffusers, name).from_config(own.config, **changes)
