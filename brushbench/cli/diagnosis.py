"""Find out what this machine has, for `brushbench doctor` and for bug reports."""

import os
import platform
import shutil
import sys
from pathlib import Path

import torch
from huggingface_hub import constants

from brushbench import __version__
from brushbench.core.capture import Failure, capture
from brushbench.core.installed import PACKAGES, version_of
from brushbench.datasets.locate import locate
from brushbench.datasets.places import SETTINGS, VARIABLE, find_place, found_by_name, looked_in
from brushbench.weights import families, read_family
from brushbench.weights.manifest import Manifest, manifests
from brushbench.weights.sources import HubFiles, Source, WebFile


def diagnose() -> dict[str, str]:
    """Return one line for each thing that a run depends on."""
    return {
        "brushbench": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "platform": platform.platform(),
        **{package: version_of(package) for package in PACKAGES},
        "device": _device(),
        "free disk": f"{shutil.disk_usage(Path.cwd()).free / 1e9:.1f} GB in {Path.cwd()}",
        "data": _default_data(),
        **{f"data {name}": state for name, state in _data().items()},
        "hub": f"cache {constants.HF_HUB_CACHE}, {'offline' if constants.HF_HUB_OFFLINE else 'online'}",
        **{f"weights {family}": _weights(path) for family, path in families().items()},
        **{f"metric {name}": state for name, state in _metrics().items()},
    }


def _default_data() -> str:
    """Say which data set is used if none is named."""
    located = capture(locate, None, None)
    if isinstance(located, Failure):
        return located.error
    name, root = located
    return f"{name} in {root}" if root else f"{name} (embedded); for BrushBench set {VARIABLE} or give --root DIR"


def _data() -> dict[str, str]:
    """Say where each data set is, and which setting it was found by."""
    states = {}
    for name in found_by_name():
        place = capture(find_place, name)
        if isinstance(place, Failure):
            states[name] = place.error
        elif place is None:
            remedy = f"name its folder in {SETTINGS} in the working folder, or with --root DIR"
            states[name] = f"not found in {looked_in(name)}; {remedy}"
        else:
            states[name] = f"{place.folder} (from {place.origin})"
    return states


def _device() -> str:
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return ", ".join(names)
    return f"CPU, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def _metrics() -> dict[str, str]:
    """Say which metrics with weights can be computed here with their usual options, and how to get the others.

    Their manifests tell, as the libraries that the metrics themselves need take seconds to import.
    """
    missing: dict[str, list[str]] = {}
    for each in manifests():
        source = _published(each)
        here = capture(source.here)
        for name in each.metrics:
            lacks = missing.setdefault(name, [])
            if isinstance(here, Failure):
                lacks.append(here.error)
            elif here is None:
                lacks.append(source.how_to_get_it())
    how = "not on this machine; downloaded when the metric is requested by name, or: "
    found = "on this machine"
    return {name: f"{how}{' && '.join(lacks)}" if lacks else found for name, lacks in sorted(missing.items())}


def _published(manifest: Manifest) -> Source:
    """Return the source of the files that a manifest's metrics read."""
    if manifest.address:
        return WebFile("", None, manifest.address)
    return HubFiles("", manifest.repository, tuple((name,) for name in manifest.reads))


def _weights(path: Path) -> str:
    family = read_family(path)
    if not family.methods:
        return "no method uses them yet"
    sources = [part.taken_from for part in family.components.values()]
    missing = [source.place for source in sources if not source.here()]
    if not missing:
        return "all on this machine"
    return f"not on this machine: {', '.join(missing)}; they are downloaded when needed, or give --weights FOLDER"
