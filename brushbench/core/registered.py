"""An entry of a catalogue: a name, its class, and the facts that are known without importing the class."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from brushbench.core.dataset_info import DatasetInfo
from brushbench.core.method_info import MethodInfo
from brushbench.core.metric_info import MetricInfo

Info_co = TypeVar("Info_co", bound=MethodInfo | MetricInfo | DatasetInfo | None, covariant=True)


@dataclass(frozen=True, slots=True)
class Registered(Generic[Info_co]):
    """A method, metric or data set that can be requested by its name."""

    name: str
    target: str
    """`module:Class`."""
    summary: str
    """One line for `brushbench list`."""
    info: Info_co
    """None for a plug-in, whose class states its own facts."""
