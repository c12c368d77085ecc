"""Defects of data sets: their kinds by name, and a single defect as a finding or as an error.

A reader passes each defect in the files that describe a data set to a `Report`, and continues as well as it can. The
report decides what happens: opening a data set uses `refuse`, and `data verify` collects all findings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

from brushbench.core.errors import SampleError, UserError


@dataclass(frozen=True, slots=True)
class DefectKind:
    """A kind of defect."""

    meaning: str
    """What is wrong, in words."""
    usable: bool = False
    """Whether the sample can be used nevertheless; it is worth a look."""


@dataclass(frozen=True, slots=True)
class DataFinding:
    """One defect of a data set."""

    kind: str
    """A name in `KINDS`."""
    subject: str
    """The id of the sample, or the name of a file that belongs to no sample."""
    detail: str = ""
    refusal: str = ""
    """Why the data set can't be opened; empty if it can be opened with this defect."""
    failure: str = ""
    """Why the sample can't be used, if that is known before its pictures are read; empty otherwise."""


Report = Callable[[DataFinding], object]


def refuse(finding: DataFinding) -> None:
    """Raise `UserError` for a finding with which a data set can't be opened; ignore any other finding."""
    if finding.refusal:
        raise UserError(finding.refusal)


def unreadable(subject: str, error: UserError) -> DataFinding:
    """Make the finding for an error after which nothing more can be read."""
    return DataFinding("unreadable", subject, str(error), refusal=str(error))


@final
class DefectError(SampleError):
    """A sample can't be used because of a defect of a known kind."""

    def __init__(self, message: str, kind: str = "unusable-sample", detail: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.detail = message if detail is None else detail

    def found_in(self, subject: str) -> DataFinding:
        """This error as a finding about `subject`."""
        return DataFinding(self.kind, subject, self.detail)


KINDS: Mapping[str, DefectKind] = {
    # The files that describe the data set.
    "unreadable": DefectKind("the files that describe the data set can't be read, so it can't be used"),
    "duplicate-id": DefectKind("the id occurs more than once"),
    "ids-alike": DefectKind(
        "ids differ only in case or in how accents are encoded, so that some systems store them as one file", True
    ),
    "names-alike": DefectKind("two files or ids have the same name, with its accents encoded in two ways"),
    "caption-order": DefectKind(
        "captions are assigned by the order of the images' names, which programs sort differently"
    ),
    "bad-id": DefectKind("the id can't be a file name"),
    "malformed-record": DefectKind("the sample's entry lacks a field, or has one of the wrong type"),
    "sidecar-unreadable": DefectKind("tags.csv can't be read, so the data set can't be used"),
    "sidecar-unknown-id": DefectKind("tags.csv names a sample that the data set doesn't have"),
    "sidecar-duplicate-id": DefectKind("tags.csv names a sample more than once"),
    "sidecar-value": DefectKind("tags.csv has a value that isn't valid for its tag"),
    # Pictures.
    "missing-image": DefectKind("the image file is missing"),
    "extra-image": DefectKind("the file belongs to no sample", True),
    "image-outside": DefectKind("the name of the image file leads out of the data set's folder"),
    "wrong-format": DefectKind("the file isn't a PNG, JPEG or WebP image, despite its name"),
    "wrong-suffix": DefectKind("the image is in another format than its name says", True),
    "truncated": DefectKind("the image's file is cut off: its end is missing"),
    "undecodable": DefectKind("the image is damaged"),
    "too-large": DefectKind("the image has so many pixels that it is refused as a decompression bomb"),
    "wrong-size": DefectKind("the image has another size than most of the data set, so its mask doesn't fit"),
    "colour-mode": DefectKind("the image isn't 8-bit RGB: it is converted when it is read", True),
    "exif-orientation": DefectKind(
        "the image is rotated or mirrored by its EXIF data, which not every program applies", True
    ),
    "several-frames": DefectKind("the image is animated: only its first frame is used", True),
    "image-of-another": DefectKind("the image file is named after another sample", True),
    "shared-image": DefectKind("two samples name the same file", True),
    "duplicate-image": DefectKind("two files are identical, byte by byte", True),
    "duplicate-pixels": DefectKind("two different files show the same picture, pixel by pixel", True),
    # Masks.
    "missing-mask": DefectKind("the sample has no mask"),
    "extra-mask": DefectKind("the mask belongs to no sample", True),
    "mask-truncated": DefectKind("the mask file is cut off: its end is missing"),
    "mask-undecodable": DefectKind("the mask file is damaged, or isn't a PNG, JPEG or WebP image"),
    "mask-size": DefectKind("the mask has another size than its image"),
    "mask-grey": DefectKind("the mask has more than two values: pixels from half brightness up are inpainted", True),
    "rle-malformed": DefectKind("the run lengths aren't a flat list of pairs of whole numbers"),
    "rle-out-of-bounds": DefectKind("a run begins or ends outside the image"),
    "rle-overlap": DefectKind("runs of the mask overlap"),
    "mask-empty": DefectKind("the mask is empty: there is nothing to inpaint"),
    "mask-full": DefectKind("the mask is full: no pixel of the image is known", True),
    "masks-overlap": DefectKind("some pixels are in both the inside and the outside mask", True),
    "masks-gap": DefectKind("some pixels are in neither the inside nor the outside mask", True),
    # Captions.
    "missing-caption": DefectKind("the sample has no caption"),
    "extra-caption": DefectKind("the caption belongs to no image", True),
    "empty-caption": DefectKind("the caption has no words", True),
    "bad-caption": DefectKind("the caption is much too long, or isn't valid Unicode"),
    "long-caption": DefectKind("the caption has more than 77 tokens: CLIP's text encoders don't see its end", True),
    "control-characters": DefectKind("the caption has control characters, terminal escapes or direction marks", True),
    "duplicate-caption": DefectKind("two samples have the same caption", True),
    # Defects that only reading the sample finds.
    "unusable-sample": DefectKind("the sample can't be read"),
}
