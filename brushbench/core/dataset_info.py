"""The facts about a data set that the suite knows without opening it."""

from dataclasses import dataclass
from typing import Literal

NOT_STATED = "see its own documentation"
STROKES = "brush"
"""The name of the split whose masks are drawn strokes, in every data set that has it."""
MaskKind = Literal["segmentation", "random"]
"""`segmentation`: masks that follow the objects' outlines, or unknown. `random`: drawn regardless of the objects."""


@dataclass(frozen=True, slots=True)
class Download:
    """How to get a data set that isn't part of the suite."""

    folder: str
    """The name of its folder."""
    steps: tuple[str, ...] = ()
    """Sentences that say what to know, then what to do; `{folder}` is its destination. Empty if it has an address."""
    address: str = ""
    """The public address of its archive; empty if it can't be downloaded."""
    with_login: str = ""
    """The address of the same archive for users who are logged in to Google."""
    source: str = ""
    """Its source in words, if it has no address."""

    @property
    def origin(self) -> str:
        """Its source, in words."""
        return f"{self.address} or, with a Google login, {self.with_login}" if self.address else self.source


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """The facts about a data set, all optional; a plug-in's class states its own in the attribute `info`."""

    splits: tuple[str, ...] = ()
    """Its splits, the default first. Empty: the default is `inside`, and the data set checks other names itself."""
    metrics: tuple[str, ...] = ()
    """The default metrics for its runs. Empty: the paper's metrics, and `seam` on random masks."""
    learned: tuple[str, ...] = ()
    """The learned metrics made for its images, which replace the paper's. Empty: the paper's."""
    licence: str = NOT_STATED
    citation: str = NOT_STATED
    masks: MaskKind = "segmentation"
    """The kind of masks on every split but `brush`; a method may have a branch for each kind."""
    weights: str = ""
    """The family of weights made for it. Empty: each method's default."""
    complement: bool = False
    """Whether the masks of `outside` are the inverted masks of `inside`."""
    side: int = 0
    """The sides of all its images by default, if they are squares of one size; 0 otherwise."""
    embedded: bool = False
    """Whether it comes with the suite, without a folder."""
    download: Download | None = None
    """None for an embedded data set, and for a user's own."""
    primary: tuple[str, ...] = ()
    """The metrics whose differences are tested together. Empty: the paper's."""
    notes: tuple[str, ...] = ()
    """Footnotes for every table about it."""

    def mask_kind(self, split: str) -> MaskKind:
        """The kind of masks on one of its splits."""
        return "random" if split == STROKES else self.masks
