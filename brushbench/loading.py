"""Names to objects: methods with their options and weights, metrics, data sets."""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from accelerate.utils import send_to_device
from pydantic import JsonValue
from pydantic_core import to_jsonable_python
from torch import nn

from brushbench.config import RunConfig
from brushbench.datasets import FAMILIES, locate
from brushbench.datasets.places import FOUND_BY_NAME, looked_in
from brushbench.datasets.source import digest_of
from brushbench.errors import UserError, one_line, unknown
from brushbench.files import exists
from brushbench.mask_kinds import MaskKind, mask_kind
from brushbench.metric_info import REGIONS
from brushbench.notes import hearing
from brushbench.options import Value, build
from brushbench.registry import Role, method_file, resolve, role_of_class
from brushbench.store import Run
from brushbench.types import Dataset, Method, Metric
from brushbench.weights import Weights
from brushbench.work import Failure, attempt

Placed = TypeVar("Placed", bound=nn.Module)
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
NO_NUMBER = "no number"
"""In the metadata of an option: it changes no image, and so is no part of a run's identity."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a method with weights is loaded with, and where its models are.

    With `offload`, a model rests in the computer's memory and is moved to the device when it is called.
    """

    device: torch.device
    dtype: torch.dtype
    weights: Weights
    offload: bool = False
    awake: set[nn.Module] = field(default_factory=set)
    """Models on the device, with `offload`."""

    def place(self, model: Placed) -> Placed:
        """On the device, or at rest until it is called."""
        if not self.offload:
            return model.to(self.device)

        # No method of this object: with a model that is copied, the runtime would be copied too. Any: its arguments.
        def before(called: nn.Module, inputs: Any, keywords: Any) -> tuple[Any, Any]:
            self._wake(called)
            return send_to_device(inputs, self.device), send_to_device(keywords, self.device)

        model.register_forward_pre_hook(before, with_kwargs=True)
        return model.to("cpu")

    @contextmanager
    def stage(self, *models: nn.Module) -> Iterator[None]:
        """A stage of painting: what is awake when it begins or ends goes to rest.

        `models` are those of which other methods are called than `forward`, the only one that torch tells of.
        """
        self._rest()
        for model in models if self.offload else ():
            self._wake(model)
        yield
        self._rest()

    def _wake(self, model: nn.Module) -> None:
        if model not in self.awake:
            # What is moved in inference mode could take no part in a gradient any more.
            with torch.inference_mode(False):
                model.to(self.device)
            self.awake.add(model)

    def _rest(self) -> None:
        for model in self.awake:
            with torch.inference_mode(False):
                model.to("cpu")
        self.awake.clear()


@dataclass(frozen=True, slots=True)
class LoadedMethod:
    """A method ready to paint, and everything about it that may change a number."""

    name: str
    call: Method
    options: Mapping[str, JsonValue]
    """All of them, also the ones left at their default."""
    digests: Mapping[str, str]
    """Of its weights, by component; of its file, for a method that is a file."""
    dtype: str
    """Empty for a method without weights."""
    device: str
    """Likewise."""
    origin: str
    """Where its weights come from, to read; likewise."""
    places: Mapping[str, str] = field(default_factory=dict)
    """The same by part, as `Weights.places` has it."""
    role: Role = "contender"
    """What it is for."""
    notes: tuple[str, ...] = ()
    """What libraries warned of while it was loaded for a run."""


def open_method(
    name: str,
    *,
    weights: str | Path | None,
    device: str,
    dtype: str,
    options: Mapping[str, Value],
    masks: MaskKind = "segmentation",
) -> LoadedMethod:
    """Load a method. Raises `UserError` for an unknown name or option, and for weights that can't be used.

    A method is a class. If it has a classmethod `load(options, runtime)` and an options type `Options`, it is loaded
    with these; otherwise its own dataclass fields are its options.
    """
    cls = resolve("method", name)
    role = role_of_class(name, cls)
    built = build(name, options_type(cls), options)
    file = method_file(name)
    digests = {"file": digest_of([file])} if file else {}
    if not loads_weights(cls):
        if weights is not None:
            raise UserError(f"method {name!r} has no weights, so --weights means nothing to it")
        values = _stored(name, built)
        return LoadedMethod(name, _callable(name, built), values, digests, dtype="", device="", origin="", role=role)
    torch_device = device_named(device)
    torch_dtype = _dtype(dtype, torch_device)
    source = Weights(weights, name, masks)
    usual = {key: value for key, value in source.defaults.items() if key in option_names(cls)}
    built = build(name, options_type(cls), {**usual, **options})
    runtime = Runtime(torch_device, torch_dtype, source, offload=getattr(built, "offload", "none") == "model")
    method = _callable(name, cls.load(built, runtime))
    return LoadedMethod(
        name,
        method,
        _stored(name, built),
        digests | source.digests,
        str(torch_dtype).removeprefix("torch."),
        str(torch_device),
        source.origin,
        source.places,
        role,
    )


def load_method(
    name: str,
    *,
    weights: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    **options: Value,
) -> Method:
    """A method by name, or by `path/to/file.py:Class`, with its options as keywords.

    `device` and `dtype` `auto`: float16 on a GPU if there is one, else float32 on the CPU.

    Raises `UserError` for an unknown name or option, and for weights that can't be used.

    >>> method = load_method("telea", radius=5)
    """
    return open_method(name, weights=weights, device=device, dtype=dtype, options=options).call


def load_metric(name: str, **options: Value) -> Metric:
    """A metric by name, also with its region as `psnr@painted`. Raises `UserError` for an unknown name or option.

    >>> metric = load_metric("psnr", protocol="paper")
    """
    base, separator, region = name.partition("@")
    if separator:
        if region not in REGIONS:
            raise UserError(one_line(f"metric {name!r}: region {region!r} is not one of {', '.join(REGIONS)}"))
        options = {**options, "region": region}
    return cast(Metric, build(base, resolve("metric", base), options))


def load_dataset(name: str, *, root: str | Path | None = None, split: str = "inside", **options: Value) -> Dataset:
    """A data set by name, with its options as keywords; `root` None: where it is on this machine.

    A data set is a class with `open(root, split)`, or, if it has options, a dataclass `Options` and
    `open(root, split, options)`.

    Raises `UserError` for an unknown name, split or option, and for files that aren't that data set.

    >>> dataset = load_dataset("photos", split="outside")
    """
    return open_dataset(name, root, split, options)


def open_dataset(name: str, root: str | Path | None, split: str, options: Mapping[str, Value]) -> Dataset:
    """The same, with the options in a mapping."""
    cls = resolve("dataset", name)
    built = _dataset_options(name, cls, options)
    folder = locate(name, root)[1]
    if folder is None and name in FOUND_BY_NAME:
        raise UserError(one_line(f"data set {name!r} needs its folder: --root DIR; it is not in {looked_in(name)}"))
    return cast(Dataset, cls.open(folder, split) if built is None else cls.open(folder, split, built))


def default_options(method: str) -> dict[str, JsonValue]:
    """The options of a method as run.json holds them, all at their default: the official value."""
    return _stored(method, build(method, options_type(resolve("method", method)), {}))


def stored_dataset_options(name: str, options: Mapping[str, Value]) -> dict[str, JsonValue]:
    """All options of a data set as run.json holds them, also the ones left at their default."""
    built = _dataset_options(name, resolve("dataset", name), options)
    return {} if built is None else _stored(name, built)


def dataset_of(run: Run, root: str | Path | None = None) -> Dataset:
    """The data set that a run was made with; `root` None: where it was then, or is now.

    Raises `UserError` if it isn't there, or is another one now.
    """
    stored = run.record.identity.dataset
    then = run.record.provenance.get("root")
    folder = then if root is None and then is not None and exists(Path(then)) else root
    options = {key: value for key, value in stored.options.items() if not isinstance(value, list | dict)}
    dataset = open_dataset(stored.name, folder, stored.split, options)
    if dataset.digest() != stored.digest:
        raise UserError(one_line(f"{run.path}: this is not the data set the run was made with; valid: --root DIR"))
    return dataset


def configured_dataset(config: RunConfig) -> Dataset:
    """The configured data set; with none named, the paper's if it is on this machine, else the embedded one."""
    name, root = locate(config.dataset, config.root)
    return open_dataset(name, root, config.split, config.dataset_options)


def configured_method(config: RunConfig) -> LoadedMethod:
    """The configured method, loaded; with no weights named, with those that belong to the data set and its masks.

    What libraries warn of meanwhile is in its notes.
    """
    with hearing() as notes:
        weights = _weights_of(config) if loads_weights(resolve("method", config.method)) else config.weights
        method = open_method(
            config.method,
            weights=weights,
            device=config.device,
            dtype=config.dtype,
            options=config.method_options(),
            masks=_masks_of(config),
        )
    return dataclasses.replace(method, notes=tuple(notes))


def branches_of(config: RunConfig) -> str:
    """Which of its branches for different masks the configured method takes, to read; empty if it has no choice."""
    if not loads_weights(resolve("method", config.method)):
        return ""
    return Weights(_weights_of(config), config.method, _masks_of(config)).branches(config.method_options())


def _weights_of(config: RunConfig) -> str | Path | None:
    return FAMILIES.get(locate(config.dataset, config.root)[0]) if config.weights is None else config.weights


def _masks_of(config: RunConfig) -> MaskKind:
    return mask_kind(locate(config.dataset, config.root)[0], config.split)


# Any: the class of a method, which nobody has checked yet.
def options_type(cls: Any) -> type[Any]:
    """The dataclass whose fields are the options of a method's class."""
    return cast(type[Any], cls.Options if loads_weights(cls) else cls)


# Any: likewise.
def option_names(cls: Any) -> set[str]:
    """The options of a method's class."""
    options = options_type(cls)
    return {field.name for field in dataclasses.fields(options)} if dataclasses.is_dataclass(options) else set()


# Any: likewise.
def loads_weights(cls: Any) -> bool:
    """Whether a method's class is made from weights: by its classmethod `load`, with its type of options, `Options`."""
    return hasattr(cls, "load") and hasattr(cls, "Options")


def device_named(name: str) -> torch.device:
    """`auto`: a GPU if there is one. Raises `UserError` for a device that isn't here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(one_line(f"device {name!r}: valid are auto, cpu, cuda, cuda:N, mps")) from error
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device.type, False):
        valid = ", ".join(kind for kind, here in available.items() if here)
        raise UserError(one_line(f"device {name!r} is not available here; valid: auto, {valid}"))
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device {name!r}: there are {torch.cuda.device_count()}; the first is cuda:0")
    return device


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    if name not in DTYPES:
        raise UserError(one_line(f"dtype {name!r}: valid are auto, {', '.join(DTYPES)}"))
    return DTYPES[name]


# Any: the class of a data set, and its options; None if it has none.
def _dataset_options(name: str, cls: Any, options: Mapping[str, Value]) -> Any:
    if hasattr(cls, "Options"):
        return build(name, cls.Options, options)
    if options:
        raise unknown(f"option of {name}", next(iter(options)), [])
    return None


# Any: the options of any method or data set.
def _stored(name: str, options: Any) -> dict[str, JsonValue]:
    """Options as run.json holds them. Raises `UserError` for one that JSON can't."""
    fields = dataclasses.fields(options) if dataclasses.is_dataclass(options) else ()
    values = {item.name: getattr(options, item.name) for item in fields if item.init and NO_NUMBER not in item.metadata}
    stored = attempt(to_jsonable_python, values)
    if isinstance(stored, Failure):
        raise UserError(one_line(f"the options of {name} can't be stored: {stored.error}"))
    return cast(dict[str, JsonValue], stored)


# Any: an object that should be a method.
def _callable(name: str, method: Any) -> Method:
    if not callable(method):
        raise UserError(one_line(f"method {name!r} has no __call__(batch, seeds)"))
    return cast(Method, method)
