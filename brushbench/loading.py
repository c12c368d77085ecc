"""Names to objects: methods with their options and weights, metrics, data sets."""

import dataclasses
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from accelerate.utils import send_to_device
from pydantic import JsonValue
from torch import nn

from brushbench.config import RunConfig
from brushbench.datasets import FAMILIES, locate
from brushbench.datasets.places import FOUND_BY_NAME, looked_in
from brushbench.datasets.plug_in import open_plug_in
from brushbench.datasets.source import digest_of
from brushbench.errors import UserError, one_line, unknown
from brushbench.files import exists
from brushbench.mask_kinds import MaskKind, mask_kind
from brushbench.method_options import DEVICE, loads_weights, option_names, options_type, stored_options, supplied
from brushbench.metric_info import REGIONS, parted
from brushbench.notes import hearing
from brushbench.options import Value, build, checked, made_of, parameters
from brushbench.padding import side_multiple
from brushbench.plugins.code import digest_of_place, distribution_digests, imported_files, is_local
from brushbench.plugins.files import file_of
from brushbench.plugins.metrics import checked_metric
from brushbench.registry import Role, built_in_version, distribution_of, is_built_in, resolve, role_of_class
from brushbench.runs.folder import Run
from brushbench.runs.record import DATASET_FILE, FILE
from brushbench.types import Dataset, Method, Metric
from brushbench.weights import Weights
from brushbench.work import plugged

Placed = TypeVar("Placed", bound=nn.Module)
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


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
    """The digests of its weights by component, and of the code and files of a method of the user's own."""
    dtype: str
    """Empty for a method without weights."""
    device: str
    """Where it computes; empty for a method without weights."""
    origin: str
    """Where its weights come from, to read; likewise."""
    places: Mapping[str, str] = field(default_factory=dict)
    """Where each part of its weights was taken from, as `Weights.places` has it."""
    role: Role = "contender"
    """What it is for."""
    version: int = 1
    """The version of one of the suite's own methods."""
    side_multiple: int = 1
    """What both sides of an image must be multiples of for it."""
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
    with these; otherwise its own fields or parameters are its options, but for `device`, which is where it shall
    compute. It can also be a function, which is called as an object of the class would be.
    """
    cls = resolve("method", name)
    role = role_of_class(name, cls)
    digests = _own_digests(name, cls)
    version = built_in_version(name)
    target = options_type(cls)
    if not loads_weights(cls):
        if weights is not None:
            raise UserError(f"method {name!r} has no weights, so --weights means nothing to it")
        given = supplied(cls, partial(device_named, device))
        values = checked(name, target, options, given)
        digests |= _option_digests(values)
        built = made_of(name, target, {**values, **given})
        stored = stored_options(name, target, built, values, without=given)
        where = str(given.get(DEVICE, ""))
        method, multiple = _callable(name, built), plugged(f"method {name!r}", side_multiple, name, cls, built)
        return LoadedMethod(
            name, method, stored, digests, "", where, "", role=role, version=version, side_multiple=multiple
        )
    build(name, target, options)
    torch_device = device_named(device)
    torch_dtype = _dtype(dtype, torch_device)
    source = Weights(weights, name, masks)
    usual = {key: value for key, value in source.defaults.items() if key in option_names(cls)}
    values = checked(name, target, {**usual, **options})
    built = made_of(name, target, values)
    if not is_built_in("method", name):
        digests |= _option_digests(values)
    runtime = Runtime(torch_device, torch_dtype, source, offload=getattr(built, "offload", "none") == "model")
    method = _callable(name, plugged(f"method {name!r} can't be loaded", cls.load, built, runtime))
    return LoadedMethod(
        name,
        method,
        stored_options(name, target, built, values),
        digests | source.digests,
        str(torch_dtype).removeprefix("torch."),
        str(torch_device),
        source.origin,
        source.places,
        role,
        version,
        plugged(f"method {name!r}", side_multiple, name, cls, method),
    )


# Any: the class of a method.
def _own_digests(name: str, cls: Any) -> dict[str, str]:
    """The digests of a method that isn't the suite's: its file, the local modules behind it, its distribution."""
    if file := file_of(name):
        own = {module: digest_of_place(path) for module, path in imported_files(file).items()}
        return {FILE: digest_of([file])} | own
    distribution = distribution_of(name)
    if distribution is None:
        return {}
    digests = distribution_digests(distribution)
    code = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if code and is_local(Path(code)):
        # An editable installation has its files elsewhere.
        files = {Path(code).name: Path(code)} | imported_files(Path(code))
        digests |= {module: digest_of_place(path) for module, path in files.items()}
    return digests


# Any: the options of any method.
def _option_digests(values: Mapping[str, Any]) -> dict[str, str]:
    """The digests of files and folders that options name: by their type, or as a text with a separator in it."""
    paths = {
        name: Path(value)
        for name, value in values.items()
        if isinstance(value, Path) or (isinstance(value, str) and os.sep in value)
    }
    return {f"the file of option {name}": digest_of_place(path) for name, path in paths.items() if path.exists()}


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
    """A metric by name or `path/to/file.py:Class`, also with its region as `psnr@painted`.

    Raises `UserError` for an unknown name or option.

    >>> metric = load_metric("psnr", protocol="paper")
    """
    base, region = parted(name)
    cls = resolve("metric", base)
    if region or base != name:
        if region not in REGIONS:
            raise UserError(one_line(f"metric {name!r}: region {region!r} is not one of {', '.join(REGIONS)}"))
        if "region" not in parameters(base, cls):
            raise UserError(one_line(f"metric {base!r} has no regions: valid is its name alone"))
        options = {**options, "region": region}
    metric = build(base, cls, options)
    return cast(Metric, metric) if is_built_in("metric", base) else checked_metric(name, cls, metric)


def load_dataset(name: str, *, root: str | Path | None = None, split: str = "inside", **options: Value) -> Dataset:
    """A data set by name, with its options as keywords; `root` None: where it is on this machine.

    A data set is a class with `open(root, split)`, or, if it has options, a dataclass `Options` and
    `open(root, split, options)`; also one in a file, by `path/to/file.py:Class`.

    Raises `UserError` for an unknown name, split or option, and for files that aren't that data set.

    >>> dataset = load_dataset("photos", split="outside")
    """
    return open_dataset(name, root, split, options)


def open_dataset(name: str, root: str | Path | None, split: str, options: Mapping[str, Value]) -> Dataset:
    """A data set by name, as `load_dataset` opens it, with its options in a mapping."""
    cls = resolve("dataset", name)
    built = _dataset_options(name, cls, options)
    folder = locate(name, root)[1]
    if folder is None and name in FOUND_BY_NAME:
        raise UserError(one_line(f"data set {name!r} needs its folder: --root DIR; it is not in {looked_in(name)}"))
    if not is_built_in("dataset", name):
        return open_plug_in(name, cls, folder, split, built)
    return cast(Dataset, cls.open(folder, split) if built is None else cls.open(folder, split, built))


def stored_dataset_options(name: str, options: Mapping[str, Value]) -> dict[str, JsonValue]:
    """All options of a data set as run.json holds them, also the ones left at their default."""
    cls = resolve("dataset", name)
    built = _dataset_options(name, cls, options)
    if built is None:
        return {}
    stored = stored_options(name, cls.Options, built, checked(name, cls.Options, options))
    # None is what was before there was such an option: runs from then keep their fingerprints.
    return {key: value for key, value in stored.items() if value is not None or not is_built_in("dataset", name)}


def dataset_of(run: Run, root: str | Path | None = None) -> Dataset:
    """The data set that a run was made with; `root` None: where it was then, or is now.

    Raises `UserError` if it isn't there, or is another one now.
    """
    stored = run.record.identity.dataset
    then = run.record.provenance.get("root")
    folder = then if root is None and then is not None and exists(Path(then)) else root
    options = {key: value for key, value in stored.options.items() if not isinstance(value, list | dict)}
    name = run.record.provenance.get(DATASET_FILE, stored.name)
    dataset = open_dataset(name, folder, stored.split, options)
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


# Any: an object that should be a method.
def _callable(name: str, method: Any) -> Method:
    if not callable(method):
        raise UserError(one_line(f"method {name!r} has no __call__(batch, seeds)"))
    return cast(Method, method)
