"""Where the runs of several seeds are: each seed has a folder in the output folder."""

from pathlib import Path

FOLDER = "seed="
"""What the folder of a seed's runs is called, before the seed."""


def folder_of(output: Path, seed: int) -> Path:
    """The output folder of one of several seeds."""
    return output / f"{FOLDER}{seed}"


def home_of(run: Path) -> tuple[Path, int | None]:
    """The output folder that a run folder belongs to under any seed, and the seed that its path names, if it does."""
    output = run.parent.parent
    seed = output.name.removeprefix(FOLDER)
    is_of_seed = output.name.startswith(FOLDER) and seed.isascii() and seed.isdecimal()
    return (output.parent, int(seed)) if is_of_seed else (output, None)


def seed_told(run: Path) -> str:
    """What messages add to the name of a run: the seed, if its path names one of several."""
    seed = home_of(run)[1]
    return "" if seed is None else f", seed {seed}"


def pattern_of(run: Path) -> Path:
    """A run folder as it is under any seed: with `*` for a seed that its path names."""
    home, seed = home_of(run)
    return run if seed is None else home / f"{FOLDER}*" / run.parent.name / run.name
