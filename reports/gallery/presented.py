"""What a gallery calls its methods and metrics, and the order of its columns, as the tables of a paper have them."""

from collections.abc import Sequence

from brushbench.reports.frame import labels_of, metrics_of
from brushbench.reports.look import BY_NAME
from brushbench.reports.style import Names, Style, chosen
from brushbench.runs.folder import Run


def presented(runs: Sequence[Run], style: Style, *, over_seeds: bool = False) -> tuple[list[Run], Names]:
    """Return the runs in the order of the columns, and the names of methods and metrics.

    Raises `UserError` for names that do not occur.
    """
    labels = labels_of(runs, over_seeds=over_seeds)
    methods = list(dict.fromkeys([*labels, *(label.partition(" ")[0] for label in labels)]))
    names = style.names([*methods, *metrics_of(runs)], methods)
    order = chosen("method of --order", style.order, [*methods, BY_NAME])
    if order == [BY_NAME]:
        called = [names.of_method(label) for label in labels]
        places = sorted(range(len(runs)), key=lambda place: (called[place].casefold(), called[place]))
    else:
        # A method stands for all its rows.
        rank = {name: place for place, name in reversed(list(enumerate(order)))}
        ranks = [rank.get(label, rank.get(label.partition(" ")[0], len(order))) for label in labels]
        places = sorted(range(len(runs)), key=ranks.__getitem__)
    return [runs[place] for place in places], names
