"""Render tables as one self-contained page, without scripts and without fonts or pictures from elsewhere."""

from collections.abc import Sequence
from pathlib import Path

import jinja2

from brushbench.reports.formats.escaping import plain, words
from brushbench.reports.layout import Table

TEMPLATES = Path(__file__).parent / "templates"


def html_page(tables: Sequence[Table]) -> str:
    """Render all tables, with all text escaped."""
    return templates_in(TEMPLATES).get_template("tables.html").render(tables=tables).rstrip("\n")


def templates_in(folder: Path) -> jinja2.Environment:
    """Return the templates of a folder. They escape all text; what they name and nobody gives is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"plain": plain, "words": words}
    return environment
