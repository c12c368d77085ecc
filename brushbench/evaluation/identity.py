"""The identity of a run, which is all that determines its numbers, and its provenance: versions, device, paths."""

import platform
from pathlib import Path

import torch

from brushbench import __version__
from brushbench.core.compute import PLAIN
from brushbench.core.installed import PACKAGES, version_of
from brushbench.core.plugins.files import plugin_file
from brushbench.core.protocol import protocol_named
from brushbench.core.registry import short_name
from brushbench.core.types import Dataset
from brushbench.datasets.open import OpenedDataset
from brushbench.evaluation.methods import LoadedMethod
from brushbench.runs.config import RunConfig
from brushbench.runs.record import DATASET_FILE, DatasetIdentity, Identity, MethodIdentity
from brushbench.storage.places import local


def identity_of(
    config: RunConfig,
    opened: OpenedDataset,
    method: MethodIdentity,
    dtype: str,
    batch_size: int | None = None,
    compute: str = PLAIN,
) -> Identity:
    """The identity of a run, from which its fingerprint is computed.

    `batch_size` is the number that `auto` resolved to, or None for imported images. `compute` is the recipe with its
    number.
    """
    data = opened.data
    return Identity(
        dataset=DatasetIdentity(name=data.name, split=data.split, digest=data.digest(), options=dict(opened.options)),
        method=method,
        seed=config.seed,
        dtype=dtype,
        protocol=protocol_named(config.protocol).name,
        batch_size=batch_size,
        compute=compute,
    )


def identity_of_method(method: LoadedMethod) -> MethodIdentity:
    """The method's part of a run's identity."""
    return MethodIdentity(
        name=short_name(method.name),
        options=dict(method.options),
        digests=dict(method.digests),
        version=method.version,
    )


def provenance_of(opened: OpenedDataset, device: str) -> dict[str, str]:
    """The versions, the device and the paths with which a run is made."""
    versions = {name: version_of(name) for name in PACKAGES}
    root = {"root": str(opened.root.absolute())} if opened.root is not None else {}
    if file := plugin_file(opened.name):
        root |= {DATASET_FILE: f"{file.absolute()}:{short_name(opened.name)}"}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "brushbench": __version__,
        **versions,
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        "threads": str(torch.get_num_threads()),
        **root,
    }


def run_path(config: RunConfig, dataset: Dataset, method: str) -> Path:
    """The run folder of a method on a data set."""
    return local(config.output) / f"{dataset.name}-{dataset.split}" / short_name(method)
