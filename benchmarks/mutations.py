"""Make intact files of a data set, and damage them: their bytes, their structure, an image's chunks."""

import io
import json
import random
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

SIDE = 16
_NOISE = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 4), dtype=np.uint8)


def _encoded(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=image_format, **options)
    return buffer.getvalue()


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "described"
    return exif


def _pictures() -> list[bytes]:
    rgb, rgba = Image.fromarray(_NOISE[..., :3].copy()), Image.fromarray(_NOISE)
    grey, palette = rgb.convert("L"), rgb.quantize(8)
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    return [
        _encoded(rgb, "PNG"),
        _encoded(grey, "PNG"),
        _encoded(rgba, "PNG", exif=_exif(6)),
        _encoded(palette, "PNG", transparency=bytes(range(8))),
        _encoded(palette, "PNG", transparency=3),
        _encoded(grey.convert("1"), "PNG"),
        _encoded(rgba.convert("LA"), "PNG"),
        _encoded(deep, "PNG", icc_profile=b"profile" * 20),
        _encoded(rgb, "JPEG", exif=_exif(8), quality=60),
        _encoded(rgb, "JPEG", progressive=True, icc_profile=b"profile" * 20),
        _encoded(rgb.convert("CMYK"), "JPEG"),
        _encoded(grey, "JPEG"),
        _encoded(rgb, "WEBP", quality=50, exif=_exif(3)),
        _encoded(rgba, "WEBP", lossless=True),
        _encoded(rgb, "WEBP", save_all=True, append_images=[rgb.rotate(90)]),
        _encoded(rgb, "PNG", save_all=True, append_images=[rgb.rotate(90)]),
    ]


PICTURES = _pictures()
_RUNS = [3, 5, 20, 9, 100, 40]
_ENTRIES = {
    name: {
        "image": f"images/{name}.png",
        "caption": f"a picture of {name}, and \u00e9 \u2603",
        "inpainting_mask": _RUNS,
        "outpainting_mask": [1, 2, 200, 57],
        "tags": {"subject": "animal"},
    }
    for name in "ab"
}
CAPTIONS = {
    "captions.csv": b'id,caption,subject\nb,"two, with a comma",animal\na,one,\n',
    "captions.json": b'{"b.png": "two, with a comma", "a": "one \\u00e9"}',
    "captions.txt": b"one \xc3\xa9\ntwo, with a comma\n",
}
_TOKENS = [
    *(
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e999",
        b"-1",
        b"1" + b"0" * 30,
        b"9" * 5000,
        b"null",
        b"true",
        b"[]",
        b"{}",
    ),
    *(b'"', b"\\", b"\0", b"\n", b"\r", b",", b'"\\ud800"', b"\xff", b"\xef\xbb\xbf", b"\xfe\xff", b"[" * 3000),
    *(b'{"a":' * 3000, b'"\\u0000"', b"\x1b[31m", "\u202e".encode(), b"../", b"/etc/passwd", b"x" * 300, b"a", b"b"),
]
_VALUES: list[object] = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**70), 0.5, float("nan"), float("inf"), 1e300, "", "12"),
    *(
        "../../etc/passwd",
        "/etc/passwd",
        "images",
        "images/b.png",
        "\0",
        "\ud800",
        "\x1b[31m\u202e",
        "x" * 300,
        "x" * 3000,
    ),
    *("images/" + "../" * 40, "a/" * 300, "CON", ".", "..", "~", [], {}, [[]], [1], [1, 256], [1, 257], [5, 5, 3, 9]),
    *(
        [0, 1],
        [-3, 9],
        [1, 2, 3],
        ["1", "2"],
        ["x", 2],
        [1.0, 2.0],
        [1.5, 2],
        [[1, 2]],
        [None],
        {"a": 1},
        [2**62, 2**62],
    ),
]


def mapping(draw: random.Random) -> bytes:
    """Return a mapping file with damaged structure, bytes or both."""
    content: object = {name: dict(entry) for name, entry in _ENTRIES.items()}
    if draw.random() < 0.2:
        content = [{"image_id": name, **entry} for name, entry in _ENTRIES.items()]
    if draw.random() < 0.7:
        for _ in range(draw.randint(1, 3)):
            content = restructured(draw, content)
    text = json.dumps(content).encode()
    return text if draw.random() < 0.5 else scrambled(draw, text)


def captions(draw: random.Random, name: str) -> bytes:
    """Return a damaged captions file."""
    return scrambled(draw, CAPTIONS[name])


def picture(draw: random.Random) -> bytes:
    """Return an image file with damaged bytes or, for a PNG, with damaged chunks and correct checksums."""
    content = draw.choice(PICTURES)
    if content.startswith(b"\x89PNG") and draw.random() < 0.7:
        return _rechunked(draw, content)
    return flipped(draw, content)


def restructured(draw: random.Random, content: object) -> object:
    """Change, remove or duplicate a value somewhere in the structure."""
    if draw.random() < 0.08 or not content or not isinstance(content, dict | list):
        return draw.choice(_VALUES)
    result = content.copy()
    places = list(result) if isinstance(result, dict) else range(len(result))
    place = draw.choice(places)
    how = draw.random()
    if how < 0.12:
        del result[place]
    elif how < 0.25 and isinstance(result, dict):
        result[str(draw.choice(_VALUES))] = result.pop(place)
    elif how < 0.3 and isinstance(result, list):
        result += result * draw.randint(1, 3)
    else:
        result[place] = restructured(draw, result[place])
    return result


def scrambled(draw: random.Random, text: bytes) -> bytes:
    """Return the text cut, repeated, or with something inserted."""
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(text) + 1)
        how = draw.randrange(5)
        if how == 0:
            text = text[:at]
        elif how == 1:
            text = text[:at] + draw.choice(_TOKENS) + text[at + draw.randrange(4) :]
        elif how == 2:
            text = text[:at] + draw.randbytes(draw.randint(1, 4)) + text[at + draw.randrange(4) :]
        elif how == 3:
            end = at + draw.randint(1, 60)
            text = text[:end] + text[at:]
        else:
            text = draw.choice(_TOKENS) + text
    return text


def flipped(draw: random.Random, content: bytes) -> bytes:
    """Change some bytes, mostly near the beginning."""
    changed = bytearray(content)
    for _ in range(draw.choice((1, 2, 4, 16))):
        # The header matters most.
        at = draw.randrange(min(len(changed), draw.choice((32, 64, 200, len(changed)))))
        changed[at] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
    how = draw.random()
    if how < 0.15:
        del changed[draw.randrange(len(changed)) :]
    elif how < 0.25:
        at = draw.randrange(len(changed))
        changed[at:at] = draw.randbytes(draw.randint(1, 20))
    return bytes(changed)


def _rechunked(draw: random.Random, content: bytes) -> bytes:
    chunks = _chunks(content)
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(chunks))
        name, data = chunks[at]
        how = draw.randrange(6)
        if how == 0:
            del chunks[at]
        elif how == 1:
            chunks.insert(draw.randrange(len(chunks) + 1), (name, data))
        elif how == 2:
            chunks.insert(draw.randrange(len(chunks) + 1), draw.choice(_ADDED)(draw))
        elif data:
            chunks[at] = (name, flipped(draw, data))
        if not chunks:
            break
    return content[:8] + b"".join(_chunk(name, data) for name, data in chunks)


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        found.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += length + 12
    return found


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


_BOMB = zlib.compress(bytes(3 << 20), 9)
_ADDED: list[Callable[[random.Random], tuple[bytes, bytes]]] = [
    lambda draw: (b"eXIf", draw.randbytes(draw.randint(0, 40))),
    lambda draw: (b"eXIf", draw.choice((b"II*\0", b"MM\0*")) + draw.randbytes(draw.randint(0, 60))),
    lambda draw: (b"tRNS", draw.randbytes(draw.randint(0, 9))),
    lambda draw: (b"PLTE", draw.randbytes(draw.randint(0, 30))),
    lambda draw: (b"zTXt", b"key\0\0" + draw.choice((_BOMB, zlib.compress(b"text"), draw.randbytes(9)))),
    lambda draw: (b"iCCP", b"key\0\0" + draw.choice((_BOMB, zlib.compress(b"text"), draw.randbytes(9)))),
    lambda draw: (b"iTXt", b"key\0" + draw.choice((b"\1\0\0\0" + _BOMB, b"\0\0en\0\0text", draw.randbytes(9)))),
    lambda draw: (b"tEXt", draw.choice((b"Raw profile type exif\0", b"key\0")) + draw.randbytes(draw.randint(0, 40))),
    lambda draw: (
        b"IHDR",
        struct.pack(">II", *draw.choices((0, 1, 16, 8192, 9000, 2**31 - 1), k=2)) + draw.randbytes(5),
    ),
    lambda draw: (b"acTL", draw.randbytes(8)),
    lambda draw: (b"fcTL", draw.randbytes(26)),
    lambda draw: (b"gAMA", draw.randbytes(4)),
    lambda draw: (b"pHYs", draw.randbytes(draw.randint(0, 9))),
    lambda draw: (bytes(draw.choices(b"abcXYZ", k=4)), draw.randbytes(draw.randint(0, 20))),
]
