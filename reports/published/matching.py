"""Which published number stands beside a measured one, and if none does, why.

A number stands beside one only where data set, split, protocol, method with its blending, and metric are the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from brushbench.core.registry import method_info
from brushbench.reports.published.registry import BENCHMARKS, METRICS, OWN, Published, read
from brushbench.reports.summary import BOTH
from brushbench.runs.record import MethodIdentity

_BRUSHNET = "enc=VAE mask=with xattn=without unet=full blend="
VARIANTS = {
    ("sd-inpainting", "none"): "single branch (SDI)",
    ("brushnet", "none"): "dual branch, base frozen",
    ("brushnet", "paste"): f"{_BRUSHNET}paste",
    ("brushnet", "blur"): f"{_BRUSHNET}blur",
}
"""The variants in the ablation tables that are runs of the suite's methods."""
BLUR, VERSION = 21, 1
"""The published blending's kernel, and the published PowerPaint."""
PublishedKey = tuple[str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class Benchmarked:
    """Where a measured number was measured."""

    dataset: str
    protocol: str
    split: str
    """Or `summary.BOTH`."""


@dataclass(frozen=True, slots=True)
class Registry:
    """The published numbers by what they are numbers of."""

    numbers: Mapping[PublishedKey, Published] = field(
        default_factory=lambda: {(*number.row[:4], METRICS[number.metric]): number for number in read(OWN)}
    )

    def find(self, place: Benchmarked, method: MethodIdentity, metric: str) -> Published | None:
        """The number, None if there is none."""
        if self.obstacle(place, method) or metric == "ssim":
            return None
        return self.numbers.get((*self._row(place, method), metric))

    def obstacle(self, place: Benchmarked, method: MethodIdentity) -> str:
        """Why nothing is published of a method there; empty if something is."""
        if BENCHMARKS.get(place.dataset) is None:
            return f"nothing is published for the data set {place.dataset}"
        if place.protocol != "paper":
            return f"published numbers are of protocol paper, these of {place.protocol}"
        if reason := _other_method(method):
            return reason
        if not any(key[:4] == self._row(place, method) for key in self.numbers):
            where = "in the ablations" if place.split == BOTH else f"on split {place.split} of {place.dataset}"
            return f"nothing is published for {method.name} with blend={method.options.get('blend', 'none')} {where}"
        return ""

    def _row(self, place: Benchmarked, method: MethodIdentity) -> tuple[str, str, str, str]:
        benchmark, blend = BENCHMARKS[place.dataset], str(method.options.get("blend", "none"))
        if place.split == BOTH:
            return benchmark, "mean(inside,outside)", VARIANTS.get((method.name, blend), ""), ""
        split = "all" if benchmark == "EditBench" else place.split
        return benchmark, split, _published_name(method), blend


def _published_name(method: MethodIdentity) -> str:
    """What the paper's tables call a method; empty for one that isn't in them."""
    info = method_info(method.name)
    return info.published if info else ""


def _other_method(method: MethodIdentity) -> str:
    """Why it isn't one of the published methods; empty if it is."""
    if not _published_name(method):
        return f"nothing is published for {method.name}"
    blur = method.options.get("blur", BLUR)
    if method.options.get("blend") == "blur" and blur != BLUR:
        return f"nothing is published for {method.name} with blur={blur}, only with blur={BLUR}"
    if method.name == "powerpaint" and method.options.get("version", VERSION) != VERSION:
        return f"what is published for powerpaint is of version {VERSION}"
    return ""
