"""Print docs/published.md from the registry: python docs/published_numbers.py > docs/published.md"""

from collections.abc import Iterator, Sequence

from brushbench.reports.published.registry import CONFIDENCE, Published, read
from brushbench.reports.published.setups import groups, setups

HEAD = """# Published numbers

Papers copy each other's tables, and the same method has several values for the same benchmark and metric. This page is
printed by `python docs/published_numbers.py` from the registry that `brushbench list published` prints; a test compares
them. None of these numbers was measured with this suite, and no published table has an interval.
"""
SHOWN = (("BrushBench", "inside", "IR"), ("EditBench", "all", "IR"), ("BrushBench", "inside", "CLIP"))
"""The numbers of BrushNet that are shown side by side."""
METHOD, AUTHORS = "BrushNet", "brushnet"
SAID = ("base", "steps", "prompts", "storage", "blending")


def page() -> str:
    """Return the text of the whole page."""
    numbers = read()
    return "\n".join([HEAD, *_one_method(numbers), *_setups(numbers), *_confidence()]) + "\n"


def _one_method(numbers: Sequence[Published]) -> Iterator[str]:
    found = [number for number in numbers if number.method == METHOD]
    reported = {
        name: {place: [one for one in ours if (one.benchmark, one.split, one.metric) == place] for place in SHOWN}
        for name, ours in groups(found).items()
    }
    reported = {name: cells for name, cells in reported.items() if any(cells.values())}
    yield f"## {METHOD}, as {len(reported)} groups report it"
    yield ""
    yield "ImageReward is x10, CLIP is the similarity x100. A blended value is in brackets."
    yield ""
    heading = [f"{benchmark} {split}, {metric}" for benchmark, split, metric in SHOWN]
    yield f"| reported by | {' | '.join(heading)} | base | steps | prompts | storage | blending | remarks |"
    yield f"|{'---|' * (len(heading) + len(SAID) + 2)}"
    for name, cells in reported.items():
        setup = setups()[name]
        values = [_cell(cell) for cell in cells.values()]
        said = [getattr(setup, field) for field in SAID]
        yield f"| {setup.paper} | {' | '.join(values)} | {' | '.join(said)} | {setup.note} |"
    yield ""
    yield (
        "The set-ups differ in the base model, the steps, the prompts and the storage of the images, or are not said "
        "at all. So a number from one row can't be compared with one from another."
    )
    yield ""


def _cell(numbers: Sequence[Published]) -> str:
    texts = [f"({number.value:g})" if number.blend in ("paste", "blur") else f"{number.value:g}" for number in numbers]
    return ", ".join(texts) or "-"


def _setups(numbers: Sequence[Published]) -> Iterator[str]:
    yield "## Which rows may stand together"
    yield ""
    yield (
        "Rows of one group, benchmark and split were measured by the same people under the same conditions, and may "
        "stand in one table. Rows of two groups may not."
    )
    yield ""
    yield "| group | paper | numbers | on | base | steps | prompts | storage | blending | remarks |"
    yield f"|{'---|' * 10}"
    for name, ours in groups(numbers).items():
        setup = setups()[name]
        where = ", ".join(dict.fromkeys(f"{number.benchmark} {number.split}" for number in ours))
        said = " | ".join(getattr(setup, field) for field in SAID)
        yield f"| `{name}` | {setup.paper} | {len(ours)} | {where} | {said} | {setup.note} |"
    yield ""


def _confidence() -> Iterator[str]:
    yield "## Sources"
    yield ""
    yield "Every number has its own source, paper and table, and a grade:"
    yield ""
    yield from (f"* `{grade}`: {meaning}" for grade, meaning in CONFIDENCE.items())
    yield ""
    yield (
        "To add numbers of your own, see [Published numbers](reports.md#published-numbers). Numbers that everyone "
        "should have are welcome as a pull request to `reports/published/other_papers.csv`, with their set-up in "
        "`setups.toml`."
    )


if __name__ == "__main__":
    print(page(), end="")
