"""A gallery as one zip file."""

import os
import zipfile
from pathlib import Path

from brushbench.core.errors import doing
from brushbench.reports.gallery.folder import Folder

PACKED = (".png", ".jpg", ".jpeg", ".webp")
"""What is compressed already."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""A time that is the same in every archive of the same gallery."""


def write_archive(folder: Folder, target: Path) -> Path:
    """Write everything that the page needs into one file, in a folder of the gallery's name, file by file."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    name = folder.path.resolve().name
    with doing("writing", target), zipfile.ZipFile(partial, "w") as archive:
        for file in folder.files():
            entry = zipfile.ZipInfo(f"{name}/{file}", EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_STORED if file.endswith(PACKED) else zipfile.ZIP_DEFLATED
            archive.writestr(entry, (folder.path / file).read_bytes())
    partial.replace(target)
    return target
