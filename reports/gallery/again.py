"""The command that makes one image of a run again."""

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from brushbench.core.capture import Failure, capture
from brushbench.core.compute import PLAIN
from brushbench.core.files import read_text
from brushbench.core.registry import short_name
from brushbench.runs import parts
from brushbench.runs.folder import Run
from brushbench.runs.record import DATASET_FILE, IMPORTED
from brushbench.runs.workers import NAME as WORKERS

KEPT = ("--weights", "--device")
"""Options that no identity has, taken from the command that made the run."""


@dataclass(frozen=True, slots=True)
class Again:
    """A command without the sample, which `--shard I/TOTAL` adds: a shard of so many has just the I-th sample."""

    words: tuple[str, ...]
    """Empty if this suite can't make the images."""
    total: int
    """Number of samples in the data set."""


def again(run: Run, total: int) -> Again:
    """Read from a run how to make its images again; `total` is the number of samples in its data set."""
    identity, provenance = run.record.identity, run.record.provenance
    if IMPORTED in identity.method.digests:
        return Again((), total)
    made = _made_by(run)
    words = ["brushbench", "run", "--method", _method(made, identity.method.name)]
    words += [word for key, value in identity.method.options.items() for word in _pair("-o", key, value)]
    words += ["--dataset", provenance.get(DATASET_FILE, identity.dataset.name), "--split", identity.dataset.split]
    words += [word for key, value in identity.dataset.options.items() for word in _pair("--data-option", key, value)]
    words += ["--root", provenance["root"]] if "root" in provenance else []
    words += [word for name in KEPT if (value := _option(made, name)) for word in (name, value)]
    words += ["--seed", str(identity.seed), "--protocol", identity.protocol]
    words += ["--dtype", identity.dtype] if identity.dtype else []
    words += ["--batch-size", str(identity.batch_size)] if identity.batch_size else []
    words += ["--compute", identity.compute] if identity.compute != PLAIN else []
    return Again((*words, "--output", "again", "--allow-partial"), total)


def _pair(flag: str, key: str, value: object) -> Iterator[str]:
    """An option, unless it has a value that no command line can give."""
    if isinstance(value, str | int | float):
        yield from (flag, f"{key}={str(value).lower() if isinstance(value, bool) else value}")


def _made_by(run: Run) -> list[str]:
    """Return the words of the command that made the run; empty if none is recorded."""
    texts = [capture(read_text, file) for file in parts.files(run.path, WORKERS.removesuffix(parts.SUFFIX))]
    for line in [line for text in texts if isinstance(text, str) for line in text.splitlines()]:
        found = capture(_command, line)
        if found and not isinstance(found, Failure):
            return found
    return []


def _command(line: str) -> list[str]:
    return shlex.split(str(json.loads(line).get("command", "")))


def _method(made: Sequence[str], name: str) -> str:
    """Return the method as the command named it, which for a file of the user's is more than its name."""
    named = _option(made, "--method").split(",")
    return next((one.strip() for one in named if short_name(one.strip()) == name), name)


def _option(made: Sequence[str], name: str) -> str:
    for place, word in enumerate(made):
        if word == name and place + 1 < len(made):
            return made[place + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return ""
