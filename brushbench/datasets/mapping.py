"""Read mapping files: BrushBench's format, in which one file has the captions and run-length masks of all images.

Source: BrushNet, arXiv:2403.06976, section 4; the format of its published `mapping_file.json`.
"""

from array import array
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
from pydantic import BaseModel, StrictStr, ValidationError

from brushbench.core.errors import UserError, one_line
from brushbench.datasets.defects import DataFinding, Report
from brushbench.datasets.listing import DataListing, ListedSample, Runs, extra_files, id_findings, repeated
from brushbench.datasets.names import check_one_form, one_form
from brushbench.datasets.sidecar import FILE, VALUES, read_sidecar
from brushbench.datasets.source import check_unicode
from brushbench.datasets.tables import read_json
from brushbench.imaging.images import SUFFIXES

MAPPING_FILES = ("mapping_file.json", "mapping_file_list.json")
MISSPELT = "BrushDench"
MASK_KEYS = {"inside": "inpainting_mask", "outside": "outpainting_mask"}
COMPLETE = 600
"""Number of samples in BrushBench itself."""


class _Record(BaseModel):
    """An entry of a mapping file, without its masks."""

    image: StrictStr
    caption: StrictStr
    tags: dict[str, str] = {}


def read_mapping(path: Path, splits: Collection[str], report: Report, complete: int | None = None) -> DataListing:
    """List the samples with the masks of these splits; `complete` is their expected number, if that is known."""
    keys = [MASK_KEYS[split] for split in splits if split in MASK_KEYS]
    records = _read_records(path, keys, report)
    sidecar = read_sidecar(path.parent, records, report) if records else None
    samples = [
        _sample(path.parent, name, record, keys, (sidecar or {}).get(name, {})) for name, record in records.items()
    ]
    notes = [*_notes(path, len(records), complete)] if records else []
    if sidecar is not None:
        # An empty cell gives no tag.
        whole = sum(len([*filter(None, tags.values())]) == len(VALUES) for n, tags in sidecar.items() if n in records)
        notes.append(f"{FILE} has all tags of {whole} of {len(records)} samples")
    return DataListing([path], samples, partial(_further, path.parent, samples), notes, one_size=True)


class _Packed:
    """A hook for `read_json`, called with each object of a mapping file.

    Runs take up most of the memory: it drops those that aren't needed, and stores the rest with four bytes per number.
    """

    def __init__(self, path: Path, keys: Collection[str]) -> None:
        self.repeated: list[tuple[str, str]] = []
        """Keys that occur more than once in an object, each with the error for opening the file."""
        self._path = path
        self._keys = keys

    def __call__(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        record = dict(pairs)
        if len(record) != len(pairs):
            self.repeated += repeated(self._path, [key for key, _ in pairs])
        for key in MASK_KEYS.values():
            runs = record.get(key)
            if isinstance(runs, list):
                record[key] = _small(runs) if key in self._keys else None
        return record


def _small(runs: list[object]) -> list[object] | np.ndarray:
    try:
        return np.asarray(array("i", cast(list[int], runs)))
    except (TypeError, OverflowError):
        # Not all are whole numbers of this size: the decoder says what is wrong when this sample is requested.
        return runs


def _read_records(path: Path, keys: Collection[str], report: Report) -> dict[str, object]:
    """Read the entries of the file, by id."""
    packed = _Packed(path, keys)
    try:
        content = read_json(path, packed)
    except UserError as error:
        refusal = packed.repeated[0][1] if packed.repeated else str(error)
        report(DataFinding("unreadable", path.name, str(error), refusal=refusal))
        return {}
    pairs = _pairs(content)
    names = [name for name, _ in pairs]
    records = {one_form(name): record for name, record in pairs}
    for name, refusal in packed.repeated:
        is_id = one_form(name) in records
        kind, subject, detail = (
            ("duplicate-id", name, "") if is_id else ("malformed-record", path.name, f"{name} twice")
        )
        report(DataFinding(kind, subject, detail, refusal=refusal))
    for name, refusal in repeated(path, names):
        report(DataFinding("duplicate-id", name, refusal=refusal))
    if not pairs:
        valid = "a dict of samples or a list of them"
        kind = type(content).__name__
        wrong = "no samples" if isinstance(content, dict | list) else f"must be {valid}, is {kind}"
        detail = f"no samples: it must be {valid}"
        report(DataFinding("unreadable", path.name, detail, refusal=one_line(f"{path}: {wrong}")))
    check_unicode(path, names, report)
    check_one_form(path, names, report)
    return records


def _pairs(content: object) -> list[tuple[str, object]]:
    if isinstance(content, dict):
        return list(content.items())
    return [(_id_of(entry, place), entry) for place, entry in enumerate(content)] if isinstance(content, list) else []


def _id_of(entry: object, index: int) -> str:
    """The `image_id` of an entry in the list variant; an entry without one is named after its position."""
    name = entry.get("image_id") if isinstance(entry, dict) else None
    return f"entry-{index}" if name is None else str(name)


def _sample(root: Path, name: str, record: object, keys: Sequence[str], sidecar: Mapping[str, str]) -> ListedSample:
    """Make a sample from an entry; `tags.csv` overrides its tags, and a damaged entry has none of its own."""
    try:
        tags = {**_Record.model_validate(record).tags, **sidecar}
        defects: dict[str, DataFinding] = {}
    except ValidationError as error:
        tags, defects = {}, _defects(name, record, error)
    if not isinstance(record, dict):
        return ListedSample(name, root, None, None, {}, tags, list(defects.values()))
    for key in keys:
        if not isinstance(record.get(key), list | np.ndarray):
            defects[key] = DataFinding("malformed-record", name, _wrong(record, key, "list of runs"))
    image, caption = (record.get(key) if isinstance(record.get(key), str) else None for key in ("image", "caption"))
    masks = {split: Runs(record[key]) for split, key in MASK_KEYS.items() if key in keys and key not in defects}
    found = [defects[key] for key in ("image", "caption", *keys, "tags") if key in defects]
    return ListedSample(name, root, image, caption, masks, tags, found)


def _defects(name: str, record: object, error: ValidationError) -> dict[str, DataFinding]:
    """Find what is wrong with an entry, by key."""
    errors = error.errors()
    where = ".".join(map(str, errors[0]["loc"])) or "entry"
    failure = one_line(f"mapping file: {where}: {errors[0]['msg'].lower()}")
    details = {}
    for key in (str(next(iter(each["loc"]), "")) for each in errors):
        if not isinstance(record, dict):
            details[key] = f"is {type(record).__name__}, must be an object"
        else:
            details[key] = "tags must be an object of texts" if key == "tags" else _wrong(record, key, "text")
    return {key: DataFinding("malformed-record", name, detail, failure=failure) for key, detail in details.items()}


def _wrong(record: Mapping[str, object], key: str, valid: str) -> str:
    return f"{key} is {type(record[key]).__name__}, must be a {valid}" if key in record else f"no {key}"


def _notes(path: Path, count: int, complete: int | None) -> Iterator[str]:
    others = [path.with_name(name) for name in MAPPING_FILES if name != path.name]
    if path.resolve().parent.name == MISSPELT:
        yield f"the folder is called {MISSPELT}, a misspelling in the authors' README: it is found under this name too"
    for other in others:
        if other.is_file():
            yield f"{other.name} exists too, but isn't read"
    if complete is not None:
        yield (
            f"{count} samples: complete" if count == complete else f"{count} of {complete} samples: an incomplete copy"
        )


def _further(root: Path, samples: Sequence[ListedSample]) -> Iterator[DataFinding]:
    """Find defects in the ids, and files that several samples or no sample names."""
    yield from id_findings([sample.id for sample in samples])
    files = {sample.id: sample.image_or_none() for sample in samples}
    uses = Counter(files.values())
    first: dict[Path, str] = {}
    for name, file in files.items():
        if file and first.setdefault(file, name) != name:
            yield DataFinding("shared-image", name, f"with {first[file]}")
        elif file and uses[file] == 1 and name != one_form(file.stem) in files:
            yield DataFinding("image-of-another", name, file.name)
    # An extra file whose own sample names no file, or another sample's, is already reported there.
    astray = {name for name, file in files.items() if file is None or uses[file] > 1}
    for finding in _extra(root, {file for file in files.values() if file}):
        if one_form(Path(finding.subject).stem) not in astray:
            yield finding


def _extra(root: Path, named: set[Path]) -> Iterator[DataFinding]:
    """Find extra files in the folders of the images; in the root itself, only pictures count."""
    whole = root.resolve()
    folders = {path.parent for path in named if path != whole and path.parent.is_dir()}
    tops = {whole / folder.relative_to(whole).parts[0] for folder in folders if folder != whole}
    if whole in folders:
        pictures = (path for path in sorted(whole.iterdir()) if path.suffix.lower() in SUFFIXES and path.is_file())
        yield from (DataFinding("extra-image", path.name) for path in pictures if path not in named)
    for folder in sorted(tops):
        yield from extra_files(folder, named, "extra-image", whole)
