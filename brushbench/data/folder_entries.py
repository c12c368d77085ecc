"""What a folder of one's own says it has, read file by file: the reader gives up at the first mistake."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from brushbench.data.defects import Finding
from brushbench.data.entries import Entry, Listing, extra_files, id_findings
from brushbench.data.mask_findings import INSIDE, OUTSIDE
from brushbench.datasets.folder import caption_file, read_texts
from brushbench.datasets.source import inside_root
from brushbench.errors import SampleError, UserError
from brushbench.images import SUFFIXES


def list_folder(root: Path, splits: Sequence[str]) -> Listing:
    """Entries of images/, masks/ and the captions. The inside mask is the file, and outside is what it leaves."""
    findings: list[Finding] = []
    images, masks = (_pictures(root, name, findings) for name in ("images", "masks"))
    captions = _captions(root, list(images), findings)
    findings += id_findings(list(images))
    findings += [Finding("missing-mask", name) for name in images if name not in masks]
    findings += [Finding("extra-mask", name) for name in masks if name not in images]
    if captions is not None:
        findings += [Finding("missing-caption", name) for name in images if name not in captions]
        findings += [Finding("extra-caption", name) for name in captions if name not in images]
    for folder, kind in (("images", "extra-image"), ("masks", "extra-mask")):
        pictures = {path.resolve() for path in (root / folder).iterdir() if path.suffix.lower() in SUFFIXES}
        findings += extra_files(root / folder, pictures, kind, root)
    split = INSIDE if INSIDE in splits else OUTSIDE
    entries = []
    for name, path in images.items():
        mask = _safe(root, masks[name], name, findings) if name in masks else None
        caption = captions.get(name) if captions else None
        entries.append(Entry(name, caption, _safe(root, path, name, findings), {split: mask} if mask else {}))
    return Listing(entries, findings, [], one_size=False)


def _pictures(root: Path, folder: str, findings: list[Finding]) -> Mapping[str, Path]:
    """By stem."""
    found: dict[str, Path] = {}
    for path in sorted((root / folder).iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in found:
            findings.append(
                Finding("duplicate-id", path.stem, f"{folder}/ has {found[path.stem].name} and {path.name}")
            )
        found.setdefault(path.stem, path)
    return found


def _safe(root: Path, path: Path, name: str, findings: list[Finding]) -> Path | None:
    try:
        return inside_root(root, path.relative_to(root).as_posix())
    except SampleError as error:
        findings.append(Finding("image-outside", name, str(error)))
        return None


def _captions(root: Path, names: Sequence[str], findings: list[Finding]) -> Mapping[str, str] | None:
    """By id. If they can't be read, None and a finding."""
    try:
        texts = read_texts(caption_file(root), names)
    except UserError as error:
        findings.append(Finding("unreadable", "captions", str(error)))
        return None
    findings += [
        Finding("duplicate-id", n, "in the captions") for n, k in Counter(n for n, _ in texts).items() if k > 1
    ]
    return {name: text.caption for name, text in texts}
