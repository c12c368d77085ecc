"""What a data set is: all that the suite knows of it without opening it."""

from dataclasses import dataclass
from typing import Literal

NOT_STATED = "see its own documentation"
STROKES = "brush"
"""The split, of any data set that has it, whose masks are drawn strokes."""
MaskKind = Literal["segmentation", "random"]
"""Masks that follow the objects' outlines, or nobody knows; masks that are drawn without regard to objects."""


@dataclass(frozen=True, slots=True)
class Download:
    """How to get a data set that isn't part of the suite."""

    folder: str
    """What its folder is called."""
    steps: tuple[str, ...] = ()
    """What to know, then what to do, in sentences; `{folder}` is where it belongs. Empty: it has an address."""
    address: str = ""
    """Address of its archive, for anybody; empty if there is none that can be downloaded."""
    with_login: str = ""
    """Address of the same archive for users who are logged in to Google."""
    source: str = ""
    """Where else it comes from, to read."""

    @property
    def origin(self) -> str:
        """Where it comes from, to read."""
        return f"{self.address} or, with a Google login, {self.with_login}" if self.address else self.source


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """The facts about a data set; a plug-in's class states its own as the attribute `info`. All may be left out."""

    splits: tuple[str, ...] = ()
    """Its splits, the usual one first; empty: it is asked for `inside`, and judges any other name itself."""
    metrics: tuple[str, ...] = ()
    """What its runs are scored with if none are named; empty: the paper's metrics, and `seam` on random masks."""
    learned: tuple[str, ...] = ()
    """The learned metrics that know its world, in place of the paper's; empty: the paper's."""
    licence: str = NOT_STATED
    citation: str = NOT_STATED
    masks: MaskKind = "segmentation"
    """The kind of its masks, on every split but `brush`: methods may have a branch for each."""
    weights: str = ""
    """The family of weights that was made for it; empty: each method's usual one."""
    complement: bool = False
    """Whether the masks of `outside` are those of `inside`, inverted."""
    embedded: bool = False
    """Whether it comes with the suite, without a folder."""
    download: Download | None = None
    """None for what is embedded, or the user's own."""
    primary: tuple[str, ...] = ()
    """The metrics whose differences are tested together; empty: the paper's."""
    notes: tuple[str, ...] = ()
    """What every table of it says below."""

    def mask_kind(self, split: str) -> MaskKind:
        """The kind of masks on one of its splits."""
        return "random" if split == STROKES else self.masks
