"""Defects to plant into a small clean data set, each with the kind that `data verify` must find."""

import json
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from conftest import picture
from PIL import Image

from brushbench.imaging.masks import encode_rle

FIRST, SECOND, THIRD = (f"{index:09d}" for index in (0, 1, 2))
SIDE = 64
CAPTIONS = {
    FIRST: "a fish and a chair",
    SECOND: "two lamps",
    THIRD: "the sea at night",
    "000000003": "a red balloon",
}
Plant = Callable[[Path], object]


def change(root: Path, edit: Callable[[dict], object]) -> None:
    file = root / "mapping_file.json"
    mapping = json.loads(file.read_text())
    edit(mapping)
    file.write_text(json.dumps(mapping))


def entry(**values: object) -> Plant:
    """Plant other values in the first sample; None takes one away."""

    def edit(mapping: dict) -> None:
        merged = mapping[FIRST] | values
        mapping[FIRST] = {key: value for key, value in merged.items() if value is not None}

    return lambda root: change(root, edit)


def image(root: Path) -> Path:
    return root / "images" / f"{FIRST}.png"


def saved(convert: Callable[[Image.Image], Image.Image], file_format: str = "PNG", **options: object) -> Plant:
    """The first image as something else under its name."""

    def plant(root: Path) -> None:
        with Image.open(image(root)) as old:
            new = convert(old.copy())
        new.save(image(root), format=file_format, **options)

    return plant


def renamed(name: str) -> Plant:
    return lambda root: change(root, lambda mapping: mapping.update({name: mapping.pop(FIRST)}))


def damaged(root: Path) -> None:
    """Damage the middle of an image, and leave its end intact."""
    content = bytearray(image(root).read_bytes())
    middle = content.index(b"IDAT") + 4
    content[middle : middle + 40] = bytes(40)
    image(root).write_bytes(content)


def text(name: str, content: str) -> Plant:
    return lambda root: (root / name).write_text(content)


def twice(root: Path) -> None:
    file = root / "mapping_file.json"
    record = json.dumps(json.loads(file.read_text())[FIRST])
    file.write_text(f'{{"{FIRST}": {record}, {file.read_text()[1:]}')


def oriented(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    with Image.open(image(root)) as old:
        old.copy().save(image(root), exif=exif)


def animated(root: Path) -> None:
    frames = [Image.fromarray(picture(seed, SIDE)) for seed in (7, 8)]
    frames[0].save(image(root), format="PNG", save_all=True, append_images=frames[1:])


def exchanged(root: Path) -> None:
    def edit(mapping: dict) -> None:
        for name, other in ((FIRST, SECOND), (SECOND, FIRST)):
            mapping[name]["image"] = f"images/{other}.png"

    change(root, edit)


def linked_out(root: Path) -> None:
    shutil.move(image(root), root.parent / "elsewhere.png")
    image(root).symlink_to(root.parent / "elsewhere.png")


def sixteen_bits(root: Path) -> None:
    Image.fromarray((np.arange(SIDE * SIDE).reshape(SIDE, SIDE) * 16).astype(np.uint16)).save(image(root))


def bomb(root: Path) -> None:
    """A header that promises 20000 x 20000 pixels."""
    content = bytearray(image(root).read_bytes())
    content[16:24] = (20_000).to_bytes(4) * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4)
    image(root).write_bytes(content)


def reencoded(root: Path) -> None:
    with Image.open(image(root)) as old:
        old.copy().save(root / "images" / f"{SECOND}.png", compress_level=0)


def masks(edit: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]) -> Plant:
    """Other masks for the first sample."""
    inside = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    inside[5:9, 20:50] = True
    new = [encode_rle(mask) for mask in edit(inside, ~inside)]
    return entry(inpainting_mask=new[0], outpainting_mask=new[1])


WORDS = " ".join(["photograph"] * 80)
IN_BENCH: dict[str, tuple[str, Plant]] = {
    "no JSON": ("unreadable", text("mapping_file.json", '{"a": ')),
    "no samples": ("unreadable", text("mapping_file.json", "{}")),
    "too deep": ("unreadable", text("mapping_file.json", "[" * 100_000)),
    "an id twice": ("duplicate-id", twice),
    "ids alike": (
        "ids-alike",
        lambda root: change(root, lambda m: m.update(a=m.pop(FIRST)) or m.update(A=m.pop(SECOND))),
    ),
    "id with slash": ("bad-id", renamed("a/b")),
    "id with escape": ("bad-id", renamed("a\x1b[31m")),
    "id of 300 characters": ("bad-id", renamed("a" * 300)),
    "entry is a number": ("malformed-record", lambda root: change(root, lambda m: m.update({FIRST: 7}))),
    "no caption": ("malformed-record", entry(caption=None)),
    "caption is a number": ("malformed-record", entry(caption=7)),
    "no mask": ("malformed-record", entry(outpainting_mask=None)),
    "mask is a text": ("malformed-record", entry(inpainting_mask="1 5")),
    "tags are a list": ("malformed-record", entry(tags=["animal"])),
    "image gone": ("missing-image", lambda root: image(root).unlink()),
    "image is a folder": ("missing-image", lambda root: image(root).unlink() or image(root).mkdir()),
    "a file too many": ("extra-image", lambda root: shutil.copy(image(root), root / "images" / "copy.png")),
    "a file below": ("extra-image", text("images/notes.txt", "mine")),
    "path with ..": ("image-outside", entry(image="../elsewhere.png")),
    "absolute path": ("image-outside", entry(image="/etc/passwd")),
    "link out": ("image-outside", linked_out),
    "GIF": ("wrong-format", saved(lambda old: old, "GIF")),
    "text for an image": ("wrong-format", lambda root: image(root).write_text("<html>")),
    "empty file": ("wrong-format", lambda root: image(root).write_bytes(b"")),
    "JPEG called png": ("wrong-suffix", saved(lambda old: old, "JPEG")),
    "damaged": ("undecodable", damaged),
    "cut off": ("truncated", lambda root: image(root).write_bytes(image(root).read_bytes()[:-200])),
    "cut off in the header": ("truncated", lambda root: image(root).write_bytes(image(root).read_bytes()[:20])),
    "bomb": ("too-large", bomb),
    "other size": ("wrong-size", saved(lambda old: old.resize((32, 48)))),
    "grey": ("colour-mode", saved(lambda old: old.convert("L"))),
    "palette": ("colour-mode", saved(lambda old: old.convert("P"))),
    "alpha": ("colour-mode", saved(lambda old: old.convert("RGBA"))),
    "16 bits": ("colour-mode", sixteen_bits),
    "turned": ("exif-orientation", oriented),
    "animated": ("several-frames", animated),
    "exchanged": ("image-of-another", exchanged),
    "one file for two": ("shared-image", entry(image=f"images/{SECOND}.png")),
    "same bytes": ("duplicate-image", lambda root: shutil.copy(image(root), root / "images" / f"{SECOND}.png")),
    "same pixels": ("duplicate-pixels", reencoded),
    "odd count": ("rle-malformed", entry(inpainting_mask=[1, 5, 9])),
    "fractions": ("rle-malformed", entry(inpainting_mask=[1.5, 5])),
    "pairs": ("rle-malformed", entry(inpainting_mask=[[1, 5]])),
    "start 0": ("rle-out-of-bounds", entry(inpainting_mask=[0, 5])),
    "negative length": ("rle-out-of-bounds", entry(inpainting_mask=[9, -5])),
    "behind the end": ("rle-out-of-bounds", entry(outpainting_mask=[1, SIDE * SIDE + 1])),
    "huge": ("rle-out-of-bounds", entry(outpainting_mask=[1, 2**62])),
    "runs overlap": ("rle-overlap", entry(inpainting_mask=[1, 10, 5, 10])),
    "empty": ("mask-empty", entry(inpainting_mask=[])),
    "full": ("mask-full", entry(outpainting_mask=[1, SIDE * SIDE])),
    "in both": ("masks-overlap", masks(lambda inside, outside: (inside, outside | (inside.roll(1, 0) & inside)))),
    "in neither": ("masks-gap", masks(lambda inside, outside: (inside, outside & outside.roll(1, 0)))),
    "no words": ("empty-caption", entry(caption=" \u3000 ")),
    "novel": ("bad-caption", entry(caption="a" * 2001)),
    "surrogate": ("bad-caption", entry(caption="\ud800")),
    "78 tokens": ("long-caption", entry(caption=WORDS)),
    "escape": ("control-characters", entry(caption="a \x1b[31mred\x1b[0m fish")),
    "right to left": ("control-characters", entry(caption="a \u202efish")),
    "same caption": ("duplicate-caption", entry(caption="Two  lamps")),
    "sidecar columns": ("sidecar-unreadable", text("tags.csv", f"id,kind\n{FIRST},x\n")),
    "sidecar unknown": ("sidecar-unknown-id", text("tags.csv", "id,source,subject\nnone,natural,human\n")),
    "sidecar twice": (
        "sidecar-duplicate-id",
        text("tags.csv", f"id,source,subject\n{FIRST},natural,human\n{FIRST},natural,human\n"),
    ),
    "sidecar value": ("sidecar-value", text("tags.csv", f"id,source,subject\n{FIRST},natural,humans\n")),
}


def caption_lines(*lines: str) -> Plant:
    return text("captions.csv", "\n".join(["id,caption", *lines]) + "\n")


def mask(pixels: np.ndarray) -> Plant:
    return lambda root: Image.fromarray(pixels.astype(np.uint8)).save(root / "masks" / "a.png")


def cut_off_mask(root: Path) -> None:
    file = root / "masks" / "a.png"
    file.write_bytes(file.read_bytes()[:-30])


def linked_mask(root: Path) -> None:
    shutil.move(root / "masks" / "a.png", root.parent / "elsewhere.png")
    (root / "masks" / "a.png").symlink_to(root.parent / "elsewhere.png")


def captions_in_order(root: Path) -> None:
    """Captions of 2 and 10, which are sorted by their characters or by their value."""
    for part in ("images", "masks"):
        for old, new in (("a", "2"), ("b", "10")):
            (root / part / f"{old}.png").rename(root / part / f"{new}.png")
    (root / "captions.csv").unlink()
    (root / "captions.txt").write_text("two\nten\nc\n")


def accents_in_two_ways(root: Path) -> None:
    (root / "images" / "c.png").rename(root / "images" / "e\u0301.png")
    (root / "masks" / "c.png").rename(root / "masks" / "e\u0301.png")
    shutil.copy(root / "images" / "a.png", root / "images" / "\u00e9.png")
    caption_lines("a,one", "b,two", "\u00e9,three")(root)


def own_folder(root: Path) -> Path:
    """A clean folder of one's own with the samples a, b and c."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for index, stem in enumerate("abc"):
        Image.fromarray(picture(index, 32)).save(root / "images" / f"{stem}.png")
        Image.fromarray(np.eye(32, dtype=np.uint8) * 255).save(root / "masks" / f"{stem}.png")
    caption_lines("a,one", "b,two", "c,three")(root)
    return root


IN_FOLDER: dict[str, tuple[str, Plant]] = {
    "no captions": ("unreadable", lambda root: (root / "captions.csv").unlink()),
    "two files of captions": ("unreadable", text("captions.txt", "one\ntwo\nthree\n")),
    "columns": ("unreadable", text("captions.csv", "name;text\n")),
    "captions by an order": ("caption-order", captions_in_order),
    "accents": ("names-alike", accents_in_two_ways),
    "an image twice": ("duplicate-id", lambda root: shutil.copy(root / "images/a.png", root / "images/a.webp")),
    "a caption twice": ("duplicate-id", caption_lines("a,one", "b,two", "c,three", "a.png,four")),
    "no mask": ("missing-mask", lambda root: (root / "masks/a.png").unlink()),
    "a mask too many": ("extra-mask", lambda root: shutil.copy(root / "masks/a.png", root / "masks/d.png")),
    "another file": ("extra-mask", text("masks/notes.txt", "mine")),
    "another file among images": ("extra-image", text("images/a.txt", "mine")),
    "no caption": ("missing-caption", caption_lines("b,two", "c,three")),
    "a caption too many": ("extra-caption", caption_lines("a,one", "b,two", "c,three", "d,four")),
    "mask of another size": ("mask-size", mask(np.eye(16) * 255)),
    "grey mask": ("mask-grey", mask(np.arange(32 * 32).reshape(32, 32) % 256)),
    "empty mask": ("mask-empty", mask(np.zeros((32, 32)))),
    "full mask": ("mask-full", mask(np.full((32, 32), 255))),
    "cut off mask": ("mask-truncated", cut_off_mask),
    "no picture": ("mask-undecodable", text("masks/a.png", "mask")),
    "linked mask": ("image-outside", linked_mask),
}
