"""Masks as people store them: white is what is painted, in every mode and range."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brushbench.core.errors import SampleError
from brushbench.imaging.images import read_mask

DRAWN = np.tri(16, 24, -2, dtype=bool)
DRAWN[1, 20:] = True


def grey(low: int, high: int) -> np.ndarray:
    return np.where(DRAWN, high, low).astype(np.uint8)


def with_alpha(colour: np.ndarray, alpha: np.ndarray) -> Image.Image:
    return Image.fromarray(np.dstack([colour, colour, colour, alpha]))


def indexed(indices: np.ndarray, palette: list[int]) -> Image.Image:
    image = Image.fromarray(indices.astype(np.uint8)).convert("L")
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette(palette)
    return image


FORMS = {
    "L 0/255": Image.fromarray(grey(0, 255)),
    "L 0/1": Image.fromarray(grey(0, 1)),
    "L of a JPEG": Image.fromarray(grey(9, 241)),
    "1": Image.fromarray(grey(0, 255)).convert("1"),
    "RGB 0/255": Image.fromarray(grey(0, 255)).convert("RGB"),
    "RGB 0/1": Image.fromarray(grey(0, 1)).convert("RGB"),
    "RGBA 0/255": Image.fromarray(grey(0, 255)).convert("RGBA"),
    "RGBA 0/1": Image.fromarray(grey(0, 1)).convert("RGBA"),
    "RGBA 0/1, alpha 1": with_alpha(grey(0, 1), np.ones_like(grey(0, 1))),
    "RGBA 0/1, alpha likewise": with_alpha(grey(0, 1), grey(0, 1)),
    "RGBA, alpha 0": with_alpha(grey(0, 255), np.zeros_like(grey(0, 1))),
    "RGBA, white on transparent": with_alpha(grey(0, 255), grey(0, 255)),
    "RGBA, white all over, transparent outside": with_alpha(grey(255, 255), grey(0, 255)),
    "LA": Image.fromarray(grey(0, 255)).convert("LA"),
    "I;16 0/65535": Image.fromarray(grey(0, 1).astype(np.uint16) * 65535),
    "I;16 0/255": Image.fromarray(grey(0, 255).astype(np.uint16)),
    "I;16 0/1": Image.fromarray(grey(0, 1).astype(np.uint16)),
    "P, grey ramp 0/255": indexed(grey(0, 255), [value for value in range(256) for _ in range(3)]),
    "P, grey ramp 0/1": indexed(grey(0, 1), [value for value in range(256) for _ in range(3)]),
    "P, black and white": indexed(grey(0, 1), [0, 0, 0, 255, 255, 255]),
    "P, white and black": indexed(grey(1, 0), [255, 255, 255, 0, 0, 0]),
    "P, black and dark red": indexed(grey(0, 1), [0, 0, 0, 128, 0, 0]),
    "P of Pillow": Image.fromarray(grey(0, 255)).convert("RGB").convert("P"),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_mask_in_any_form(form: str, tmp_path: Path) -> None:
    FORMS[form].save(tmp_path / "mask.png")
    mask = read_mask(tmp_path / "mask.png")
    assert mask.shape == (1, 16, 24)
    assert (mask[0].numpy() == DRAWN).all()


def test_a_mask_without_white_is_empty(tmp_path: Path) -> None:
    for mode in ("1", "L", "RGB", "RGBA", "P"):
        Image.new(mode, (4, 4)).save(tmp_path / "mask.png")
        assert not read_mask(tmp_path / "mask.png").any()


@pytest.mark.parametrize("colour", [grey(0, 0)])
def test_a_mask_of_transparency_alone_is_refused(colour: np.ndarray, tmp_path: Path) -> None:
    with_alpha(colour, grey(0, 255)).save(tmp_path / "mask.png")
    with pytest.raises(SampleError, match="only its transparency varies; valid: white = inpaint"):
        read_mask(tmp_path / "mask.png")
