"""Make the tables, figures and gallery that a study names."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from brushbench.cli.figure_options import FONTS
from brushbench.cli.option_values import Pairs, option_values, options_of
from brushbench.cli.study_file import StudyFile, naming
from brushbench.core import atomic
from brushbench.core.errors import UserError, doing, one_line, unknown
from brushbench.core.metric_info import parted
from brushbench.core.plugins.files import plugin_file
from brushbench.core.registry import registered, short_name
from brushbench.evaluation.study import PlannedRow, StudyRow
from brushbench.reports.commands.report import TABLE_FORMATS, TABLES, report_command
from brushbench.reports.commands.style_options import (
    MAPPINGS,
    SHARED,
    figure_style,
    style_values,
    table_style,
)
from brushbench.reports.distributions import write_distributions
from brushbench.reports.figure_style import FigureStyle
from brushbench.reports.figures import check_suffix
from brushbench.reports.formats import render
from brushbench.reports.frame import labels_of
from brushbench.reports.gallery.build import GalleryOptions, Seeds, build
from brushbench.reports.gallery.folder import check_folder
from brushbench.reports.look import BY_NAME
from brushbench.reports.mean_error import is_derived
from brushbench.reports.seeds import BEFORE_SEED, is_over_seeds, with_seed
from brushbench.reports.style import LATEX, Names, Style, checked_key, checked_latex, separated
from brushbench.reports.tables import TableOptions, make_report
from brushbench.reports.trade_off import write_trade_off
from brushbench.runs.folder import Run
from brushbench.storage.places import local

FILE, STYLE, MEAN = "file", "style", "mean"
SUFFIXES = {
    ".txt": "text",
    ".md": "markdown",
    ".tex": "latex",
    ".csv": "csv",
    ".json": "json",
    ".html": "html",
}
_LOOK = ("columns", "rows", "order", "seeds", "splits", "rename", "cite", "notes", "width")
OF_TABLE = (
    *("format", "table", "by", "significant", "with-published", "strict"),
    *(*_LOOK, "decimals", "caption", "label"),
)
OF_FIGURE = ("kind", *_LOOK, "metrics", "font", "no-title")


@dataclass(frozen=True, slots=True)
class TableFile:
    """A table to write."""

    file: Path
    table_format: str
    options: TableOptions

    def write(self, runs: Sequence[Run], planned: Sequence[PlannedRow]) -> None:
        """Write the table atomically, under the names of the study's rows."""
        wanted = replace(self.options, style=_named(self.options.style, runs, planned))
        text = render(make_report(runs, wanted), self.table_format)
        atomic.write(self.file, f"{text}\n".encode())


@dataclass(frozen=True, slots=True)
class FigureFile:
    """A figure to draw."""

    file: Path
    kind: str
    style: FigureStyle

    def write(self, runs: Sequence[Run], planned: Sequence[PlannedRow]) -> None:
        """Draw the figure, under the names of the study's rows."""
        style = replace(self.style, table=_named(self.style.table, runs, planned))
        if self.kind == "trade-off":
            write_trade_off(runs, self.file, style=style)
        else:
            write_distributions(runs, self.file, style)


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a study makes of its runs."""

    files: tuple[TableFile | FigureFile, ...]
    gallery: tuple[Path, GalleryOptions] | None
    style: Style
    """What all tables and figures share; the gallery and the printed table have its names."""

    def names(self, runs: Sequence[Run], planned: Sequence[PlannedRow], seeds: Seeds = "flip") -> Names:
        """Return what a gallery calls the runs, whose seeds share a column or have one each."""
        return _named(replace(self.style, seeds="mean" if seeds == "flip" else "rows"), runs, planned).names((), ())

    def printed_style(self, runs: Sequence[Run], planned: Sequence[PlannedRow], *, over_seeds: bool) -> Style:
        """Return the style of the table that is printed when all runs have ended: the names of the study's rows."""
        return _named(replace(self.style, seeds="mean" if over_seeds else "rows"), runs, planned)

    def write(self, runs: Sequence[Run], planned: Sequence[PlannedRow]) -> None:
        """Make everything, and print where it is."""
        from brushbench.cli.progress import showing_progress

        for each in self.files:
            with doing("making the folder", each.file.parent):
                each.file.parent.mkdir(parents=True, exist_ok=True)
            each.write(runs, planned)
            click.echo(f"{'table' if isinstance(each, TableFile) else 'figure'}: {each.file}")
        if self.gallery:
            folder, options = self.gallery
            names = self.names(runs, planned, options.seeds)
            with showing_progress() as watch:
                page = build(runs, folder, replace(options, names=names), watch=watch)
            click.echo(f"gallery: {page}")


def prepare_study(
    study: StudyFile, rows: Sequence[StudyRow], splits: Sequence[str], seeds: Sequence[int] = ()
) -> Outputs:
    """Check everything that a study is to make before anything is generated.

    Raises `UserError` that names the file and the key for unknown keys, values, rows, metrics and splits, and for a
    file that can't be written.
    """
    known = {*(row.name for row in rows if row.name), *(short_name(row.method) for row in rows)}
    reader = _Reader(study, known, splits, seeds)
    content = study.content
    tables = [reader.table(f"table {number}", own) for number, own in enumerate(content.table, 1)]
    figures = [reader.figure(f"figure {number}", own) for number, own in enumerate(content.figure, 1)]
    files: tuple[TableFile | FigureFile, ...] = (*tables, *figures)
    places = [each.file.resolve() for each in files]
    if twice := [place for place in places if places.count(place) > 1]:
        raise UserError(one_line(f"{study.file}: {twice[0]} is named twice; valid: a file for each table and figure"))
    style = reader.shared()
    if not content.gallery:
        return Outputs(files, None, style)
    wanted, root = content.gallery, study.defaults.get("root")
    folder = study.beside(wanted.output)
    with naming(f"{study.file}: gallery"):
        options = GalleryOptions(
            wanted.link, wanted.max_size, wanted.zip, Path(root) if root else None, seeds=wanted.seeds
        )
        check_folder(folder)
        _check_writable(folder)
    return Outputs(files, (folder, options), style)


def _named(style: Style, runs: Sequence[Run], planned: Sequence[PlannedRow]) -> Style:
    names = row_names(runs, planned, over_seeds=is_over_seeds(style.seeds))
    return under_names(style, names)


def row_names(runs: Sequence[Run], planned: Sequence[PlannedRow], *, over_seeds: bool) -> dict[str, str]:
    """Return the names of the study by the labels of the rows, which have a seed if every seed has a row."""
    rows = {(local(config.output), short_name(config.method)): made.row for made in planned for config in made.configs}
    found: dict[str, str] = {}
    has_seed = not over_seeds and len({run.record.identity.seed for run in runs}) > 1
    for run, label in zip(runs, labels_of(runs, over_seeds=over_seeds), strict=True):
        row = rows[run.path.parent.parent, run.path.name]
        if row.name:
            found[label] = with_seed(row.name, run.record.identity.seed) if has_seed else row.name
    return found


def under_names(style: Style, names: Mapping[str, str]) -> Style:
    """Return a style for rows with these names by label; where it says a name, it stands for its labels.

    If every seed has a row, a text that replaces the name of a row is followed by the seed.
    """
    labels: dict[str, list[str]] = {}
    for label, name in names.items():
        labels.setdefault(name, []).append(label)
        labels.setdefault(name.rpartition(BEFORE_SEED)[0] or name, []).append(label)

    def chosen(texts: Sequence[str]) -> tuple[str, ...]:
        whole = [*labels, *names]
        return tuple(label for name in separated(texts, whole) for label in dict.fromkeys(labels.get(name, [name])))

    own: dict[str, Pairs] = {
        key: {
            label: [f"{text}{_seed_of(names, label, name)}" for text in texts] if key == "rename" else list(texts)
            for name, texts in found.items()
            for label in labels.get(name, [name])
        }
        for key, found in style.shared.items()
    }
    own["rename"] = {label: [name] for label, name in names.items()} | own.get("rename", {})
    return replace(style, rows=chosen(style.rows), order=chosen(style.order), shared=own)


def _seed_of(names: Mapping[str, str], label: str, name: str) -> str:
    """Return what the row of a label has behind this name; nothing if the name is that of the whole row."""
    called = names.get(label, "")
    return called.removeprefix(name) if called.startswith(f"{name}{BEFORE_SEED}") else ""


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the parts of a study."""

    study: StudyFile
    rows: set[str]
    """Names of the rows, and of their methods."""
    splits: Sequence[str]
    seeds: Sequence[int]
    """Empty if the file names none."""

    def shared(self) -> Style:
        """Return the names that all tables and figures share."""
        return Style(shared=self._layered("style", {}, OF_TABLE)[1])

    def table(self, part: str, content: Mapping[str, object]) -> TableFile:
        """Read a table. Raises `UserError` for what it can't be."""
        file, context = self._read(part, content, OF_TABLE)
        place, chosen = f"{self.study.file}: {part}", context.params
        table_format = chosen["table_format"] if "table_format" in (context.default_map or {}) else ""
        table_format = table_format or SUFFIXES.get(file.suffix.lower(), "")
        if table_format not in TABLE_FORMATS:
            valid = f"a name that ends in {', '.join(SUFFIXES)}, or format = {', '.join(TABLE_FORMATS)}"
            told = f"format {table_format!r}" if table_format else f"{file.name} has no known ending"
            raise UserError(one_line(f"{place}: {told}; valid: {valid}"))
        if chosen["table"] not in TABLES:
            raise unknown(f"table in {place}", str(chosen["table"]), TABLES)
        with context.scope(cleanup=False), naming(place):
            style = table_style(chosen)
            _check_texts(style)
            if chosen["with_published"] and is_over_seeds(style.seeds) and len(self.seeds) > 1:
                raise UserError('published numbers are of one seed; valid with with-published: seeds = "rows"')
        wanted = {key: chosen[key] for key in ("table", "by", "significant", "with_published", "strict")}
        return TableFile(file, table_format, TableOptions(**wanted, style=style))

    def figure(self, part: str, content: Mapping[str, object]) -> FigureFile:
        """Read a figure. Raises `UserError` for what it can't be."""
        file, context = self._read(part, content, OF_FIGURE)
        with naming(f"{self.study.file}: {part}"):
            check_suffix(Path(file.name))
        with context.scope(cleanup=False):
            return FigureFile(file, str(context.params["kind"]), figure_style(context.params))

    def _read(self, part: str, content: Mapping[str, object], keys: Sequence[str]) -> tuple[Path, click.Context]:
        """Return the file of a part, and the options of `report` that the part sets."""
        place = f"{self.study.file}: {part}"
        if not (isinstance(name := content.get(FILE), str) and name):
            raise UserError(one_line(f"{place}: file: must be the name of the file to write"))
        file = self.study.beside(name)
        with naming(place):
            _check_writable(file)
        if file.is_dir():
            raise UserError(one_line(f"{place}: {file} is a folder; valid: a file"))
        found, shared = self._layered(part, content, keys)
        found = {"seeds": MEAN} | found
        self._check_names(place, found)
        try:
            context = report_command.make_context("report", ["RUN"], default_map=found)
        except click.UsageError as error:
            raise UserError(one_line(f"{place}: {error.format_message()}")) from error
        context.meta[SHARED] = shared
        return file, context

    def _layered(
        self, part: str, content: Mapping[str, object], keys: Sequence[str]
    ) -> tuple[dict[str, object], dict[str, Pairs]]:
        """Return options of `report` and mappings: the part's own go before [style], and keys before a style file."""
        options = options_of(report_command)
        valid = {key: options[key] for key in dict.fromkeys([*OF_TABLE, *OF_FIGURE])}
        shared_keys = {key: value for key, value in self.study.content.style.items() if key in (STYLE, *keys)}
        unused = {key: value for key, value in self.study.content.style.items() if key not in shared_keys}
        option_values(valid, unused, f"{self.study.file}: style", MAPPINGS)
        found: dict[str, object] = {}
        shared: dict[str, Pairs] = {}
        for where, layer in (("style", shared_keys), (part, content)):
            own = {key: value for key, value in layer.items() if key not in (FILE, STYLE)}
            place = f"{self.study.file}: {where}"
            known = {key: options[key] for key in keys}
            for values, mappings in (
                self._style_file(place, layer.get(STYLE)),
                option_values(known, own, place, MAPPINGS),
            ):
                found |= values
                shared |= {key: shared.get(key, {}) | pairs for key, pairs in mappings.items()}
        return found, shared

    def _style_file(self, place: str, style: object) -> tuple[dict[str, object], dict[str, Pairs]]:
        if style is None:
            return {}, {}
        if not isinstance(style, str):
            raise UserError(one_line(f"{place}: style: must be the name of a file, or serif or sans"))
        return ({"font": style}, {}) if style in FONTS else style_values(report_command, self.study.beside(style))

    def _check_names(self, place: str, found: Mapping[str, object]) -> None:
        """Check what a part names, as far as it is known before there are runs."""
        texts = {key: value for key, value in found.items() if isinstance(value, list)}
        each_seed = {f"{row}{BEFORE_SEED}{seed}" for row in self.rows for seed in self.seeds}
        known = self.rows | each_seed
        for name in separated([*texts.get("rows", ()), *texts.get("order", ())], known):
            if found["seeds"] == MEAN and name in each_seed:
                raise UserError(one_line(f'{place}: row {name!r} has a seed; valid: its name, or seeds = "rows"'))
        for name in separated(texts.get("rows", ()), known):
            # A row may be named with what sets it apart: `brushnet scale=0.5`.
            if name not in known and name.partition(" ")[0] not in self.rows:
                raise unknown(f"row in {place}", name, self.rows)
        for name in separated(texts.get("order", ()), known):
            if name not in {BY_NAME, *known} and name.partition(" ")[0] not in self.rows:
                self._check_metric(place, name)
        for name in separated(texts.get("splits", ())):
            if name not in self.splits:
                raise unknown(f"split in {place}", name, self.splits)
        for name in separated([*texts.get("columns", ()), *texts.get("metrics", ())]):
            self._check_metric(place, name)

    def _check_metric(self, place: str, name: str) -> None:
        split, _, metric = name.rpartition("/")
        if split and split not in self.splits:
            raise unknown(f"split in {place}", split, self.splits)
        asked = self.study.defaults.get("metrics") or ""
        # A metric from a file is known by the name that its class has.
        if not is_derived(metric) and not any(map(plugin_file, asked.split(","))):
            known = registered("metric")
            if parted(metric)[0] not in known:
                raise unknown(f"metric in {place}", metric, known)


def _check_texts(style: Style) -> None:
    """Raise `UserError` for texts and keys that LaTeX can't take."""
    style.names((), ())
    if style.caption.startswith(LATEX):
        checked_latex(style.caption, "caption")
    if style.label:
        checked_key(style.label, "label")


def _check_writable(target: Path) -> None:
    """Raise `UserError` if a file or folder can't be written, as far as this is seen from the folder above it."""
    above = next(folder for folder in target.absolute().parents if folder.exists())
    if not above.is_dir():
        raise UserError(one_line(f"{target} can't be written: {above} is not a folder"))
    if not os.access(above, os.W_OK | os.X_OK):
        raise UserError(one_line(f"{target} can't be written: no permission for {above}"))
