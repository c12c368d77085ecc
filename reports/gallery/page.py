"""The page itself: a template, a style sheet and scripts, which are copied, as `file://` allows no modules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from brushbench import __version__
from brushbench.reports.formats.html import templates_in
from brushbench.reports.gallery.folder import ASSETS, Folder, key_of
from brushbench.reports.gallery.head import Banner, Links
from brushbench.reports.layout import Table

SOURCE = Path(__file__).parent / "page"
SCRIPTS = (
    *(
        "gallery",
        "dom",
        "store",
        "seeds",
        "numbers",
        "state",
        "order",
        "usual",
        "charts",
        "cells",
        "header",
        "grid",
        "panel",
    ),
    *("stage", "facts", "detail", "figure", "blind", "keys"),
)
"""In the order in which they are run: each uses what stands before it."""
LAST = "app.js"
"""The script that starts the page, after the data."""


@dataclass(frozen=True, slots=True)
class Head:
    """What stands above the grid, and what data the page loads."""

    title: str
    banners: Sequence[Banner]
    tables: Sequence[Table]
    links: Links
    data: Sequence[str]
    """Scripts, in the order in which they are run."""


def write_page(folder: Folder, head: Head) -> bytes:
    """Copy what the page consists of into the folder, and return the page."""
    contents = {file.name: file.read_bytes() for file in (*SOURCE.glob("*.css"), *(SOURCE / "js").glob("*.js"))}
    place = f"{ASSETS}/{key_of(*(contents[name] for name in sorted(contents)))[:8]}"
    for name, content in contents.items():
        if not folder.has(f"{place}/{name}"):
            folder.put(f"{place}/{name}", content)
    shown: Mapping[str, object] = {
        "head": head,
        "assets": place,
        "scripts": [f"{name}.js" for name in SCRIPTS],
        "last": LAST,
    }
    return templates_in(SOURCE).get_template("gallery.html").render(version=__version__, **shown).encode()
