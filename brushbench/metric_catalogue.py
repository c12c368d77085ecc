"""What the suite's own metrics are, without importing torch: for `list metrics`, docs/metrics.md and themselves."""

from collections.abc import Mapping

from brushbench.metric_info import MetricInfo
from brushbench.registry import registered

_NO_WEIGHTS = "no weights"
_SCRIPT = "evaluation script of BrushNet, arXiv:2403.06976"
_SSIM = "Wang et al. 2004, doi:10.1109/TIP.2003.819861"
_CLIP_SCORE = "Hessel et al., arXiv:2104.08718; CLIP: Radford et al., arXiv:2103.00020"

CATALOGUE: dict[str, MetricInfo] = {
    info.name: info
    for info in (
        MetricInfo(
            "psnr",
            "dB",
            higher_is_better=True,
            region="known",
            version="1",
            citation=_SCRIPT,
            licence=_NO_WEIGHTS,
            ceiling=60.0,
        ),
        MetricInfo(
            "mse",
            "",
            higher_is_better=False,
            region="known",
            version="1",
            scale=1e3,
            citation=_SCRIPT,
            licence=_NO_WEIGHTS,
            lowest=0.0,
            compared="ratio",
        ),
        MetricInfo(
            "ssim",
            "",
            higher_is_better=True,
            region="known",
            version="2",
            citation=_SSIM,
            licence=_NO_WEIGHTS,
            lowest=-1.0,
            highest=1.0,
        ),
        MetricInfo(
            "lpips",
            "",
            higher_is_better=False,
            region="known",
            version="2",
            scale=1e3,
            citation="Zhang et al., arXiv:1801.03924",
            licence="BSD-2-Clause (linear layers), BSD-3-Clause (torchvision's backbones)",
            lowest=0.0,
            compared="ratio",
        ),
        MetricInfo(
            "clip",
            "",
            higher_is_better=True,
            region="whole",
            version="2",
            citation=_CLIP_SCORE,
            licence="MIT",
            lowest=0.0,
            highest=100.0,
        ),
        MetricInfo(
            "aesthetic",
            "",
            higher_is_better=True,
            region="whole",
            version="1",
            citation="LAION-AI/aesthetic-predictor; Schuhmann et al., arXiv:2210.08402",
            licence="MIT",
        ),
        MetricInfo(
            "image-reward",
            "",
            higher_is_better=True,
            region="whole",
            version="1",
            scale=10.0,
            citation="Xu et al., arXiv:2304.05977",
            licence="Apache-2.0",
        ),
        MetricInfo(
            "hps",
            "",
            higher_is_better=True,
            region="whole",
            version="1",
            scale=100.0,
            citation="Wu et al., arXiv:2306.09341, version 2.1",
            licence="Apache-2.0",
        ),
        MetricInfo(
            "seam",
            "levels",
            higher_is_better=False,
            region="border",
            version="2",
            citation="docs/metrics.md",
            licence=_NO_WEIGHTS,
        ),
        MetricInfo(
            "papercut-clip",
            "",
            higher_is_better=True,
            region="whole",
            version="2",
            citation=f"docs/papercut.md; {_CLIP_SCORE}",
            licence="Apache-2.0",
            lowest=0.0,
            highest=100.0,
        ),
    )
}
"""By name, on their usual region."""


def lines(plugged: Mapping[str, MetricInfo | str]) -> list[str]:
    """A table of every registered metric on its usual region, its heading first.

    `plugged` tells of those of plug-ins what they are, or why that can't be said.
    """
    rows = [HEADING, *(_row(name, entry.summary, plugged) for name, entry in registered("metric").items())]
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in rows
    ]


HEADING = ("metric", "unit", "better", "region", "version", "what it is; citation; licence of its weights")


def _row(name: str, summary: str, plugged: Mapping[str, MetricInfo | str]) -> tuple[str, ...]:
    info = CATALOGUE.get(name) or plugged[name]
    if isinstance(info, str):
        return (name, "-", "-", "-", "-", f"{summary}: {info}")
    better = "higher" if info.higher_is_better else "lower"
    told = "; ".join(filter(None, [summary, info.citation, info.licence]))
    return (name, info.unit or "-", better, info.region, info.version, told)
