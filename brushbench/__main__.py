"""`python -m brushbench`, and the command `brushbench`."""

import sys
from pathlib import Path


def main() -> None:
    """Run the command line, with modules of the working folder out of the way."""
    _leave_out_the_working_folder()
    from brushbench.cli.main import main as command_line

    command_line()


def _leave_out_the_working_folder() -> None:
    """What lies in the folder that somebody works in isn't what the suite imports, whatever it is called.

    Python looks there first for `python -m`, and with `PYTHONPATH=.`. A checkout of the suite is left in: there it is
    the suite itself.
    """
    here = Path.cwd().resolve()
    if Path(__file__).resolve().parent.parent != here:
        sys.path[:] = [place for place in sys.path if place and Path(place).resolve() != here]


if __name__ == "__main__":
    main()
