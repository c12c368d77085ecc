"""From a configuration to what a run is made with."""

import dataclasses
from pathlib import Path

from brushbench.core.dataset_info import MaskKind
from brushbench.core.method_options import loads_weights
from brushbench.core.notes import hearing
from brushbench.core.registry import dataset_info, mask_kind, resolve
from brushbench.core.types import Dataset
from brushbench.datasets.locate import locate
from brushbench.datasets.open import open_dataset
from brushbench.evaluation.methods import LoadedMethod, open_method
from brushbench.runs.config import RunConfig
from brushbench.weights import Weights


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
    if config.weights is not None:
        return config.weights
    return dataset_info(locate(config.dataset, config.root)[0]).weights or None


def _masks_of(config: RunConfig) -> MaskKind:
    return mask_kind(locate(config.dataset, config.root)[0], config.split)
