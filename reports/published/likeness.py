"""Find how a run's set-up differs from the published one; only if it doesn't, a difference of scores is printed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from pydantic import JsonValue

from brushbench.core.compute import PLAIN
from brushbench.core.dataset_info import MaskKind
from brushbench.core.errors import one_line
from brushbench.core.method_options import default_options
from brushbench.core.registry import mask_kind
from brushbench.datasets.open import stored_dataset_options
from brushbench.reports.published.registry import BENCHMARKS, SAMPLES
from brushbench.reports.storage import OFFICIAL_SIZE, Stored
from brushbench.runs.record import RunRecord
from brushbench.weights import DEFAULT_FAMILY, Component, families, read_family

SEED, DTYPE, FORMAT = 1234, "float16", "JPEG"
MATCHED = {"blend", "blur", "version"}
"""Options that decide which published number a run is compared with."""
TOLD_BY_PLACE = {"base", "brushnet", "controlnet", "checkpoint"}
"""Options that name components, which are compared by where they came from."""
LONGEST = 60
"""Most characters of a value that are printed."""
UNKNOWN = "not recorded"


@dataclass(frozen=True, slots=True)
class Unlike:
    """One way in which a run's set-up differs from the published one."""

    name: str
    """What differs, such as `size` or `steps`."""
    ours: str
    published: str

    @property
    def text(self) -> str:
        """Return the difference as text: `steps 20 (published: 50)`."""
        return f"{self.name} {self.ours} (published: {self.published})"


def unlike(record: RunRecord, stored: Stored, scored: int) -> list[Unlike]:
    """List everything in which a run of a published method differs from the published run; empty if nothing does.

    `scored` is the number of samples behind the number that is compared.
    """
    identity = record.identity
    images = SAMPLES[BENCHMARKS[identity.dataset.name]]
    found = [
        _different("size", stored.sizes, OFFICIAL_SIZE),
        _different("storage", stored.formats, FORMAT),
        _different("samples", (str(scored),), str(images)),
        _different("seed", (str(identity.seed),), str(SEED)),
        _different("dtype", (identity.dtype,), DTYPE),
        _different("compute", (identity.compute,), PLAIN),
        *_options(identity.dataset.options, stored_dataset_options(identity.dataset.name, {})),
        *_options(identity.method.options, _official_options(identity.method.name)),
        *_components(record),
    ]
    return [one for one in found if one]


def _different(name: str, ours: tuple[str, ...], published: str) -> Unlike | None:
    return None if ours == (published,) else Unlike(name, " and ".join(filter(None, ours)) or UNKNOWN, published)


def _options(ours: Mapping[str, JsonValue], official: Mapping[str, JsonValue]) -> Iterator[Unlike]:
    for name, value in ours.items():
        if name not in MATCHED | TOLD_BY_PLACE and (name not in official or value != official[name]):
            yield Unlike(name, _printed(value), _printed(official[name]) if name in official else "no such option")


def _printed(value: JsonValue) -> str:
    return one_line("none" if value is None else repr(value) if isinstance(value, str) else f"{value}", LONGEST)


def _components(record: RunRecord) -> Iterator[Unlike]:
    dataset, method = record.identity.dataset, record.identity.method
    official = _official_components(method.name, mask_kind(dataset.name, dataset.split))
    ours = record.weights
    if not ours:
        yield Unlike("components", UNKNOWN, ", ".join(each.on_hub.place for each in official.values()))
    for part, place in ours.items():
        if part not in method.options or part in official:
            # A component that the published method does not have replaces one of its base.
            own = official.get(part)
            expected = own.on_hub.place if own else "none"
            # Runs from before revisions were pinned name no revision.
            found = place.removesuffix(f"@{own.revision}") if own else place
            yield from filter(None, [_different(part, (found,), expected)])


@cache
def _official_options(method: str) -> Mapping[str, JsonValue]:
    return default_options(method)


@cache
def _official_components(method: str, masks: MaskKind) -> Mapping[str, Component]:
    family = read_family(families()[DEFAULT_FAMILY])
    return {part: family.components[name] for part, name in family.parts(method, masks).items()}
