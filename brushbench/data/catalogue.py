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
    address: str = ""
    """Of its archive, for anybody; empty if there is none that can be downloaded."""
    with_login: str = ""
    """Of the same archive, for who is logged in to Google."""
    source: str = ""
    """Where else it comes from, to read."""

    @property
    def origin(self) -> str:
        """Where it comes from, to read; empty for what is here, or the user's own."""
        if not self.address:
            return self.source
        return f"{self.address} or, with a Google login, {self.with_login}"


FORM = "https://forms.gle/9TgMZ8tm49UYsZ9s5"
RESULTS = "https://drive.google.com/drive/folders/1dK3oIB2UvswlTtnIS1iHfx4s57MevWdZ"
"""What the authors of BrushNet painted on BrushBench."""
_NOT_VISITED = (
    "(The addresses are those that public code and issues give; none could be visited when this was written.)"
)
_UNPACK = (
    "An archive of it is unpacked there by `brushbench data get {name} --archive FILE`, or downloaded from a link that "
    "you have by `--url URL --sha256 HEX`."
)
CATALOGUE: Mapping[str, About] = {
    "brushbench": About(
        "the authors': whoever fills in their form agrees to it",
        "Ju et al., BrushNet, ECCV 2024, arXiv:2403.06976",
        "BrushBench",
        (
            "There is no download of BrushBench: its authors give it out on a form, so this command can't get it.",
            f"Fill in the form, {FORM}; you agree to their licence by that. It is linked in the README of "
            f"https://github.com/TencentARC/BrushNet, section Data Download. {_NOT_VISITED}",
            _UNPACK + " Any zip or tar will do.",
            "Or put mapping_file.json and images/ (600 JPEG files) into {folder}. Called BrushDench, as in their "
            "README, the folder is found too.",
        ),
        source=f"the authors' form, {FORM}; what they painted, for `score --images` (docs/data.md says how): {RESULTS}",
    ),
    "editbench": About(
        "not stated in the files: see the page of Imagen Editor",
        "Wang et al., Imagen Editor and EditBench, CVPR 2023, arXiv:2212.06909",
        "EditBench",
        (),
        address="https://storage.googleapis.com/editbench/editbench.tar.gz",
        with_login="https://storage.cloud.google.com/editbench/editbench.tar.gz",
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


def remedy(name: str, url: str) -> str:
    """What can be done if the archive can't be had from the address that the suite knows; empty for another one."""
    known = about(name)
    if not known.address or url != known.address:
        return ""
    return (
        f". {known.folder}'s archive is at {known.origin}; one that you have is unpacked by "
        f"`brushbench data get {name} --archive FILE`"
    )


def place_of(name: str) -> Path:
    """The folder that a data set goes to if no other is named: in the platform's folder for data."""
    return data_folder() / (about(name).folder or name)


def steps(name: str, root: Path | None) -> Sequence[str]:
    """How to get a data set to `root`, or to its usual place, and how to check it."""
    folder = root or place_of(name)
    found = [step.format(folder=folder, name=name) for step in about(name).steps]
    check = f"Check it: brushbench data verify --dataset {name} --root {folder}"
    return [found[0], *(f"{number}. {step}" for number, step in enumerate([*found[1:], check], 1))] if found else []
