"""Turn runs into one tidy frame."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from brushbench.core.metric_info import MetricInfo
from brushbench.core.registry import mask_kind
from brushbench.reports.mask_sizes import MASK_SIZE, MaskShares
from brushbench.reports.seeds import SEED
from brushbench.runs.folder import Run
from brushbench.runs.folders import expand
from brushbench.runs.record import IMPORTED
from brushbench.runs.scores import MASK_SHARE, TAG, Scores, note_column, read_scores, status_column

DIGEST = "@"
"""Suffix of the name of whatever a digest identifies."""
IMAGES = f"{IMPORTED}{DIGEST}"
"""The digest of images that were made elsewhere."""
REPEATED = ("run", "dataset", "split", "protocol", "method", "metric")
"""Columns of few different texts, each in very many rows."""
COLUMNS = ("run", "dataset", "split", "protocol", "method", "sample", "metric", "value", "status", "note")


def frame(runs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> pd.DataFrame:
    """Return a frame with one row per data set, split, protocol, method, sample and metric.

    `runs` are run folders, or folders that contain them; a run that is not scored has no rows. `value` is the stored
    score. If a sample has none, `value` is missing and `status` says why; if it has one, `status` is empty and `note`
    says what a reader must know about it. The PSNR of a sample without any difference is missing too, with the status
    `identical`; reports count it as 60 dB (`counting.counted`). Runs of one method are told apart by whatever differs,
    be it options, seed, dtype, compute recipe or weights: `brushnet scale=0.5`. So are data sets of one name:
    `folder@1f0c2a94`.

    After these columns come the samples' tags, by name (with the prefix `tag.` if another column has that name), and,
    if it is known for any sample, `mask_share`, the share of the pixels to inpaint, and `mask_size`, the class of the
    mask: `small` up to 21.5 %, `medium` up to 36.9 %, `large`. Outside is classed by the inside mask of the same image,
    so that both halves of an image are in one class. Unknown values are missing.

    Raises `UserError` for a folder without runs, and for a run that cannot be read.
    """
    tidy = frame_of(expand([runs] if isinstance(runs, str | os.PathLike) else runs))
    return tidy.astype(dict.fromkeys(REPEATED, "str"))


def frame_of(
    runs: Sequence[Run],
    scores: Sequence[Scores | None] | None = None,
    *,
    over_seeds: bool = False,
    described: bool = True,
) -> pd.DataFrame:
    """Return the tidy frame of opened runs; `scores` are their scores, if they have been read already.

    With `over_seeds`, runs that differ only in their seed share a method. Unless `described`, the columns of tags and
    mask sizes are left out. Unlike in `frame`, the columns of `REPEATED` are categorical: texts in every row would take
    most of the memory.
    """
    read = scores_of(runs) if scores is None else scores
    places = list(zip(runs, read, labels_of(runs, over_seeds=over_seeds), datasets_of(runs), strict=True))
    scored = [(run, own, label, dataset) for run, own, label, dataset in places if own and own.metrics]
    if not scored:
        return pd.DataFrame(columns=list(COLUMNS))
    facts = [_facts_of_rows(run, label, dataset) for run, _, label, dataset in scored]
    kinds = {name: pd.CategoricalDtype(list(dict.fromkeys(own[name] for own in facts))) for name in facts[0]}
    kinds["metric"] = pd.CategoricalDtype(list(dict.fromkeys(name for _, own, _, _ in scored for name in own.metrics)))
    filled = [_rows(own, its, kinds) for (_, own, _, _), its in zip(scored, facts, strict=True)]
    if not described:
        return pd.concat(filled, ignore_index=True)
    shares = MaskShares.of([(run, dataset, own) for run, own, _, dataset in places if own])
    filled = [
        rows.assign(**_descriptions(run, own, dataset, shares))
        for rows, (run, own, _, dataset) in zip(filled, scored, strict=True)
    ]
    tidy = pd.concat(filled, ignore_index=True)
    # Runs may have different tags; the columns of the mask stay last.
    last = [name for name in (MASK_SHARE, MASK_SIZE) if name in tidy]
    return tidy[[name for name in tidy.columns if name not in last] + last]


def scores_of(runs: Sequence[Run]) -> list[Scores | None]:
    """Read the scores of every run, None for a run that is not scored."""
    return [read_scores(run) for run in runs]


def tags_of(tidy: pd.DataFrame) -> list[str]:
    """Return the columns of a frame that samples can be grouped by."""
    return [name for name in tidy.columns if name not in COLUMNS and name != MASK_SHARE]


def metrics_of(runs: Sequence[Run], scores: Sequence[Scores | None] | None = None) -> dict[str, MetricInfo]:
    """Describe the metrics of these runs, by column, in the order in which they first occur."""
    infos: dict[str, MetricInfo] = {}
    for own in filter(None, scores_of(runs) if scores is None else scores):
        infos |= {name: info for name, info in own.metrics.items() if name not in infos}
    return infos


def versions_of(scores: Sequence[Scores | None]) -> dict[str, tuple[str, ...]]:
    """Return the metrics that have different versions in these runs, each with its versions."""
    found: dict[str, dict[str, None]] = {}
    for own in filter(None, scores):
        for name, info in own.metrics.items():
            found.setdefault(name, {})[info.version] = None
    return {name: tuple(versions) for name, versions in found.items() if len(versions) > 1}


def unscored_of(scores: Sequence[Scores | None]) -> dict[str, str]:
    """Return the usual metrics that could not be computed for any of these runs, each with the reason."""
    scored = {name for own in filter(None, scores) for name in own.metrics}
    reasons: dict[str, str] = {}
    for own in filter(None, scores):
        reasons |= own.unscored
    return {name: reason for name, reason in reasons.items() if name not in scored}


def _facts_of_rows(run: Run, method: str, dataset: str) -> dict[str, str]:
    """Return what is the same in all rows of a run."""
    identity = run.record.identity
    return {
        "run": run.place,
        "dataset": dataset,
        "split": identity.dataset.split,
        "protocol": identity.protocol,
        "method": method,
    }


def _rows(scores: Scores, facts: Mapping[str, str], kinds: Mapping[str, pd.CategoricalDtype]) -> pd.DataFrame:
    table, names = scores.table, list(scores.metrics)
    count = len(table)
    values = table[names].astype("Float64").to_numpy(dtype="float64", na_value=float("nan"))
    empty = pd.Series("", table.index)
    places = {name: np.full(len(names) * count, list(kinds[name].categories).index(own)) for name, own in facts.items()}
    places["metric"] = np.repeat(kinds["metric"].categories.get_indexer(pd.Index(names)), count)
    repeated = {name: pd.Categorical.from_codes(own, dtype=kinds[name]) for name, own in places.items()}
    columns = {
        **repeated,
        "sample": np.tile(table.index.to_numpy(dtype=object), len(names)),
        "value": values.T.ravel(),
        "status": np.concatenate([table[status_column(name)].to_numpy(dtype=object) for name in names]),
        "note": np.concatenate([table.get(note_column(name), empty).to_numpy(dtype=object) for name in names]),
    }
    return pd.DataFrame(columns, columns=list(COLUMNS))


def _descriptions(run: Run, scores: Scores, dataset: str, shares: MaskShares) -> dict[str, pd.Series]:
    """Return the columns of tags and mask sizes, repeated for every metric."""
    table = scores.table.reset_index(drop=True)
    columns: dict[str, pd.Series] = {}
    for name in table.columns:
        if name.startswith(TAG):
            tag = name.removeprefix(TAG)
            columns[name if tag in (*COLUMNS, MASK_SHARE, MASK_SIZE) else tag] = table[name].astype("string")
    columns |= shares.columns(run, dataset, [str(name) for name in scores.table.index])
    return {name: pd.concat([column] * len(scores.metrics), ignore_index=True) for name, column in columns.items()}


def distinct(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """Keep the run with the most samples of each fingerprint, whose runs have the same images; describe the others."""
    best: dict[str, Run] = {}
    for run in runs:
        known = best.get(run.record.fingerprint)
        if known is None or run.record.asked > known.record.asked:
            best[run.record.fingerprint] = run
    kept = [run for run in runs if best[run.record.fingerprint] is run]
    others = [run for run in runs if best[run.record.fingerprint] is not run]
    return kept, [f"{run.place} has the same images as {best[run.record.fingerprint].place}" for run in others]


def labels_of(runs: Sequence[Run], *, over_seeds: bool = False) -> list[str]:
    """Return method names, with whatever tells the runs of one method on one data set apart, on any split.

    Digests are compared between splits with the same kind of masks, as a method may use other weights for another kind.
    With `over_seeds`, the seed tells no runs apart. Images that were made elsewhere have a digest, which is another one
    under another seed, and so only tells runs of one seed apart.
    """
    facts = [_facts(run) for run in runs]
    keys = [
        (run.record.identity.method.name, dataset, run.record.identity.protocol)
        for run, dataset in zip(runs, datasets_of(runs), strict=True)
    ]
    masks = [mask_kind(run.record.identity.dataset.name, run.record.identity.dataset.split) for run in runs]
    labels = []
    for key, own, kind in zip(keys, facts, masks, strict=True):
        rivals = [(other, its) for rival, other, its in zip(keys, facts, masks, strict=True) if rival == key]
        varied = [
            name
            for name in own
            if not (over_seeds and name == SEED)
            and any(
                other.get(name) != own[name]
                for other, its in rivals
                if (its == kind or not name.endswith(DIGEST)) and (name != IMAGES or other[SEED] == own[SEED])
            )
        ]
        labels.append(" ".join([key[0], *(f"{name}={own[name]}" for name in varied)]))
    return labels


def datasets_of(runs: Sequence[Run]) -> list[str]:
    """Return the names of the data sets, with the start of the digest if one split of that name has several.

    Digests that differ because of the data set's options do not count, as the labels of its runs name the options.
    """
    digests: dict[str, dict[str, set[str]]] = {}
    for run in runs:
        dataset = run.record.identity.dataset
        part = f"{dataset.split} {sorted(dataset.options.items())}"
        digests.setdefault(dataset.name, {}).setdefault(part, set()).add(dataset.digest)
    ambiguous = {name for name, parts in digests.items() if any(len(found) > 1 for found in parts.values())}
    return [
        f"{dataset.name}@{dataset.digest[:8]}" if dataset.name in ambiguous else dataset.name
        for dataset in (run.record.identity.dataset for run in runs)
    ]


def _facts(run: Run) -> dict[str, str]:
    """Return options of method and data set, seed, dtype, compute recipe, and the start of each weight digest."""
    identity = run.record.identity
    options = {key: str(value) for key, value in identity.method.options.items()}
    options |= {f"data.{key}": str(value) for key, value in identity.dataset.options.items()}
    digests = {f"{part}{DIGEST}": digest[:8] for part, digest in identity.method.digests.items()}
    own = {SEED: str(identity.seed), "dtype": identity.dtype, "compute": identity.compute}
    return options | own | digests
