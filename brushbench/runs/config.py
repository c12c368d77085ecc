"""The configuration of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from brushbench.core.compute import PLAIN, recipe_named
from brushbench.core.errors import UserError, one_line, unknown
from brushbench.core.metric_info import parted
from brushbench.core.options import Value
from brushbench.core.protocol import protocol_named
from brushbench.core.registry import check_name
from brushbench.core.sizes import checked_size
from brushbench.storage.places import url_for

ENGINES = ("local", "ray")
STORES = ("driver", "shared")
CLUSTER_ONLY = "workers, store and fetch are options of a cluster; valid with them: engine ray"
OFFICIAL_SIZE = 512
"""Pixels of a side of BrushBench's images, for which the official script is written."""
LARGEST_SEED = 2**63 - 1
DTYPES = ("auto", "float32", "float16", "bfloat16")


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `index` of `count`, counted from 1: every `count`-th sample."""

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise UserError(f"shard {self.index}/{self.count}; valid: 1/{self.count} to {self.count}/{self.count}")

    @staticmethod
    def parse(text: str) -> "Shard":
        """`2/8` -> the second of eight shards. Raises `UserError` for a text of another form."""
        index, _, count = text.partition("/")
        if not (index.isdecimal() and count.isdecimal() and int(count) > 0):
            raise UserError(one_line(f"shard {text!r}; valid: i/n with 1 <= i <= n, for example 1/2"))
        return Shard(int(index), int(count))


WHOLE = Shard(1, 1)


@dataclass(frozen=True, slots=True)
class Engine:
    """Where to compute. Raises `UserError` for invalid values."""

    name: str = "local"
    workers: int | None = None
    """The number of workers of a cluster; see `RunConfig`."""
    fetch: bool = False
    """Whether each machine of a cluster downloads what it lacks; see `RunConfig`."""

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise unknown("engine", self.name, ENGINES)
        if self.workers is not None and self.workers < 1:
            raise UserError(f"workers={self.workers}; valid: 1 or more")
        if self.name != "ray" and (self.workers is not None or self.fetch):
            raise UserError(CLUSTER_ONLY)


def split_names(text: str) -> list[str]:
    """`"psnr, mse"` -> `["psnr", "mse"]`."""
    return [name.strip() for name in text.split(",") if name.strip()]


@dataclass(frozen=True, slots=True)
class RunConfig:
    """One method on one split of one data set. Raises `UserError` for invalid values.

    Options, splits and weights are checked when the method and the data set are loaded.
    """

    method: str
    """A registered name, or `path/to/file.py:Class`."""
    dataset: str | None = None
    """A registered name, or `path/to/file.py:Class`.

    None: BrushBench if it is on this machine, else the embedded data set."""
    root: str | Path | None = None
    """The data set's folder."""
    split: str = "inside"
    dataset_options: Mapping[str, Value] = field(default_factory=dict)
    """The data set's options."""
    size: int | Literal["native"] | None = None
    """Pixels of the shorter side to which samples are resized, or `native`: what the method's models were made for.
    None: the data set's own size. It is stored as the data set's option `size`."""
    weights: str | Path | None = None
    """A family's name, a TOML file, or a folder in diffusers layout. None: the data set's family, or else sd15."""
    options: Mapping[str, Value] = field(default_factory=dict)
    """The method's options."""
    metrics: str | Sequence[str] | None = None
    """Registered names or `path/to/file.py:Class`, as a list or as text with commas. None: the default metrics."""
    metric_options: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    """The options of metrics, by the metric's name without a region: `{"lpips": {"net": "alex"}}`."""
    limit: int | None = None
    """The number of samples to use, from the first. None: all."""
    batch_size: int | Literal["auto"] = "auto"
    """Samples per call of the method. `auto` on a GPU: the fastest measured for the method, 4 if none was measured; on
    the CPU: as many as have 512x512 pixels together, at most 8."""
    steps: int | None = None
    """Short for `options["steps"]`."""
    guidance: int | float | None = None
    """Short for `options["guidance"]`."""
    seed: int = 1234
    protocol: str = "strict"
    device: str = "auto"
    dtype: str = "auto"
    compute: str = PLAIN
    """How models compute: `plain`, or the faster recipe `fast`, whose images differ by a few levels."""
    output: str | Path = "runs"
    """The parent folder of run folders, or a URL: s3://BUCKET/PREFIX or gs://BUCKET/PREFIX."""
    engine: str = "local"
    """`local`, or `ray`, where the workers of a Ray cluster share the samples."""
    workers: int | None = None
    """The number of workers of a cluster. None: one per GPU, or per core if there is no GPU."""
    fetch: bool = False
    """Whether each machine of a cluster downloads the weights, and the data of a public address, that it lacks."""
    store: str = "driver"
    """Who writes the images of a cluster's workers: `driver`, the process that hands out the work, or with `shared`
    each worker, into an output folder that all nodes share."""
    shard: Shard | str = WHOLE
    """A `Shard`, or a text such as `2/8`."""
    fresh: bool = False
    """Start over: an existing run is moved to `.aside` in the output folder."""
    max_failures: int | None = None
    """Stop as soon as more samples than this have failed. None: never."""

    def __post_init__(self) -> None:
        check_name("method", self.method)
        if self.dataset is not None:
            check_name("dataset", self.dataset)
        for metric in self.metric_names() or ():
            check_name("metric", parted(metric)[0])
        protocol_named(self.protocol)
        if self.dtype not in DTYPES:
            raise UserError(one_line(f"dtype {self.dtype!r}; valid: {', '.join(DTYPES)}"))
        recipe_named(self.compute)
        self._check_engine()
        self._check_size()
        self._check_output()
        if self.metric_names() == []:
            raise UserError("metrics: the list is empty; name at least one metric, or omit it for the default metrics")
        self.part()
        if not 0 <= self.seed <= LARGEST_SEED:
            raise UserError(f"seed={self.seed}; valid: 0 to 2**63 - 1")
        if self.limit is not None and self.limit < 1:
            raise UserError(f"limit={self.limit}; valid: 1 or more")
        if self.batch_size != "auto" and self.batch_size < 1:
            raise UserError(f"batch_size={self.batch_size}; valid: 1 or more, or auto")
        if self.fresh and self.part() != WHOLE:
            raise UserError("fresh would move the other shards' images away; valid: fresh or a shard, not both")
        if self.max_failures is not None and self.max_failures < 0:
            raise UserError(f"max_failures={self.max_failures}; valid: 0 or more")

    def _check_size(self) -> None:
        if self.size is None:
            return
        if "size" in self.dataset_options:
            raise UserError("size is given twice; valid: size, or size as an option of the data set")
        if self.size != "native":
            self.check_official(checked_size(self.size))

    def check_official(self, size: int) -> None:
        """Raises `UserError` for a size at which the protocol isn't defined."""
        if self.protocol == "paper" and size != OFFICIAL_SIZE:
            raise UserError(f"size={size}: protocol paper is defined for {OFFICIAL_SIZE} pixels only; valid: strict")

    def _check_output(self) -> None:
        if (url := url_for(self.output)) is None:
            return
        if self.fresh:
            raise UserError(
                one_line(
                    f"fresh can't move a run away in {url.scheme}://; valid: another output, or delete the run there"
                )
            )
        if self.store == "shared":
            raise UserError(
                one_line(
                    f"store shared needs an output folder that all nodes see, not {url}; valid with it: store driver"
                )
            )

    def _check_engine(self) -> None:
        if self.store not in STORES:
            raise unknown("store", self.store, STORES)
        if self.engine_asked().name != "ray" and self.store != "driver":
            raise UserError(CLUSTER_ONLY)

    def engine_asked(self) -> Engine:
        """The engine with its number of workers."""
        return Engine(self.engine, self.workers, self.fetch)

    def metric_names(self) -> list[str] | None:
        """The metrics as a list; None for the default ones."""
        if self.metrics is None:
            return None
        return split_names(self.metrics) if isinstance(self.metrics, str) else list(self.metrics)

    def part(self) -> Shard:
        """The shard, parsed."""
        return Shard.parse(self.shard) if isinstance(self.shard, str) else self.shard

    def method_options(self) -> dict[str, Value]:
        """`options` together with `steps` and `guidance`. Raises `UserError` if one of these is given twice."""
        merged = dict(self.options)
        for key, value in (("steps", self.steps), ("guidance", self.guidance)):
            if value is not None:
                if key in merged:
                    raise UserError(f"{key} is given twice: {key}={value} and as an option {key}={merged[key]}")
                merged[key] = value
        return merged
