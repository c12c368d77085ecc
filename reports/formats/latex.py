r"""Render tables for papers, with booktabs, as a document that pdflatex compiles and that `\input` accepts as well.

On its own, the file has a preamble. In a document that has begun, `\documentclass` is an error macro of LaTeX's
kernel, by which the file recognises `\input`; that document needs the packages booktabs and graphicx.
"""

from collections.abc import Sequence

from brushbench.reports.formats.escaping import each_word, latex
from brushbench.reports.layout import AT_LEAST, Cell, CellKind, Mark, Section, Table, TableRow

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
MARKS: dict[Mark, str] = {"": "{}", "best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"}
NAMES: dict[Mark, str] = {"best": r"\textbf{bold}", "second": r"\underline{underlined}"}


def latex_document(tables: Sequence[Table]) -> str:
    """Render all tables, each as a `table*`."""
    return "\n\n".join([BEGIN, *map(_table, tables), END])


def _table(table: Table) -> str:
    columns = len(table.columns)
    lines = [
        r"\begin{table*}[htbp]",
        r"\centering",
        rf"\caption{{{each_word(latex, table.title)}.}}",
        # Fourteen columns of numbers fit across a page.
        rf"\{'footnotesize' if columns <= 10 else 'scriptsize'}",
        rf"\setlength{{\tabcolsep}}{{{6 if columns <= 10 else 3}pt}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{@{{}}l{'r' * columns}@{{}}}}",
        r"\toprule",
        *_spans(table),
        " & ".join(["Method", *map(_heading, table.headings)]) + r" \\",
        r"\midrule",
        *_sections(table.sections, columns),
        r"\bottomrule",
        r"\end{tabular}}",
        "",
        r"\vspace{1ex}",
        r"\begin{minipage}{\linewidth}\raggedright",
        *(rf"{note}.\par" for note in _notes(table)),
        r"\end{minipage}",
        r"\end{table*}",
    ]
    return "\n".join(lines)


def _heading(text: str) -> str:
    scaled = latex(text).replace(" x1e3", r" $\times10^3$")
    return scaled.replace(" x100", r" $\times100$").replace(" x10 ", r" $\times10$ ")


def _spans(table: Table) -> list[str]:
    lines = []
    for level in table.levels():
        if any(title for title, _ in level):
            cells, rules, start = [""], [], 2
            for title, count in level:
                cells.append(rf"\multicolumn{{{count}}}{{c}}{{{latex(title)}}}")
                rules.append(rf"\cmidrule(lr){{{start}-{start + count - 1}}}" if title else "")
                start += count
            lines += [" & ".join(cells) + r" \\", " ".join(filter(None, rules))]
    return lines


def _sections(sections: Sequence[Section], columns: int) -> list[str]:
    lines: list[str] = []
    for place, section in enumerate(sections):
        if place:
            lines.append(r"\midrule")
        if section.title:
            lines.append(rf"\multicolumn{{{columns + 1}}}{{@{{}}l}}{{\textit{{{latex(section.title)}}}}} \\")
        for number, group in enumerate(section.groups):
            lines += [r"\midrule"] if number else []
            lines += map(_row, group)
    return lines


def _row(row: TableRow) -> str:
    label = latex(row.label) if row.kind == "measured" else rf"\quad {latex(row.label)}"
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
    return [*legend, *(each_word(latex, note) for note in table.notes)]
