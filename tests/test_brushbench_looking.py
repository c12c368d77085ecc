"""A command compares the images of a run with their digests once, and all of its parts agree on what has changed."""

from collections import Counter
from pathlib import Path

import pytest
from conftest import write_benchmark
from support import suite

from brushbench.runs.folder import Run
from brushbench.runs.looking import changed_images, looking_once
from brushbench.runs.scores import read_scores

FIRST = "000000000"
METHODS = ("telea", "navier-stokes")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of two finished runs."""
    root = tmp_path_factory.mktemp("made")
    write_benchmark(root / "bench")
    data = ("--dataset", "brushbench", "--root", root / "bench", "--metrics", "psnr,mse")
    assert suite("run", "--method", ",".join(METHODS), *data, "--output", root / "runs") == 0
    return root / "runs" / "brushbench-inside"


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the images of each method's run have been looked at."""
    found: Counter[str] = Counter()
    look = Run.changed_images

    def counting(run: Run) -> dict[str, str]:
        found[run.path.name] += 1
        return look(run)

    monkeypatch.setattr(Run, "changed_images", counting)
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "{runs}"),
        ("report", "{runs}", "--figure", "{new}/figure.png"),
        ("compare", "{runs}/telea", "{runs}/navier-stokes", "--output", "{new}"),
        ("check", "{runs}", "--write", "{new}/baseline.json"),
        ("show", "{runs}", FIRST),
        ("gallery", "{runs}", "--output", "{new}/gallery"),
    ],
    ids=lambda arguments: f"{arguments[0]} {arguments[2] if len(arguments) > 2 else ''}".strip(),
)
def test_a_command_looks_once(
    runs: Path, brushbench, tmp_path: Path, looked: Counter[str], arguments: tuple[str, ...]
) -> None:
    code, _, err = brushbench(*(each.format(runs=runs, new=tmp_path) for each in arguments))
    assert code == 0, err
    assert looked == dict.fromkeys(METHODS, 1)


def test_the_next_command_looks_again(runs: Path, brushbench, looked: Counter[str]) -> None:
    for _ in range(2):
        brushbench("report", runs)
    assert looked == dict.fromkeys(METHODS, 2)


def test_what_changes_after_the_first_look_is_seen_by_the_next_command(runs: Path) -> None:
    run = Run.open(runs / "telea")
    file = run.images.folder / f"{FIRST}.png"
    content = file.read_bytes()
    try:
        with looking_once():
            assert changed_images(run) == {}
            file.unlink()
            with looking_once():
                assert changed_images(Run.open(run.path)) == {}
            assert read_scores(run).table["mse"].notna().all()
        assert list(changed_images(run)) == [FIRST]
        assert read_scores(run).table["mse"].isna()[FIRST]
    finally:
        file.write_bytes(content)
    assert changed_images(run) == {}
