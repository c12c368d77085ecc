"""What a folder of one's own says it has, read file by file: the reader gives up at the first mistake."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from brushbench.core.errors import UserError
from brushbench.curation.defects import Finding
from brushbench.curation.entries import Entry, Listing, extra_files, file_below, id_findings
from brushbench.curation.mask_findings import INSIDE, OUTSIDE
from brushbench.datasets.folder import caption_file, order_of_lines, read_texts
from brushbench.datasets.names import one_form
from brushbench.datasets.source import pictures_in, said_two
from brushbench.imaging.images import SUFFIXES


def list_folder(root: Path, splits: Sequence[str]) -> Listing:
    """Entries of images/, masks/ and the captions. The inside mask is the file, and outside is what it leaves."""
    findings: list[Finding] = []
    images, masks = (_pictures(root, name, findings) for name in ("images", "masks"))
    captions = _captions(root, images, findings)
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
        mask = file_below(root, f"masks/{masks[name].name}", name, findings) if name in masks else None
        image = file_below(root, f"images/{path.name}", name, findings)
        caption = captions.get(name) if captions else None
        entries.append(Entry(name, caption, image, {split: mask} if mask else {}))
    return Listing(entries, findings, [], one_size=False)


def _pictures(root: Path, folder: str, findings: list[Finding]) -> Mapping[str, Path]:
    """By stem, in one form of Unicode."""
    found: dict[str, Path] = {}
    for path in pictures_in(root / folder):
        name = one_form(path.stem)
        first = found.setdefault(name, path)
        if first is not path:
            kind = "duplicate-id" if first.stem == path.stem else "names-alike"
            findings.append(Finding(kind, name, f"{folder}/ has two images: {said_two(first, path)}"))
    return found


def _captions(root: Path, images: Mapping[str, Path], findings: list[Finding]) -> Mapping[str, str] | None:
    """By id. If they can't be read, None and a finding."""
    try:
        file = caption_file(root)
        if problem := order_of_lines(file, images):
            findings.append(Finding("caption-order", file.name, problem))
            return None
        texts = read_texts(file, images)
    except UserError as error:
        findings.append(Finding("unreadable", "captions", str(error)))
        return None
    findings += [
        Finding("duplicate-id", n, "in the captions") for n, k in Counter(n for n, _ in texts).items() if k > 1
    ]
    return {name: text.caption for name, text in texts}
