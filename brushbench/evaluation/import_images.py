"""Import pictures that were made elsewhere into a run folder, so that they can be scored like generated ones."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from brushbench.core.capture import Failure, capture
from brushbench.core.concurrency import THREADS
from brushbench.core.errors import SampleError, UserError, one_line
from brushbench.core.protocol import Protocol, protocol_named
from brushbench.core.types import Dataset, Sample
from brushbench.datasets.names import check_id, one_form
from brushbench.datasets.open import OpenedDataset
from brushbench.datasets.source import digest_of_parts, images_in
from brushbench.evaluation.identity import identity_of, provenance_of, run_path
from brushbench.imaging.images import SUFFIX_OF, encode_image, file_format, is_transparent, read_image
from brushbench.runs.config import LARGEST_SEED, RunConfig
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.runs.record import IMPORTED, MethodIdentity
from brushbench.runs.seed_folders import FOLDER

CHUNK = 32
BLACK, FLAT, SOURCE = "wholly black", "of one colour", "equal to the source"
REMARKS = (BLACK, FLAT, SOURCE)
"""Remarks on pictures that are odd, but can be scored."""


@dataclass(frozen=True, slots=True)
class Imported:
    """Imported pictures, in a run folder."""

    run: Run
    missing: Sequence[str]
    """Samples without an image."""
    extra: Sequence[str]
    """Names of files that belong to no sample."""
    odd: Mapping[str, Sequence[str]]
    """Ids of samples with an odd picture, by remark."""


@dataclass(frozen=True, slots=True)
class _Picture:
    """The encoded picture of a sample, and what is odd about it."""

    content: bytes
    suffix: str
    remarks: tuple[str, ...]


def import_images(folder: Path, name: str, opened: OpenedDataset, config: RunConfig) -> Imported:
    """Import the images of a folder into a run of the method `name`.

    Images are copied byte for byte, except that the protocol `paper` converts those that aren't JPEG to JPEG, as it
    does for generated images. An image belongs to the sample whose id is its file name without suffix. A sample
    without an image, or with one that can't be decoded, is recorded as failed.

    Raises `UserError`, before anything is written, if no file belongs to a sample, or if an image has transparency.
    """
    check_id(name)
    dataset = opened.data
    images, found = find_images(folder, dataset, config)
    wanted = list(images)
    protocol = protocol_named(config.protocol)
    digest = digest_of_parts(part for key, path in images.items() for part in (key.encode(), path))
    method = MethodIdentity(name=name, options={}, digests={IMPORTED: digest})
    identity = identity_of(config, opened, method, dtype="")
    path, provenance = run_path(config, dataset, name), provenance_of(opened, device="none")
    # A contender whatever its name is: the suite's own method of that name didn't make these images.
    run = Run.start(path, identity, len(wanted), provenance, "contender", claim=True)
    odd: dict[str, list[str]] = {}
    try:
        ledger = run.ledger()
        for sample_id, picture in zip(images, _pictures(protocol, dataset, list(images.values())), strict=True):
            _record(run, ledger.get(sample_id), _stored(run, sample_id, picture))
            for remark in () if isinstance(picture, Failure) else picture.remarks:
                odd.setdefault(remark, []).append(sample_id)
        run.tidy()
    finally:
        run.release()
    known = {one_form(sample_id) for sample_id in wanted}
    return Imported(
        run,
        missing=[sample_id for sample_id, path in images.items() if path is None],
        extra=sorted(path.name for key, path in found.items() if key not in known),
        odd={remark: odd[remark] for remark in REMARKS if remark in odd},
    )


def find_images(folder: Path, dataset: Dataset, config: RunConfig) -> tuple[dict[str, Path | None], Mapping[str, Path]]:
    """Find the image of each requested sample, by id, and all images of the folder, by the form of their names.

    Raises `UserError` if no file belongs to a sample, or if an image has transparency.
    """
    if not folder.is_dir():
        raise UserError(one_line(f"no such folder: {folder}; valid: a folder of images named after the samples' ids"))
    found = images_in(folder)
    images = {sample_id: found.get(one_form(sample_id)) for sample_id in dataset.ids[: config.limit]}
    if not any(images.values()):
        first = next(iter(images))
        raise UserError(one_line(f"{folder} has no image for any sample; the first sample's would be {first}.png"))
    _check_opaque(folder, [path for path in images.values() if path])
    return images, found


def seed_folders_in(folder: Path) -> dict[int, Path]:
    """The folders of several seeds in a folder of images, by seed: `DIR/1/<id>.png` or `DIR/seed=1/<id>.png`.

    Empty for a folder of images, or one that doesn't exist. Raises `UserError` for seeds beside anything else.
    """
    if not folder.is_dir():
        return {}
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    seeds: dict[int, Path] = {}
    for path in inside:
        text = path.name.removeprefix(FOLDER)
        if text.isascii() and text.isdecimal() and int(text[:20]) <= LARGEST_SEED:
            if int(text) in seeds:
                raise UserError(one_line(f"{folder}: {seeds[int(text)].name} and {path.name} are one seed"))
            seeds[int(text)] = path
    if not seeds:
        return {}
    others = [path.name for path in inside if path not in seeds.values()] + [
        path.name for path in images_in(folder).values()
    ]
    if others:
        raise UserError(
            one_line(f"{folder} has {others[0]} beside folders of seeds; valid: a folder for each seed alone")
        )
    return dict(sorted(seeds.items()))


def _check_opaque(folder: Path, paths: Sequence[Path]) -> None:
    """Raises `UserError` for images with transparency; damaged images are reported later."""
    with ThreadPoolExecutor(THREADS) as pool:
        found = zip(paths, pool.map(partial(capture, is_transparent), paths), strict=True)
        transparent = [path.name for path, answer in found if answer is True]
    if transparent:
        more = f" and {len(transparent) - 1} more" if len(transparent) > 1 else ""
        raise UserError(
            one_line(
                f"{folder}: found transparent pixels in {transparent[0]}{more}; valid: opaque images; flatten them "
                "onto the background that they should be scored with, and save them as RGB"
            )
        )


def _pictures(protocol: Protocol, dataset: Dataset, paths: Sequence[Path | None]) -> Iterator[_Picture | Failure]:
    """Read the pictures in order, `CHUNK` at a time."""
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(paths), CHUNK):
            indices = range(start, min(start + CHUNK, len(paths)))
            yield from pool.map(lambda index: capture(_picture, protocol, dataset, index, paths[index]), indices)


def _picture(protocol: Protocol, dataset: Dataset, index: int, path: Path | None) -> _Picture:
    if path is None:
        raise SampleError("no image given")
    image, given = read_image(path), file_format(path)
    sample = capture(dataset.__getitem__, index)
    remarks = tuple(_remarks(image, sample if isinstance(sample, Sample) else None))
    if protocol.image_format == "JPEG" and given != "JPEG":
        return _Picture(encode_image(image, protocol.image_format), SUFFIX_OF[protocol.image_format], remarks)
    return _Picture(path.read_bytes(), SUFFIX_OF[given], remarks)


def _remarks(image: UInt8[Tensor, "3 h w"], sample: Sample | None) -> list[str]:
    found = []
    if (image == image[:, :1, :1]).all():
        found.append(FLAT if image.any() else BLACK)
    if sample is not None and torch.equal(image, sample.image):
        found.append(SOURCE)
    return found


def _stored(run: Run, sample_id: str, picture: _Picture | Failure) -> LedgerEntry:
    if isinstance(picture, Failure):
        return LedgerEntry(id=sample_id, status="failed", error=picture.error)
    name = f"{sample_id}{picture.suffix}"
    digest = run.write_image(name, picture.content)
    note = "; ".join(f"the picture is {remark}" for remark in picture.remarks)
    return LedgerEntry(id=sample_id, status="done", image=name, sha256=digest, note=note or None)


def _record(run: Run, old: LedgerEntry | None, entry: LedgerEntry) -> None:
    """Add the entry to the ledger if its outcome is new, and delete the image file that it replaces."""
    if entry.same_outcome(old):
        return
    run.append(entry)
    if old is not None and old.image not in (None, entry.image):
        run.images.remove(run.images.path_of(old.id, old.image).name)
