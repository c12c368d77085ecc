"""Folders in diffusers layout to models in memory: complete, of the right shapes, without executing anything."""

import json
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from diffusers import ModelMixin
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from brushbench.errors import UserError, one_line
from brushbench.loading import Runtime

M = TypeVar("M", bound=ModelMixin)
SchedulerConfig = dict[str, object]
"""What a scheduler's `from_config` takes."""
_UNREADABLE = (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError, pickle.UnpicklingError)
_WEIGHT_FILES = (
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.bin",
    "pytorch_model.bin",
)
# What the libraries would log while loading is checked here, and reaches the user as one line.
diffusers_logging.set_verbosity_error()
diffusers_logging.disable_progress_bar()
transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()


def load_model(cls: type[M], folder: Path, part: str, runtime: Runtime) -> M:
    """A diffusers model from its folder, frozen, in evaluation mode, on the runtime's device and in its dtype.

    Its digest is recorded as that of `part`. Safetensors if there are any; a pickle is read with `weights_only`, so
    code in it is an error.

    Raises `UserError` if the folder, its config or weights are missing, or tensors are missing, left over or of
    another shape than the config says.
    """
    weights = _weight_file(folder)
    try:
        model, report = _quietly(
            cls.from_pretrained,
            folder,
            dtype=runtime.dtype,
            output_loading_info=True,
            local_files_only=True,
            low_cpu_mem_usage=False,
            use_safetensors=weights.suffix == ".safetensors",
        )
    except _UNREADABLE as error:
        raise _unusable(folder, error) from error
    _check_report(folder, report)
    runtime.weights.record(part, [folder / "config.json", weights])
    return cast(M, model.requires_grad_(False).eval().to(runtime.device))


def load_text_encoder(folder: Path, runtime: Runtime) -> CLIPTextModel:
    """CLIP's text encoder from its folder. Raises `UserError` as `load_model` does."""
    weights = _weight_file(folder)
    try:
        model, report = _quietly(
            CLIPTextModel.from_pretrained,
            folder,
            dtype=runtime.dtype,
            output_loading_info=True,
            local_files_only=True,
            use_safetensors=weights.suffix == ".safetensors",
        )
    except _UNREADABLE as error:
        raise _unusable(folder, error) from error
    # Old checkpoints store the position ids 0..76, which are computed today.
    report["unexpected_keys"] = [key for key in report["unexpected_keys"] if not key.endswith("position_ids")]
    _check_report(folder, report)
    runtime.weights.record("text_encoder", [folder / "config.json", weights])
    return cast(CLIPTextModel, model.requires_grad_(False).eval().to(runtime.device))


def load_tokenizer(folder: Path, runtime: Runtime) -> CLIPTokenizer:
    """CLIP's tokenizer from its folder. Raises `UserError` if its files are missing or damaged."""
    files = [file for file in _files(folder) if file.suffix in (".json", ".txt")]
    if not {"tokenizer.json", "vocab.json"} & {file.name for file in files}:
        raise UserError(one_line(f"{folder}: no vocab.json with merges.txt, and no tokenizer.json"))
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except _UNREADABLE as error:
        raise _unusable(folder, error) from error
    runtime.weights.record("tokenizer", files)
    return tokenizer


def load_scheduler_config(folder: Path, runtime: Runtime) -> SchedulerConfig:
    """The scheduler's config as the file has it: what the file leaves out, the scheduler that is built decides.

    Raises `UserError` if it is missing or isn't JSON.
    """
    file = folder / "scheduler_config.json"
    _files(folder)
    try:
        config = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise _unusable(file, error) from error
    if not isinstance(config, dict):
        raise UserError(one_line(f"{file}: must be an object"))
    runtime.weights.record("scheduler", [file])
    return config


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(one_line(f"{folder.parent} has no {folder.name}/ folder"))
    return [path for path in sorted(folder.iterdir()) if path.is_file()]


def _weight_file(folder: Path) -> Path:
    names = {file.name for file in _files(folder)}
    if "config.json" not in names:
        raise UserError(one_line(f"{folder} has no config.json"))
    found = next((name for name in _WEIGHT_FILES if name in names), None)
    if found is None:
        raise UserError(one_line(f"{folder} has no weights; valid: {', '.join(_WEIGHT_FILES)}"))
    return folder / found


def _check_report(folder: Path, report: dict[str, Any]) -> None:
    for what, problem in (
        ("missing_keys", "lacks"),
        ("unexpected_keys", "has unknown"),
        ("mismatched_keys", "has tensors of another shape:"),
    ):
        keys = sorted(str(key) for key in report.get(what) or ())
        if keys:
            raise UserError(one_line(f"{folder}: the checkpoint {problem} {keys[0]} ({len(keys)} tensors in all)"))


# Any: whatever a loader of diffusers or transformers takes and gives.
def _quietly(load: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """What a checkpoint is worth a warning for is either checked here or of no interest to the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load(*arguments, **keywords)


def _unusable(path: Path, error: Exception) -> UserError:
    return UserError(one_line(f"{path}: can't be loaded: {type(error).__name__}: {error}"))
