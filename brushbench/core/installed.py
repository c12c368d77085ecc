"""The libraries that a run is made with, and their installed versions."""

import importlib.metadata
from functools import cache

PACKAGES = ("torch", "diffusers", "transformers", "opencv-python-headless", "scikit-image", "pillow")


@cache
def version_of(package: str) -> str:
    """The version of a distribution, or `not installed`."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
