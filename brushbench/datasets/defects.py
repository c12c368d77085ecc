"""What can be wrong with a data set: the kinds of defects by name, and one defect as a finding and as an error.

A reader hands each defect of the files that describe a data set to a `Report`, and goes on as well as it can. What is
done then is a policy: opening the data set is `refuse`, and `data verify` collects all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

from brushbench.core.errors import SampleError, UserError


@dataclass(frozen=True, slots=True)
class DefectKind:
    """A kind of defect."""

    meaning: str
    """What is the matter, in words."""
    usable: bool = False
    """The sample can be used nevertheless, but look at it."""


@dataclass(frozen=True, slots=True)
class DataFinding:
    """One defect."""

    kind: str
    """A name in `KINDS`."""
    subject: str
    """The id of the sample, or the name of the file if it belongs to none."""
    detail: str = ""
    refusal: str = ""
    """Why the data set can't be opened; empty if it can, with this defect."""
    failure: str = ""
    """Why the sample can't be used, if that is known before a picture is read; empty otherwise."""


Report = Callable[[DataFinding], object]


def refuse(finding: DataFinding) -> None:
    """The policy of opening a data set. Raises `UserError` for a finding with which it can't be opened."""
    if finding.refusal:
        raise UserError(finding.refusal)


def unreadable(subject: str, error: UserError) -> DataFinding:
    """The finding for an error after which there is nothing left to read."""
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
    "unreadable": DefectKind("the data set's own files can't be read, so none of it can be used"),
    "duplicate-id": DefectKind("the id occurs more than once"),
    "ids-alike": DefectKind(
        "ids differ only in case or in how accents are written: on some systems they are one file", True
    ),
    "names-alike": DefectKind("two files or ids are one name, with its accents written in two ways"),
    "caption-order": DefectKind("captions go by the order of the images' names, which programs sort differently"),
    "bad-id": DefectKind("the id can't be the name of a file"),
    "malformed-record": DefectKind("the entry of the sample lacks something, or has something of another type"),
    "sidecar-unreadable": DefectKind("the file of tags can't be read, so none of the data set can be used"),
    "sidecar-unknown-id": DefectKind("the file of tags names a sample that the data set doesn't have"),
    "sidecar-duplicate-id": DefectKind("the file of tags names a sample more than once"),
    "sidecar-value": DefectKind("the file of tags says something that isn't one of the tag's values"),
    # Pictures.
    "missing-image": DefectKind("the image's file isn't there"),
    "extra-image": DefectKind("a file that belongs to no sample", True),
    "image-outside": DefectKind("the name of the image's file leads out of the data set's folder"),
    "wrong-format": DefectKind("the file is no PNG, JPEG or WebP image, whatever its name says"),
    "wrong-suffix": DefectKind("the image is in another format than its name says", True),
    "truncated": DefectKind("the image's file is cut off: its end is missing"),
    "undecodable": DefectKind("the image is damaged"),
    "too-large": DefectKind("the image has so many pixels that it is taken for a decompression bomb"),
    "wrong-size": DefectKind("the image has another size than most of the data set, so its mask means nothing"),
    "colour-mode": DefectKind("the image isn't RGB with 8 bits: it is converted when it is read", True),
    "exif-orientation": DefectKind(
        "the image is stored turned or mirrored, as its EXIF data say: programs disagree", True
    ),
    "several-frames": DefectKind("the image is animated: only its first frame is used", True),
    "image-of-another": DefectKind("the image's file has the id of another sample for its name", True),
    "shared-image": DefectKind("two samples name the same file", True),
    "duplicate-image": DefectKind("two files are the same, byte by byte", True),
    "duplicate-pixels": DefectKind("two different files show the same picture, pixel by pixel", True),
    # Masks.
    "missing-mask": DefectKind("the sample has no mask"),
    "extra-mask": DefectKind("a mask that belongs to no sample", True),
    "mask-truncated": DefectKind("the mask's file is cut off: its end is missing"),
    "mask-undecodable": DefectKind("the mask's file is damaged, or no PNG, JPEG or WebP image"),
    "mask-size": DefectKind("the mask has another size than its image"),
    "mask-grey": DefectKind("the mask has more than two values: it counts from half on", True),
    "rle-malformed": DefectKind("the run lengths aren't a flat list of whole numbers in pairs"),
    "rle-out-of-bounds": DefectKind("a run begins or ends outside of the image"),
    "rle-overlap": DefectKind("runs of one mask overlap"),
    "mask-empty": DefectKind("the mask is empty: there is nothing to paint"),
    "mask-full": DefectKind("the mask is full: nothing of the image is known", True),
    "masks-overlap": DefectKind("pixels are both in the inside and in the outside mask", True),
    "masks-gap": DefectKind("pixels are neither in the inside nor in the outside mask", True),
    # Captions.
    "missing-caption": DefectKind("the sample has no caption"),
    "extra-caption": DefectKind("a caption that belongs to no image", True),
    "empty-caption": DefectKind("the caption has no words", True),
    "bad-caption": DefectKind("the caption is far too long, or isn't valid Unicode"),
    "long-caption": DefectKind("the caption has more than 77 tokens: CLIP's text encoders don't see its end", True),
    "control-characters": DefectKind("the caption has control characters, terminal escapes or direction marks", True),
    "duplicate-caption": DefectKind("two samples have the same caption", True),
    # Found by the reader.
    "unusable-sample": DefectKind("the sample can't be read"),
}
