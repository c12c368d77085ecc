"""The tables of docs/speed.md: what each part of the script measures, and the headings of its columns."""

from collections.abc import Mapping
from dataclasses import dataclass

from on_gpu.models import METHODS
from on_gpu.naive import COMPARED
from on_gpu.setting import Record
from on_gpu.speed import CAPS

BATCHES = (1, 4, 16, 32)


@dataclass(frozen=True, slots=True)
class Table:
    """How the records of a part are printed."""

    part: str
    title: str
    text: str
    columns: Mapping[str, str]
    """The heading of each column."""
    blank: tuple[Record, ...] = ({},)
    """The rows that are printed before anything is measured."""


METHOD: Mapping[str, str] = {"method": "method", "dtype": "dtype"}
TABLES = (
    Table(
        "machine",
        "The card",
        "",
        {
            "memory_gb": "memory, GB",
            "matmul_tflop_s": "matrix products, TFLOP/s",
            "copy_tb_s": "copies, TB/s",
            "launch_us": "small operation, µs",
        },
    ),
    Table(
        "speed",
        "Images per second",
        "",
        {
            **METHOD,
            "compute": "compute",
            "batch": "batch",
            "images_s": "images/s",
            "step_ms": "step, ms",
            "fixed_ms": "outside the steps, ms",
            "first_s": "first call, s",
            "once_s": "only once, s",
            "tflop_image": "TFLOP per image",
            "share": "share of the matrix rate",
            "peak_gb": "peak memory, GB",
        },
        tuple({"method": method, "batch": batch} for method in METHODS for batch in BATCHES),
    ),
    Table(
        "naive",
        "Against one image at a time",
        "`sd-inpainting` is compared with diffusers' `StableDiffusionInpaintPipeline`, `brushnet` with the loop of its "
        "official script: UniPC, the branch on both halves of the guidance, everything encoded for each image.",
        {
            **METHOD,
            "images_s": "reference, images/s",
            "peak_gb": "reference, peak memory, GB",
            "alone_ratio": "suite at batch 1 / reference",
            "best_ratio": "suite at its best / reference",
            "best": "suite's best",
        },
        tuple({"method": method} for method in COMPARED),
    ),
    Table(
        "offload",
        "Small cards: `-o offload=model`",
        "Memory is limited to the cap; batch sizes grow until one doesn't fit.",
        {
            **METHOD,
            "cap_gb": "cap, GB",
            "batch": "batch",
            "images_s": "images/s",
            "peak_gb": "peak memory, GB",
        },
        tuple({"method": method, "cap_gb": cap} for method in COMPARED for cap in CAPS),
    ),
    Table(
        "same",
        "The same bytes",
        "Whether an image in a batch of four has the same bytes when it is generated again (twice), with other images "
        "(companions), at another place in the batch (place), and beside its own copy (copies). Then, in levels of "
        "255, its distance from the same image generated alone, and in a wide batch.",
        {
            **METHOD,
            "compute": "compute",
            "twice": "twice",
            "companions": "companions",
            "place": "place",
            "copies": "copies",
            "alone_levels": "alone",
            "wide_levels": "wide",
        },
    ),
    Table(
        "steps",
        "In a step",
        "The numbers of kernels, copies from or to the processor, and waits of the processor per step, and the "
        "milliseconds of each kind of kernel.",
        {
            **METHOD,
            "batch": "batch",
            "step_ms": "step, ms",
            "kernels": "kernels",
            "copies": "copies",
            "waits": "waits",
            "gpu_busy": "GPU busy",
            "convolution_ms": "convolution",
            "matrix_ms": "matrix",
            "attention_ms": "attention",
            "norm_ms": "norm",
            "elementwise_ms": "elementwise",
            "layout_ms": "layout",
            "other_ms": "other",
        },
    ),
    Table(
        "whole",
        "A run",
        "`brushbench run` with three batches and few steps: the time for loading, reading, storing and waiting besides "
        "the method's calls.",
        {
            **METHOD,
            "batch": "batch",
            "images": "images",
            "run_s": "run, s",
            "loading_s": "loading, s",
            "calls_s": "calls, s",
            "beside_image_ms": "besides the calls, ms per image",
        },
    ),
    Table(
        "score",
        "Scoring",
        "`brushbench score` with networks of real size.",
        {"metrics": "metrics", "images": "images", "seconds": "seconds", "images_s": "images/s"},
    ),
    Table(
        "papercut",
        "PaperCut's trained models",
        "The largest distance of an image from the one generated on the CPU in float32.",
        {**METHOD, "most_levels": "levels of 255", "worst_psnr": "worst PSNR, dB"},
    ),
    Table(
        "full",
        "All steps",
        "One call with all steps, compared with the extrapolation above.",
        {
            **METHOD,
            "compute": "compute",
            "batch": "batch",
            "images_s": "images/s",
            "extrapolated": "extrapolated",
            "peak_gb": "peak memory, GB",
        },
    ),
    Table(
        "what_if",
        "What internal changes would gain",
        "Each change is added to the ones above it; levels of 255 are differences from the unchanged method, with few "
        "steps.",
        {
            **METHOD,
            "change": "change",
            "batch": "batch",
            "images_s": "images/s",
            "step_ms": "step, ms",
            "first_s": "first call, s",
            "most_levels": "levels, largest",
            "mean_levels": "levels, mean",
        },
    ),
)
