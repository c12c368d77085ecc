"""Choose runs by the labels of their rows and by their splits."""

from collections.abc import Sequence

from brushbench.core.errors import UserError
from brushbench.reports.frame import labels_of
from brushbench.reports.style import chosen
from brushbench.runs.folder import Run


def selected(
    runs: Sequence[Run], methods: Sequence[str], splits: Sequence[str], *, over_seeds: bool = False
) -> list[int]:
    """Return the places of the runs of these methods and splits, of all if none are given.

    With `over_seeds`, a row stands for the runs under all of its seeds.
    """
    labels, own = labels_of(runs, over_seeds=over_seeds), [run.record.identity.dataset.split for run in runs]
    names = list(dict.fromkeys([*labels, *(label.partition(" ")[0] for label in labels)]))
    kept = set(chosen("method of --rows", methods, names)) or set(names)
    sought = set(chosen("split", splits, list(dict.fromkeys(own)))) or set(own)
    found = [
        place
        for place, label in enumerate(labels)
        if own[place] in sought and (label in kept or label.partition(" ")[0] in kept)
    ]
    if not found:
        raise UserError("none of these runs is both of the methods and of the splits that are chosen")
    return found
