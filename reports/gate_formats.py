"""Render what the gate found, for people (text, Markdown), programs (JSON) and CI systems (JUnit's XML)."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree

from pydantic import JsonValue
from tabulate import tabulate

from brushbench.core.errors import one_line
from brushbench.reports.baseline import Baseline, MetricBaseline, described_key, key_of
from brushbench.reports.baseline_making import LEVEL, POWER, numbers_of_baseline, samples_needed
from brushbench.reports.layout import scaled
from brushbench.reports.regression import Checked, MetricChange, verdict_of

STYLES = {"text": "simple", "markdown": "pipe"}
SHOWN = 3
"""Number of lost samples that are named."""
WORDS = {"better": "same", "not worse": "same", "worse": "WORSE", "undecided": "UNDECIDED"}
HEADER = ("metric", "baseline", "now", "change (positive = better)", "95 % bound", "margin", "")
BASELINE_HEADER = ("run", "metric", "scored", "margin", "samples needed")
Undecided = Literal["pass", "fail"]
"""What an undecided metric leads to."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that the gate found."""

    checked: Sequence[Checked]
    extra: Sequence[str] = ()
    """Descriptions of runs that the baseline lacks."""
    undecided: Undecided = "fail"

    @property
    def verdict(self) -> str:
        """Return `passed`, `failed` or `undecided`."""
        found = verdict_of(self.checked)
        return "passed" if found == "undecided" and self.undecided == "pass" else found

    def summary(self) -> str:
        """Return one line with the verdict and its counts."""
        findings = [finding for part in self.checked for finding in part.findings]
        counts = {
            "missing runs": sum(part.lost is None for part in self.checked),
            "lost samples": sum(len(part.lost or ()) for part in self.checked),
            "worse": sum(finding.result.verdict == "worse" for finding in findings),
            "undecided": sum(finding.result.verdict == "undecided" for finding in findings),
            "improved": sum(finding.improved for finding in findings),
        }
        told = [f"{count} {what}" for what, count in counts.items() if count]
        whole = f"{len(findings)} metric{'s' * (len(findings) != 1)} of {len(self.checked)} run"
        return f"{self.verdict.upper()}: {', '.join([*told, whole + 's' * (len(self.checked) != 1)])}"


def render_gate(outcome: Outcome, table_format: str) -> str:
    """Render the outcome as `text`, `markdown`, `json` or `junit`."""
    return FORMATS[table_format](outcome)


def _read(outcome: Outcome, style: str) -> str:
    lines = [f"**{outcome.summary()}**" if style == "markdown" else outcome.summary()]
    lines += [f"{word}: {told}" for part in outcome.checked for word, told in judged(part)]
    between = "\n\n" if style == "markdown" else "\n"
    return between.join(lines) + "\n\n" + "\n\n".join(_table(part, style) for part in outcome.checked)


def judged(part: Checked) -> list[tuple[str, str]]:
    """Return what is said of a run above its table, each with `FAILED`, `UNDECIDED` or `improved`."""
    told = {
        "FAILED": part.failures,
        "UNDECIDED": [f"{name} undecided" for name in part.of("undecided")],
        "improved": [finding.metric for finding in part.findings if finding.improved],
    }
    return [(word, one_line(f"{described_key(part.key)}: {', '.join(own)}")) for word, own in told.items() if own]


def gate_title(part: Checked) -> str:
    """Return the title of a run's table; of a run that is missing, all there is to say."""
    title = one_line(described_key(part.key))
    return f"{title}: in the baseline, but not among the runs" if part.lost is None else title


def _table(part: Checked, style: str) -> str:
    title = gate_title(part)
    if part.lost is None:
        return title
    rows = [gate_row(finding) for finding in part.findings]
    table = tabulate(rows, HEADER, tablefmt=STYLES[style], disable_numparse=True, stralign="left")
    title = f"**{title}**" if style == "markdown" else title
    return "\n\n".join([title, table, "\n".join(gate_notes(part))])


def gate_notes(part: Checked) -> list[str]:
    """Return the notes below the table of a run."""
    count = max((finding.count for finding in part.findings), default=0)
    notes = [f"{count} samples; a metric passes if the bound of its change is not below -margin"]
    notes += [f"changed: {one_line(', '.join(part.changed), 1000)}"] if part.changed else []
    if part.lost:
        named = "; ".join(f"{name}: {reason}" for name, reason in list(part.lost.items())[:SHOWN])
        notes.append(one_line(f"lost their score: {len(part.lost)} samples: {named}", 1000))
    if part.added:
        notes.append(f"{part.added} samples have no score in the baseline and are not compared")
    for finding in part.findings:
        if any(finding.capped):
            before, after = finding.capped
            notes.append(f"{finding.metric}: {after} samples are at the ceiling of 60 dB, {before} in the baseline")
        if needed := finding.samples_needed:
            notes.append(f"{finding.metric} is undecided: about {needed} samples, or a larger --margin, would decide")
    return notes


def gate_row(finding: MetricChange) -> list[str]:
    """Return the cells of a metric, one for each of `HEADER`."""
    metric, result = finding.baseline, finding.result
    values = [finding.before, finding.after, result.mean, result.low, result.margin]
    texts = ["-" if math.isnan(value) else f"{value * metric.scale:.4g}" for value in values]
    # If all samples are at the ceiling, their true mean is only known to be no less.
    for place, at_ceiling in enumerate(finding.capped):
        if finding.count and at_ceiling == finding.count:
            texts[place] = f">= {texts[place]}"
    name, _, region = finding.metric.partition("@")
    heading = " ".join(filter(None, [name, region or metric.region, scaled(metric.scale), metric.unit]))
    return [heading, *texts, "better" if finding.improved else WORDS[result.verdict]]


def _json(outcome: Outcome) -> str:
    """Render the outcome as JSON, with numbers as printed: multiplied by the scale, a positive change being better."""
    content: JsonValue = {
        "schema_version": 1,
        "verdict": outcome.verdict,
        "summary": outcome.summary(),
        "positive_is": "better",
        "runs": [_record(part) for part in outcome.checked],
        "not_checked": list(outcome.extra),
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)


def _record(part: Checked) -> dict[str, JsonValue]:
    dataset, split, protocol, method = part.key
    return {
        "dataset": dataset,
        "split": split,
        "protocol": protocol,
        "method": method,
        "verdict": verdict_of([part]),
        "missing": part.lost is None,
        "lost": dict(part.lost or {}),
        "added": part.added,
        "changed": list(part.changed),
        "metrics": [_metric(finding) for finding in part.findings],
    }


def _metric(finding: MetricChange) -> dict[str, JsonValue]:
    metric, result = finding.baseline, finding.result

    def printed(value: float) -> JsonValue:
        return value * metric.scale if math.isfinite(value) else None

    return {
        "metric": finding.metric,
        "version": metric.version,
        "region": metric.region,
        "unit": metric.unit,
        "scale": metric.scale,
        "verdict": result.verdict,
        "improved": finding.improved,
        "samples": finding.count,
        "baseline": printed(finding.before),
        "now": printed(finding.after),
        "change": printed(result.mean),
        "bound": printed(result.low),
        "margin": printed(result.margin),
        "capped": {"baseline": finding.capped[0], "now": finding.capped[1]},
        "samples_needed": finding.samples_needed,
    }


def _junit(outcome: Outcome) -> str:
    """Render the outcome with a suite for each run, a case for each metric, and one for the samples."""
    root = ElementTree.Element("testsuites", name=outcome.summary())
    for part in outcome.checked:
        suite = ElementTree.SubElement(root, "testsuite", name=_xml(described_key(part.key)))
        complete = ElementTree.SubElement(suite, "testcase", classname=_xml(described_key(part.key)), name="samples")
        if part.lost is None:
            _failure(complete, "missing", "in the baseline, but not among the runs")
        elif part.lost:
            told = "\n".join(f"{name}: {reason}" for name, reason in part.lost.items())
            _failure(complete, "lost", f"{len(part.lost)} samples lost their score", told)
        for finding in part.findings:
            case = ElementTree.SubElement(
                suite, "testcase", classname=_xml(described_key(part.key)), name=_xml(finding.metric)
            )
            told = " | ".join(
                f"{name}: {text}" for name, text in zip(HEADER[1:-1], gate_row(finding)[1:-1], strict=True)
            )
            verdict = finding.result.verdict
            if verdict == "worse" or (verdict == "undecided" and outcome.undecided == "fail"):
                _failure(case, verdict, f"{finding.metric} is {verdict}", told)
            else:
                ElementTree.SubElement(case, "system-out").text = _xml(f"{verdict}; {told}")
        suite.set("tests", str(len(suite.findall("testcase"))))
        suite.set("failures", str(len(suite.findall("testcase/failure"))))
    for name in ("tests", "failures"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _failure(case: ElementTree.Element, kind: str, message: str, text: str = "") -> None:
    ElementTree.SubElement(case, "failure", type=kind, message=_xml(message)).text = _xml(text)


def _xml(text: str) -> str:
    """Remove characters that XML does not allow, even escaped."""
    return "".join(c for c in text if c in "\t\n" or (c.isprintable() and not 0xD800 <= ord(c) <= 0xDFFF))


FORMATS: dict[str, Callable[[Outcome], str]] = {
    "text": lambda outcome: _read(outcome, "text"),
    "markdown": lambda outcome: _read(outcome, "markdown"),
    "json": _json,
    "junit": _junit,
}


def describe_baseline(baseline: Baseline, style: str) -> str:
    """Describe what a baseline holds, and how many samples each of its metrics needs for its margin."""
    rows, notes = baseline_rows(baseline)
    table = tabulate(rows, BASELINE_HEADER, tablefmt=STYLES[style], disable_numparse=True)
    return "\n".join([table, "", *notes])


def baseline_rows(baseline: Baseline) -> tuple[list[list[str]], list[str]]:
    """Return a row of cells for each run and metric of a baseline, and the notes below them."""
    rows, few = [], []
    for run in baseline.runs:
        for name, metric in run.metrics.items():
            scored = sum(not isinstance(score, str) or score == "identical" for score in metric.scores)
            unit = " ".join(filter(None, [f"x{metric.scale:g}" if metric.scale != 1 else "", metric.unit]))
            margin = f"{metric.margin * metric.scale:.4g} {unit}"
            needed = _needed(run.identity.protocol, name, metric)
            text = "no number" if needed is None else str(needed)
            rows.append(
                [one_line(described_key(key_of(run.identity))), name, f"{scored}/{len(run.samples)}", margin, text]
            )
            if metric.noise is not None and (needed is None or needed > scored):
                few.append(f"{name} of {one_line(described_key(key_of(run.identity)))}: {text} needed, {scored} scored")
    return rows, [_reading(baseline), *(f"too few samples for the margin: {each}" for each in few)]


def _needed(protocol: str, name: str, metric: MetricBaseline) -> int | None:
    if metric.noise is not None:
        return samples_needed(metric.noise, metric.margin)
    scores = numbers_of_baseline(metric.scores, name, protocol)
    deviation = float(scores.std(ddof=1)) * math.sqrt(2) if len(scores) > 1 else 0.0
    return samples_needed(deviation, metric.margin)


def _reading(baseline: Baseline) -> str:
    passing = f"to pass in {POWER:.0%} of the checks at a bound of {LEVEL:.0%}"
    if all(len(run.seeds) > 1 for run in baseline.runs):
        return f"samples needed: for an unchanged method under another seed {passing}, by the noise of these seeds"
    return (
        f"samples needed: at most, for a method that generates other images just as well {passing}; fewer if scores "
        "change only in part, and none if the images stay the same. Runs under several seeds tell how many"
    )
