"""A folder of one's own: `images/`, `masks/` (white = paint) and `captions.csv`, `.json` or `.txt`."""

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, final

from brushbench.core.errors import SampleError, UserError, one_line
from brushbench.core.types import Dataset, Sample
from brushbench.datasets.brushbench import BrushBench, find_mapping_file
from brushbench.datasets.names import in_one_form, one_form, order_problem
from brushbench.datasets.resized import FolderOptions, Resized
from brushbench.datasets.source import (
    check_caption,
    check_id,
    check_mask_size,
    check_split,
    digest_of,
    existing_folder,
    images_in,
    inside_root,
    iterate,
    unread_in,
)
from brushbench.datasets.tables import read_csv, read_json, read_text
from brushbench.imaging.images import SUFFIXES, read_image, read_mask

SPLITS = ("inside", "outside")
CAPTION_FILES = ("captions.csv", "captions.json", "captions.txt")
CONVERT = "convert them to PNG, for example with ImageMagick: magick mogrify -format png FILE..."
_LOG = logging.getLogger(__name__)
KEYS = ("id", "image")
"""Columns of captions.csv that name the image, the first one that is there."""


@dataclass(frozen=True, slots=True)
class Text:
    """What the captions' file says of one image."""

    caption: str
    tags: Mapping[str, str] = field(default_factory=dict)


@final
class Folder:
    """Images, masks of the same stem, and captions; `outside` paints what the masks leave.

    Captions: a CSV with the columns `id` (or `image`) and `caption`, of which any others are tags; a JSON object
    `{id: caption}`; or a text file with one caption per line, in the order of the images' names, if there is only one:
    `10.png` comes before `2.png` or after it. Sizes may differ from image to image, unless an option says otherwise.
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
        self._images = images_in(root / "images")
        self._masks = images_in(root / "masks")
        self._ids = tuple(self._images)
        _check_formats(root, {"images": self._images, "masks": self._masks})
        self._caption_file = caption_file(root)
        self._texts = _by_id(self._caption_file, read_texts(self._caption_file, self._images))

    @classmethod
    def open(cls, root: str | Path | None, split: str, options: FolderOptions | None = None) -> Dataset:
        """`root` is the folder; one with a mapping file in BrushBench's format is read as such."""
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
        return {name: self._texts[name].tags if name in self._texts else {} for name in self._ids}

    def image_file(self, index: int) -> Path | None:
        """See `OnDisk`."""
        return self._images[self._ids[index]]

    def digest(self) -> str:
        """Hash of the captions and of every image and mask."""
        files = ((name.encode(), self._images[name], self._masks.get(name)) for name in self._ids)
        return digest_of([self._caption_file, *(part for parts in files for part in parts)])

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[Sample]:
        return iterate(self)

    def __getitem__(self, index: int) -> Sample:
        name = self._ids[index]
        check_id(name)
        if name not in self._masks:
            raise SampleError(one_line(f"masks/ has no mask for {name!r}"))
        if name not in self._texts:
            raise SampleError(one_line(f"{self._caption_file.name} has no caption for {name!r}"))
        text = self._texts[name]
        check_caption(text.caption)
        image = read_image(inside_root(self._root, str(self._images[name].relative_to(self._root))))
        mask = read_mask(inside_root(self._root, str(self._masks[name].relative_to(self._root))))
        check_mask_size(mask, image)
        if self.split == "outside":
            mask = ~mask
        if not mask.any():
            raise SampleError("mask is empty: there is nothing to paint")
        return Sample(name, image, mask, text.caption, text.tags)


def _check_formats(root: Path, pictures: Mapping[str, Mapping[str, Path]]) -> None:
    """Log how many pictures are left out for their format. Raises `UserError` if that leaves nothing."""
    unread = {name: unread_in(root / name) for name in pictures}
    for name, found in pictures.items():
        if not found and unread[name]:
            raise UserError(one_line(f"{root / name}: no PNG, JPEG or WebP image, but {unread[name]}; {CONVERT}", 1000))
    if not pictures["images"]:
        raise UserError(one_line(f"{root / 'images'}: no PNG, JPEG or WebP image"))
    if any(unread.values()):
        told = " and ".join(f"{count} in {name}/" for name, count in unread.items() if count)
        _LOG.warning(one_line(f"{root}: left out, as they aren't PNG, JPEG or WebP: {told}; {CONVERT}", 1000))


def caption_file(root: Path) -> Path:
    """The one file of captions in the folder. Raises `UserError` if there is none, or another one too."""
    found = [root / name for name in CAPTION_FILES if (root / name).is_file()]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise UserError(one_line(f"{root}: one of {', '.join(CAPTION_FILES)} is needed, found {names}"))
    return found[0]


def read_texts(path: Path, images: Mapping[str, Path]) -> list[tuple[str, Text]]:
    """What the captions' file says, by id in the form NFC; an id may occur twice. `images` are those of the folder.

    Raises `UserError` for a file that can't be read, for one that goes by the order of images whose names have several
    orders, and for two ids that differ only in how accents are written.
    """
    readers = {".csv": _from_csv, ".json": _from_json}
    if path.suffix not in readers:
        return _from_lines(path, images)
    texts = [(_stem(name), text) for name, text in readers[path.suffix](path)]
    in_one_form(str(path), (name for name, _ in texts))
    return [(one_form(name), text) for name, text in texts]


def order_of_lines(path: Path, images: Mapping[str, Path]) -> str:
    """Why a file of captions, if it goes by the order of the images, can't be read so; empty if it can."""
    if path.suffix != ".txt" or not (problem := order_problem(images)):
        return ""
    return (
        f"its lines go by the order of the images' names, which programs sort differently: {problem}; valid: names of "
        f"one length and in one case, as {1:0{len(str(len(images)))}d}.png, or captions.csv or captions.json"
    )


def _from_lines(path: Path, images: Mapping[str, Path]) -> list[tuple[str, Text]]:
    # Not splitlines, which breaks a caption also at Unicode's own kinds of line ends.
    lines = read_text(path).replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    lines = [] if lines == [""] else lines
    if problem := order_of_lines(path, images):
        raise UserError(one_line(f"{path}: {problem}", 1000))
    if len(lines) != len(images):
        raise UserError(
            one_line(f"{path}: {len(lines)} lines for {len(images)} images; valid is one caption per image")
        )
    return [(name, Text(line)) for name, line in zip(images, lines, strict=True)]


def _from_csv(path: Path) -> list[tuple[str, Text]]:
    columns, rows = read_csv(path)
    key = next((name for name in KEYS if name in columns), None)
    if key is None or "caption" not in columns:
        raise UserError(one_line(f"{path}: columns are {', '.join(columns)}; needed are id (or image) and caption"))
    return [(row[key], Text(row["caption"], _tags(row, {key, "caption"}))) for row in rows]


def _tags(row: Mapping[str, str], others: Collection[str]) -> Mapping[str, str]:
    return {column: value for column, value in row.items() if value and column not in others}


def _from_json(path: Path) -> list[tuple[str, Text]]:
    # Of an object its pairs: a dict would hide what occurs twice.
    content = read_json(path, tuple)
    if not isinstance(content, tuple) or not all(isinstance(caption, str) for _, caption in content):
        raise UserError(one_line(f"{path}: must be an object of id: caption"))
    return [(name, Text(caption)) for name, caption in content]


def _stem(name: str) -> str:
    """The id, also where the name of the image's file is given."""
    file = Path(name)
    return file.stem if file.suffix.lower() in SUFFIXES else file.name


def _by_id(path: Path, texts: Sequence[tuple[str, Text]]) -> dict[str, Text]:
    found = dict(texts)
    if len(found) != len(texts):
        counts = Counter(name for name, _ in texts)
        raise UserError(one_line(f"{path}: {counts.most_common(1)[0][0]!r} occurs twice"))
    return found
