"""What a data set of a plug-in says of itself, as the attribute `info` of its class."""

from dataclasses import dataclass

NOT_STATED = "see its own documentation"


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """All of it may be left out."""

    splits: tuple[str, ...] = ()
    """Those that it has, the usual one first; empty: it is asked for `inside`, and judges any other name itself."""
    metrics: tuple[str, ...] = ()
    """What its runs are scored with if none are named; empty: the usual ones of any data set."""
    licence: str = NOT_STATED
    citation: str = NOT_STATED
