"""A data set without its captions, for removal: the option `captions=none`, which every data set has."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import final

from brushbench.core.types import Dataset, Sample
from brushbench.datasets.source import digest_of_parts, iterate


@final
class Uncaptioned:
    """A data set whose samples all have the empty caption."""

    def __init__(self, inner: Dataset) -> None:
        self.name = inner.name
        self.split = inner.split
        self._inner = inner

    @property
    def ids(self) -> Sequence[str]:
        """The ids of the data set's samples."""
        return self._inner.ids

    def tags(self) -> Mapping[str, Mapping[str, str]]:
        """The tags of the data set's samples, by id."""
        return self._inner.tags()

    def digest(self) -> str:
        """Hash of the option and of every byte of the data set."""
        return digest_of_parts([b"captions=none", self._inner.digest().encode()])

    def __len__(self) -> int:
        return len(self._inner)

    def __iter__(self) -> Iterator[Sample]:
        return iterate(self)

    def __getitem__(self, index: int) -> Sample:
        return replace(self._inner[index], caption="")
