"""Pictures made to do harm: each is what a viewer shows, or refused in one line."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hostile import DRAWN, SIDE, refused
from PIL import Image

from brushbench.imaging.images import MAX_BYTES, image_size, read_image, read_mask


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(*added: bytes, size: tuple[int, int] = (SIDE, SIDE)) -> bytes:
    """A grey PNG of 8 bits, with chunks before its data."""
    header = struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes(row) for row in DRAWN[..., 0]))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(added) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def encoded(image_format: str, image: Image.Image | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    (image or Image.fromarray(DRAWN)).save(buffer, format=image_format, **options)
    return buffer.getvalue()


BOMB = zlib.compress(bytes(64 << 20), 9)


@pytest.mark.parametrize(
    "content",
    [
        *(png(size=size) for size in ((2**31 - 1, 2**31 - 1), (30_000, 30_000), (9000, 9000), (0, 0), (16, 0))),
        png(chunk(b"zTXt", b"key\0\0" + BOMB)),
        png(chunk(b"iCCP", b"key\0\0" + BOMB)),
        png(chunk(b"iTXt", b"key\0\1\0\0\0" + BOMB)),
        *(encoded(kind) for kind in ("GIF", "BMP", "TIFF", "PPM", "PDF", "ICO", "TGA")),
        *(
            b"",
            b"\0" * 100,
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"%!PS-Adobe-3.0 EPSF-3.0\n",
            b"RIFF\0\0\0\0WEBP",
        ),
        *(encoded(kind)[: len(encoded(kind)) // 2] for kind in ("PNG", "JPEG", "WEBP")),
        encoded("PNG")[:20],
        encoded("JPEG")[:3],
    ],
)
def test_pictures_that_are_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(content)
    refused(lambda: read_image(tmp_path / "a.png"), "a.png")
    refused(lambda: read_mask(tmp_path / "a.png"), "a.png")


def test_a_file_too_large_for_a_picture(tmp_path: Path) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    refused(lambda: read_image(tmp_path / "a.png"), "over 512 MiB")


def grey_of(image: Image.Image) -> np.ndarray:
    return np.array(image.convert("L").convert("RGB"))


PALETTE = Image.fromarray(DRAWN).quantize(16)
GREY = Image.fromarray(DRAWN).convert("L")
WIDE = chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 16, 2, 0, 0, 0))
WIDE_ROWS = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in DRAWN.astype(np.uint16) * 256 + 77))


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (encoded("PNG", PALETTE), np.array(PALETTE.convert("RGB"))),
        (encoded("PNG", PALETTE, transparency=bytes(range(16))), np.array(PALETTE.convert("RGB"))),
        (encoded("PNG", PALETTE, transparency=3), np.array(PALETTE.convert("RGB"))),
        (encoded("PNG", GREY.convert("LA")), grey_of(GREY)),
        (encoded("PNG", GREY, transparency=5), grey_of(GREY)),
        (encoded("PNG", GREY.convert("1")), grey_of(GREY.convert("1"))),
        (encoded("PNG", Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257)), grey_of(GREY)),
        (b"\x89PNG\r\n\x1a\n" + WIDE + chunk(b"IDAT", WIDE_ROWS) + chunk(b"IEND", b""), DRAWN),
        (encoded("PNG", save_all=True, append_images=[GREY.convert("RGB")]), DRAWN),
        (png(chunk(b"eXIf", b"II*\0\xff\xff\xff\xff")), DRAWN[..., [0, 0, 0]]),
        (png(chunk(b"eXIf", b"broken")), DRAWN[..., [0, 0, 0]]),
        (png(chunk(b"eXIf", b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0")), DRAWN[..., [0, 0, 0]]),
        (png(chunk(b"abCd", b"of nobody")), DRAWN[..., [0, 0, 0]]),
    ],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_unusual_pictures_are_what_a_viewer_shows(content: bytes, shown: np.ndarray, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(content)
    assert (read_image(file).permute(1, 2, 0).numpy() == shown).all()
    assert image_size(file) == (SIDE, SIDE)


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0" + b"\xff" * 50])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_a_jpeg_with_broken_exif(exif: bytes, tmp_path: Path) -> None:
    plain = encoded("JPEG")
    marked = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]
    (tmp_path / "a.png").write_bytes(marked)
    expected = np.array(Image.open(io.BytesIO(plain)))
    assert (read_image(tmp_path / "a.png").permute(1, 2, 0).numpy() == expected).all()
