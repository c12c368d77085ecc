"""Notes on runs and samples for below a table: what a reader must know about how the images were made."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import one_line
from brushbench.reports.frame import datasets_of, labels_of
from brushbench.runs.folder import Run

PADDED = "padded by reflection to a size that the method accepts, then cropped"


@dataclass(frozen=True, slots=True)
class RunNote:
    """A note on a run as a whole, or on a number of its samples."""

    dataset: str
    protocol: str
    split: str
    method: str
    """Label of the run's row."""
    text: str
    samples: int | None = None
    """Number of samples; None for the whole run."""


def notes_of(runs: Sequence[Run], *, over_seeds: bool = False) -> tuple[RunNote, ...]:
    """Return the notes of all runs, in their order; with `over_seeds`, under labels without the seed."""
    labels = labels_of(runs, over_seeds=over_seeds)
    return tuple(
        RunNote(dataset, identity.protocol, identity.dataset.split, label, one_line(text), samples)
        for run, dataset, label in zip(runs, datasets_of(runs), labels, strict=True)
        for identity in [run.record.identity]
        for text, samples in [*((text, None) for text in run.record.notes), *_of_samples(run).items()]
    )


def note_lines(notes: Sequence[RunNote], rows: pd.DataFrame, *, any_split: bool) -> Iterator[str]:
    """Yield the notes on the runs in these rows, each once, with its methods.

    `any_split` means that a row stands for several runs of its method.
    """
    keys = ["dataset", "protocol", "method", *([] if any_split else ["split"])]
    places = set(rows[keys].itertuples(index=False, name=None))
    own = [note for note in notes if tuple(getattr(note, key) for key in keys) in places]
    for text in dict.fromkeys(note.text for note in own if note.samples is None):
        methods = dict.fromkeys(note.method for note in own if note.samples is None and note.text == text)
        yield f"{', '.join(methods)}: {text}"
    # A row may stand for several runs, one for each seed.
    counts: Counter[tuple[str, str, str]] = Counter()
    for note in own:
        counts[note.method, note.split, note.text] += note.samples or 0
    for (method, split, text), count in counts.items():
        if count:
            yield f"{method}, {split}: {count} sample{'s' * (count > 1)}: {text}"


def _of_samples(run: Run) -> Counter[str]:
    """Count the finished samples that have a note or were padded.

    A ledger that cannot be read yields none, as the scores can be reported without it.
    """
    ledger = capture(run.ledger)
    entries = () if isinstance(ledger, Failure) else ledger.values()
    done = [entry for entry in entries if entry.status == "done"]
    return Counter([*(entry.note for entry in done if entry.note), *(PADDED for entry in done if entry.padded)])
