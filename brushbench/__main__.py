"""The entry point of `python -m brushbench` and of the command `brushbench`."""

import os
import sys
from pathlib import Path


def main() -> None:
    """Run the command line without importing modules from the working folder."""
    _leave_out_the_working_folder()
    # Arrow's own allocators keep memory that is free; this must be said before it is loaded, and the user may say more.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    from brushbench.cli.main import main as command_line

    command_line()


def _leave_out_the_working_folder() -> None:
    """Remove the working folder from Python's path, so that no file in it can shadow a module that the suite imports.

    Python searches it first with `python -m` and with `PYTHONPATH=.`. It stays on the path if it is a checkout of the
    suite.
    """
    here = Path.cwd().resolve()
    if Path(__file__).resolve().parent.parent != here:
        sys.path[:] = [place for place in sys.path if place and Path(place).resolve() != here]


if __name__ == "__main__":
    main()
