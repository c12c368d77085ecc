"""Whether the workers of a cluster would make the same run: with the same weights, data, code and precision."""

from collections import Counter
from typing import final

from brushbench.core.errors import UserError, one_line
from brushbench.evaluation.cluster.messages import Loaded, Terms
from brushbench.runs.record import unequal_values

DIGESTS, METRICS, CODE = "method.digests.", "metrics.", "code."


@final
class Agreement:
    """The identity that most workers have, or the one of the run that is resumed."""

    def __init__(self, stored: Terms | None) -> None:
        """`stored` is the identity of the run in the output folder, if there is one."""
        self._stored = stored
        self._loaded: dict[str, Loaded] = {}

    def add(self, place: str, loaded: Loaded) -> None:
        """Add what the worker at a place has loaded; the place is named in messages."""
        self._loaded[place] = loaded

    def decide(self, *, complete: bool) -> Loaded | None:
        """What the run is made with; None if more workers should be awaited, which isn't so if they are `complete`.

        Raises `UserError` if as many workers have one identity as another.
        """
        for loaded in self._loaded.values():
            if self._stored is not None and loaded.identity.fingerprint() == self._stored.fingerprint():
                return loaded
        if not complete or not self._loaded:
            return None
        counts = Counter(loaded.identity.fingerprint() for loaded in self._loaded.values()).most_common(2)
        if len(counts) > 1 and counts[0][1] == counts[1][1]:
            (one, first), (other, second) = (self._one_of(fingerprint) for fingerprint, _ in counts)
            difference = difference_between(first.identity, second.identity)
            raise UserError(
                one_line(f"{one} and {other} would make different runs: {difference}; valid: the same on every node")
            )
        return self._one_of(counts[0][0])[1]

    def _one_of(self, fingerprint: str) -> tuple[str, Loaded]:
        return next((place, one) for place, one in self._loaded.items() if one.identity.fingerprint() == fingerprint)


def difference_between(one: Terms, other: Terms) -> str:
    """What two identities differ in, in words."""
    return ", ".join(_in_words(*each) for each in unequal_values(one.model_dump(), other.model_dump()))


def _in_words(name: str, first: str, second: str) -> str:
    if name == "dataset.digest":
        return "the files of the data set"
    if name.startswith(DIGESTS):
        return f"the files of {name.removeprefix(DIGESTS)}"
    if name.startswith(CODE):
        return f"the file of metric {name.removeprefix(CODE)}"
    if name.startswith(METRICS):
        name = f"metric {name.removeprefix(METRICS)}"
    return f"{name} ({first} and {second})"
