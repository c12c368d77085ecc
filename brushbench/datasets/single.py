"""A sample made of one picture, one mask and a caption, by the rules that hold for the samples of a folder."""

import logging
from pathlib import Path

from brushbench.core.errors import SampleError, UserError, one_line
from brushbench.core.types import Sample
from brushbench.datasets.names import one_form
from brushbench.datasets.source import check_caption, check_painted
from brushbench.imaging.images import is_transparent, read_image, read_mask

_LOG = logging.getLogger(__name__)


def single_sample(image: Path, mask: Path, caption: str) -> Sample:
    """Read a sample whose id is the name of the image file without its suffix.

    The image is turned upright by its EXIF orientation, and so is the mask; white = inpaint. Transparency of the image
    is ignored, with a warning. Raises `UserError` for a file that can't be read, for an empty mask, and for sizes that
    differ.
    """
    pixels = read_image(image)
    if is_transparent(image):
        _LOG.warning(one_line(f"{image}: it has transparent pixels, which count as opaque"))
    painted = read_mask(mask)
    if painted.shape[1:] != pixels.shape[1:]:
        (height, width), (mask_height, mask_width) = pixels.shape[1:], painted.shape[1:]
        swapped = (height, width) == (mask_width, mask_height)
        turned = "; only one of them seems to be turned by its EXIF data" if swapped else ""
        found = f"{mask} is {mask_width}x{mask_height}, but {image} is {width}x{height}{turned}"
        raise UserError(one_line(f"{found}; valid: a mask of the image's size, width x height"))
    try:
        check_painted(painted, str(mask))
        check_caption(caption)
    except SampleError as error:
        raise UserError(one_line(str(error))) from error
    return Sample(one_form(image.stem), pixels, painted, caption)
