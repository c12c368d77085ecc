"""What methods are for, and what follows from it: references and floors stand beside the contenders."""

import json
from pathlib import Path

import pytest
from report_runs import Made

import brushbench as suite
from brushbench.registry import registered
from brushbench.store import Run
from reports.roles import is_contender, role_of

FLOORS = {"mean-fill", "telea", "navier-stokes", "biharmonic"}
REFERENCES = {"copy", "autoencoder"}
FILLING = """
from dataclasses import dataclass
from typing import ClassVar

@dataclass(frozen=True)
class Filling:
    role: ClassVar[str] = {role!r}
    level: int = 0

    def __call__(self, batch, seeds):
        return batch.images.clone().masked_fill_(batch.masks, self.level)
"""


def test_every_method_has_a_role(tmp_path: Path) -> None:
    for name in registered("method"):
        expected = "floor" if name in FLOORS else "reference" if name in REFERENCES else "contender"
        assert registered("method")[name].role == expected
        # Runs from before runs said so.
        assert role_of(Made(name, {"psnr": [20.0]}).write(tmp_path / name)) == expected
    assert is_contender(Made("my own", {"psnr": [20.0]}).write(tmp_path / "own"))


def test_a_run_says_what_its_method_is_for(tmp_path: Path, write_bench) -> None:
    root = write_bench(count=1)
    file = tmp_path / "filling.py"
    for role in ("floor", "reference", "contender"):
        file.write_text(FILLING.format(role=role))
        config = suite.RunConfig(f"{file}:Filling", "brushbench", root, output=tmp_path / role, metrics=["mse"])
        run = suite.run(config)
        assert json.loads((run.path / "run.json").read_text())["role"] == role
        file.unlink()
        assert role_of(Run.open(run.path)) == role
    file.write_text(FILLING.format(role="ceiling"))
    with pytest.raises(suite.UserError, match="role 'ceiling' is not one of contender, reference, floor"):
        suite.run(suite.RunConfig(f"{file}:Filling", "brushbench", root, output=tmp_path / "none"))


def test_the_role_changes_no_fingerprint(tmp_path: Path) -> None:
    made = Made("telea", {"psnr": [20.0]})
    runs = [Run.start(tmp_path / str(role), made.identity(), 1, {}, role) for role in (None, "floor")]
    assert runs[0].record.fingerprint == runs[1].record.fingerprint
    # A run from before learns it when it goes on.
    assert Run.start(runs[0].path, made.identity(), 1, {}, "floor").record.role == "floor"
    assert Run.open(runs[0].path).record.role == "floor"
    assert Run.start(runs[1].path, made.identity(), 1, {}).record.role == "floor"


def test_pictures_from_elsewhere_are_a_contender_whatever_their_name(tmp_path: Path, write_bench) -> None:
    from brushbench.benchmark import score_images

    root = write_bench(count=2)
    config = suite.RunConfig("copy", "brushbench", root, output=tmp_path / "runs")
    run = score_images(root / "images", "copy", config)[0].run
    assert role_of(run) == "contender"
    old = json.loads((run.path / "run.json").read_text()) | {"role": None}
    (run.path / "run.json").write_text(json.dumps(old))
    assert role_of(Run.open(run.path)) == "contender"
