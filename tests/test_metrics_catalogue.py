"""The facts about metrics agree: in the metrics themselves, in `list metrics` and in docs/metrics.md."""

import re
from pathlib import Path

from brushbench.cli.listing import metric_lines
from brushbench.core.registry import registered
from brushbench.evaluation.select_metrics import load_any
from brushbench.metrics.catalogue import CATALOGUE

DOCUMENT = Path(__file__).parent.parent / "docs" / "metrics.md"


def test_every_metric_is_what_the_catalogue_says() -> None:
    assert set(CATALOGUE) == set(registered("metric"))
    for name, entry in CATALOGUE.items():
        info = load_any(name, {}).info
        assert info.scope == entry.scope
        assert info.same_numbers(entry.named(entry.region, info.version)), name
        assert info.version.split()[0] == entry.version
        assert (info.unit, info.higher_is_better, info.citation, info.licence) == (
            entry.unit,
            entry.higher_is_better,
            entry.citation,
            entry.licence,
        )


def test_the_list_and_the_document_say_the_same() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    log = document.partition("## Log")[2]
    rows = {row.split()[0]: row for row in metric_lines({})[1:]}
    for name, entry in CATALOGUE.items():
        better = "higher" if entry.higher_is_better else "lower"
        documented = re.search(
            rf"^\| `{name}` \| [^|]*\| {better} \| {entry.region} \| {entry.version} \|", document, re.MULTILINE
        )
        assert documented, name
        assert f"| `{name}` | {entry.citation} | {entry.licence} |" in document
        assert entry.citation
        assert entry.licence
        assert f"`{name}`" in log
        assert better in rows[name]
        assert entry.region in rows[name]
        assert entry.citation in rows[name]
        assert entry.licence in rows[name]
