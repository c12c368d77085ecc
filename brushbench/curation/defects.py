"""What can be wrong with a data set: the kinds of defects, by name."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of defect."""

    meaning: str
    """What is the matter, in words."""
    usable: bool = False
    """The sample can be used nevertheless, but look at it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect."""

    kind: str
    """A name in `KINDS`."""
    subject: str
    """The id of the sample, or the name of the file if it belongs to none."""
    detail: str = ""


KINDS: Mapping[str, Kind] = {
    # The files that describe the data set.
    "unreadable": Kind("the data set's own files can't be read, so none of it can be used"),
    "duplicate-id": Kind("the id occurs more than once"),
    "ids-alike": Kind("ids differ only in case or in how accents are written: on some systems they are one file", True),
    "names-alike": Kind("two files or ids are one name, with its accents written in two ways"),
    "caption-order": Kind("captions go by the order of the images' names, which programs sort differently"),
    "bad-id": Kind("the id can't be the name of a file"),
    "malformed-record": Kind("the entry of the sample lacks something, or has something of another type"),
    "sidecar-unreadable": Kind("the file of tags can't be read, so none of the data set can be used"),
    "sidecar-unknown-id": Kind("the file of tags names a sample that the data set doesn't have"),
    "sidecar-duplicate-id": Kind("the file of tags names a sample more than once"),
    "sidecar-value": Kind("the file of tags says something that isn't one of the tag's values"),
    # Pictures.
    "missing-image": Kind("the image's file isn't there"),
    "extra-image": Kind("a file that belongs to no sample", True),
    "image-outside": Kind("the name of the image's file leads out of the data set's folder"),
    "wrong-format": Kind("the file is no PNG, JPEG or WebP image, whatever its name says"),
    "wrong-suffix": Kind("the image is in another format than its name says", True),
    "truncated": Kind("the image's file is cut off: its end is missing"),
    "undecodable": Kind("the image is damaged"),
    "too-large": Kind("the image has so many pixels that it is taken for a decompression bomb"),
    "wrong-size": Kind("the image has another size than most of the data set, so its mask means nothing"),
    "colour-mode": Kind("the image isn't RGB with 8 bits: it is converted when it is read", True),
    "exif-orientation": Kind("the image is stored turned or mirrored, as its EXIF data say: programs disagree", True),
    "several-frames": Kind("the image is animated: only its first frame is used", True),
    "image-of-another": Kind("the image's file has the id of another sample for its name", True),
    "shared-image": Kind("two samples name the same file", True),
    "duplicate-image": Kind("two files are the same, byte by byte", True),
    "duplicate-pixels": Kind("two different files show the same picture, pixel by pixel", True),
    # Masks.
    "missing-mask": Kind("the sample has no mask"),
    "extra-mask": Kind("a mask that belongs to no sample", True),
    "mask-truncated": Kind("the mask's file is cut off: its end is missing"),
    "mask-undecodable": Kind("the mask's file is damaged, or no PNG, JPEG or WebP image"),
    "mask-size": Kind("the mask has another size than its image"),
    "mask-grey": Kind("the mask has more than two values: it counts from half on", True),
    "rle-malformed": Kind("the run lengths aren't a flat list of whole numbers in pairs"),
    "rle-out-of-bounds": Kind("a run begins or ends outside of the image"),
    "rle-overlap": Kind("runs of one mask overlap"),
    "mask-empty": Kind("the mask is empty: there is nothing to paint"),
    "mask-full": Kind("the mask is full: nothing of the image is known", True),
    "masks-overlap": Kind("pixels are both in the inside and in the outside mask", True),
    "masks-gap": Kind("pixels are neither in the inside nor in the outside mask", True),
    # Captions.
    "missing-caption": Kind("the sample has no caption"),
    "extra-caption": Kind("a caption that belongs to no image", True),
    "empty-caption": Kind("the caption has no words", True),
    "bad-caption": Kind("the caption is far too long, or isn't valid Unicode"),
    "long-caption": Kind("the caption has more than 77 tokens: CLIP's text encoders don't see its end", True),
    "control-characters": Kind("the caption has control characters, terminal escapes or direction marks", True),
    "duplicate-caption": Kind("two samples have the same caption", True),
    # Found by the reader.
    "unusable-sample": Kind("the sample can't be read"),
}
