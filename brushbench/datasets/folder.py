"""Read a folder of one's own: `images/`, `masks/` (white = inpaint) and `captions.csv`, `.json` or `.txt`."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import ClassVar, final

from brushbench.core.errors import UserError, one_line
from brushbench.core.options import Value
from brushbench.core.types import Dataset, Sample
from brushbench.datasets.brushbench import BrushBench, find_mapping_file
from brushbench.datasets.defects import DataFinding, Report, refuse, unreadable
from brushbench.datasets.listing import (
    INSIDE,
    OUTSIDE,
    DataListing,
    ListedSample,
    MaskFile,
    extra_files,
    id_findings,
    repeated,
    stored_split,
)
from brushbench.datasets.mapping import read_mapping
from brushbench.datasets.names import check_one_form, one_form, order_problem
from brushbench.datasets.resized import FolderOptions, Resized
from brushbench.datasets.source import (
    check_painted,
    check_split,
    digest_of_parts,
    existing_folder,
    images_in,
    iterate,
    unread_in,
)
from brushbench.datasets.tables import read_csv, read_description_text, read_json
from brushbench.imaging.images import SUFFIXES, read_image

SPLITS = (INSIDE, OUTSIDE)
CAPTION_FILES = ("captions.csv", "captions.json", "captions.txt")
CONVERT = "convert them to PNG, for example with ImageMagick: magick mogrify -format png FILE..."
_LOG = logging.getLogger(__name__)
KEYS = ("id", "image")
"""Columns of captions.csv that can name the image; the first that exists is used."""


@dataclass(frozen=True, slots=True)
class CaptionRecord:
    """The caption and the tags that the captions' file has for an image."""

    caption: str
    tags: Mapping[str, str] = field(default_factory=dict)


Texts = Mapping[str, CaptionRecord]


@final
class Folder:
    """Images, masks of the same stem, and captions; `outside` inpaints the complement of the masks.

    Captions are a CSV with the columns `id` (or `image`) and `caption`, whose further columns are tags; a JSON object
    `{id: caption}`; or a text file with one caption per line, in the order of the images' names. The text file is
    refused if programs may sort the names differently, such as `10.png` and `2.png`. Image sizes may differ; the option
    `size` brings them to one.
    """

    Options: ClassVar = FolderOptions

    def __init__(self, root: Path, split: str) -> None:
        check_split(split, SPLITS)
        for name in ("images", "masks"):
            if not (root / name).is_dir():
                raise UserError(
                    one_line(f"{root}: no {name}/ folder; valid: images/, masks/, {' or '.join(CAPTION_FILES)}")
                )
        self.name = "folder"
        self.split = split
        self._root = root
        listing, left_out = read_folder(root, [split], refuse)
        if left_out:
            _LOG.warning(left_out)
        (self._caption_file,) = listing.files
        self._samples = listing.samples
        self._ids = tuple(sample.id for sample in self._samples)

    @staticmethod
    def listed(
        root: Path | None, splits: Sequence[str], _options: Mapping[str, Value], report: Report
    ) -> DataListing | None:
        """See `Listable`."""
        if root is None:
            return None
        if mapping_file := root if root.is_file() else find_mapping_file(root):
            return read_mapping(mapping_file, splits, report)
        whole = (root / "images").is_dir() and (root / "masks").is_dir()
        return read_folder(root, splits, report)[0] if whole else None

    @classmethod
    def open(cls, root: str | Path | None, split: str, options: FolderOptions | None = None) -> Dataset:
        """Open the folder `root`; if it has a mapping file, it is read in BrushBench's format."""
        path = existing_folder(root, "folder")
        mapping_file = path if path.is_file() else find_mapping_file(path)
        dataset = BrushBench(mapping_file, split, name="folder") if mapping_file else cls(path, split)
        return dataset if options is None or options.size is None else Resized(dataset, options)

    @property
    def ids(self) -> Sequence[str]:
        """The images' names without their suffix, in Unicode's form NFC, sorted."""
        return self._ids

    def tags(self) -> Mapping[str, Mapping[str, str]]:
        """The tags in the columns of `captions.csv` that aren't empty."""
        return {sample.id: sample.tags for sample in self._samples}

    def image_file(self, index: int) -> Path | None:
        """See `OnDisk`."""
        return self._root / str(self._samples[index].image)

    def digest(self) -> str:
        """Hash of the captions and of every image and mask."""
        files = (
            (sample.id.encode(), self.image_file(index), self._mask_file(sample))
            for index, sample in enumerate(self._samples)
        )
        return digest_of_parts(chain([self._caption_file], chain.from_iterable(files)))

    def _mask_file(self, sample: ListedSample) -> Path | None:
        source = sample.masks.get(self.split)
        return self._root / source.name if isinstance(source, MaskFile) else None

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[Sample]:
        return iterate(self)

    def __getitem__(self, index: int) -> Sample:
        sample = self._samples[index]
        caption = sample.checked_caption()
        image = read_image(sample.image_file())
        mask = sample.drawn(self.split, (image.shape[1], image.shape[2]))
        check_painted(mask)
        return Sample(sample.id, image, mask[None], caption, sample.tags)


def read_folder(root: Path, splits: Collection[str], report: Report) -> tuple[DataListing, str]:
    """List the samples of images/, masks/ and the captions; also returns a warning about files in other formats."""
    split = stored_split(splits)
    images, masks = (images_in(root / name, report) for name in ("images", "masks"))
    left_out = _left_out(root, {"images": images, "masks": masks}, report)
    file, texts = _read_captions(root, images, report)
    samples = [_sample(root, path.name, split, masks.get(name), (file, texts)) for name, path in images.items()]
    listing = DataListing([file] if file else [], samples, partial(_further, root, images, masks, texts))
    return listing, left_out


def _sample(
    root: Path, image: str, split: str, mask: Path | None, captions: tuple[Path | None, Texts | None]
) -> ListedSample:
    """List a sample; all share the path of the folder, as one of its own would take most of its memory."""
    file, texts = captions
    name = one_form(Path(image).stem)
    text = (texts or {}).get(name)
    defects = []
    if mask is None:
        defects.append(DataFinding("missing-mask", name, failure=one_line(f"masks/ has no mask for {name!r}")))
    if file and texts is not None and text is None:
        why = one_line(f"{file.name} has no caption for {name!r}")
        defects.append(DataFinding("missing-caption", name, failure=why))
    masks = {split: MaskFile(f"masks/{mask.name}", inverted=split == OUTSIDE)} if mask else {}
    caption, tags = (text.caption, text.tags) if text else (None, {})
    return ListedSample(name, root, f"images/{image}", caption, masks, tags, defects)


def _further(
    root: Path, images: Mapping[str, Path], masks: Mapping[str, Path], texts: Mapping[str, CaptionRecord] | None
) -> Iterator[DataFinding]:
    """Find files and captions that belong to no sample, and defects in the ids."""
    yield from id_findings(list(images))
    yield from (DataFinding("extra-mask", name) for name in masks if name not in images)
    yield from (DataFinding("extra-caption", name) for name in texts or () if name not in images)
    for folder, kind in (("images", "extra-image"), ("masks", "extra-mask")):
        pictures = {path.resolve() for path in (root / folder).iterdir() if path.suffix.lower() in SUFFIXES}
        yield from extra_files(root / folder, pictures, kind, root)


def _left_out(root: Path, pictures: Mapping[str, Mapping[str, Path]], report: Report) -> str:
    """Say how many pictures are left out because of their format; reports a finding if no picture is left."""
    unread = {name: unread_in(root / name) for name in pictures}
    none = "no PNG, JPEG or WebP images"
    wrong = [
        one_line(f"{root / name}: {none}, but {unread[name]}; {CONVERT}", 1000)
        for name, found in pictures.items()
        if not found and unread[name]
    ]
    wrong += [] if pictures["images"] else [one_line(f"{root / 'images'}: {none}")]
    if wrong:
        report(unreadable("data set", UserError(wrong[0])))
    told = " and ".join(f"{count} in {name}/" for name, count in unread.items() if count)
    return (
        one_line(f"{root}: left out, as they aren't PNG, JPEG or WebP images: {told}; {CONVERT}", 1000) if told else ""
    )


def _read_captions(
    root: Path, images: Mapping[str, Path], report: Report
) -> tuple[Path | None, Mapping[str, CaptionRecord] | None]:
    """The file of captions, and its records by id; each is None if it can't be found or read."""
    file = None
    try:
        file = _caption_file(root)
        readers = {".csv": _from_csv, ".json": _from_json}
        texts = readers[file.suffix](file) if file.suffix in readers else _from_lines(file, images, report)
        check_one_form(file, (name for name, _ in texts or ()))
    except UserError as error:
        report(unreadable("captions", error))
        return file, None
    if texts is None:
        return file, None
    for name, refusal in repeated(file, [one_form(name) for name, _ in texts]):
        report(DataFinding("duplicate-id", name, "in the captions", refusal=refusal))
    return file, {one_form(name): text for name, text in texts}


def _caption_file(root: Path) -> Path:
    """The file of captions in the folder. Raises `UserError` if there is none, or more than one."""
    found = [root / name for name in CAPTION_FILES if (root / name).is_file()]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise UserError(one_line(f"{root}: one of {', '.join(CAPTION_FILES)} is needed, found {names}"))
    return found[0]


def _from_lines(path: Path, images: Mapping[str, Path], report: Report) -> list[tuple[str, CaptionRecord]] | None:
    """Read a caption for each image, in the order of their names; None if programs may sort these differently."""
    # Not splitlines(), which also breaks captions at Unicode's special line ends.
    lines = read_description_text(path).replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    lines = [] if lines == [""] else lines
    if problem := order_problem(images):
        why = (
            f"its lines follow the order of the images' names, which programs sort differently: {problem}; valid: "
            f"names of one length and case, as {1:0{len(str(len(images)))}d}.png, or captions.csv or captions.json"
        )
        report(DataFinding("caption-order", path.name, why, refusal=one_line(f"{path}: {why}", 1000)))
        return None
    if len(lines) != len(images):
        raise UserError(one_line(f"{path}: {len(lines)} lines for {len(images)} images; valid: one caption per image"))
    return [(name, CaptionRecord(line)) for name, line in zip(images, lines, strict=True)]


def _from_csv(path: Path) -> list[tuple[str, CaptionRecord]]:
    columns, rows = read_csv(path)
    key = next((name for name in KEYS if name in columns), None)
    if key is None or "caption" not in columns:
        raise UserError(one_line(f"{path}: columns are {', '.join(columns)}; required are id (or image) and caption"))
    return [(_stem(row[key]), CaptionRecord(row["caption"], _tags(row, {key, "caption"}))) for row in rows]


def _tags(row: Mapping[str, str], others: Collection[str]) -> Mapping[str, str]:
    return {column: value for column, value in row.items() if value and column not in others}


def _from_json(path: Path) -> list[tuple[str, CaptionRecord]]:
    # Pairs instead of a dict, which would hide keys that occur twice.
    content = read_json(path, tuple)
    if not isinstance(content, tuple) or not all(isinstance(caption, str) for _, caption in content):
        raise UserError(one_line(f"{path}: must be an object of id: caption"))
    return [(_stem(name), CaptionRecord(caption)) for name, caption in content]


def _stem(name: str) -> str:
    """The id for a name that may be the image's file name."""
    file = Path(name)
    return file.stem if file.suffix.lower() in SUFFIXES else file.name
