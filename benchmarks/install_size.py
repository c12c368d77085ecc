"""Print the disk space of an installed PyTorch, by its parts: python benchmarks/install_size.py"""

import importlib.metadata
from pathlib import Path

import torch

PARTS = ("torch", "nvidia", "triton")


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder, 0 if it doesn't exist."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def main() -> None:
    """Print version and sizes."""
    site = Path(torch.__file__).parent.parent
    sizes = {name: size_of(site / name) for name in PARTS}
    parts = ", ".join(f"{name} {size / 1e9:.1f}" for name, size in sizes.items() if size)
    print(f"torch {importlib.metadata.version('torch')}: {sum(sizes.values()) / 1e9:.1f} GB ({parts})")


if __name__ == "__main__":
    main()
