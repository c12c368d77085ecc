"""Explain how to get a data set: what to do, where it goes, and what helps if its archive cannot be downloaded."""

from collections.abc import Sequence
from pathlib import Path

from brushbench.core.registry import dataset_info
from brushbench.datasets.places import data_folder


def remedy(name: str, url: str) -> str:
    """Return what to do if the archive cannot be downloaded from its known address; empty for any other address."""
    known = dataset_info(name).download
    if known is None or not known.address or url != known.address:
        return ""
    return (
        f". {known.folder}'s archive is at {known.origin}; unpack your own copy with "
        f"`brushbench data get {name} --archive FILE`"
    )


def place_of(name: str) -> Path:
    """Return the folder that a data set goes to by default, inside the platform's folder for data."""
    known = dataset_info(name).download
    return data_folder() / (known.folder if known else name)


def steps(name: str, root: Path | None) -> Sequence[str]:
    """Return the steps to get a data set into `root`, or into its usual folder, and to check it."""
    folder, known = root or place_of(name), dataset_info(name).download
    found = [step.format(folder=folder, name=name) for step in (known.steps if known else ())]
    check = f"Check it: brushbench data verify --dataset {name} --root {folder}"
    return [found[0], *(f"{number}. {step}" for number, step in enumerate([*found[1:], check], 1))] if found else []
