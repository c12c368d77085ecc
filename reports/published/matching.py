"""Find the published number to compare with a measured one, or why there is none.

Data set, split, protocol, method with its blending, and metric must all be the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from brushbench.core.registry import method_info
from brushbench.reports.published.added import read_added
from brushbench.reports.published.registry import BENCHMARKS, METRICS, OWN, Published, read
from brushbench.reports.published.setups import SAME
from brushbench.reports.summary import BOTH
from brushbench.runs.record import MethodIdentity

_BRUSHNET = "enc=VAE mask=with xattn=without unet=full blend="
VARIANTS = {
    ("sd-inpainting", "none"): "single branch (SDI)",
    ("brushnet", "none"): "dual branch, base frozen",
    ("brushnet", "paste"): f"{_BRUSHNET}paste",
    ("brushnet", "blur"): f"{_BRUSHNET}blur",
}
"""Variants of the ablation tables that the suite's methods can run."""
BLUR, VERSION = 21, 1
"""Kernel size of the published blending, and version of the published PowerPaint."""
PublishedKey = tuple[str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class Benchmarked:
    """What a number was measured on."""

    dataset: str
    protocol: str
    split: str
    """The split, or `summary.BOTH`."""


def _known() -> dict[PublishedKey, Published]:
    """The authors' numbers, and those that the user has added of the same set-up; the authors' come first."""
    added = [number for number in read_added() if number.setup == SAME and number.metric in METRICS]
    keys = {(*number.row[:3], number.blend or "none", METRICS[number.metric]): number for number in added}
    return {**keys, **{(*number.row[:4], METRICS[number.metric]): number for number in read(OWN)}}


@dataclass(frozen=True, slots=True)
class Registry:
    """The published numbers by benchmark, split, method, blending and metric."""

    numbers: Mapping[PublishedKey, Published] = field(default_factory=_known)

    def find(self, place: Benchmarked, method: MethodIdentity, metric: str) -> Published | None:
        """Return the published number, None if there is none."""
        if self.obstacle(place, method) or metric == "ssim":
            return None
        return self.numbers.get((*self._row(place, method), metric))

    def obstacle(self, place: Benchmarked, method: MethodIdentity) -> str:
        """Say why no number is published for a method; empty if one is."""
        if BENCHMARKS.get(place.dataset) is None:
            return f"nothing is published for the data set {place.dataset}"
        if place.protocol != "paper":
            return f"published numbers are for protocol paper, these runs for {place.protocol}"
        if reason := self._other_method(method):
            return reason
        if not any(key[:4] == self._row(place, method) for key in self.numbers):
            where = "in the ablations" if place.split == BOTH else f"on split {place.split} of {place.dataset}"
            return f"nothing is published for {method.name} with blend={method.options.get('blend', 'none')} {where}"
        return ""

    def _other_method(self, method: MethodIdentity) -> str:
        """Say why a method is not one of the published ones; empty if it is."""
        if not any(key[2] == _published_name(method) for key in self.numbers):
            return f"nothing is published for {method.name}"
        blur = method.options.get("blur", BLUR)
        if method.options.get("blend") == "blur" and blur != BLUR:
            return f"nothing is published for {method.name} with blur={blur}, only with blur={BLUR}"
        if method.name == "powerpaint" and method.options.get("version", VERSION) != VERSION:
            return f"only version {VERSION} of powerpaint is published"
        return ""

    def _row(self, place: Benchmarked, method: MethodIdentity) -> tuple[str, str, str, str]:
        benchmark, blend = BENCHMARKS[place.dataset], str(method.options.get("blend", "none"))
        if place.split == BOTH:
            return benchmark, "mean(inside,outside)", VARIANTS.get((method.name, blend), ""), ""
        split = "all" if benchmark == "EditBench" else place.split
        return benchmark, split, _published_name(method), blend


def _published_name(method: MethodIdentity) -> str:
    """Return the name of a method in the paper's tables; its own, if it is not in them."""
    info = method_info(method.name)
    return (info.published if info else "") or method.name
