"""Recognize what a checkpoint that can't be loaded really is, from its bytes alone: no code in it is run."""

import json
import pickletools
import zipfile
from collections.abc import Iterator
from io import BufferedReader, BytesIO
from pathlib import Path

from brushbench.core.capture import capture

AGAIN = "download it again"
_PAGE = f"it is a web page, probably from a failed download: {AGAIN}, logged in if its publisher requires that"
_BEGINNINGS = {
    b"<!doctype": _PAGE,
    b"<html": _PAGE,
    b"<?xml": _PAGE,
    b"version https://git-lfs": "it is a Git LFS pointer, not the file itself: run `git lfs pull` in its folder",
    b"\x89png": "it is an image",
    b"\xff\xd8\xff": "it is an image",
}
"""How files begin, in lower case and after white space, and what they are."""
_ZIP = b"PK\x03\x04"
_CUT_OFF = ("EOF", "truncated", "Ran out of input")
"""Words in the libraries' errors for a file that ends too early."""
_TENSORS = ("torch.", "torch._utils.", "torch.storage.", "torch.serialization.", "torch.nn.parameter.")
_HARMLESS = {"collections.OrderedDict", "collections.Counter", "_codecs.encode"}
"""Names that torch's data consists of, besides those directly in the modules above."""
_LONGEST_HEADER = 100_000_000
"""Longest header that the format allows, in bytes."""
_PICKLES = 5
"""Number of pickles in a file of torch before 1.6: three about the format, the content, and the storages' names."""


def is_safetensors(file: Path) -> bool:
    """Tell whether a file begins like safetensors, whatever its name: with a header's length, then the header."""
    with file.open("rb") as opened:
        head = opened.read(9)
    return head[8:] == b"{" and int.from_bytes(head[:8], "little") <= _LONGEST_HEADER


def problem_of(file: Path, error: str) -> str:
    """Say what seems to be wrong with a checkpoint, and what to do; if nothing is found, say a library's `error`."""
    found = capture(_problem, file)
    if isinstance(found, str) and found:
        return found
    if any(text in error for text in _CUT_OFF):
        return f"it seems to be cut off: {AGAIN} ({error})"
    return error


def _problem(file: Path) -> str:
    size = file.stat().st_size
    if not size:
        return f"it is empty: {AGAIN}"
    with file.open("rb") as opened:
        head = opened.read(512)
    lowered = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if known := next((text for begin, text in _BEGINNINGS.items() if lowered.startswith(begin)), ""):
        return known
    if head.startswith(_ZIP):
        return _problem_of_zip(file)
    if is_safetensors(file):
        return _cut_off_safetensors(file, size)
    if file.suffix == ".safetensors":
        return ""
    with file.open("rb") as opened:
        return _objects(opened)


def _problem_of_zip(file: Path) -> str:
    if not zipfile.is_zipfile(file):
        return f"it is cut off (the end of its archive is missing): {AGAIN}"
    with zipfile.ZipFile(file) as archive:
        inside = {name.rpartition("/")[2]: name for name in archive.namelist()}
        if "constants.pkl" in inside:
            return "it is a TorchScript program, not a checkpoint of tensors"
        if "data.pkl" not in inside:
            return f"it is a zip archive of other files ({', '.join(archive.namelist()[:3])}), not a checkpoint"
        if file.suffix == ".safetensors":
            return "it is a torch checkpoint named .safetensors: rename it to .ckpt, or to .bin in a folder"
        return _objects(BufferedReader(BytesIO(archive.read(inside["data.pkl"]))))


def _cut_off_safetensors(file: Path, size: int) -> str:
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if 8 + length > size:
            return f"it is cut off (its header has {size - 8} of {length} bytes): {AGAIN}"
        header = json.loads(opened.read(length))
    whole = 8 + length + max(each["data_offsets"][1] for name, each in header.items() if name != "__metadata__")
    return f"it is cut off (it has {size} of {whole} bytes): {AGAIN}" if size < whole else ""


def _objects(opened: BufferedReader) -> str:
    """Report the first Python object other than tensors that a pickle makes; empty if it makes none."""
    name = next((name for name in _globals(opened) if not _is_data(name)), "")
    if not name:
        return ""
    return (
        f"it holds a Python object ({name}), which could run any code when loaded, so it is refused; use its "
        f"safetensors version, which most publishers offer, or convert it yourself if you trust it"
    )


def _is_data(name: str) -> bool:
    return name in _HARMLESS or any(name.rpartition(".")[0] + "." == module for module in _TENSORS)


def _globals(opened: BufferedReader) -> Iterator[str]:
    """Yield the classes and functions that the pickles name, as `module.name`; nothing is imported."""
    for _ in range(_PICKLES):
        strings: list[str] = []
        memo: dict[object, str | None] = {}
        # The string that the last operation left on the stack, if any.
        last: str | None = None
        for operation, argument, _ in pickletools.genops(opened):
            name = operation.name
            if name in ("GLOBAL", "INST"):
                yield str(argument).replace(" ", ".")
            elif name == "STACK_GLOBAL":
                yield ".".join(strings[-2:])
            if name == "MEMOIZE":
                memo[len(memo)] = last
            elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
                memo[argument] = last
            else:
                is_text = isinstance(argument, str) and "UNICODE" in name
                last = memo.get(argument) if name.endswith("GET") else argument if is_text else None
                strings += [last] if last is not None else []
