"""PaperCut: the paper's experiment in miniature, with procedural scenes of cut paper, captions and exact object masks.

The 200 test scenes ship in BrushBench's format, and BrushBench's reader reads them; `make` draws them again.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

from brushbench.core.errors import UserError
from brushbench.core.options import Value
from brushbench.core.types import Dataset
from brushbench.datasets.brushbench import BrushBench
from brushbench.datasets.defects import Report
from brushbench.datasets.listing import DataListing
from brushbench.datasets.mapping import read_mapping

DATA = Path(__file__).parent / "data"


@final
class PaperCut:
    """The test scenes, 128x128; results on this miniature world say nothing about real photographs."""

    @staticmethod
    def listed(
        _root: Path | None, splits: Sequence[str], _options: Mapping[str, Value], report: Report
    ) -> DataListing | None:
        """See `Listable`."""
        return read_mapping(DATA / "mapping_file.json", splits, report)

    @classmethod
    def open(cls, root: str | Path | None, split: str) -> Dataset:
        """Open a split; `root` must be None, since the scenes come with the suite."""
        if root is not None:
            raise UserError("data set 'papercut' is embedded and takes no --root")
        return BrushBench(DATA / "mapping_file.json", split, name="papercut")
