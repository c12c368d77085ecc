"""Give the rows of a summary the names that a paper has for its methods, also in the notes below a table."""

from collections.abc import Sequence
from dataclasses import replace

from brushbench.core.errors import UserError, one_line
from brushbench.reports.frame import labels_of
from brushbench.reports.seeds import with_seed
from brushbench.reports.style import Names
from brushbench.reports.summary import Summary
from brushbench.runs.folder import Run


def with_names(summary: Summary, names: Names) -> Summary:
    """Rename methods everywhere. Raises `UserError` if two rows would have one name."""
    labels = dict.fromkeys([*map(str, summary.tidy["method"].unique()), *(key[3] for key in summary.records)])
    called = {label: names.of_method(label) for label in labels}
    printed = [called[label] for label in map(str, summary.tidy["method"].unique())]
    for name in printed:
        if printed.count(name) > 1:
            both = " and ".join(label for label in called if called[label] == name)
            raise UserError(one_line(f"--rename: {both} would both be called {name!r}"))
    return replace(
        summary,
        rows=summary.rows.assign(method=summary.rows["method"].map(called)),
        tidy=summary.tidy.assign(method=summary.tidy["method"].map(called)),
        records={(*key[:3], called[key[3]]): record for key, record in summary.records.items()},
        stored={(*key[:3], called[key[3]]): stored for key, stored in summary.stored.items()},
        run_notes=tuple(replace(note, method=called.get(note.method, note.method)) for note in summary.run_notes),
        left_out=tuple(called.get(label, label) for label in summary.left_out),
    )


def run_names(runs: Sequence[Run], names: Names, *, over_seeds: bool = False) -> list[str]:
    """Return what each run is called: the name of its row, with the seed if the row stands for several.

    With `over_seeds`, runs that differ only in their seed share the name of their row.
    """
    if over_seeds:
        return [names.of_method(row) for row in labels_of(runs, over_seeds=True)]
    return [
        with_seed(names.of_method(row), run.record.identity.seed)
        if row != label and row in names.texts and label not in names.texts
        else names.of_method(label)
        for run, label, row in zip(runs, labels_of(runs), labels_of(runs, over_seeds=True), strict=True)
    ]
