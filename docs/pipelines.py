"""Print docs/pipelines.md from the installed diffusers: python docs/pipelines.py > docs/pipelines.md"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import diffusers
from diffusers import DiffusionPipeline

from brushbench.baselines.pipeline_call import Call, call_of, why_not
from brushbench.baselines.pipeline_choice import inpainting_class
from brushbench.baselines.pipeline_folder import Index
from brushbench.core.capture import Failure, capture

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from pipeline_cases import CASES

SUBJECT = re.compile("Inpaint|Fill|Edit|Kontext")
"""Names of pipelines that inpaint or edit."""
CHOOSER = "AutoPipelineForInpainting"
HEAD = """# Pipelines of diffusers

The pipelines of diffusers VERSION whose names say that they inpaint, fill or edit, and what the method `diffusers` does
with each: COUNT of TOTAL run. This page is printed by `python docs/pipelines.py`; a test compares them, and another one
runs every class in the first two tables, with tiny random weights, against the same class called by hand.

How a pipeline is called follows from the names of its parameters, and from the exceptions in
`baselines/pipeline_facts.py`. A class that isn't listed here is called in the same way if its parameters have one of
these names: `image`, `images` or `control_image`; `mask_image`, `mask` or `control_mask`; and `prompt`. Only classes of
the installed diffusers are used; code in a pipeline's folder is never run.

* **mask**: white where the picture is generated. *None*: the class edits the whole picture by its prompt. Only the
  metrics then use the mask, every table says so in a note, and the known region is reported as it is.
* **control image**: the source with its masked pixels blanked, so that nothing of the hidden content reaches the model.
  For a ControlNet of edges, depth or poses that is a picture of another kind than it was trained with.
* **size**: *own*: the class generates at a size of its own; the result is resized to that of the source, and each
  sample's note says from which size. All others generate at the size of the source.
"""


def page() -> str:
    """Return the text of the whole page."""
    names = [*sorted(name for name in _pipelines() if SUBJECT.search(name)), CHOOSER]
    running = {name: each for name in names if (each := _runs_as(name))}
    further = {name: name for name in _pipelines() if name not in running and name not in names and not _reason(name)}
    counts = {"VERSION": diffusers.__version__, "COUNT": str(len(running)), "TOTAL": str(len(names))}
    head = re.sub("VERSION|COUNT|TOTAL", lambda match: counts[match[0]], HEAD)
    rest = [f"| `{name}` | {_reason(name)} |" for name in names if name not in running]
    return "\n".join(
        [
            head,
            "## Those that run",
            "",
            *_table(running),
            "",
            "## Further pipelines that run",
            "",
            *_table(further),
            "",
            "## Those that don't, and why",
            "",
            "| class | reason |",
            "|---|---|",
            *rest,
            "",
        ]
    )


def running_classes() -> set[str]:
    """Return the names of all classes that are called for some folder."""
    accepted = {name for name in _pipelines() if not _reason(name)}
    return accepted | {each for name in _pipelines() if SUBJECT.search(name) and (each := _runs_as(name))}


def _pipelines() -> list[str]:
    found = [(name, getattr(diffusers, name)) for name in dir(diffusers)]
    return sorted(
        name
        for name, cls in found
        if isinstance(cls, type) and issubclass(cls, DiffusionPipeline) and cls is not DiffusionPipeline
    )


def _runs_as(name: str) -> str:
    """Return the class that is called for a folder that names a class; empty if none can be."""
    if name == CHOOSER:
        return ""
    if not _reason(name):
        return name
    # Kandinsky's second halves run with their priors.
    found = capture(lambda: inpainting_class(Index(Path(), name, {}, {})))
    return "" if isinstance(found, Failure) else str(found.__name__)


def _reason(name: str) -> str:
    if name == CHOOSER:
        return "chooses one of the classes above; for a folder that names another class, `diffusers` asks its table"
    return why_not(getattr(diffusers, name)).removeprefix(f"{name} ")


def _table(classes: dict[str, str]) -> Iterator[str]:
    yield "| class | image | mask | control image | size | tiny pipeline |"
    yield "|---|---|---|---|---|---|"
    for name, used in classes.items():
        call = call_of(getattr(diffusers, used))
        through = "" if used == name else f", as `{used}` with `-o prior=`"
        mask = f"`{call.mask}`" if call.mask else "*none*"
        tested = "runs" if used in CASES else "not tested"
        size = "own" if call.facts.own_size else "the source's"
        yield f"| `{name}`{through} | `{call.image}` | {mask} | {_control(call)} | {size} | {tested} |"


def _control(call: Call) -> str:
    if call.control is None:
        return ""
    blank = "masked pixels black" if call.facts.blank == "black" else "masked pixels -1"
    mode = "" if call.facts.control_mode is None else f", `control_mode={call.facts.control_mode}`"
    return f"`{call.control}`, {blank}{mode}"


if __name__ == "__main__":
    print(page(), end="")
