"""Several seeds for each sample: every seed is a run with a folder of its own, as if it were the only one.

A run under one of several seeds is byte for byte the run that `--seed` makes, with the same fingerprint. So resuming,
shards, clusters, scores and the gate need not know of seeds, and a seed that exists is never generated again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.core.registry import ignores_seed, load_class
from brushbench.core.types import Dataset
from brushbench.evaluation.identity import run_path
from brushbench.runs.config import LARGEST_SEED, RunConfig
from brushbench.runs.record import read_record
from brushbench.runs.seed_folders import folder_of
from brushbench.runs.starting import has_run
from brushbench.storage.places import local

MOST = 1000
FORM = "valid: whole numbers from 0, separated by commas, none of them twice, such as 1,2,3"


@dataclass(frozen=True, slots=True)
class Seeds:
    """The seeds under which every sample is generated."""

    values: tuple[int, ...]
    first_at_home: bool = False
    """Whether the first seed's run is the one that the command makes without the others, in the same folder."""


def parse_seeds(text: str) -> Seeds:
    """`1,2,3` -> these seeds. Raises `UserError` for an empty list, for one that has a seed twice, and for no seeds."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and int(part[:20]) <= LARGEST_SEED for part in parts):
        raise UserError(one_line(f"--seeds {text!r}; {FORM}"))
    values = tuple(map(int, parts))
    if len(values) > MOST:
        raise UserError(f"--seeds: {len(values)} seeds; valid: up to {MOST}")
    if twice := [seed for seed in values if values.count(seed) > 1]:
        raise UserError(f"--seeds: seed {twice[0]} occurs twice; {FORM}")
    return Seeds(values)


def samples(count: int, first: int) -> Seeds:
    """The seeds of so many samples for each image: the first one and its successors, so that more samples keep them.

    Raises `UserError` for a count below 1 or too large.
    """
    most = min(MOST, LARGEST_SEED - first + 1)
    if not 1 <= count <= most:
        raise UserError(f"--samples {count}; valid: 1 to {most}")
    return Seeds(tuple(range(first, first + count)), first_at_home=True)


def under_seeds(config: RunConfig, seeds: Seeds, dataset: Dataset) -> list[RunConfig]:
    """The runs of a configuration under each of these seeds; a single one if its method ignores seeds.

    A seed has the folder OUTPUT/seed=S, unless OUTPUT itself has its run, as `--seed` makes it. The single run of a
    method that ignores seeds is in OUTPUT, under the seed of the configuration.
    """
    if without_seed(config.method):
        return [config]
    return [_placed(replace(config, seed=seed), dataset, seeds) for seed in seeds.values]


def without_seed(method: str) -> bool:
    """Tell whether a method's images are the same under every seed; one that can't be imported is told of later."""
    cls = capture(load_class, "method", method)
    return not isinstance(cls, Failure) and ignores_seed(method, cls)


def _placed(config: RunConfig, dataset: Dataset, seeds: Seeds) -> RunConfig:
    """The configuration with the output folder of its seed."""
    own = replace(config, output=folder_of(local(config.output), config.seed))
    if has_run(run_path(own, dataset, config.method)):
        return own
    at_home = run_path(config, dataset, config.method)
    if has_run(at_home):
        return config if read_record(at_home).identity.seed == config.seed else own
    return config if seeds.first_at_home and config.seed == seeds.values[0] else own


def names_ignoring(configs: Sequence[RunConfig]) -> list[str]:
    """The names of the methods whose images are the same under every seed."""
    return [name for name in dict.fromkeys(config.method for config in configs) if without_seed(name)]
