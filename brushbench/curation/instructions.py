"""How to get a data set: what to do, where it goes, and what helps if its archive can't be downloaded."""

from collections.abc import Sequence
from pathlib import Path

from brushbench.core.registry import dataset_info
from brushbench.datasets.places import data_folder


def remedy(name: str, url: str) -> str:
    """What can be done if the archive can't be had from the address that the suite knows; empty for another one."""
    known = dataset_info(name).download
    if known is None or not known.address or url != known.address:
        return ""
    return (
        f". {known.folder}'s archive is at {known.origin}; one that you have is unpacked by "
        f"`brushbench data get {name} --archive FILE`"
    )


def place_of(name: str) -> Path:
    """The folder that a data set goes to if no other is named: in the platform's folder for data."""
    known = dataset_info(name).download
    return data_folder() / (known.folder if known else name)


def steps(name: str, root: Path | None) -> Sequence[str]:
    """How to get a data set to `root`, or to its usual place, and how to check it."""
    folder, known = root or place_of(name), dataset_info(name).download
    found = [step.format(folder=folder, name=name) for step in (known.steps if known else ())]
    check = f"Check it: brushbench data verify --dataset {name} --root {folder}"
    return [found[0], *(f"{number}. {step}" for number, step in enumerate([*found[1:], check], 1))] if found else []
