"""Which seeds a page lets its reader flip through."""

from collections import Counter
from collections.abc import Sequence

from brushbench.core.registry import method_info
from brushbench.reports.gallery.places import Place
from brushbench.runs.folder import Run
from brushbench.runs.record import IMPORTED


def seeds_of(places: Sequence[Place]) -> list[str]:
    """Return the seeds in rising order, as texts since they may be too large for numbers of JavaScript.

    There are none if every column has a single run on each place.
    """
    several = {
        run.record.identity.seed
        for place in places
        for label, run in place.runs
        if Counter(name for name, _ in place.runs)[label] > 1
    }
    return [str(seed) for seed in sorted(several)]


def is_of_any_seed(place: Place, label: str, run: Run) -> bool:
    """Tell whether a run is shown whatever the seed: it draws nothing by chance, or was made elsewhere."""
    identity = run.record.identity
    info = method_info(identity.method.name)
    alone = Counter(name for name, _ in place.runs)[label] == 1
    return alone and (IMPORTED in identity.method.digests or (info is not None and info.ignores_seed))
