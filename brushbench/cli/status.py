"""The `status` command: how far runs are, and who is at work on them."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from time import sleep
from typing import TYPE_CHECKING

import click

from brushbench.cli.progress import duration
from brushbench.cli.results import SOME_FAILED
from brushbench.cli.sections import choices
from brushbench.core.capture import Failure, capture
from brushbench.core.columns import columns
from brushbench.core.errors import UserError, one_line, unknown
from brushbench.runs.seed_folders import home_of, pattern_of
from brushbench.storage.places import spoken

if TYPE_CHECKING:
    from pathlib import Path

    from brushbench.runs.status import RunStatus, Watched, WorkerStatus

FORMATS = ("text", "json")
HEADS = ("run", "done", "failed", "missing", "per min", "left", "processes", "scored")
PROCESSES = HEADS.index("processes")
WORKER_HEADS = ("shard", "host", "process", "since", "state")
Look = tuple[list["RunStatus"], list[str]]
"""The runs that can be read, and a message for each other run."""


@click.command("status")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--format", "chosen", default="text", show_default=True, metavar=choices(FORMATS), help="Format of the output."
)
@click.option(
    "--watch", type=click.FloatRange(0.1), metavar="SECONDS", help="Look again and again, until nothing is missing."
)
def status_command(runs: tuple[str, ...], chosen: str, watch: float | None) -> int:
    """Say how far runs are and who is at work on them, given run folders or folders that contain them.

    It only reads, takes no lock and opens no image, so it can be used at any time on any machine that sees the folder.
    The seeds that `--seeds` or `--samples` gave a method share a row.

    The rate counts the samples whose files were stored in the last 10 minutes, or since the first of the processes at
    work began, if that is shorter; of more than 1000 samples, the last 1000. The time left is the number of missing
    samples at this rate. A process on this machine has died if its number is gone. One on another machine is silent if
    its sign of life, given every 15 seconds, is a minute older than the newest file of the run; or five minutes, if
    only this machine's clock can tell.

    Ends with exit code 0 if every requested sample is done, and with 3 if any has failed or is missing.
    """
    if chosen not in FORMATS:
        raise unknown("format", chosen, FORMATS)
    if watch is not None and chosen == "json":
        raise UserError("--watch prints text again and again; valid: --watch or --format json, not both")
    if watch is not None:
        found, unreadable = _watched(runs, watch)
    else:
        found, unreadable = _look(runs)
        click.echo(json.dumps([_record(run) for run in found], indent=2) if chosen == "json" else _text(found))
    for problem in unreadable:
        click.echo(one_line(f"left out: {problem}"), err=True)
    return 0 if all(run.is_complete for run in found) and not unreadable else SOME_FAILED


def _look(paths: Sequence[str], known: "dict[Path, Watched] | None" = None) -> Look:
    """Read the status of every run; of those that are `known`, only what is new. Raises `UserError` if none is read."""
    from brushbench.runs.folders import run_folders
    from brushbench.runs.status import Watched

    known = {} if known is None else known
    found = [capture(known.setdefault(folder, Watched(folder)).status) for folder in run_folders(paths)]
    unreadable = [each.error for each in found if isinstance(each, Failure)]
    readable = [each for each in found if not isinstance(each, Failure)]
    if not readable:
        raise UserError(unreadable[0])
    return readable, unreadable


def _watched(paths: Sequence[str], seconds: float) -> Look:
    """Show the status until every sample is done or has failed and no process is at work; return the last one."""
    if not sys.stdout.isatty():
        return _until_nothing_is_missing(paths, seconds, lambda text: click.echo(f"{text}\n"))
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False, vertical_overflow="visible") as live:
        return _until_nothing_is_missing(paths, seconds, lambda text: live.update(Text(text), refresh=True))


def _until_nothing_is_missing(paths: Sequence[str], seconds: float, show: Callable[[str], None]) -> Look:
    known: dict[Path, Watched] = {}
    while True:
        found, unreadable = _look(paths, known)
        show(f"{datetime.now().astimezone():%H:%M:%S}\n{_text(found)}")
        working = any(each.state == "at work" for run in found for each in run.workers)
        if not working and not any(run.missing for run in found):
            return found, unreadable
        sleep(seconds)


def _text(found: "Sequence[RunStatus]") -> str:
    groups = seed_groups(found)
    rows = [_row(own[0]) if len(own) == 1 else _summed_row(pattern, own) for pattern, own in groups.items()]
    details = [_seed_lines(pattern, own) for pattern, own in groups.items() if len(own) > 1]
    details += [lines for run in found if (lines := list(_details(run, alone=len(found) == 1)))]
    return "\n\n".join([_fitted([HEADS, *rows]), *("\n".join(lines) for lines in details)])


def seed_groups(found: "Sequence[RunStatus]") -> "dict[Path, list[RunStatus]]":
    """Group the runs of several seeds of a method, by the place that they share."""
    homes: dict[Path, list[RunStatus]] = {}
    for run in found:
        homes.setdefault(home_of(run.path)[0] / run.path.parent.name / run.path.name, []).append(run)
    groups = {}
    for home, own in homes.items():
        pattern = own[0].path if len(own) == 1 else pattern_of(next(run.path for run in own if run.path != home))
        groups[pattern] = sorted(own, key=lambda run: run.seed)
    return groups


def _summed_row(pattern: "Path", runs: "Sequence[RunStatus]") -> tuple[str, ...]:
    """Return the row of a method's seeds together."""
    rates = [run.per_minute for run in runs if run.per_minute]
    missing = sum(run.missing for run in runs)
    states = [_row(run)[PROCESSES] for run in runs]
    scored = [len(_scored(run)[0]) for run in runs]
    names = {name for run in runs for name in run.metrics}
    return (
        one_line(f"{spoken(pattern)} ({len(runs)} seeds)"),
        f"{sum(run.done for run in runs)}/{sum(run.requested for run in runs)}",
        str(sum(run.failed for run in runs)),
        str(missing),
        f"{sum(rates):.3g}" if rates else "-",
        duration(missing / sum(rates) * 60) if rates and missing else "-",
        ", ".join(dict.fromkeys(state for state in states if state != "-")) or "-",
        f"{min(scored)} of {len(names)} metrics" if names else "no",
    )


def _seed_lines(pattern: "Path", runs: "Sequence[RunStatus]") -> list[str]:
    """Say which seeds are done, and how far the others are."""
    done = [str(run.seed) for run in runs if run.is_complete]
    others = [f"{run.seed} ({run.done}/{run.requested})" for run in runs if not run.is_complete]
    told = [f"done: {', '.join(done) or 'none'}", *([f"not done: {', '.join(others)}"] if others else [])]
    return [one_line(f"seeds of {spoken(pattern)}: {'; '.join(told)}", 2000)]


def _details(run: "RunStatus", *, alone: bool) -> Iterator[str]:
    """Yield the lines about one run below the table, where there is more to know; always if it is `alone`."""
    whole, partial = _scored(run)
    rows = list(_worker_rows(run))
    if not (rows or partial or alone):
        return
    yield one_line(f"{run.place}:")
    yield f"scored: {', '.join(whole) or 'none'}{'; in part: ' * bool(partial)}{', '.join(partial)}"
    if rows:
        yield _fitted([WORKER_HEADS, *rows])


def _fitted(rows: Sequence[Sequence[str]]) -> str:
    """Align the rows below their heads; in a terminal that is too narrow, each cell has a line of its own."""
    lines = columns(rows)
    if not sys.stdout.isatty() or max(map(len, lines)) <= shutil.get_terminal_size().columns:
        return "\n".join(lines)
    heads, *records = rows
    return "\n\n".join("\n".join(columns(list(zip(heads, record, strict=True)))) for record in records)


def _row(run: "RunStatus") -> tuple[str, ...]:
    states = [each.state for each in _latest(run)]
    present = [state for state in ("at work", "silent", "died") if state in states]
    return (
        one_line(run.place),
        f"{run.done}/{run.requested}",
        str(run.failed),
        str(run.missing),
        "-" if run.per_minute is None else f"{run.per_minute:.3g}",
        "-" if not run.seconds_left else duration(run.seconds_left),
        ", ".join(f"{states.count(state)} {state}" for state in present) or "-",
        f"{len(_scored(run)[0])} of {len(run.metrics)} metrics" if run.metrics else "no",
    )


def _scored(run: "RunStatus") -> tuple[list[str], list[str]]:
    """Return the metrics that have scored every sample that is done, and the other metrics with their counts."""
    whole = [name for name, count in run.metrics.items() if count >= run.done]
    partial = [f"{name} {count}/{run.done}" for name, count in run.metrics.items() if count < run.done]
    return whole, partial


def _latest(run: "RunStatus") -> "list[WorkerStatus]":
    """Return the last process of each shard of the present split, and every process that may be at work."""
    last = {each.worker.shard: place for place, each in enumerate(run.workers)}
    return [
        each
        for place, each in enumerate(run.workers)
        if each.state in ("at work", "silent")
        or (each.worker.shard and each.worker.shard.count == run.shards and last[each.worker.shard] == place)
    ]


def _worker_rows(run: "RunStatus") -> Iterator[tuple[str, ...]]:
    """Yield a row for each process and for each shard without one; none for a complete run that nobody works on."""
    latest = _latest(run)
    if run.is_complete and not any(each.state in ("at work", "silent") for each in latest):
        return
    named = [(each.worker.shard.index if each.worker.shard else 0, _worker_row(each)) for each in latest]
    never = [(index, (f"{index}/{run.shards}", "-", "-", "-", "never started")) for index in run.never_started()]
    yield from (row for _, row in sorted([*named, *never], key=lambda pair: pair[0]))


def _worker_row(each: "WorkerStatus") -> tuple[str, ...]:
    worker = each.worker
    return (_shard(each) or "-", worker.host, str(worker.pid), _time(worker.began), _state(each))


def _shard(each: "WorkerStatus") -> str | None:
    shard = each.worker.shard
    return f"{shard.index}/{shard.count}" if shard else None


def _time(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M}"


def _state(each: "WorkerStatus") -> str:
    if each.state == "silent":
        by_clock = " by this machine's clock" if each.by_this_clock else ""
        return f"silent for {duration(each.silent_seconds)}{by_clock}"
    if each.worker.ended is None:
        return each.state
    return f"{each.state} {_time(each.worker.ended)}, {each.worker.images} images"


def _record(run: "RunStatus") -> dict[str, object]:
    return {
        "run": run.place,
        "seed": run.seed,
        "requested": run.requested,
        "done": run.done,
        "failed": run.failed,
        "missing": run.missing,
        "complete": run.is_complete,
        "per_minute": run.per_minute,
        "seconds_left": run.seconds_left,
        "shards": run.shards,
        "never_started": run.never_started(),
        "metrics": {name: {"scored": count, "complete": count >= run.done} for name, count in run.metrics.items()},
        "workers": list(map(_worker_record, run.workers)),
    }


def _worker_record(each: "WorkerStatus") -> dict[str, object]:
    worker = each.worker
    return {
        "host": worker.host,
        "pid": worker.pid,
        "shard": _shard(each),
        "began": worker.began.isoformat(),
        "ended": worker.ended.isoformat() if worker.ended else None,
        "images": worker.images,
        "command": worker.command,
        "state": each.state,
        "silent_seconds": each.silent_seconds if each.state == "silent" else None,
        "by_this_clock": each.by_this_clock,
    }
