"""Compare the gallery's own virtual grid with one by a library, @tanstack/virtual-core, in Chromium:

    python benchmarks/gallery.py --keep DIR
    npm install @tanstack/virtual-core esbuild
    names="Virtualizer, observeElementRect, observeElementOffset, elementScroll"
    echo "export { $names } from '@tanstack/virtual-core';" > entry.js
    npx esbuild entry.js --bundle --minify --format=iife --global-name=VirtualCore --outfile=virtual.js
    python benchmarks/grid_library.py DIR/10000/gallery virtual.js

A throwaway copy of the gallery gets the library, and a grid.js whose virtualisation is replaced by calls of it. Both
pages are opened and scrolled in turn, as `benchmarks/gallery.py` does. It prints lines, bytes, first paint and longest
task.
"""

import gzip
import statistics
import sys
import tempfile
from pathlib import Path

from gallery import looked_at

TURNS = 5
BEGINS = "  /** Where the rows begin in what is scrolled"
ENDS = "  /** @returns {HTMLElement} */\n  function rowElement"
REVEAL, REVEALED = "  /** Scroll so far that a row is in view. */", "  /** The row that the focus is in"
LIBRARY = """  const { Virtualizer, elementScroll, observeElementOffset, observeElementRect } = VirtualCore;
  let virtual;

  const top = () => parts.body.offsetTop + parts.grid.offsetTop;

  const settings = () => ({
    count: rows.length, estimateSize: height, scrollMargin: top(), getScrollElement: () => parts.scroller,
    overscan: SPARE, observeElementRect, observeElementOffset, scrollToFn: elementScroll, onChange: CHANGED,
  });

  function update() {
    waiting = false;
    const started = performance.now();
    const wanted = new Set(virtual.getVirtualItems().map((item) => item.index));
    for (const [place, element] of made) {
      if (wanted.has(place) || element.contains(document.activeElement)) continue;
      element.remove();
      made.delete(place);
    }
    for (const place of wanted) {
      if (made.has(place)) continue;
      if (performance.now() - started > LIMIT) return schedule();
      add(place);
    }
    return undefined;
  }

  function add(place) {
    const element = rowElement(rows[place], place);
    made.set(place, element);
    parts.body.append(element);
  }

  function schedule() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(update);
  }

"""
"""What stands in the place of the grid's own virtualisation; CHANGED and LIMIT differ by variant."""
CALLS = {
    '    parts.scroller.addEventListener("scroll", schedule, { passive: true });\n'
    "    new ResizeObserver(schedule).observe(parts.scroller);\n": (
        "    virtual = new Virtualizer(settings());\n    virtual._didMount();\n    virtual._willUpdate();\n"
    ),
    "    parts.empty.hidden = rows.length > 0;\n    update();\n": (
        "    parts.empty.hidden = rows.length > 0;\n    virtual.setOptions(settings());\n    virtual._willUpdate();\n"
        "    virtual.measure();\n    update();\n"
    ),
}
VARIANTS = {"library": ("update", "Infinity"), "library, in slices of a frame": ("schedule", "SLICE")}


def main() -> int:
    """Print the sizes, and the times of the page as it is and with the library."""
    built, library = (Path(argument).resolve() for argument in sys.argv[1:3])
    (own,) = (built / "assets").glob("*/grid.js")
    text = own.read_text(encoding="utf-8")
    own_lines = len(_code(_between(text, BEGINS, ENDS) + _between(text, REVEAL, REVEALED)))
    bundle = library.read_bytes()
    print(f"own virtualisation: {own_lines} lines of code")
    sizes = f"{len(bundle)} bytes minified, {len(gzip.compress(bundle))} gzipped"
    print(f"library: {len(_code(LIBRARY))} lines of calls, {sizes}")
    with tempfile.TemporaryDirectory() as folder:
        pages = {"own": built / "index.html"}
        for number, (name, variant) in enumerate(VARIANTS.items()):
            pages[name] = replaced(built, Path(folder) / str(number), text, library, variant)
        found: dict[str, list[tuple[float, float, float, int]]] = {name: [] for name in pages}
        for _ in range(TURNS):
            for name, page in pages.items():
                found[name].append(looked_at(page))
        for name, times in found.items():
            paint, thumbnails, task = (statistics.median(each[place] for each in times) for place in range(3))
            tasks = ", ".join(f"{each[2]:.0f}" for each in times)
            print(f"{name}: first paint {paint:.0f} ms, thumbnails {thumbnails:.0f} ms")
            print(f"  longest task {task:.0f} ms ({tasks}) on {', '.join(str(each[3]) for each in times)} screens")
    return 0


def replaced(built: Path, target: Path, text: str, library: Path, variant: tuple[str, str]) -> Path:
    """Write a copy of the gallery that virtualises by the library, and return its page."""
    changed, limit = variant
    own = _between(text, BEGINS, ENDS)
    text = text.replace(own, LIBRARY.replace("CHANGED", changed).replace("LIMIT", limit))
    reveal = '  const reveal = (place) => virtual.scrollToIndex(place, { align: "auto" });\n\n'
    text = text.replace(_between(text, REVEAL, REVEALED), reveal)
    for old, new in CALLS.items():
        if old not in text:
            raise SystemExit(f"grid.js has changed: {old!r} isn't there")
        text = text.replace(old, new)
    target.mkdir()
    for name in ("data", "full", "thumbs"):
        (target / name).symlink_to(built / name)
    (source,) = (built / "assets").iterdir()
    assets = target / "assets" / source.name
    assets.mkdir(parents=True)
    for file in source.iterdir():
        (assets / file.name).write_bytes(file.read_bytes())
    (assets / "grid.js").write_text(text, encoding="utf-8")
    (assets / "virtual.js").write_bytes(library.read_bytes())
    page = (built / "index.html").read_text(encoding="utf-8")
    first = f'<script defer src="assets/{source.name}/gallery.js"></script>'
    script = f'<script defer src="assets/{source.name}/virtual.js"></script>'
    if first not in page:
        raise SystemExit("the page has changed: its first script isn't there")
    (target / "index.html").write_text(page.replace(first, script + first), encoding="utf-8")
    return target / "index.html"


def _between(text: str, begins: str, ends: str) -> str:
    return text[text.index(begins) : text.index(ends)]


def _code(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith(("/*", "*", "//"))]


if __name__ == "__main__":
    sys.exit(main())
