"""Folders in diffusers layout to models in memory: complete, of the right shapes, without executing anything."""

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
"""What a scheduler's `from_config` takes."""


def load_model(cls: type[M], folder: Path, part: str, runtime: Runtime) -> M:
    """A model of diffusers or transformers from its folder, frozen, ready to use on the runtime's device in its dtype.

    Its digest is recorded as that of `part`. Which files are read is in `brushbench.weights.formats`; a pickle is read
    with `weights_only`, so code in it is an error.

    Raises `UserError` if the folder, its config or weights are missing, if it is another class's, or if tensors are
    missing, left over or of another shape than the config says.
    """
    _check_class(cls, folder)
    # Any: of torch's modules only those of the two libraries have it.
    from_pretrained: Any = cls.from_pretrained  # type: ignore[attr-defined]
    return cast(M, _load_checked(from_pretrained, folder, part, runtime, _Wanted(_stems(cls))))


# Any: the class of a model of diffusers or transformers, and its object.
def load_component(cls: Any, folder: Path, part: str, runtime: Runtime, variant: str | None = None) -> Any:
    """Any model of diffusers or transformers, in the variant that is named (`fp16`) if its folder has that.

    Raises `UserError` as `load_model` does, but not for tensors that are left over: some published checkpoints have
    some, and the libraries leave them alone.
    """
    return _load_checked(cls.from_pretrained, folder, part, runtime, _Wanted(_stems(cls), variant, left_over=True))


# Any: likewise, of something without weights.
def load_settings(cls: Any, folder: Path, part: str, runtime: Runtime) -> Any:
    """A processor or a scheduler. Raises `UserError` if it can't be loaded."""
    with runtime.weights.recording(part, _files(folder)):
        return loaded(folder, cls.from_pretrained)


# Any: the class of a tokenizer, and its object; by default CLIP's.
def load_tokenizer(folder: Path, runtime: Runtime, part: str = "tokenizer", cls: Any = CLIPTokenizer) -> Any:
    """A tokenizer from its folder. Raises `UserError` if its files are missing or damaged.

    Without them transformers would make one of an empty vocabulary.
    """
    files = [file for file in _files(folder) if file.suffix in (".json", ".txt", ".model", ".jinja")]
    names = {file.name for file in files}
    vocabulary = [name for name in cls.vocab_files_names.values() if name != "tokenizer.json"]
    if "tokenizer.json" not in names and not names.issuperset(vocabulary):
        raise UserError(one_line(f"{folder}: no {' with '.join(vocabulary)}, and no tokenizer.json"))
    with runtime.weights.recording(part, files):
        return loaded(folder, cls.from_pretrained)


def load_scheduler_config(folder: Path, runtime: Runtime) -> SchedulerConfig:
    """The scheduler's config as the file has it: what the file leaves out, the scheduler that is built decides.

    Raises `UserError` if it is missing or isn't JSON.
    """
    file = folder / "scheduler_config.json"
    if file not in _files(folder):
        raise UserError(one_line(f"{folder} has no {file.name}"))
    return _json_object(file, "scheduler", runtime)


def load_pipeline_index(file: Path, runtime: Runtime) -> dict[str, object]:
    """The settings of a whole pipeline, none if there is no such file. Raises `UserError` for a damaged one."""
    return _json_object(file, "model_index", runtime) if file.exists() else {}


def _json_object(file: Path, part: str, runtime: Runtime) -> dict[str, object]:
    with runtime.weights.recording(part, [file]):
        config = loaded(file, lambda path, **_: json.loads(path.read_bytes()))
        if not isinstance(config, dict):
            raise UserError(one_line(f"{file}: must be an object"))
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
    """Tensors that the model doesn't have may be in its file."""


def _stems(cls: type[nn.Module]) -> Stems:
    return DIFFUSERS if issubclass(cls, ModelMixin) else TRANSFORMERS


def _weight_files(folder: Path, stems: Stems, variant: str | None) -> WeightFiles:
    names = [file.name for file in _files(folder)]
    if "config.json" not in names:
        raise UserError(one_line(f"{folder} has no config.json"))
    if found := weight_files(names, stems, variant):
        return found
    raise UserError(one_line(f"{folder} has no weights; valid: {valid_names(stems)}"))


# Any: a `from_pretrained` of diffusers or transformers, and its model.
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
                # They are an error all the same: in the report they have their names.
                ignore_mismatched_sizes=True,
            )
        _check(report, folder, left_over=wanted.left_over)
    return runtime.place(model.requires_grad_(False).eval())


@contextmanager
def _as_usual(folder: Path, weights: WeightFiles) -> Iterator[Path]:
    """The folder; for a file under an odd name another one, in which it has the name that the libraries look for."""
    if not weights.odd:
        yield folder
        return
    with TemporaryDirectory() as made:
        for name, usual in (("config.json", "config.json"), (weights.names[0], weights.usual)):
            (Path(made) / usual).symlink_to((folder / name).resolve())
        yield Path(made)


def _check_class(cls: type[nn.Module], folder: Path) -> None:
    """Another class would fail somewhere inside of it, or be made of the wrong folder without a word."""
    config = capture(lambda: json.loads(read_bytes(folder / "config.json")))
    # What is no config at all is told of when it is loaded.
    named = config.get("_class_name", cls.__name__) if isinstance(config, dict) else cls.__name__
    if named != cls.__name__:
        raise UserError(one_line(f"{folder} is a {named}; valid here is a {cls.__name__}"))


# Any: what the libraries say of a checkpoint.
def _check(report: dict[str, Any], folder: Path, *, left_over: bool) -> None:
    """Raises `UserError` for tensors that are missing, left over unless they may be, or of another shape."""
    # Old text encoders store the position ids 0..76, which are computed today.
    unknown = sorted(key for key in report["unexpected_keys"] if not key.endswith("position_ids"))
    unknown = [] if left_over else unknown
    for problem, keys in (("lacks", sorted(report["missing_keys"])), ("has unknown", unknown)):
        if keys:
            raise UserError(one_line(f"{folder}: the checkpoint {problem} {keys[0]} ({len(keys)} in all)"))
    for key, found, expected in report["mismatched_keys"]:
        raise UserError(one_line(f"{folder}: {key} has shape {list(found)}, by config.json it is {list(expected)}"))


# Any: whatever a loader of diffusers or transformers takes and gives.
def loaded(path: Path, load: Callable[..., Any], **keywords: Any) -> Any:
    """What `load` makes of a local path. Raises `UserError` for anything that it raises."""
    with without_bars():
        result = capture(partial(load, path, local_files_only=True, **keywords))
    if isinstance(result, Failure):
        raise UserError(one_line(f"{path}: can't be loaded: {result.error}"))
    return result
