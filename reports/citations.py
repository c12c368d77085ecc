"""The papers that a user of some runs must cite, as BibTeX: of the data sets, methods, weights and metrics."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

from brushbench.core.files import read_text
from brushbench.core.registry import dataset_info, method_info
from brushbench.reports.published.likeness import UNKNOWN
from brushbench.runs.folder import Run
from brushbench.runs.scores import read_scores
from brushbench.weights import Component, families, read_family

FILE = Path(__file__).parent / "citations.bib"
_ARXIV, _DOI, _URL = r"arXiv:(\d{4}\.\d{4,5})", r"doi:(10\.\S+?)(?=[,;]?(?:\s|$))", r"(https?://\S+?)(?=[,;]?(?:\s|$))"
_REFERENCE = re.compile("|".join((_ARXIV, _DOI, _URL)))
_FIELD = re.compile(r"^\s*(eprint|doi|url) = \{(.*)\}", re.MULTILINE)
_KEY = re.compile(r"@\w+\{([^,]+),")


def bibliography(runs: Sequence[Run]) -> tuple[str, list[str]]:
    """Return the BibTeX entries for runs, each with what it is cited for, and what has no reference that is known."""
    uses: dict[str, list[str]] = {_suite(): ["this suite"]}
    missing: list[str] = []
    for what, citation in dict.fromkeys(use for run in runs for use in _uses(run)):
        found = [next(group for group in match.groups() if group) for match in _REFERENCE.finditer(citation)]
        for reference in found:
            uses.setdefault(_entry(reference), []).append(what)
        if not found and not citation.startswith("docs/") and citation not in ("", "yours", "this suite"):
            missing.append(f"{what} ({citation})")
    entries = [
        f"% {', '.join(dict.fromkeys(whats))}\n{entry}"
        for entry, whats in sorted(uses.items(), key=lambda use: _key(use[0]))
    ]
    return "\n\n".join(entries), missing


def _uses(run: Run) -> Iterator[tuple[str, str]]:
    """What a run uses, each with its citation in words."""
    identity = run.record.identity
    data, method = dataset_info(identity.dataset.name), method_info(identity.method.name)
    yield f"data set {identity.dataset.name}", data.citation if data else UNKNOWN
    yield f"method {identity.method.name}", method.citation if method else UNKNOWN
    places = set(run.record.weights.values())
    for name, component in _components():
        if not component.local and component.on_hub.place in places:
            yield f"weights {name}", component.citation
    scores = read_scores(run)
    for metric, info in scores.metrics.items() if scores else ():
        yield f"metric {metric.partition('@')[0]}", info.citation


@cache
def _components() -> tuple[tuple[str, Component], ...]:
    return tuple(pair for path in families().values() for pair in read_family(path).components.items())


@cache
def _entries() -> dict[str, str]:
    """The entries by their arXiv number, DOI or address."""
    entries = [entry.strip() for entry in re.split(r"\n(?=@)", read_text(FILE))]
    return {value: entry for entry in entries for _, value in _FIELD.findall(entry)}


def _entry(reference: str) -> str:
    """The entry of a reference; one that only names it, if it isn't known."""
    if (known := _entries().get(reference)) is not None:
        return known
    field = "doi" if reference.startswith("10.") else "url" if ":" in reference else "eprint"
    more = ",\n  archiveprefix = {arXiv}" if field == "eprint" else ""
    key = re.sub(r"\W+", "-", reference).strip("-")
    return f"@misc{{{key},\n  {field} = {{{reference}}}{more}\n}}"


def _suite() -> str:
    fields = {
        "title": "{BrushBench}: a benchmark and evaluation suite for text-guided image inpainting",
        "author": "{The BrushBench developers}",
        "version": version("brushbench"),
    }
    lines = ",\n".join(f"  {name} = {{{text}}}" for name, text in fields.items())
    return f"@software{{brushbench,\n{lines}\n}}"


def _key(entry: str) -> str:
    match = _KEY.match(entry)
    return match[1] if match else entry
