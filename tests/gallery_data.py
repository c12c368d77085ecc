"""What a gallery has written, read back."""

import base64
import json
import re
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
BROKEN = """
class Method:
    def __call__(self, batch, seeds):
        if "000000001" in batch.ids:
            raise RuntimeError("out of <b>paint</b>")
        return batch.images.clone()
"""
"""A method that fails on one sample."""


def scripts(folder: Path, kind: str) -> list[dict[str, object]]:
    """The data of one kind that the page loads, or would load, in the order of their names."""
    files = sorted((folder / "data").glob(f"{kind}-*.js"))
    return [json.loads(re.fullmatch(r"Gallery\.data\.\w+\((.*)\);\n", file.read_text())[1]) for file in files]


def script(folder: Path, kind: str, method: str) -> dict[str, object]:
    """The data of one kind of a method."""
    return next(found for found in scripts(folder, kind) if found["method"] == method)


def rows(folder: Path) -> list[dict[str, object]]:
    return [row for part in scripts(folder, "rows") for row in part["rows"]]


def values(found: dict[str, object], metric: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(found["scores"][metric]["values"]), "<f8")


def pictures(folder: Path) -> dict[str, int]:
    """All thumbnails and full pictures, with the time of the last change of each."""
    files = [file for place in ("thumbs", "full") for file in (folder / place).rglob("*") if file.is_file()]
    return {file.relative_to(folder).as_posix(): file.stat().st_mtime_ns for file in files}


def command(*arguments: object) -> list[str]:
    """The command line as a process of its own."""
    return [sys.executable, "-m", "brushbench", *map(str, arguments)]
