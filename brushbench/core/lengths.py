"""Widths in a page as TeX counts them: in points of which an inch has 72.27."""

import re

from brushbench.core.errors import UserError, one_line

INCH = 72.27
"""TeX's points per inch; PDF's are larger, of which an inch has 72."""
NAMED = {"column": 252.0, "text": 516.0}
"""A column and the text of IEEEtran's page of two columns, in TeX's points."""
UNITS = {"pt": 1.0, "in": INCH, "cm": INCH / 2.54, "mm": INCH / 25.4}
NARROWEST, WIDEST = 144.0, 1440.0
ONE_COLUMN = 300.0
"""A wider figure or table goes across both columns of a page that has two."""
_LENGTH = re.compile(rf"(\d{{1,5}}(?:\.\d{{1,9}})?) ?({'|'.join(UNITS)})", re.ASCII)


def points_of(width: str) -> float:
    """Return `column`, `text` or a length such as `237.13pt`, `3.28in` or `8.4cm` in TeX's points.

    Raises `UserError` for anything else, and for lengths that no figure fits in.
    """
    if width in NAMED:
        return NAMED[width]
    found = _LENGTH.fullmatch(width)
    points = float(found[1]) * UNITS[found[2]] if found else 0.0
    if not NARROWEST <= points <= WIDEST:
        valid = (
            f"{', '.join(NAMED)}, or a length from {NARROWEST:g}pt to {WIDEST:g}pt such as 237.13pt, 3.28in or 8.4cm"
        )
        raise UserError(one_line(f"width {width!r}; valid: {valid}"))
    return points


def is_one_column(width: str) -> bool:
    """Tell whether a width is that of one column in a page of two; empty is across both."""
    return bool(width) and points_of(width) <= ONE_COLUMN
