"""Measure the time to store a 512 px image as PNG, and the file's bytes, with each setting of two encoders.

    python benchmarks/png.py [--rounds 15]

The images are two photographs that come with scikit-image, at 512x512. Times are CPU-milliseconds of one thread, the
median over the rounds. The settings take turns, so that other work on the machine affects all of them alike, and the
ratios hold on other machines too. Every file is decoded again, and its pixels must be those of the image.
"""

import argparse
import io
import statistics
import sys
import time
from collections.abc import Callable, Mapping

import cv2
import numpy as np
from PIL import Image
from skimage import data
from tabulate import tabulate

SIDE = 512
Encode = Callable[[np.ndarray], bytes]


def by_pillow(level: int) -> Encode:
    """Return Pillow's encoder with this level of zlib; 6 is the default."""

    def encode(pixels: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format="PNG", compress_level=level)
        return buffer.getvalue()

    return encode


def by_opencv(*settings: int) -> Encode:
    """Return OpenCV's encoder with these settings; its channels are in BGR order."""

    def encode(pixels: np.ndarray) -> bytes:
        return cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), settings)[1].tobytes()

    return encode


LEVEL, STRATEGY = cv2.IMWRITE_PNG_COMPRESSION, cv2.IMWRITE_PNG_STRATEGY
SETTINGS: Mapping[str, Encode] = {
    "Pillow, level 6 (its default)": by_pillow(6),
    "Pillow, level 3": by_pillow(3),
    "Pillow, level 2": by_pillow(2),
    "Pillow, level 1": by_pillow(1),
    "OpenCV, its default": by_opencv(),
    "OpenCV, level 1, run-length": by_opencv(LEVEL, 1, STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    "OpenCV, level 1, filtered": by_opencv(LEVEL, 1, STRATEGY, cv2.IMWRITE_PNG_STRATEGY_FILTERED),
    "OpenCV, level 1, Huffman only": by_opencv(LEVEL, 1, STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY),
}


def photographs() -> list[np.ndarray]:
    """Return the photographs, uint8 [512, 512, 3], RGB."""
    pictures = [Image.fromarray(picture) for picture in (data.astronaut(), data.coffee())]
    return [np.array(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)) for picture in pictures]


def measured(images: list[np.ndarray], rounds: int) -> list[list[object]]:
    """Return a row per setting: milliseconds and bytes per image, each also relative to the first setting."""
    seconds: dict[str, list[float]] = {name: [] for name in SETTINGS}
    sizes: dict[str, float] = {}
    for _ in range(rounds):
        for name, encode in SETTINGS.items():
            begun = time.thread_time()
            stored = [encode(image) for image in images]
            seconds[name].append(time.thread_time() - begun)
            sizes[name] = statistics.mean(map(len, stored))
    typical = {name: 1000 * statistics.median(found) / len(images) for name, found in seconds.items()}
    first = next(iter(SETTINGS))
    return [
        [name, typical[name], typical[name] / typical[first], round(sizes[name]), sizes[name] / sizes[first]]
        for name in SETTINGS
    ]


def decoded(content: bytes) -> np.ndarray:
    """Decode a file, uint8 [h, w, 3], RGB."""
    return np.array(Image.open(io.BytesIO(content)))


def main() -> int:
    """Measure the settings and print the table; the exit code is 1 if a setting isn't lossless."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    images = photographs()
    lossy = [
        name
        for name, encode in SETTINGS.items()
        if not all(np.array_equal(decoded(encode(image)), image) for image in images)
    ]
    heads = ["setting", "ms per image", "of the first", "bytes", "of the first"]
    print(tabulate(measured(images, asked.rounds), heads, tablefmt="pipe", floatfmt=("", ".1f", ".2f", ".0f", ".3f")))
    for name in lossy:
        print(f"{name} is not lossless")
    return int(bool(lossy))


if __name__ == "__main__":
    sys.exit(main())
