"""Print one sample across methods: a table of scores with percentiles, then what each run says about it."""

import textwrap
from collections.abc import Iterator, Sequence

from rich.text import Text

from brushbench.core.errors import one_line
from brushbench.core.metric_info import MetricInfo
from brushbench.reports.formats.grid import GAP, STYLES, Grid, Shade, Slot
from brushbench.reports.layout import Column
from brushbench.reports.one_sample import SampleInRun, Sight

EXPLAINED = (
    "In brackets: the percentile, which is the share of the run's scores that this one is better than, equal ones "
    "counting half. 100 is the run's best."
)
LONGEST_LABEL = 28
"""Longer names of methods are cut in the head of the table; they are whole below it."""


def sight_lines(sight: Sight, width: int) -> Iterator[Text]:
    """Yield the lines about a sample on one split, fitted to a width, except for commands and tracebacks.

    Names are bold, and failures red.
    """
    yield Text(one_line(sight.title, 1000), "bold")
    for told in sight.about:
        yield from map(Text, textwrap.wrap(told, width, initial_indent="  ", subsequent_indent="    "))
    yield Text()
    metrics = {name: info for shown in sight.shown for name, info in shown.scores.metrics.items()}
    yield from _scores(sight.shown, metrics, width)
    for shown in sight.shown:
        yield Text()
        yield _headline(shown)
        yield from map(Text, _of_run(shown, metrics))


def explanation_lines(sights: Sequence[Sight], width: int) -> list[str]:
    """Explain the numbers in brackets, if there are any."""
    scored = any(shown.scores.metrics for sight in sights for shown in sight.shown)
    return ["", *textwrap.wrap(EXPLAINED, width)] if scored else []


def _scores(shown: Sequence[SampleInRun], metrics: dict[str, MetricInfo], width: int) -> Iterator[Text]:
    """Yield a table of metrics by methods; as many methods beside each other as fit, the rest below."""
    names = ["status", *(_named(info) for info in metrics.values())]
    cells = [[Slot(_cut(each.label)), _status(each), *(Slot(_cell(each, name)) for name in metrics)] for each in shown]
    first = max(map(len, names))
    blocks: list[list[list[Slot]]] = []
    room = 0
    for column in cells:
        needed = GAP + max(slot.width for slot in column)
        if not blocks or room < needed:
            blocks.append([])
            room = width - first
        blocks[-1].append(column)
        room -= needed
    for place, block in enumerate(blocks):
        if place:
            yield Text()
        yield from Grid(tuple(zip(map(Slot, ["", *names]), *block, strict=True))).lines()


def _named(info: MetricInfo) -> str:
    """Name a metric with its scale, unit and direction."""
    scale = f"x {info.scale:g}" if info.scale != 1 else ""
    unit = f"in {info.unit}" if info.unit else ""
    direction = "higher is better" if info.higher_is_better else "lower is better"
    return f"{' '.join(filter(None, [info.name, scale, unit]))}, {direction}"


def _cell(shown: SampleInRun, metric: str) -> str:
    scores = shown.scores
    if metric not in scores.metrics or scores.reason(shown.sample, metric):
        return "-"
    value = Column("", "", scores.metrics[metric]).printed(scores.value(shown.sample, metric))
    return f"{value} ({scores.percentile(shown.sample, metric):.0f})"


def _status(shown: SampleInRun) -> Slot:
    text = shown.status if len(shown.status) <= LONGEST_LABEL else shown.status.partition(":")[0]
    return Slot(text, _shade(shown))


def _shade(shown: SampleInRun) -> Shade:
    return "worse" if shown.status.startswith("failed") else ""


def _cut(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 3]}..."


def _headline(shown: SampleInRun) -> Text:
    line = Text(one_line(f"{shown.label}: {shown.status}", 1000))
    name = len(one_line(shown.label, 1000))
    line.stylize("bold", 0, name)
    line.stylize(STYLES[_shade(shown)], name + 2)
    return line


def _of_run(shown: SampleInRun, metrics: dict[str, MetricInfo]) -> Iterator[str]:
    yield f"  {one_line(f'run: {shown.run.place}', 1000)}"
    for fact in shown.facts:
        yield f"  {fact}"
    if not shown.scores.metrics:
        yield "  no scores: run `brushbench score RUN`"
    # Without an image, the status says why there is no score.
    for name in metrics if shown.status == "done" else ():
        if name in shown.scores.metrics and (reason := shown.scores.reason(shown.sample, name)):
            yield f"  no {name}: {one_line(reason)}"
    yield from (f"  | {line}" for line in shown.traceback)
    if shown.command:
        yield f"  again{'' if shown.alone else ', with all other samples'}: {shown.command}"
    else:
        yield "  again: these images were made elsewhere"
