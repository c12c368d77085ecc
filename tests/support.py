"""What several tests of the command line say."""

from pathlib import Path


def run_on(root: Path, output: Path, *more: object) -> tuple[object, ...]:
    return ("run", "--method", "mean-fill", "--dataset", "brushbench", "--root", root, "--output", output, *more)


def assert_one_line(result: tuple[int, str, str], *parts: str) -> None:
    code, out, err = result
    assert code == 2, err
    assert not out
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("brushbench: ")
    for part in parts:
        assert part in lines[0]
