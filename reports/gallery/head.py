"""What stands above the grid: banners that a reader must see first, and the report's table, which links to samples."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.core.registry import dataset_info
from brushbench.reports.footnotes import PROTOCOLS
from brushbench.reports.frame import labels_of, metrics_of
from brushbench.reports.gallery.places import Place
from brushbench.reports.layout import Table
from brushbench.reports.mean_error import MSE, NAME, is_derived
from brushbench.reports.renaming import run_names
from brushbench.reports.roles import role_of
from brushbench.reports.seeds import with_seed
from brushbench.reports.style import Names, Style
from brushbench.reports.tables import TableOptions, make_report
from brushbench.runs.folder import Run


@dataclass(frozen=True, slots=True)
class Banner:
    """A sentence above everything else."""

    kind: str
    """`partial`, `protocol`, `data` or `scores`."""
    text: str


def banners(places: Sequence[Place], damaged: Sequence[str]) -> list[Banner]:
    """Say what is missing, how the images were made, and what the data set is no proof of."""
    found = [Banner("partial", one_line(f"Left out: {problem}")) for problem in damaged]
    found += [Banner("partial", line) for place in places for line in _partial(place)]
    found += [Banner("protocol", _sentence(PROTOCOLS[name])) for name in dict.fromkeys(p.protocol for p in places)]
    names = dict.fromkeys(place.dataset.partition("@")[0] for place in places)
    return found + [Banner("data", f"{note}.") for name in names for note in dataset_info(name).notes]


def tables_of(runs: Sequence[Run], names: Names, *, over_seeds: bool = False) -> tuple[Sequence[Table], str]:
    """Return the report's tables, whose rows are called as the columns of the grid; without any, the reason."""
    labels = labels_of(runs, over_seeds=over_seeds)
    called = dict(zip(labels, run_names(runs, names, over_seeds=over_seeds), strict=True))
    renames = {label: [name] for label, name in called.items() if name != label}
    renames |= {name: [names.of(name)] for name in metrics_of(runs) if name in names.texts}
    style = Style(shared={"rename": renames}, seeds="mean" if over_seeds else "rows")
    report = capture(make_report, runs, TableOptions(style=style))
    if isinstance(report, Failure):
        if not report.by_user:
            raise UserError(report.error)
        return (), report.error
    return report.tables, ""


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses of samples in the order of a table's cell."""

    places: Mapping[str, Place]
    """By the title of the table."""
    methods: Mapping[str, str]
    """By the label of a table's row."""

    @classmethod
    def of(cls, places: Sequence[Place]) -> "Links":
        """Collect the titles of all places, and the labels of all runs, with and without their role."""
        titles = {f"{place.dataset}, split {place.split}, protocol {place.protocol}": place for place in places}
        pairs = [pair for place in places for pair in place.runs]
        found = {f"{label} ({role_of(run)})": label for label, run in pairs}
        return cls(titles, found | {label: label for label, _ in pairs})

    def to(self, table: Table, label: str, column: int) -> str:
        """Return an address on the page: samples sorted by this method's score, the best first."""
        name, place = table.columns[column].info.name, self.places[table.title]
        # The PSNR of a mean has no samples; those of the mean are the errors.
        metric = name.replace(NAME, MSE) if is_derived(name) else name
        where = {"dataset": place.dataset, "protocol": place.protocol, "split": place.split}
        return f"#{urlencode({'sort': 'score', 'metric': metric, 'a': self.methods.get(label, label), **where})}"


def _partial(place: Place) -> Iterator[str]:
    columns = [label for label, _ in place.runs]
    for column, run in place.runs:
        label = with_seed(column, run.record.identity.seed) if columns.count(column) > 1 else column
        statuses = run.statuses()
        done = list(statuses.values()).count("done")
        failed = len(statuses) - done
        if done < run.record.asked:
            missing = run.record.asked - len(statuses)
            told = [f"{failed} failed"] * bool(failed) + [f"{missing} not generated"] * bool(missing)
            where = f"{label} on {place.dataset}, split {place.split}"
            yield one_line(f"Partial run: {where} has {done} of {run.record.asked} images ({', '.join(told)}).")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
