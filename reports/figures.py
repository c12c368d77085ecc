"""Write figures to files: in one style, safe with any text, and with the same bytes for the same numbers.

Nothing here uses pyplot, whose figures are global; a figure is an object, and the style applies while it is drawn.
"""

import io
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

from brushbench.core import atomic
from brushbench.core.errors import UserError, one_line
from brushbench.imaging.fonts import OWN

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31")
"""Colours by Okabe and Ito, which everyone can tell apart; the eighth replaces their yellow, which is lost on white."""
MARKERS = "os^DvPX*"
MISSING = "\N{WHITE SQUARE}"
"""Sign for a character that the font lacks."""
LONGEST = 40
"""Most characters of a name."""
SUPERSCRIPT = {10.0: "×10", 100.0: "×100", 1000.0: "×10³"}
PLACES = {"known": "known region", "painted": "painted region", "whole": "whole image", "border": "border of the mask"}
_METADATA: dict[str, dict[str, str | None]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""By suffix, the metadata to leave out, as they change from day to day or with matplotlib's version."""
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
    "lines.linewidth": 1.0,
    "lines.markersize": 5,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    # Fonts as journals require them, text that can be searched and edited, and reproducible names in SVG.
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "brushbench",
}


def check_suffix(file: Path) -> str:
    """Return the file's suffix. Raises `UserError` unless it is PNG, SVG or PDF, and if the folder does not exist."""
    suffix = file.suffix.lower()
    if suffix not in _METADATA:
        raise UserError(one_line(f"{file}: a figure must end in {', '.join(_METADATA)}"))
    if not file.parent.is_dir():
        raise UserError(one_line(f"{file}: no such folder: {file.parent}"))
    return suffix


def write_figure(file: Path, draw: Callable[[], Figure], settings: Mapping[str, object] | None = None) -> None:
    """Draw a figure in the suite's style and write it atomically. Raises `UserError` as `check_suffix` does.

    `settings` are parameters of matplotlib that differ from that style.
    """
    suffix = check_suffix(file)
    buffer = io.BytesIO()
    with matplotlib.rc_context():
        # A user's own matplotlibrc must not change a figure of the suite.
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE | dict(settings or {}))
        draw().savefig(buffer, format=suffix[1:], metadata=_METADATA[suffix])
    atomic.write(file, buffer.getvalue())


def readable(text: str, limit: int = LONGEST, font: str = str(OWN)) -> str:
    """A name or caption as a figure shows it: one line, cut, no markup; `MISSING` for what the font hasn't."""
    known = _characters(font)
    missing = MISSING if ord(MISSING) in known else "?"
    line = "".join(c if ord(c) in known else missing for c in one_line(text, limit))
    # Two dollars would begin a formula.
    return line.replace("$", r"\$")


def mark_of(index: int) -> tuple[str, str]:
    """Return colour and marker of the series at this position, different for the first 64."""
    return COLOURS[index % len(COLOURS)], MARKERS[(index + index // len(COLOURS)) % len(MARKERS)]


@cache
def _characters(font: str) -> frozenset[int]:
    return frozenset(FT2Font(font).get_charmap())
