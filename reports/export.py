"""Copy what can be published of runs: scores, digests, options and provenance, without anything about who made them.

An export is made of run folders, which every command that reads runs reads. Pictures are in it only if they are asked
for. Who worked on a run (workers.jsonl: hosts, processes, commands) and what went wrong (errors/: tracebacks) are not,
and of every path of a machine in what remains, only its last name is. `export.json` lists the runs.
"""

import json
import os
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from brushbench.core.errors import UserError, one_line
from brushbench.core.files import exists, read_text
from brushbench.runs import ledger
from brushbench.runs.folder import Run
from brushbench.runs.record import NAME as RECORD
from brushbench.runs.record import RunRecord
from brushbench.runs.scores import Scores, read_scores, write_scores

NAME, SCHEMA_VERSION = "export.json", 1
"""The file that lists an export's runs, and the version of its form."""
_PATH = re.compile(r"(?<![\w./:~])(?:[A-Za-z]:[\\/]|~?/)(?:[^\s'\",;()\[\]/\\]+[\\/]+)*([^\s'\",;()\[\]/\\]+)[\\/]?")


def export(runs: Sequence[Run], target: Path, *, images: bool = False) -> list[str]:
    """Write an export of runs to a folder as a whole, replacing an earlier export; return what a user should know.

    The bytes depend only on the runs. Raises `UserError` if the target is anything but an export, or if an image that
    is asked for is missing or was changed after it was stored.
    """
    _check_target(target)
    told: list[str] = []
    with _as_a_whole(target) as folder:
        listed = []
        for name, run in _named(runs).items():
            (place := folder / name).mkdir(parents=True)
            listed.append(_written(run, place, name))
            told += _paths_of_identity(run, name)
            if images:
                _copy_images(run, place)
        content = {"schema_version": SCHEMA_VERSION, "brushbench": version("brushbench"), "images": images}
        text = json.dumps({**content, "runs": listed}, indent=2, ensure_ascii=False)
        (folder / NAME).write_text(text + "\n", encoding="utf-8")
    return told


def without_paths(text: str) -> str:
    """Replace every absolute path in a text by its last name.

    >>> without_paths("can't read /home/ada/models/unet.bin (see https://example.org/a/b)")
    "can't read unet.bin (see https://example.org/a/b)"
    """
    # The folders that are known may have spaces.
    for known in sorted({str(Path.home()), str(Path.cwd())}, key=len, reverse=True):
        if len(known) > 1:
            text = text.replace(f"{known}{os.sep}", "").replace(known, Path(known).name)
    return _PATH.sub(r"\1", text)


def _named(runs: Sequence[Run]) -> dict[str, Run]:
    """The runs by the folders that they get, in order: names of the machine's own folders above a run are not used."""
    names = {run: _name(run) for run in runs}
    for more in ("-seed={0.record.identity.seed}", "-{0.record.fingerprint}"):
        counts = Counter(names.values())
        names = {run: name if counts[name] == 1 else name + more.format(run) for run, name in names.items()}
    return {name: run for run, name in sorted(names.items(), key=lambda pair: pair[1])}


def _name(run: Run) -> str:
    dataset = run.record.identity.dataset
    return f"{dataset.name}-{dataset.split}/{run.path.name}"


def _written(run: Run, place: Path, name: str) -> dict[str, object]:
    """Write a run's record, ledger, sums and scores, and return its entry in the list."""
    record = _record(run.record)
    (place / RECORD).write_bytes(record.as_json())
    entries = sorted(run.ledger().values(), key=lambda entry: entry.id)
    lines = [_entry(entry).model_dump_json(exclude_none=True) for entry in entries]
    (place / f"{ledger.NAME}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    sums = [f"{entry.sha256}  images/{entry.image}\n" for entry in entries if entry.image and entry.sha256]
    (place / run.images.sums_path.name).write_text("".join(sums), encoding="utf-8")
    scores = read_scores(run)
    if scores:
        write_scores(Run.open(place), _scores(scores))
    identity, statuses = record.identity, Counter(entry.status for entry in entries)
    return {
        "folder": name,
        "fingerprint": record.fingerprint,
        "dataset": identity.dataset.name,
        "split": identity.dataset.split,
        "method": identity.method.name,
        "seed": identity.seed,
        "protocol": identity.protocol,
        "samples": record.asked,
        "done": statuses["done"],
        "failed": statuses["failed"],
        "metrics": list(scores.metrics) if scores else [],
    }


def _record(record: RunRecord) -> RunRecord:
    return record.model_copy(
        update={
            "provenance": {name: without_paths(text) for name, text in record.provenance.items()},
            "notes": tuple(map(without_paths, record.notes)),
        }
    )


def _entry(entry: ledger.LedgerEntry) -> ledger.LedgerEntry:
    texts = {name: text for name in ("error", "note") if (text := getattr(entry, name))}
    return entry.model_copy(update={name: without_paths(text) for name, text in texts.items()})


def _scores(scores: Scores) -> Scores:
    """The scores with cleaned reasons and notes; tags are the data set's."""
    table = scores.table.copy()
    for name in table.columns:
        if name.endswith((".status", ".note")):
            table[name] = table[name].map(without_paths, na_action="ignore").astype(table[name].dtype)
    return replace(scores, table=table, unscored={name: without_paths(text) for name, text in scores.unscored.items()})


def _paths_of_identity(run: Run, name: str) -> Iterator[str]:
    """Name the paths in what identifies a run, which can't be cleaned: its fingerprint would no longer be right."""
    for option, text in _texts(run.record.identity.model_dump()):
        if without_paths(text) != text:
            yield f"{name}: {option} is the path {text}, which identifies the run and is therefore in the export"


def _texts(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _texts(value, f"{prefix}{key}.")
        elif isinstance(value, str):
            yield f"{prefix}{key}", value


def _copy_images(run: Run, place: Path) -> None:
    (folder := place / "images").mkdir()
    run.fetch_images()
    for entry in run.ledger().values():
        if entry.status != "done":
            continue
        source = run.image_path(entry)
        if damage := run.images.damage(source.name, entry.sha256):
            raise UserError(
                one_line(f"{run.place}: the image of {entry.id} is {damage}; resume the run, or export without images")
            )
        shutil.copyfile(source, folder / source.name)


def _check_target(target: Path) -> None:
    if not exists(target):
        return
    if not target.is_dir():
        raise UserError(one_line(f"{target} is a file; valid: a new folder"))
    if any(target.iterdir()) and not _is_export(target):
        raise UserError(one_line(f"{target} has other files; valid: a new folder, or one with an earlier export"))


def _is_export(folder: Path) -> bool:
    try:
        found = json.loads(read_text(folder / NAME))
    except (UserError, ValueError):
        return False
    return isinstance(found, dict) and "runs" in found and "schema_version" in found


@contextmanager
def _as_a_whole(target: Path) -> Iterator[Path]:
    """A folder beside the target that takes its place at the end, and is removed if anything goes wrong."""
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    partial, old = (
        target.absolute().with_name(f".{target.absolute().name}.{uuid.uuid4().hex[:8]}{end}") for end in ("", ".old")
    )
    try:
        partial.mkdir()
        yield partial
        if target.exists():
            target.rename(old)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
