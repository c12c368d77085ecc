"""The roles of methods: references and floors are listed apart from the contenders."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from report_runs import Made

import brushbench as suite
from brushbench.core.registry import registered
from brushbench.reports.formats import render
from brushbench.reports.roles import is_contender, role_of
from brushbench.reports.tables import TableOptions, make_report
from brushbench.runs.folder import Run

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
        assert registered("method")[name].info.role == expected
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
    from brushbench.evaluation.evaluate import score_images

    root = write_bench(count=2)
    config = suite.RunConfig("copy", "brushbench", root, output=tmp_path / "runs")
    run = score_images(root / "images", "copy", config)[0].run
    assert role_of(run) == "contender"
    old = json.loads((run.path / "run.json").read_text()) | {"role": None}
    (run.path / "run.json").write_text(json.dumps(old))
    assert role_of(Run.open(run.path)) == "contender"


def made(folder: Path, names: Iterable[str], splits: Iterable[str] = ("inside", "outside"), **facts: str) -> list[Run]:
    """Runs of eight samples, the first method the worst in everything."""
    runs = []
    for split in splits:
        for place, name in enumerate(names):
            values = [20.0 + place + 0.1 * sample for sample in range(8)]
            scores = {"psnr": values, "mse": [10 ** (-value / 10) for value in values], "clip": values}
            runs.append(Made(name, scores, split=split, **facts).write(folder / f"{name}-{split}"))
    return runs


NAMES = ("brushnet", "my-plug-in", "telea", "copy", "autoencoder", "mean-fill")


@pytest.mark.parametrize("table", ["summary", "paper", "ablation"])
@pytest.mark.parametrize("significant", [False, True])
def test_references_and_floors_are_never_marked(table: str, significant: bool, tmp_path: Path) -> None:
    found = make_report(made(tmp_path, NAMES), TableOptions(table, significant=significant))
    records = json.loads(render(found, "json"))
    marks = {name: {row["mark"] for row in records if row["method"] == name} for name in NAMES}
    # All of them are better than both contenders.
    assert all(marks[name] == {""} for name in NAMES[2:])
    assert "best" in marks["my-plug-in"]
    assert {row["method"]: row["role"] for row in records} == dict(
        zip(NAMES, ("contender", "contender", "floor", "reference", "reference", "floor"), strict=True)
    )
    (section,) = found.tables[0].sections
    assert [row.label for row in section.rows] == ["brushnet", "my-plug-in"]
    assert [row.label for row in section.beside] == [
        *("copy (reference)", "autoencoder (reference)"),
        *("telea (floor)", "mean-fill (floor)"),
    ]


def test_they_stand_below_a_rule_in_every_format(tmp_path: Path) -> None:
    found = make_report(made(tmp_path, NAMES, ["inside"]), TableOptions("paper"))
    lines = {name: render(found, name).splitlines() for name in ("text", "markdown", "latex", "html")}
    for name, rule in {
        "text": lambda line: line and set(line) <= {"-", " "},
        "markdown": lambda line: line.startswith("| *references and floors, not ranked* |"),
        "latex": lambda line: line == r"\midrule",
        "html": lambda line: line == '<tbody class="beside">',
    }.items():
        last, first = (
            next(place for place, line in enumerate(lines[name]) if label in line.replace("{-}", "-"))
            for label in ("my-plug-in", "copy (reference)")
        )
        assert sum(bool(rule(line)) for line in lines[name][last + 1 : first]) == 1, name
    # As many cells as the other rows have.
    assert len({line.count("|") for line in lines["markdown"] if line.startswith("|")}) == 1
    csv = render(found, "csv").splitlines()
    assert csv[0].split(",")[3:5] == ["method", "role"]
    assert [line.split(",")[4] for line in csv if ",psnr," in line] == [
        *("contender", "contender", "floor", "reference", "reference", "floor"),
    ]


def test_alone_they_are_shown_without_rule_and_marks(tmp_path: Path) -> None:
    found = make_report(made(tmp_path, ("copy", "telea"), ["inside"]), TableOptions("paper"))
    text = render(found, "text")
    assert sum(set(line) <= {"-", " "} and bool(line) for line in text.splitlines()) == 1
    assert "best" not in text
    assert "below the rule" not in text
    single = make_report(made(tmp_path / "one", ("brushnet", "copy"), ["inside"]), TableOptions("paper"))
    assert "best" not in render(single, "text")


def test_the_table_says_what_they_are(tmp_path: Path) -> None:
    text = render(make_report(made(tmp_path / "strict", NAMES, ["inside"]), TableOptions("paper")), "text")
    for part in (
        "references and floors are listed below the rule, neither ranked nor tested",
        "copy is the source itself",
        "autoencoder is the source after a round trip through the VAE, the ceiling of latent methods that don't blend",
    ):
        assert part in text
    paper = render(
        make_report(made(tmp_path / "paper", NAMES, ["inside"], protocol="paper"), TableOptions("paper")), "text"
    )
    assert "copy is the source stored as JPEG, like every result: JPEG's ceiling" in paper
    assert "copy is the source itself" not in paper
