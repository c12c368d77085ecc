"""Read samples of a data set together with the images that were made for them."""

import hashlib
from collections.abc import Callable
from typing import final

from brushbench.core.capture import capture
from brushbench.core.errors import SampleError
from brushbench.core.files import exists, read_bytes
from brushbench.core.types import Dataset, Sample
from brushbench.evaluation.parts import Described, SampleWithImage
from brushbench.imaging.images import EncodedImage, read_image
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.runs.stored_images import CHANGED, DELETED


@final
class PairReader:
    """Reads a sample with its image, and notes what it finds out about them."""

    def __init__(self, dataset: Dataset, content: Callable[[LedgerEntry], EncodedImage]) -> None:
        """`content` returns the file of a stored image; it raises `SampleError` if that has changed."""
        self._dataset = dataset
        self._content = content

    def __call__(self, index: int, entry: LedgerEntry | None, found: Described) -> SampleWithImage:
        """Raises `SampleError` if there is no image that could be scored."""
        if entry is None or entry.status == "failed":
            # Read the sample nevertheless, so that it is counted among the masks of its size.
            capture(self._described, index, found)
        if entry is None:
            raise SampleError("not generated")
        if entry.status == "failed":
            raise SampleError(f"failed: {entry.error}")
        sample = self._described(index, found)
        image = read_image(self._content(entry))
        if image.shape != sample.image.shape:
            own, source = (f"{part.shape[1]}x{part.shape[2]}" for part in (image, sample.image))
            found.wrong_sizes[sample.id] = f"{own}, its source is {source}"
            raise SampleError(f"the image is {own}, its source is {source}")
        return sample, image

    def _described(self, index: int, found: Described) -> Sample:
        """Read a sample of the data set, and remember its size and the share of its mask."""
        sample = self._dataset[index]
        found.mask_shares[sample.id] = sample.mask.float().mean().item()
        found.sizes[sample.id] = f"{sample.image.shape[1]}x{sample.image.shape[2]}"
        return sample


def stored_image(run: Run, entry: LedgerEntry) -> EncodedImage:
    """The file of a stored image. Raises `SampleError` if its digest isn't the one in the ledger."""
    path = run.image_path(entry)
    return checked_image(read_bytes(path) if exists(path) else None, path.name, entry)


def checked_image(content: bytes | None, name: str, entry: LedgerEntry) -> EncodedImage:
    """The file of an image, None if it is gone. Raises `SampleError` if its digest isn't the one in the ledger."""
    if content is None:
        raise SampleError(DELETED)
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise SampleError(CHANGED)
    return EncodedImage(content, name)
