"""What each data set is, whose it is, and how to get it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from brushbench.dataset_info import NOT_STATED
from brushbench.datasets.places import data_folder


@dataclass(frozen=True, slots=True)
class About:
    """What there is to know of a data set without having it."""

    licence: str
    citation: str
    folder: str
    """What its folder is called; empty for data that isn't to be got."""
    steps: Sequence[str]
    """What to know, then what to do, in sentences; `{folder}` is where it belongs. None: there is nothing to get."""


_VISITED = "(The address is the one that public code gives; it could not be visited when this was written.)"
_UNPACK = (
    "An archive of it is unpacked there by `brushbench data get --dataset {name} --archive FILE`, or downloaded from a "
    "link that you have by `--url URL --sha256 HEX`."
)
CATALOGUE: Mapping[str, About] = {
    "brushbench": About(
        "the authors': whoever fills in their form agrees to it",
        "Ju et al., BrushNet, ECCV 2024, arXiv:2403.06976",
        "BrushBench",
        (
            "BrushBench is given out by its authors on a form, so this command can't download it.",
            "Fill in the form that is linked in the README of https://github.com/TencentARC/BrushNet, section Data "
            "Download; you agree to their licence by that. " + _VISITED,
            "Put mapping_file.json and images/ (600 JPEG files) into {folder}. Called BrushDench, as in their README, "
            "the folder is found too.",
            _UNPACK,
        ),
    ),
    "editbench": About(
        "not stated in the files: see the page of Imagen Editor",
        "Wang et al., Imagen Editor and EditBench, CVPR 2023, arXiv:2212.06909",
        "EditBench",
        (
            "EditBench is given out by its authors, and no address of the archive is known for certain: this command "
            "can't download it.",
            "Look for the archive on the page of Imagen Editor, https://imagen.research.google/editor/. " + _VISITED,
            "Put annotations_natural.csv, annotations_generated.csv, and the folders references_* and masks_* into "
            "{folder}; or mapping_file.json and images/ of the copy that BrushNet's authors give out with BrushBench.",
            _UNPACK,
        ),
    ),
    "papercut": About("Apache-2.0, as the suite", "this suite", "", ()),
    "photos": About("those of scikit-image's pictures, see its data folder", "van der Walt et al., 2014", "", ()),
    "folder": About("yours", "yours", "", ()),
    "parquet": About("that of its source", "that of its source", "", ()),
}
OTHER = About(NOT_STATED, NOT_STATED, "", ())


def about(name: str) -> About:
    """The catalogue's facts about a registered data set."""
    return CATALOGUE.get(name, OTHER)


def place_of(name: str) -> Path:
    """The folder that a data set goes to if no other is named: in the platform's folder for data."""
    return data_folder() / (about(name).folder or name)


def steps(name: str, root: Path | None) -> Sequence[str]:
    """How to get a data set to `root`, or to its usual place, and how to check it."""
    folder = root or place_of(name)
    found = [step.format(folder=folder, name=name) for step in about(name).steps]
    check = f"Check it: brushbench data verify --dataset {name} --root {folder}"
    return [found[0], *(f"{number}. {step}" for number, step in enumerate([*found[1:], check], 1))] if found else []
