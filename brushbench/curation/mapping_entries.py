"""What a data set in BrushBench's format says it has, read entry by entry: the reader gives up at the first mistake."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from brushbench.core.errors import UserError
from brushbench.curation.defects import Finding
from brushbench.curation.entries import Entry, Listing, Runs, alike_findings, extra_files, file_below, id_findings
from brushbench.datasets.brushbench import MAPPING_FILES, MASK_KEYS, id_of
from brushbench.datasets.names import one_form
from brushbench.datasets.sidecar import FILE, VALUES
from brushbench.datasets.tables import read_csv, read_json
from brushbench.imaging.images import SUFFIXES

MISSPELT = "BrushDench"
COMPLETE = 600
"""Samples of BrushBench itself."""


@dataclass(frozen=True, slots=True)
class _Repeated:
    """Keys that occur more than once in one object."""

    names: list[str] = field(default_factory=list)

    def __call__(self, pairs: list[tuple[str, object]]) -> object:
        counts = Counter(key for key, _ in pairs)
        self.names.extend(key for key, count in counts.items() if count > 1)
        return dict(pairs)


def list_mapping(mapping_file: Path, splits: Sequence[str], *, complete: int | None) -> Listing:
    """Entries of a mapping file; `complete` is how many it should have, if that is known."""
    root = mapping_file.parent
    repeated = _Repeated()
    try:
        content = read_json(mapping_file, repeated)
    except UserError as error:
        return _nothing(mapping_file, str(error))
    pairs = _pairs(content)
    if not pairs:
        return _nothing(mapping_file, "no samples: it must be a dict of samples or a list of them")
    findings = [Finding("duplicate-id", name) for name, count in Counter(k for k, _ in pairs).items() if count > 1]
    findings += alike_findings(name for name, _ in pairs)
    raw = {one_form(name): record for name, record in pairs}
    findings += [
        Finding("duplicate-id", name)
        if one_form(name) in raw
        else Finding("malformed-record", mapping_file.name, f"{name} twice")
        for name in repeated.names
    ]
    entries = [_entry(root, name, record, splits, findings) for name, record in raw.items()]
    uses = Counter(entry.image for entry in entries)
    extra = _extra(root, {entry.image for entry in entries if entry.image})
    # A file is left over because its sample names none or another's, which is reported by itself.
    astray = {entry.id for entry in entries if entry.image is None or uses[entry.image] > 1}
    findings += [*id_findings(list(raw)), *_shared(entries)]
    findings += [
        Finding("image-of-another", entry.id, entry.image.name)
        for entry in entries
        if entry.image and uses[entry.image] == 1 and one_form(entry.image.stem) in raw.keys() - {entry.id}
    ]
    findings += [finding for finding in extra if one_form(Path(finding.subject).stem) not in astray]
    tags, notes = _sidecar(root, raw)
    return Listing(entries, [*findings, *tags], [*_notes(mapping_file, len(raw), complete), *notes], one_size=True)


def _nothing(mapping_file: Path, why: str) -> Listing:
    return Listing([], [Finding("unreadable", mapping_file.name, why)], [], one_size=True)


def _pairs(content: object) -> list[tuple[str, object]]:
    if isinstance(content, dict):
        return list(content.items())
    return [(id_of(entry, place), entry) for place, entry in enumerate(content)] if isinstance(content, list) else []


def _entry(root: Path, name: str, record: object, splits: Sequence[str], findings: list[Finding]) -> Entry:
    if not isinstance(record, dict):
        findings.append(Finding("malformed-record", name, f"is {type(record).__name__}, must be an object"))
        return Entry(name, None, None, {})
    keys = [MASK_KEYS[split] for split in splits if split in MASK_KEYS]
    for key, kind in [("image", str), ("caption", str), *((key, list) for key in keys)]:
        if not isinstance(record.get(key), kind):
            findings.append(
                Finding("malformed-record", name, _wrong(record, key, "list of runs" if kind is list else "text"))
            )
    tags = record.get("tags", {})
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        findings.append(Finding("malformed-record", name, "tags must be an object of texts"))
    caption, image = record.get("caption"), record.get("image")
    masks = {split: record.get(key) for split, key in MASK_KEYS.items() if split in splits}
    return Entry(
        name,
        caption if isinstance(caption, str) else None,
        file_below(root, image, name, findings) if isinstance(image, str) else None,
        {split: Runs(runs) for split, runs in masks.items() if isinstance(runs, list)},
    )


def _wrong(record: Mapping[str, object], key: str, valid: str) -> str:
    return f"{key} is {type(record[key]).__name__}, must be a {valid}" if key in record else f"no {key}"


def _shared(entries: Sequence[Entry]) -> Iterator[Finding]:
    first: dict[Path, str] = {}
    for entry in entries:
        if entry.image and first.setdefault(entry.image, entry.id) != entry.id:
            yield Finding("shared-image", entry.id, f"with {first[entry.image]}")


def _extra(root: Path, named: set[Path]) -> Iterator[Finding]:
    """Beside the images. In the root itself, where there are also other files, only pictures count."""
    whole = root.resolve()
    folders = {path.parent for path in named if path != whole and path.parent.is_dir()}
    tops = {whole / folder.relative_to(whole).parts[0] for folder in folders if folder != whole}
    if whole in folders:
        pictures = (path for path in sorted(whole.iterdir()) if path.suffix.lower() in SUFFIXES and path.is_file())
        yield from (Finding("extra-image", path.name) for path in pictures if path not in named)
    for folder in sorted(tops):
        yield from extra_files(folder, named, "extra-image", whole)


def _notes(mapping_file: Path, count: int, complete: int | None) -> Iterator[str]:
    others = [mapping_file.with_name(name) for name in MAPPING_FILES if name != mapping_file.name]
    if mapping_file.resolve().parent.name == MISSPELT:
        yield f"the folder is called {MISSPELT}, as in the authors' README: it is BrushBench, and found under that name"
    for other in others:
        if other.is_file():
            yield f"{other.name} is there too, and isn't read"
    if complete is not None:
        yield (
            f"{count} samples: complete" if count == complete else f"{count} of {complete} samples: an incomplete copy"
        )


def _sidecar(root: Path, raw: Mapping[str, object]) -> tuple[list[Finding], list[str]]:
    """Defects and notes of the file of tags, if there is one."""
    path = root / FILE
    if not path.exists():
        return [], []
    try:
        columns, rows = read_csv(path)
    except UserError as error:
        return [Finding("sidecar-unreadable", FILE, str(error))], []
    if set(columns) != {"id", *VALUES}:
        why = f"columns are {', '.join(columns)}; valid: id, {', '.join(VALUES)}"
        return [Finding("sidecar-unreadable", FILE, why)], []
    names = [one_form(row["id"].strip()) for row in rows]
    counts = Counter(names)
    findings = [Finding("sidecar-duplicate-id", name, FILE) for name, count in counts.items() if count > 1]
    findings += [Finding("sidecar-unknown-id", name, FILE) for name in counts if name not in raw]
    for name, row in zip(names, rows, strict=True):
        for column, valid in VALUES.items():
            value = row[column].strip()
            if value and value not in valid:
                findings.append(Finding("sidecar-value", name, f"{column} is {value!r}: {', '.join(valid)}"))
    whole = {name for name, row in zip(names, rows, strict=True) if all(row[column].strip() for column in VALUES)}
    return findings, [f"{FILE} has all tags of {len(whole & raw.keys())} of {len(raw)} samples"]
