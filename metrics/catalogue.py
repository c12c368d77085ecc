"""The facts about the suite's own metrics, importable without torch."""

from collections.abc import Mapping

from brushbench.core.metric_info import MetricInfo
from brushbench.core.registered import Registered

_NO_WEIGHTS = "no weights"
_SCRIPT = "evaluation script of BrushNet, arXiv:2403.06976"
_SSIM = "Wang et al. 2004, doi:10.1109/TIP.2003.819861"
_CLIP_SCORE = "Hessel et al., arXiv:2104.08718; CLIP: Radford et al., arXiv:2103.00020"

METRICS: tuple[Registered[MetricInfo], ...] = (
    Registered(
        "psnr",
        "brushbench.metrics.pixel:PSNR",
        "peak signal-to-noise ratio, dB",
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
    ),
    Registered(
        "mse",
        "brushbench.metrics.pixel:MSE",
        "mean squared error on [0, 1]",
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
    ),
    Registered(
        "ssim",
        "brushbench.metrics.pixel:SSIM",
        "structural similarity, Wang et al. 2004",
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
    ),
    Registered(
        "lpips",
        "brushbench.metrics.perceptual:LPIPS",
        "learned perceptual distance to the source, Zhang et al. 2018",
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
    ),
    Registered(
        "clip",
        "brushbench.metrics.alignment:CLIPSimilarity",
        "CLIP similarity of image and caption, ViT-L/14",
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
    ),
    Registered(
        "aesthetic",
        "brushbench.metrics.aesthetic:Aesthetic",
        "LAION's aesthetic predictor on CLIP ViT-L/14",
        MetricInfo(
            "aesthetic",
            "",
            higher_is_better=True,
            region="whole",
            version="1",
            citation="LAION-AI/aesthetic-predictor; Schuhmann et al., arXiv:2210.08402",
            licence="MIT",
        ),
    ),
    Registered(
        "image-reward",
        "brushbench.metrics.preference:ImageReward",
        "ImageReward v1.0",
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
    ),
    Registered(
        "hps",
        "brushbench.metrics.preference:HPS",
        "Human Preference Score v2.1",
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
    ),
    Registered(
        "seam",
        "brushbench.metrics.seam:Seam",
        "how visible the border of the mask is",
        MetricInfo(
            "seam",
            "levels",
            higher_is_better=False,
            region="border",
            version="2",
            citation="docs/metrics.md",
            licence=_NO_WEIGHTS,
        ),
    ),
    Registered(
        "papercut-clip",
        "brushbench.metrics.alignment:PaperCutCLIP",
        "similarity of image and caption by PaperCut's own CLIP, for PaperCut only",
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
    ),
)
CATALOGUE: Mapping[str, MetricInfo] = {entry.name: entry.info for entry in METRICS}
"""The facts by name, each for the metric's default region."""
