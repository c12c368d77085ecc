"""Write the notes below a table: how to read it, how many samples it covers, and what is missing and why."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import pandas as pd

from brushbench.core.method_info import ROLES, MethodInfo
from brushbench.core.registry import dataset_info, method_info
from brushbench.core.sizes import SIZE
from brushbench.reports.layout import FEWER as MARK
from brushbench.reports.mask_sizes import MASK_SIZE
from brushbench.reports.mean_error import OFFICIAL, is_derived
from brushbench.reports.run_notes import note_lines
from brushbench.reports.seeds import SEEDS, SEPARATOR, has_several
from brushbench.reports.storage import of_rows, protocol_notes
from brushbench.reports.summary import BOTH, FEWER, GROUP, SECTION, Summary

PROTOCOLS = {
    "paper": "protocol paper: JPEG storage and squared errors x3, as in the official script and published tables",
    "strict": "protocol strict: lossless storage, means over pixels and channels; not comparable with published tables",
}
STAND_IN = "papercut-clip replaces CLIP similarity on PaperCut; its scale differs"
ONE_SEED = (
    "all samples of protocol paper share one seed and thus their noise, so they are not independent, although "
    "intervals and tests assume that they are"
)
SHARED_NOISE = (
    "all samples of protocol paper share their noise under each seed, so they are not independent, although intervals "
    "and tests assume that they are"
)
COUNTED = "counts are of samples x seeds"
MOST_LISTED = 8
"""Most seeds that a note lists one by one."""
READING = {
    "summary": "mean with 95 % interval: ± if symmetric, else [low, high]; none below 6 samples",
    "paper": "means, as the paper prints them",
    "ablation": "means of the inside and outside rows",
}


def footnotes(summary: Summary, rows: pd.DataFrame, table: str) -> Iterator[str]:
    """Yield the notes below one table; `rows` are those of the summary that it prints."""
    protocol, dataset = (str(rows.iloc[0][name]) for name in ("protocol", "dataset"))
    yield counts(rows)
    yield from protocol_notes(PROTOCOLS[protocol], protocol, of_rows(summary.stored, rows))
    yield f"{READING[table]}; ↑ higher is better, ↓ lower is better"
    if seeds := seeds_note(rows):
        yield f"{seeds}: a sample's scores are averaged first, so intervals and tests are over samples; {COUNTED}"
    if protocol == "paper":
        yield SHARED_NOISE if seeds else ONE_SEED
    yield from _resized(summary, rows)
    yield from _roles(summary, rows, protocol)
    if rows[FEWER].any():
        yield f"{MARK}: mean lacks samples that other methods have, so not ranked"
    if summary.by.replace("-", "_") == MASK_SIZE and {"outside", BOTH} & set(rows["split"]):
        yield "mask sizes are those of the inside masks, also for outside"
    yield from _capped(summary, rows, in_cells=table == "summary")
    yield from _official(summary, rows)
    yield from _derived(summary, rows)
    if (rows["n_identical"] > 0).any():
        yield "identical: samples that equal the source; they have no finite score and are excluded from the mean"
    yield from dataset_info(dataset.partition("@")[0]).notes
    if "papercut-clip" in set(rows["metric"]):
        yield STAND_IN
    yield from (note for metric, note in summary.set_notes.items() if metric in set(rows["metric"]))
    for name, versions in summary.versions.items():
        if name in set(rows["metric"]):
            yield f"{name}: mixed versions ({', '.join(versions)}), whose numbers may differ; score the runs again"
    if summary.left_out:
        yield f"left out, as they aren't scored on both inside and outside: {', '.join(summary.left_out)}"
    if summary.not_scored:
        yield f"left out, as they aren't scored (`brushbench score RUN`): {', '.join(summary.not_scored)}"
    if _differ(summary, rows):
        yield "the rows are means over different samples; --significant and `brushbench compare` use shared samples"
    yield from _remarks(summary, rows)
    yield from note_lines(summary.run_notes, rows, any_split=BOTH in set(rows["split"]))
    yield from _not_scored(summary)


def _resized(summary: Summary, rows: pd.DataFrame) -> Iterator[str]:
    """Say which rows are of samples that were resized, unless that is what their data set does by default."""
    sizes: dict[str, list[str]] = {}
    places = {(str(row["dataset"]), str(row["protocol"]), str(row["method"])) for row in rows.to_dict("records")}
    for (name, _, protocol, method), record in summary.records.items():
        size = record.identity.dataset.options.get(SIZE)
        usual = dataset_info(record.identity.dataset.name).side
        if (name, protocol, method) in places and size is not None and str(size) != str(usual):
            sizes.setdefault(str(size), []).append(method)
    for size, methods in sizes.items():
        told = size if "x" in size else f"{size}x{size}"
        whose = "" if len(set(methods)) == len(places) else f" of {', '.join(dict.fromkeys(methods))}"
        yield f"the samples{whose} are resized to {told} pixels"


def counts(rows: pd.DataFrame) -> str:
    """Say how many samples are scored and requested for every method, split and section, as briefly as possible."""
    keys = (SECTION, "split", "method")
    scored = rows[~rows["metric"].map(is_derived)]
    found = {tuple(map(str, key)): _count(own) for key, own in scored.groupby(list(keys), sort=False)}
    return f"scored/requested: {_briefly(found, ' for each')}"


def seeds_note(rows: pd.DataFrame) -> str:
    """Say how many seeds the rows are the mean over; empty if none has several."""
    if not has_several(rows):
        return ""
    keys = ["split", "method"]
    each = {tuple(map(str, key)): own for key, own in rows.groupby(keys, sort=False)[SEEDS]}
    # A metric may lack a seed.
    seeds = {key: sorted({int(seed) for text in own for seed in text.split(SEPARATOR)}) for key, own in each.items()}
    # Methods that need one seed alone come last.
    seeds = dict(sorted(seeds.items(), key=lambda item: -len(item[1])))
    return f"mean over {_briefly({key: _told_seeds(own) for key, own in seeds.items()}, '')}"


def _told_seeds(seeds: Sequence[int]) -> str:
    listed = f" ({', '.join(map(str, seeds))})" if len(seeds) <= MOST_LISTED else ""
    return f"{len(seeds)} seed{'s' * (len(seeds) > 1)}{listed}"


def _briefly(found: Mapping[tuple[str, ...], str], every: str) -> str:
    """Say what holds for each key, by as few parts of the keys as possible; `every` follows what holds for all."""
    count = len(next(iter(found)))
    for size in range(count + 1):
        for places in combinations(range(count), size):
            told: dict[tuple[str, ...], dict[str, None]] = {}
            for key, text in found.items():
                told.setdefault(tuple(key[place] for place in places), {})[text] = None
            if all(len(each) == 1 for each in told.values()):
                return _told({key: next(iter(each)) for key, each in told.items()}, every)
    raise AssertionError("every key has one text")


def _told(found: Mapping[tuple[str, ...], str], every: str) -> str:
    names: dict[str, list[str]] = {}
    for key, count in found.items():
        names.setdefault(count, []).append(" ".join(reversed(key)))
    if list(found) == [()]:
        return f"{found[()]}{every}"
    return "; ".join(f"{count} for {', '.join(each)}" for count, each in names.items())


def _differ(summary: Summary, rows: pd.DataFrame) -> bool:
    """Tell whether the methods were run on different samples."""
    samples = summary.tidy[[*GROUP, SECTION, "method", "sample"]].drop_duplicates()
    samples = samples.merge(rows[[*GROUP, SECTION]].drop_duplicates(), on=[*GROUP, SECTION])
    by_method = samples.groupby([*GROUP, SECTION, "method"], observed=True)["sample"].agg(frozenset)
    return bool((by_method.groupby([*GROUP, SECTION], observed=True).nunique() > 1).any())


def _count(rows: pd.DataFrame) -> str:
    scored = rows["n_scored"] + rows["n_identical"]
    usual = scored.max()
    fewer = rows[scored < usual]
    text = f"{usual}/{rows['n_asked'].max()}"
    if fewer.empty:
        return text
    each = zip(fewer["metric"], scored[scored < usual], strict=True)
    return f"{text} ({', '.join(f'{metric} {count}' for metric, count in each)})"


def _roles(summary: Summary, rows: pd.DataFrame, protocol: str) -> Iterator[str]:
    """Explain the rows below the rule."""
    beside = rows[rows["role"] != "contender"].drop_duplicates("method")
    if beside.empty:
        return
    labels = set(beside["method"])
    names = {record.identity.method.name for key, record in summary.records.items() if key[3] in labels}
    told = [_of_method(info, protocol) for name in sorted(names, reverse=True) if (info := method_info(name))]
    told = list(filter(None, told))
    told += ["a floor uses no model"] if (beside["role"] == "floor").any() else []
    kinds = " and ".join(f"{role}s" for role in ROLES if role in set(beside["role"]))
    below = "" if len(beside) == rows["method"].nunique() else "listed below the rule, "
    yield "; ".join([f"{kinds} are {below}neither ranked nor tested", *told])


def _of_method(info: MethodInfo, protocol: str) -> str:
    """Return the footnote of a method; empty for most."""
    return info.paper_footnote or info.footnote if protocol == "paper" else info.footnote


def _capped(summary: Summary, rows: pd.DataFrame, *, in_cells: bool) -> Iterator[str]:
    """Say which means include samples that count as their metric's ceiling."""
    capped = rows[(rows["n_capped"] > 0) & ~rows["metric"].map(is_derived)]
    ceilings: dict[str, dict[str, None]] = {}
    for metric in dict.fromkeys(capped["metric"]):
        info = summary.metrics[metric]
        ceilings.setdefault(f"{info.ceiling:g} {info.unit}".strip(), {})[metric] = None
    for ceiling, metrics in ceilings.items():
        rule = f"{', '.join(metrics)}: each sample is capped at {ceiling}, also if it equals the source"
        counts = "" if in_cells else f"; at that cap: {_by_method(capped[capped['metric'].isin(metrics)], 'n_capped')}"
        yield f"{rule}{counts}"


def _official(summary: Summary, rows: pd.DataFrame) -> Iterator[str]:
    """Say which means include the official script's 1000 dB."""
    tidy = summary.tidy[(summary.tidy["protocol"] == "paper") & (summary.tidy["value"] >= OFFICIAL)]
    for metric in dict.fromkeys(rows["metric"]):
        if metric.partition("@")[0] == "psnr":
            own = tidy[tidy["metric"] == metric].merge(rows[[*GROUP, SECTION, "method"]].drop_duplicates())
            if len(own):
                found = own.groupby(["split", "method"], sort=False, observed=True).size().rename("count").reset_index()
                told = _by_method(found, "count")
                yield f"{metric}: no pixel differs in {told}; each counts as {OFFICIAL:g} dB, as in the official script"


def _derived(summary: Summary, rows: pd.DataFrame) -> Iterator[str]:
    for metric in dict.fromkeys(rows["metric"]):
        if is_derived(metric):
            ceiling = f", at most {summary.metrics[metric].ceiling:g} dB" if rows.iloc[0]["protocol"] != "paper" else ""
            yield f"PSNR of mean MSE: 10 log10(1 / mean MSE) over the same samples{ceiling}"
            return


def _by_method(rows: pd.DataFrame, count: str) -> str:
    """Say how many samples of each method, and of which split if there are several."""
    several = rows["split"].nunique() > 1
    totals = rows.groupby(["split", "method"], sort=False, observed=True)[count].sum().reset_index()
    return ", ".join(
        f"{row[count]} of {row['method']}{' ' + row['split'] if several else ''}" for row in totals.to_dict("records")
    )


def _remarks(summary: Summary, rows: pd.DataFrame) -> Iterator[str]:
    """Yield the metrics' notes on single scores, with their counts."""
    places = rows[[*GROUP, "metric"]].drop_duplicates()
    for row in summary.notes.merge(places, on=[*GROUP, "metric"]).to_dict("records"):
        yield f"{row['metric']}: {row['count']} of the scores: {row['note']}"


def _not_scored(summary: Summary) -> Iterator[str]:
    """Yield the usual metrics that are missing from the table, by reason."""
    names: dict[str, list[str]] = {}
    for name, reason in summary.unscored.items():
        names.setdefault(reason, []).append(name)
    for reason, metrics in names.items():
        yield f"not scored: {', '.join(metrics)}: {reason}"
