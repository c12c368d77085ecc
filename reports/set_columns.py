"""Add set metrics to the scores of a run, so that tables have a column for each: every sample says that it counts."""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from brushbench.core.capture import Failure, capture
from brushbench.core.metric_info import MetricInfo
from brushbench.reports.set_values import IN_SET, Sets
from brushbench.runs.features import read_sets
from brushbench.runs.folder import Run
from brushbench.runs.looking import changed_images
from brushbench.runs.scores import Scores, status_column

NO_FEATURES = "not in the set"
NOTHING = "nothing to compare"


def with_sets(run: Run, scores: Scores | None, sets: Sets) -> Scores | None:
    """The scores with a column without values for each set metric, whose statuses say which samples count."""
    found = read_sets(run)
    if scores is None or not found:
        return scores
    table, infos = scores.table.copy(), dict(scores.metrics)
    looked = capture(changed_images, run)
    # As for scores: code that needs the ledger reports its damage.
    changed = {} if isinstance(looked, Failure) else looked
    for name, stored in found.items():
        own = sets.of_run(run.place, name)
        places: Mapping[str, int] = own.features.places() if own else {}
        digests = dict(zip(own.features.ids, own.features.digests, strict=True)) if own else {}
        reasons = own.features.reasons if own else {}
        scored = table["sha256"].fillna("")
        statuses = [
            changed[each]
            if each in changed
            else IN_SET
            if each in places and digests[each] == digest
            else NOTHING
            if each in digests and digests[each] == digest
            else reasons.get(each, NO_FEATURES)
            for each, digest in zip(map(str, table.index), scored, strict=True)
        ]
        table[name] = pd.Series([None] * len(table), table.index, dtype="Float64")
        table[status_column(name)] = pd.Series(statuses, table.index, dtype="string")
        infos[name] = stored.info
    return replace(scores, table=table, metrics=infos)


def is_of_set(info: MetricInfo) -> bool:
    """Tell whether a column has one number for the whole set, so that no sample has a score in it."""
    return info.scope == "set"
