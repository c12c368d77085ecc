r"""Render tables for papers, with booktabs, as a document that pdflatex compiles and that `\input` accepts as well.

On its own, the file has a preamble. In a document that has begun, `\documentclass` is an error macro of LaTeX's
kernel, by which the file recognises `\input`; that document needs the packages booktabs and graphicx.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from brushbench.reports.formats.escaping import each_word, latex
from brushbench.reports.layout import AT_LEAST, Cell, CellKind, Mark, Table, TableRow

BEGIN = r"""% Compile it as it is, or \input it into a document with \usepackage{booktabs,graphicx}.
\expandafter\ifx\csname @twoclasseserror\endcsname\documentclass
  \def\brushbenchend{}
\else
  \documentclass{article}
  \usepackage[utf8]{inputenc}
  \usepackage{booktabs,graphicx}
  \usepackage[a4paper,landscape,margin=1.5cm]{geometry}
  \pagestyle{empty}
  \def\brushbenchend{\end{document}}
  \begin{document}
\fi"""
END = r"\brushbenchend"
WIDE = r"""  \documentclass{article}
  \usepackage[utf8]{inputenc}
  \usepackage{booktabs,graphicx}
  \usepackage[a4paper,landscape,margin=1.5cm]{geometry}"""
NARROW = r"""  \documentclass[twocolumn]{article}
  \usepackage[utf8]{inputenc}
  \usepackage{booktabs,graphicx}
  \usepackage[a4paper,margin=1.7cm]{geometry}"""
FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
"""Before a table that is made narrower if it doesn't fit."""
NOTES_WIDTH = (
    r"\dimen2=\wd2 \ifdim\dimen2<.7\linewidth \dimen2=.7\linewidth\fi \ifdim\dimen2>\linewidth \dimen2=\linewidth\fi"
)
"""Makes notes as wide as the table in the box above them, within limits."""
MARKS: dict[Mark, str] = {"": "{}", "best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"}
NAMES: dict[Mark, str] = {"best": r"\textbf{bold}", "second": r"\underline{underlined}"}


def latex_document(tables: Sequence[Table]) -> str:
    """Render all tables, each as a `table*`, or as a `table` that is as wide as one of two columns."""
    begin = BEGIN
    if all(table.dress.is_narrow for table in tables):
        begin = begin.replace(WIDE, NARROW)
    return "\n\n".join([begin, *map(_table, tables), END])


def _table(table: Table) -> str:
    columns, form = len(table.columns), "table" if table.dress.is_narrow else "table*"
    # Fourteen columns of numbers fit across a page, seven in one of its two columns.
    small = columns > (5 if table.dress.is_narrow else 10)
    return fitted_tabular(
        Tabular(
            caption=_caption(table),
            label=table.dress.label,
            columns="l" + "r" * columns,
            lines=[
                *_spans(table),
                " & ".join(["Method", *(_typeset(table, text, _heading) for text in table.headings)]) + r" \\",
                r"\midrule",
                *_sections(table),
            ],
            notes=_notes(table),
            form=form,
            is_small=small,
            gap=3 if small else 4 if table.dress.is_narrow else 6,
        )
    )


@dataclass(frozen=True, slots=True)
class Tabular:
    """A table with its notes; all texts are LaTeX."""

    caption: str
    label: str
    columns: str
    """The letters of the columns."""
    lines: Sequence[str]
    """Those between the outer rules."""
    notes: Sequence[str]
    form: str = "table*"
    """The environment."""
    is_small: bool = False
    gap: int = 6
    """Half the space between two columns, in points."""


def fitted_tabular(table: Tabular) -> str:
    """Return a float with a table that is no wider than its place, and its notes below."""
    return "\n".join(
        [
            rf"\begin{{{table.form}}}[htbp]",
            r"\centering",
            rf"\caption{{{table.caption}}}",
            rf"\label{{{table.label}}}",
            rf"\{'scriptsize' if table.is_small else 'footnotesize'}",
            rf"\setlength{{\tabcolsep}}{{{table.gap}pt}}",
            r"\vspace{1ex}",
            # The notes below need the width of the table, so it is put into a box first.
            r"\sbox2{%" if table.notes else FITTED,
            rf"\begin{{tabular}}{{@{{}}{table.columns}@{{}}}}",
            r"\toprule",
            *table.lines,
            r"\bottomrule",
            r"\end{tabular}}",
            *(_below(table.notes) if table.notes else []),
            rf"\end{{{table.form}}}",
        ]
    )


def _below(notes: Sequence[str]) -> list[str]:
    """Return the lines that print the table in the box, and the notes."""
    return [
        FITTED,
        r"\usebox2}",
        "",
        r"\vspace{1ex}",
        NOTES_WIDTH,
        r"\begin{minipage}{\dimen2}\raggedright",
        *notes,
        r"\end{minipage}",
    ]


def _caption(table: Table) -> str:
    text = _typeset(table, table.title, _sentence)
    return text if text.endswith((".", "!", "?", "}")) else f"{text}."


def _typeset(table: Table, text: str, escape: Callable[[str], str] = latex) -> str:
    """Escape a text, but for the LaTeX that stands in the place of it or of its beginning."""
    dressed = table.dress.latex
    raw = max((name for name in dressed if text == name or text.startswith(f"{name} ")), key=len, default=None)
    if raw is None:
        return escape(text)
    rest = escape(text[len(raw) :])
    return dressed[raw] + (f" {rest}" if rest else "")


def _sentence(text: str) -> str:
    return each_word(latex, text)


def _heading(text: str) -> str:
    # So that the scale after a name in LaTeX is preceded by a space as well.
    scaled = f" {latex(text)}".replace(" x1e3", r" $\times10^3$")
    return scaled.replace(" x100", r" $\times100$").replace(" x10 ", r" $\times10$ ").lstrip()


def _spans(table: Table) -> list[str]:
    lines = []
    levels = table.levels()
    # In one column there is no room for the names of groups, only for those of splits.
    for level in levels[: len(levels) - 1] if table.dress.is_narrow else levels:
        if any(title for title, _ in level):
            cells, rules, start = [""], [], 2
            for title, count in level:
                cells.append(rf"\multicolumn{{{count}}}{{c}}{{{_typeset(table, title)}}}")
                end = start + count - 1
                # The last column ends at the edge of the table, and so does its rule.
                trimmed = "lr" if end <= len(table.columns) else "l"
                rules.append(rf"\cmidrule({trimmed}){{{start}-{end}}}" if title else "")
                start = end + 1
            lines += [" & ".join(cells) + r" \\", " ".join(filter(None, rules))]
    return lines


def _sections(table: Table) -> list[str]:
    lines: list[str] = []
    for place, section in enumerate(table.sections):
        if place:
            lines.append(r"\midrule")
        if section.title:
            lines.append(rf"\multicolumn{{{len(table.columns) + 1}}}{{@{{}}l}}{{\textit{{{latex(section.title)}}}}} \\")
        for number, group in enumerate(section.groups):
            lines += [r"\midrule"] if number else []
            lines += [_row(table, row) for row in group]
    return lines


def _row(table: Table, row: TableRow) -> str:
    cite = rf"~\cite{{{table.dress.cites[row.label]}}}" if row.label in table.dress.cites else ""
    label = _typeset(table, row.label) + cite if row.kind == "measured" else rf"\quad {latex(row.label)}"
    return " & ".join([label, *(_marked(cell, row.kind) for cell in row.cells)]) + r" \\"


def _marked(cell: Cell, kind: CellKind) -> str:
    number = "--" if cell.text == "-" else _number(cell.text)
    if kind == "published" and cell.remark:
        # Beside the column, so that the numbers stay aligned.
        return rf"{number}\rlap{{$^{{\mathrm{{{latex(cell.remark.strip('()'))}}}}}$}}"
    number = MARKS[cell.mark].format(number) + (r"$^\dagger$" if cell.fewer else "")
    return " ".join(filter(None, [number, _number(cell.interval), latex(cell.remark)]))


def _number(text: str) -> str:
    """Typeset a number with a minus sign, and brackets so that they are not read as an option of a line's end."""
    signs = {"-": "$-$", "±": r"$\pm$", AT_LEAST: r"$\geq$", "[": "{[}", "]": "{]}"}
    return "".join(signs.get(character, character) for character in text)


def _notes(table: Table) -> list[str]:
    legend = [f"{NAMES[mark]}: {each_word(latex, meaning)}" for mark, meaning in table.legend]
    notes = [*legend, *(each_word(latex, note) for note in table.notes)]
    return [rf"{note}.\par" for note in (["; ".join(notes)] if table.is_brief else notes)]
