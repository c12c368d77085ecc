"""Report what was found in a data set, as text and as JSON."""

import json
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

from brushbench.core.errors import one_line
from brushbench.core.registry import dataset_info
from brushbench.curation.verify import Verification
from brushbench.datasets.defects import KINDS, DataFinding
from brushbench.imaging.images import Size

SHOWN = 5
"""Findings of one kind that the text shows."""


def as_text(found: Verification) -> str:
    """Describe the data set, then its defects, beginning with those that make samples unusable."""
    lines = [*_about(found), ""]
    if not found.findings:
        return "\n".join([*lines, "no defects found"])
    groups = [(kind, list(each)) for kind, each in groupby(found.findings, lambda finding: finding.kind)]
    groups.sort(key=lambda group: KINDS[group[0]].usable)
    count = len(found.findings)
    lines.append(
        f"{count} {'defect' if count == 1 else 'defects'} of {len(groups)} {'kind' if len(groups) == 1 else 'kinds'}:"
    )
    for kind, each in groups:
        lines += ["", *_group(kind, each)]
    return "\n".join(lines)


def summary(found: Verification) -> str:
    """Count the sound samples, the defects of the others by kind, and the samples that a run can use."""
    damaged = len(found.seen) - found.sound()
    lines = [f"{len(found.seen)} samples: {found.sound()} sound, {damaged} with defects"]
    for kind, count in Counter(finding.kind for finding in found.findings).items():
        lines.append(f"  {kind} ({count}): {KINDS[kind].meaning}")
    return "\n".join([*lines, *_use(found)])


def as_json(found: Verification) -> str:
    """Return everything, with every finding, as JSON."""
    content = {
        "dataset": found.name,
        "root": str(found.root) if found.root else None,
        "splits": list(found.splits),
        "samples": len(found.seen),
        "sound": found.sound(),
        "usable": found.usable(),
        "digest": found.digest,
        "sizes": {_size(size): count for size, count in found.sizes().most_common()},
        "formats": dict(found.formats().most_common()),
        "painted": {split: _spread(found.shares(split)) for split in found.splits if found.shares(split)},
        "tokens": _spread(_tokens(found)) if _tokens(found) else None,
        "tags": _tags(found),
        "notes": list(found.notes),
        "defects": dict(Counter(finding.kind for finding in found.findings)),
        "findings": [
            {
                "kind": finding.kind,
                "subject": finding.subject,
                "detail": finding.detail,
                "usable": KINDS[finding.kind].usable,
            }
            for finding in found.findings
        ],
    }
    return json.dumps(content, indent=2)


def _about(found: Verification) -> Iterator[str]:
    embedded = ", embedded" if dataset_info(found.name).embedded else ""
    yield one_line(f"data set: {found.name}{f', in {found.root}' if found.root else embedded}")
    yield f"samples: {len(found.seen)}"
    yield from _use(found)
    if sizes := found.sizes():
        yield f"sizes: {_counts({_size(size): count for size, count in sizes.most_common()})}"
    if formats := found.formats():
        yield f"formats: {_counts(dict(formats.most_common()))}"
    for split in found.splits:
        if shares := found.shares(split):
            low, middle, high = (f"{100 * share:.1f} %" for share in _spread(shares).values())
            yield f"masked, {split}: {low} to {high} of a picture, median {middle}"
    if tokens := _tokens(found):
        low, middle, high = (f"{count:.0f}" for count in _spread(tokens).values())
        yield f"tokens per caption: {low} to {high}, median {middle}"
    for tag, values in _tags(found).items():
        yield one_line(f"tag {tag}: {_counts(values)}")
    yield f"digest, part of a run's fingerprint: {found.digest or 'none, as the data set cannot be opened'}"
    yield from (one_line(f"note: {note}") for note in found.notes)


def _use(found: Verification) -> Iterator[str]:
    """Say how many samples `run` can use, in one line for splits that agree."""
    count, usable = len(found.seen), found.usable()
    if found.digest is None:
        yield "no sample can be used, as the data set cannot be opened; `run` ends with exit code 2"
        return
    for number, splits in groupby(sorted(usable, key=lambda split: -usable[split]), key=lambda split: usable[split]):
        where = f" ({', '.join(splits)})" if len(set(usable.values())) > 1 else ""
        if number == count:
            yield f"all samples can be used{where}"
        elif number:
            left = "`run` records the rest as failed and ends with exit code 3"
            yield f"{number} of {count} samples can be used{where}; {left}"
        else:
            yield f"none of {count} samples can be used{where}; `run` ends with exit code 2"


def _group(kind: str, findings: Sequence[DataFinding]) -> Iterator[str]:
    yield f"{kind} ({len(findings)}): {KINDS[kind].meaning}"
    for finding in findings[:SHOWN]:
        yield "  " + one_line(f"{finding.subject}: {finding.detail}" if finding.detail else finding.subject, 200)
    if len(findings) > SHOWN:
        yield f"  ... and {len(findings) - SHOWN} more; --format json lists all"


def _tokens(found: Verification) -> list[int]:
    return [sample.tokens for sample in found.seen if sample.tokens]


def _tags(found: Verification) -> dict[str, dict[str, int]]:
    """Count how often each tag has each value."""
    pairs = Counter(pair for tags in found.tags.values() for pair in tags.items())
    counts: dict[str, dict[str, int]] = {}
    for (tag, value), count in sorted(pairs.items()):
        counts.setdefault(tag, {})[value] = count
    return counts


def _spread(values: Sequence[float] | Sequence[int]) -> dict[str, float | int]:
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def _counts(counts: dict[str, int]) -> str:
    if len(counts) == 1:
        return next(iter(counts))
    named = [f"{name} ({count})" for name, count in counts.items()]
    return ", ".join([*named[:SHOWN], *([f"{len(named) - SHOWN} more"] if len(named) > SHOWN else [])])


def _size(size: Size) -> str:
    return "x".join(map(str, size))
