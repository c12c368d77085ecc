"""Decode, draw and apply masks: run lengths, brush strokes, erasing and blending.

A mask is True for the pixels to inpaint.
"""

import math
from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from brushbench.core.errors import UserError

MAX_NUMBER = 2**40
MAX_DIGITS = 20
"""The most characters of a number that is written as text."""
_NUMBERS = frozenset({int, float})
Blend = Literal["none", "paste", "blur"]
MAX_STROKES = 3
MAX_SEGMENTS = 7
STROKE_WIDTH = 128
"""In pixels, whatever the size of the image."""
MEAN_ANGLE, ANGLE_RANGE = 2 * math.pi / 5, 2 * math.pi / 15


def decode_rle(runs: Sequence[object] | np.ndarray, height: int, width: int) -> Bool[Tensor, "h w"]:
    """Decode BrushBench's run lengths `[start, length, ...]` into a mask. Starts are 1-based, in row-major order.

    Runs may be in any order, and a run of length 0 marks nothing. The official decoder clips runs that leave the image,
    joins runs that overlap and drops an odd last number; here these are errors, because the mask is damaged.

    Raises `UserError` for anything but whole numbers, an odd count, a run outside the image, or runs that overlap.
    """
    starts, lengths = _starts_and_lengths(runs)
    ends = starts + lengths
    pixels = height * width
    outside = (starts < 1) | (lengths < 0) | (ends - 1 > pixels)
    if outside.any():
        k = int(outside.argmax())
        raise UserError(
            f"RLE run (start {starts[k]}, length {lengths[k]}) is out of bounds for {height}x{width}; "
            f"valid: 1..{pixels}"
        )
    order = np.argsort(starts[lengths > 0], kind="stable")
    first, last = starts[lengths > 0][order], ends[lengths > 0][order]
    overlapping = first[1:] < last[:-1]
    if overlapping.any():
        raise UserError(f"RLE runs overlap at pixel {first[1:][overlapping][0]}")
    # Counts of known and painted pixels alternate; one is 0 where a run begins or ends the image or touches another.
    borders = np.stack([first - 1, last - 1], axis=1).reshape(-1)
    counts = np.diff(borders, prepend=0, append=pixels)
    return torch.from_numpy(np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(height, width))


def encode_rle(mask: Bool[Tensor, "h w"]) -> list[int]:
    """Encode a mask as `decode_rle` reads it, with the fewest runs, in rising order."""
    padded = np.concatenate([[False], mask.numpy().reshape(-1), [False]])
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    runs = np.stack([edges[::2] + 1, edges[1::2] - edges[::2]], axis=1)
    return [int(number) for number in runs.reshape(-1)]


def brush_strokes(height: int, width: int, seed: int) -> Bool[Tensor, "h w"]:
    """Draw up to three zig-zag strokes as a mask; a quarter of all seeds give none.

    The masks equal those of the official `train_brushnet.py --random_mask` bit for bit. `seed` is NumPy's, 0 to
    2**32 - 1.

    The official generator swaps height and width when it chooses points, so in images that aren't square the strokes
    stay in one part; it also draws random numbers that it doesn't use. Both are repeated here to get the same masks.
    """
    draw = np.random.RandomState(seed)
    canvas = Image.new("L", (width, height))
    for _ in range(draw.randint(MAX_STROKES + 1)):
        points = _zigzag(draw, height, width)
        draw.uniform(STROKE_WIDTH, STROKE_WIDTH)
        _draw_stroke(canvas, points)
        draw.random_sample(2)
    if draw.random_sample() > 0.5:
        canvas = canvas.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    if draw.random_sample() > 0.5:
        canvas = canvas.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return torch.from_numpy(np.array(canvas) > 0)


def erase(images: UInt8[Tensor, "n 3 h w"], masks: Bool[Tensor, "n 1 h w"]) -> UInt8[Tensor, "n 3 h w"]:
    """Return the images with black masked regions, as BrushNet's official script passes them to the pipeline."""
    return images * ~masks


def blend(
    painted: UInt8[Tensor, "n 3 h w"],
    images: UInt8[Tensor, "n 3 h w"],
    masks: Bool[Tensor, "n 1 h w"],
    how: Blend,
    kernel: int,
) -> UInt8[Tensor, "n 3 h w"]:
    """Put the known pixels of `images` back into `painted`.

    `none` leaves `painted` as it is; `paste` copies known pixels exactly; `blur` fades over `kernel` pixels, an odd
    number, around the border, as the official script's `--blended` does: alpha = 1 - (1 - m)(1 - blur(m)), and the sum
    is truncated, not rounded. As in the script, the blurred mask is computed in 8 bits.
    """
    if how == "none":
        return painted
    if how == "paste":
        return torch.where(masks, painted, images)
    return torch.stack([_faded(*triple, kernel) for triple in zip(painted, images, masks, strict=True)])


def check_kernel(kernel: int) -> None:
    """Raise `UserError` unless the kernel is an odd number of pixels, at least 1."""
    if kernel < 1 or kernel % 2 == 0:
        raise UserError(f"blur={kernel}; valid: an odd number of pixels, at least 1")


def _zigzag(draw: np.random.RandomState, height: int, width: int) -> list[tuple[int, int]]:
    segments = draw.randint(0, MAX_SEGMENTS + 1)
    low = MEAN_ANGLE - draw.uniform(0, ANGLE_RANGE)
    high = MEAN_ANGLE + draw.uniform(0, ANGLE_RANGE)
    angles = [draw.uniform(low, high) for _ in range(segments)]
    radius = math.sqrt(height**2 + width**2) / 8
    points = [(int(draw.randint(0, height)), int(draw.randint(0, width)))]
    for index, angle in enumerate(angles):
        turned = 2 * math.pi - angle if index % 2 == 0 else angle
        length = np.clip(draw.normal(loc=radius, scale=radius // 2), 0, 2 * radius)
        x, y = points[-1]
        across = np.clip(x + length * math.cos(turned), 0, height)
        points.append((int(across), int(np.clip(y + length * math.sin(turned), 0, width))))
    return points


def _draw_stroke(canvas: Image.Image, points: list[tuple[int, int]]) -> None:
    brush = ImageDraw.Draw(canvas)
    half = STROKE_WIDTH // 2
    brush.line(points, fill=1, width=STROKE_WIDTH)
    for x, y in points:
        brush.ellipse((x - half, y - half, x + half, y + half), fill=1)


def _faded(
    painted: UInt8[Tensor, "3 h w"], image: UInt8[Tensor, "3 h w"], mask: Bool[Tensor, "1 h w"], kernel: int
) -> UInt8[Tensor, "3 h w"]:
    hole = mask[0].cpu().numpy().astype(np.uint8)
    blurred = cv2.GaussianBlur(hole * np.uint8(255), (kernel, kernel), 0).astype(np.float64) / 255
    alpha = 1 - (1 - hole.astype(np.float64)) * (1 - blurred)
    mixed = image.cpu().numpy() * (1 - alpha) + painted.cpu().numpy() * alpha
    return torch.from_numpy(mixed.astype(np.uint8))


def _starts_and_lengths(runs: object) -> tuple[np.ndarray, np.ndarray]:
    numbers = _whole_numbers(runs)
    if len(numbers) % 2:
        raise UserError(f"RLE has an odd count of numbers ({len(numbers)}); valid: pairs of start and length")
    if (np.abs(numbers) >= MAX_NUMBER).any():
        raise UserError(f"RLE has a number out of bounds; valid: whole numbers below {MAX_NUMBER}")
    return numbers[0::2], numbers[1::2]


def _whole_numbers(runs: object) -> np.ndarray:
    try:
        values = np.asarray(runs if isinstance(runs, np.ndarray) else _plain(runs))
        # A float that is larger or isn't finite can't be converted to an integer.
        if values.dtype.kind == "f" and not (np.abs(values) < MAX_NUMBER).all():
            raise UserError(f"RLE has a number out of bounds; valid: whole numbers below {MAX_NUMBER}")
        # Some copies of the mapping file have numbers as strings, which the official decoder reads, too.
        numbers = values.astype(np.int64)
        whole = values.dtype.kind in "iuU" or bool((numbers == values).all())
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError("RLE must be a list of whole numbers") from error
    if not whole or numbers.ndim != 1:
        raise UserError("RLE must be a flat list of whole numbers")
    return numbers


def _plain(runs: object) -> list[object]:
    """Check for numbers and short texts, as NumPy gives each text in an array the length of the longest."""
    if not isinstance(runs, list | tuple):
        raise TypeError
    for value in runs:
        if type(value) not in _NUMBERS and not (isinstance(value, str) and len(value) <= MAX_DIGITS):
            raise TypeError
    return list(runs)
