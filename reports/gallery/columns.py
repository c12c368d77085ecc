"""What the page knows of runs: the image or the failure of each sample, its scores, and how to make it again."""

import base64
import hashlib
import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from brushbench.core.errors import SampleError, one_line
from brushbench.core.files import read_bytes
from brushbench.core.protocol import protocol_named
from brushbench.reports.failures import stored_error
from brushbench.reports.gallery.again import again
from brushbench.reports.gallery.folder import DATA, Json, key_of
from brushbench.reports.gallery.pictures import Pictures, full_name
from brushbench.reports.gallery.places import Place
from brushbench.reports.gallery.seeds import is_of_any_seed
from brushbench.reports.roles import role_of
from brushbench.reports.sample_scores import NOT_SCORED, sample_scores
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.runs.stored_images import CHANGED, DELETED

RUN, MORE = "run", "more"
LONGEST_TRACEBACK = 6000
NOT_MADE = "not generated"
FAILED, ABSENT = "failed", "absent"
"""Why a sample has no picture: it was tried, or it wasn't."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A sample's image in a run; where there is none, why not."""

    key: str
    """The key of its pictures; empty for none."""
    file: str = ""
    """Its name in the run folder."""
    status: str = ""
    reason: str = ""


def write_run(place: Place, label: str, run: Run, pictures: Pictures, tell: Callable[[int, int], None]) -> str:
    """Write what there is of a run on the samples of its place, with its pictures; return the script."""
    folder, key = pictures.folder, key_of(run.record.fingerprint, label, place.key)[:8]
    shown, counts = _all_shown(place, run, pictures, tell)
    record = f"{DATA}/{RUN}-{key}.json"
    folder.put(record, read_bytes(run.path / "run.json"))
    about = {
        "key": key,
        "place": place.key,
        "method": label,
        "seed": str(run.record.identity.seed),
        "any_seed": is_of_any_seed(place, label, run),
        "role": role_of(run),
        "path": run.place,
        "asked": run.record.asked,
        "done": counts["done"],
        "failures": counts["failed"],
        "record": record,
        "images": [each.key for each in shown],
        "full": _full(run, shown, pictures),
        "missing": {str(row): [each.status, each.reason] for row, each in enumerate(shown) if not each.key},
        "scores": dict(_scores(run, place.ids)),
        "more": folder.put_script(MORE, key, _more(place, label, key, run)),
    }
    return folder.put_script(RUN, key, about)


def _all_shown(
    place: Place, run: Run, pictures: Pictures, tell: Callable[[int, int], None]
) -> tuple[list[Shown], Counter[str]]:
    """Return what is shown of each sample, and how many of the run's samples have each status.

    The ledger, which has much more of each sample, leaves the memory when this returns.
    """
    ledger = run.ledger()
    run.fetch_images(place.ids)
    shown: list[Shown] = []
    for name in place.ids:
        shown.append(_shown(run, ledger.get(name), pictures))
        tell(1, int(not shown[-1].key))
    return shown, Counter(entry.status for entry in ledger.values())


def _shown(run: Run, entry: LedgerEntry | None, pictures: Pictures) -> Shown:
    if entry is None:
        return Shown("", status=ABSENT, reason=NOT_MADE)
    if entry.status == "failed":
        return Shown("", status=FAILED, reason=one_line(entry.error or "no reason was stored"))
    file = run.image_path(entry)
    if not file.is_file():
        return Shown("", status=ABSENT, reason=DELETED)
    try:
        content = read_bytes(file)
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            return Shown("", status=FAILED, reason=CHANGED)
        return Shown(pictures.stored(file, content), file.name)
    except SampleError as error:
        return Shown("", status=FAILED, reason=one_line(str(error)))


def _full(run: Run, shown: Sequence[Shown], pictures: Pictures) -> Json:
    """Say where the full pictures are: what every address begins with, and what follows."""
    if pictures.copies:
        names = [full_name(each.key, pictures.suffix(Path(each.file))) if each.key else "" for each in shown]
        return {"base": "", "names": names}
    images = os.path.relpath((run.path / "images").resolve(), pictures.folder.path.resolve())
    return {"base": f"{quote(Path(images).as_posix())}/", "names": [quote(each.file) for each in shown]}


def _scores(run: Run, ids: Sequence[str]) -> Iterator[tuple[str, Json]]:
    """Yield by metric the scores as they count in reports, in 64 bits, and why there are none."""
    scores = sample_scores(run)
    for name in scores.metrics:
        values = scores.values[name].reindex(list(ids)).to_numpy("<f8")
        statuses = scores.statuses[name].reindex(list(ids), fill_value=NOT_SCORED)
        notes = scores.notes[name].reindex(list(ids), fill_value="") if name in scores.notes else ()
        told = {str(row): one_line(status) for row, status in enumerate(statuses) if status}
        noted = {str(row): one_line(note) for row, note in enumerate(notes) if note}
        yield name, {"values": base64.b64encode(values.tobytes()).decode(), "statuses": told, "notes": noted}


def _more(place: Place, label: str, key: str, run: Run) -> Json:
    """Return what only the detail needs: options, seeds, commands, and the tracebacks of what failed."""
    identity = run.record.identity
    protocol, command = protocol_named(identity.protocol), again(run, len(place.opened.data))
    return {
        "key": key,
        "place": place.key,
        "method": label,
        "options": {key: str(value) for key, value in identity.method.options.items()},
        "facts": {
            "seed of the run": str(identity.seed),
            "dtype": identity.dtype,
            "compute": identity.compute,
            "batch size": str(identity.batch_size or ""),
            "version of the method": str(identity.method.version),
            "device": run.record.provenance.get("device", ""),
            "brushbench": run.record.provenance.get("brushbench", ""),
            "begun": run.record.provenance.get("begun", ""),
            **{f"weights of {part}": where for part, where in run.record.weights.items()},
        },
        "notes": list(run.record.notes),
        "seeds": [str(protocol.sample_seed(identity.seed, name)) for name in place.ids],
        "command": shlex.join(command.words),
        "shards": command.total,
        "tracebacks": dict(_tracebacks(run, place.ids)),
    }


def _tracebacks(run: Run, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    for row, name in enumerate(ids):
        if text := stored_error(run, name):
            yield str(row), text[-LONGEST_TRACEBACK:]
