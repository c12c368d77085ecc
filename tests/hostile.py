"""Helpers of the tests with hostile data sets."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import brushbench
from brushbench.core.errors import UserError
from brushbench.datasets.tables import MAX_BYTES

SIDE = 16
DRAWN = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
RUNS = [1, 5, 40, 9]
Change = Callable[[Path], object]


HARMFUL = "a cat \u202egod\u202c \x1b[31m\x07\x9b2J red\r\nover"


def write(root: Path, name: str = "a", **changes: object) -> None:
    entry = {"image": "images/a.png", "caption": "noise", "inpainting_mask": RUNS, "outpainting_mask": RUNS}
    (root / "mapping_file.json").write_text(json.dumps({name: entry | changes}))


def refused(read: Callable[[], object], *parts: str) -> None:
    with pytest.raises(UserError) as error:
        read()
    message = str(error.value)
    assert message.isprintable(), repr(message)
    assert 0 < len(message) <= 500
    assert all(part in message for part in parts), message


def first(root: Path, split: str = "inside") -> brushbench.Sample:
    dataset = brushbench.load_dataset("brushbench", root=root, split=split)
    assert len(dataset.digest()) == 64
    return dataset[0]


def make_directory(file: Path) -> None:
    file.mkdir()


def make_huge(file: Path) -> None:
    """Sparse: it takes no room."""
    with file.open("wb") as opened:
        opened.truncate(MAX_BYTES + 1)
