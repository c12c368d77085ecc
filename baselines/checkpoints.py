"""Load models from folders in diffusers layout: complete, of the right shapes, and without executing code in them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar, cast

from diffusers import ModelMixin
from torch import nn
from transformers import CLIPTokenizer

from brushbench.core.bars import without_bars
from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.core.files import read_bytes
from brushbench.weights.formats import DIFFUSERS, SAFE, TRANSFORMERS, Stems, WeightFiles, valid_names, weight_files
from brushbench.weights.runtime import Runtime
from brushbench.weights.tensors import explained

M = TypeVar("M", bound=nn.Module)
SchedulerConfig = dict[str, object]
"""The argument of a scheduler's `from_config`."""


def load_model(cls: type[M], folder: Path, part: str, runtime: Runtime) -> M:
    """A model of diffusers or transformers from its folder, frozen, on the runtime's device and in its dtype.

    Its digest is recorded under the name `part`. `brushbench.weights.formats` says which files are read; a pickle is
    read with `weights_only`, so code in it is an error.

    Raises `UserError` if the folder, its config or its weights are missing, if the config names another class, or if
    tensors are missing, unknown or of another shape than the config says.
    """
    _check_class(cls, folder)
    # Any: only the modules of the two libraries have this method.
    from_pretrained: Any = cls.from_pretrained  # type: ignore[attr-defined]
    return cast(M, _load_checked(from_pretrained, folder, part, runtime, _Wanted(_stems(cls))))


# Any: a model class of diffusers or transformers, and its instance.
def load_component(cls: Any, folder: Path, part: str, runtime: Runtime, variant: str | None = None) -> Any:
    """Any model of diffusers or transformers, in the given variant (such as `fp16`) if its folder has it.

    Raises `UserError` as `load_model` does, except for unknown tensors: some published checkpoints have them, and the
    libraries ignore them.
    """
    return _load_checked(cls.from_pretrained, folder, part, runtime, _Wanted(_stems(cls), variant, left_over=True))


# Any: a class without weights of diffusers or transformers, and its instance.
def load_settings(cls: Any, folder: Path, part: str, runtime: Runtime) -> Any:
    """A processor or a scheduler from its folder. Raises `UserError` if it can't be loaded."""
    with runtime.weights.recording(part, _files(folder)):
        return loaded(folder, cls.from_pretrained)


# Any: a tokenizer class (by default CLIP's), and its instance.
def load_tokenizer(folder: Path, runtime: Runtime, part: str = "tokenizer", cls: Any = CLIPTokenizer) -> Any:
    """A tokenizer from its folder. Raises `UserError` if its files are missing or damaged.

    Without them, transformers would build a tokenizer with an empty vocabulary.
    """
    files = [file for file in _files(folder) if file.suffix in (".json", ".txt", ".model", ".jinja")]
    names = {file.name for file in files}
    vocabulary = [name for name in cls.vocab_files_names.values() if name != "tokenizer.json"]
    if "tokenizer.json" not in names and not names.issuperset(vocabulary):
        raise UserError(one_line(f"{folder}: no {' with '.join(vocabulary)}, and no tokenizer.json"))
    with runtime.weights.recording(part, files):
        return loaded(folder, cls.from_pretrained)


def load_scheduler_config(folder: Path, runtime: Runtime) -> SchedulerConfig:
    """The scheduler's config as in its file; for settings not in the file, the scheduler's class has defaults.

    Raises `UserError` if the file is missing or isn't JSON.
    """
    file = folder / "scheduler_config.json"
    if file not in _files(folder):
        raise UserError(one_line(f"{folder} has no {file.name}"))
    return _json_object(file, "scheduler", runtime)


def load_pipeline_index(file: Path, runtime: Runtime) -> dict[str, object]:
    """The settings of a whole pipeline; empty if the file doesn't exist. Raises `UserError` for a damaged file."""
    return _json_object(file, "model_index", runtime) if file.exists() else {}


def _json_object(file: Path, part: str, runtime: Runtime) -> dict[str, object]:
    with runtime.weights.recording(part, [file]):
        config = loaded(file, lambda path, **_: json.loads(path.read_bytes()))
        if not isinstance(config, dict):
            raise UserError(one_line(f"{file}: must be a JSON object"))
    return config


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(one_line(f"{folder.parent} has no {folder.name}/ folder"))
    return [path for path in sorted(folder.iterdir()) if path.is_file()]


@dataclass(frozen=True, slots=True)
class _Wanted:
    stems: Stems
    variant: str | None = None
    left_over: bool = False
    """Whether the file may hold tensors that the model doesn't have."""


def _stems(cls: type[nn.Module]) -> Stems:
    return DIFFUSERS if issubclass(cls, ModelMixin) else TRANSFORMERS


def _weight_files(folder: Path, stems: Stems, variant: str | None) -> WeightFiles:
    names = [file.name for file in _files(folder)]
    if "config.json" not in names:
        raise UserError(one_line(f"{folder} has no config.json"))
    if found := weight_files(names, stems, variant):
        return found
    raise UserError(one_line(f"{folder} has no weights; valid: {valid_names(stems)}"))


# Any: a `from_pretrained` of diffusers or transformers, and the model it returns.
def _load_checked(load: Callable[..., Any], folder: Path, part: str, runtime: Runtime, wanted: _Wanted) -> Any:
    weights = _weight_files(folder, wanted.stems, wanted.variant)
    files = [folder / name for name in ("config.json", *weights.names)]
    with runtime.weights.recording(part, files, weights.variant), _as_usual(folder, weights) as place:
        with explained(files[1:]):
            model, report = loaded(
                place,
                load,
                dtype=runtime.dtype,
                output_loading_info=True,
                use_safetensors=weights.suffix == SAFE,
                **({"variant": weights.variant} if weights.variant else {}),
                # They are an error nevertheless: the report names them, and `_check` raises.
                ignore_mismatched_sizes=True,
            )
        _check(report, folder, left_over=wanted.left_over)
    return runtime.place(model.requires_grad_(False).eval())


@contextmanager
def _as_usual(folder: Path, weights: WeightFiles) -> Iterator[Path]:
    """The folder, or for a file with an unusual name a temporary one, in which it has the name the libraries expect."""
    if not weights.odd:
        yield folder
        return
    with TemporaryDirectory() as made:
        for name, usual in (("config.json", "config.json"), (weights.names[0], weights.usual)):
            (Path(made) / usual).symlink_to((folder / name).resolve())
        yield Path(made)


def _check_class(cls: type[nn.Module], folder: Path) -> None:
    """Raise `UserError` if a folder's config names another class, which could fail obscurely or load without a word."""
    config = capture(lambda: json.loads(read_bytes(folder / "config.json")))
    # An unreadable config is reported when the model is loaded.
    named = config.get("_class_name", cls.__name__) if isinstance(config, dict) else cls.__name__
    if named != cls.__name__:
        raise UserError(one_line(f"{folder} holds a {named}; valid: a {cls.__name__}"))


# Any: the libraries' report on a checkpoint.
def _check(report: dict[str, Any], folder: Path, *, left_over: bool) -> None:
    """Raise `UserError` for tensors that are missing, of another shape, or unknown (unless `left_over` allows them)."""
    # Old text encoders store the position ids 0..76, which are now computed.
    unknown = sorted(key for key in report["unexpected_keys"] if not key.endswith("position_ids"))
    unknown = [] if left_over else unknown
    for problem, keys in (("lacks", sorted(report["missing_keys"])), ("has unknown", unknown)):
        if keys:
            raise UserError(one_line(f"{folder}: the checkpoint {problem} {keys[0]} ({len(keys)} in all)"))
    for key, found, expected in report["mismatched_keys"]:
        raise UserError(
            one_line(f"{folder}: {key} has shape {list(found)}; by config.json it must be {list(expected)}")
        )


# Any: the arguments and the result of a loader of diffusers or transformers.
def loaded(path: Path, load: Callable[..., Any], **keywords: Any) -> Any:
    """The result of `load` for a local path. Raises `UserError` for anything that `load` raises."""
    with without_bars():
        result = capture(partial(load, path, local_files_only=True, **keywords))
    if isinstance(result, Failure):
        raise UserError(one_line(f"{path}: can't be loaded: {result.error}"))
    return result
