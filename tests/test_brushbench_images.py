"""Files to pixels: every usual kind comes out as what a viewer shows."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from brushbench.core.errors import SampleError
from brushbench.imaging.images import (
    EncodedImage,
    encode_for_keeps,
    encode_image,
    image_size,
    read_image,
    read_mask,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
GREY = np.asarray(Image.fromarray(PIXELS).convert("L"))


@pytest.mark.parametrize("name", ["rgb.png", "rgba.png", "lossless.webp"])
def test_lossless_colour(name: str, tmp_path: Path) -> None:
    image = Image.fromarray(PIXELS)
    if name == "rgba.png":
        image.putalpha(Image.fromarray(GREY))
    image.save(tmp_path / name, lossless=True)
    assert (read_image(tmp_path / name).permute(1, 2, 0).numpy() == PIXELS).all()


def test_grey_of_8_and_16_bits(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "8.png")
    Image.fromarray(GREY.astype(np.uint16) * 257).save(tmp_path / "16.png")
    for file in ("8.png", "16.png"):
        assert (read_image(tmp_path / file).numpy() == GREY).all()


def test_palette_and_cmyk(tmp_path: Path) -> None:
    flat = Image.new("RGB", (16, 16), (200, 30, 60))
    flat.quantize(4).save(tmp_path / "palette.png")
    flat.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    for file in ("palette.png", "cmyk.jpg"):
        pixels = read_image(tmp_path / file)
        assert (pixels.int() - torch.tensor([200, 30, 60])[:, None, None]).abs().max() <= 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(tmp_path / "turned.png", exif=exif)
    turns = {3: 2, 6: 3, 8: 1}
    image = read_image(tmp_path / "turned.png")
    assert tuple(image.shape[1:]) == image_size(tmp_path / "turned.png")
    if orientation in turns or orientation == 1:
        assert (image.permute(1, 2, 0).numpy() == np.rot90(PIXELS, turns.get(orientation, 0))).all()


def test_a_mask_of_16_bits(tmp_path: Path) -> None:
    drawn = np.tri(16, 24, dtype=bool)
    Image.fromarray(drawn.astype(np.uint16) * 65535).save(tmp_path / "mask.png")
    assert (read_mask(tmp_path / "mask.png")[0].numpy() == drawn).all()


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_what_is_no_image(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "no.png").write_bytes(content)
    with pytest.raises(SampleError, match=r"no\.png"):
        read_image(tmp_path / "no.png")


def test_other_formats_behind_a_png_s_name(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "picture.png", format="BMP")
    with pytest.raises(SampleError, match="not a PNG, JPEG or WebP image"):
        read_image(tmp_path / "picture.png")


def test_a_picture_that_is_too_large(tmp_path: Path) -> None:
    Image.new("1", (9000, 9000)).save(tmp_path / "large.png")
    with pytest.raises(SampleError, match="9000x9000 is over"):
        read_image(tmp_path / "large.png")


def test_jpeg_is_pillows_default(tmp_path: Path, golden: Path) -> None:
    photo = read_image(golden / "brushnet/evaluation/photo_astronaut.png")
    Image.fromarray(photo.permute(1, 2, 0).numpy()).save(tmp_path / "default.jpg")
    assert encode_image(photo, "JPEG") == (tmp_path / "default.jpg").read_bytes()


@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 7, 300), (3, 64, 48)])
def test_a_png_has_exactly_the_pixels(shape: tuple[int, ...]) -> None:
    image = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    strided = image.flip(2).transpose(0, 1).contiguous().transpose(0, 1)
    for pixels in (image, strided):
        for content in (encode_image(pixels, "PNG"), encode_for_keeps(pixels)):
            assert torch.equal(read_image(EncodedImage(content, "")), pixels)
            # Whoever reads it without the suite sees the same colours.
            decoded = np.array(Image.open(io.BytesIO(content)))
            assert np.array_equal(decoded, pixels.permute(1, 2, 0).numpy())


def test_an_encoder_for_files_of_data_sets_stays_pillow(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "picture.png")
    assert encode_for_keeps(read_image(tmp_path / "picture.png")) == (tmp_path / "picture.png").read_bytes()
