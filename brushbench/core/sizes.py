"""The sizes to which samples can be resized."""

from brushbench.core.errors import UserError, one_line
from brushbench.core.options import Value

SIZE = "size"
"""The option of every data set; for one that has none of this name itself, the suite resizes its samples."""
SMALLEST, LARGEST = 8, 4096


def checked_size(size: Value) -> int:
    """A valid side of a square. Raises `UserError` for any other value."""
    size = int(size) if isinstance(size, str) and size.isdecimal() and size.isascii() else size
    if isinstance(size, bool) or not isinstance(size, int) or not SMALLEST <= size <= LARGEST:
        raise UserError(
            one_line(f"size={size}; valid: native, or the side of a square of {SMALLEST} to {LARGEST} pixels")
        )
    return size
