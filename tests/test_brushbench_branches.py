"""Masks that are strokes are painted by the branch that was trained on strokes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from brushbench.core.errors import UserError
from brushbench.evaluation.resolve import find_configured, resolve, task_of
from brushbench.runs.config import RunConfig
from brushbench.runs.record import Identity
from brushbench.weights import Weights, families, read_family

RANDOM = "papercut-brushnet-random"
FEW = ("--dataset", "papercut", "--limit", "1", "--steps", "1")


def record(folder: Path, split: str) -> dict:
    return json.loads((folder / f"papercut-{split}" / "brushnet" / "run.json").read_text())


def digest(**changes: object) -> str:
    config = RunConfig(**({"method": "brushnet", "dataset": "papercut", "device": "cpu"} | changes))
    return resolve(config, scored=False).method.digests["brushnet"]


def branch(config: RunConfig) -> str:
    return find_configured(task_of(config, scored=False)).branch(config.method_options())


def test_each_split_of_one_command_gets_its_own_branch(brushbench, tmp_path: Path) -> None:
    code, _, err = brushbench(
        "run", "--method", "brushnet", "--split", "inside,brush,outside", *FEW, "--output", tmp_path
    )
    assert code == 0, err
    told = [line.strip() for line in err.splitlines() if "branch of brushnet" in line]
    assert told == [
        "branch of brushnet: papercut-brushnet, for segmentation masks",
        "branch of brushnet: papercut-brushnet-random, for random masks",
        "branch of brushnet: papercut-brushnet, for segmentation masks",
    ]
    runs = {split: record(tmp_path, split) for split in ("inside", "brush", "outside")}
    digests = {split: run["identity"]["method"]["digests"]["brushnet"] for split, run in runs.items()}
    assert digests["inside"] == digests["outside"] == digest()
    assert digests["brush"] == digest(options={"brushnet": RANDOM}) != digests["inside"]
    assert runs["brush"]["provenance"]["branch"] == f"{RANDOM}, for random masks"
    folders = {split: Path(run["provenance"]["weights.brushnet"]).name for split, run in runs.items()}
    assert folders == {"inside": "brushnet", "outside": "brushnet", "brush": "brushnet_random"}
    assert all(run["identity"]["method"]["options"]["brushnet"] is None for run in runs.values())


def test_an_option_overrides_the_masks(brushbench, tmp_path: Path) -> None:
    code, _, err = brushbench(
        *("run", "--method", "brushnet", "--split", "brush", *FEW, "--output", tmp_path),
        *("-o", "brushnet=papercut-brushnet"),
    )
    assert code == 0, err
    assert "branch of brushnet: papercut-brushnet, as brushnet says" in err
    run = record(tmp_path, "brush")
    assert run["identity"]["method"]["digests"]["brushnet"] == digest()


def test_what_the_old_branch_painted_is_no_part_of_the_new_run(brushbench, tmp_path: Path) -> None:
    """Its run.json is that of today with the other branch's digest."""
    asked = ("run", "--method", "brushnet", "--split", "brush", *FEW, "--output", tmp_path)
    assert brushbench(*asked)[0] == 0
    file = tmp_path / "papercut-brush" / "brushnet" / "run.json"
    old = json.loads(file.read_text())
    old["identity"]["method"]["digests"]["brushnet"] = digest()
    old["fingerprint"] = Identity.model_validate(old["identity"]).fingerprint()
    file.write_text(json.dumps(old))
    code, _, err = brushbench(*asked)
    assert code == 2
    assert "brushnet" in err


def test_a_branch_that_is_not_here_is_named() -> None:
    config = RunConfig(method="brushnet", dataset="papercut", split="brush", weights="sd15", device="cpu")
    assert branch(config) == "brushnet-random-mask, for random masks"
    with pytest.raises(UserError, match="Sanster/brushnet_random_mask is not on this machine"):
        Weights("sd15", "brushnet", "random").folder("brushnet")


@pytest.mark.parametrize("family", ["papercut", "sd15"])
def test_only_masks_drawn_at_random_take_another_component(family: str) -> None:
    parts = read_family(families()[family]).masks
    assert list(parts) == ["random"]
    assert list(parts["random"]) == ["brushnet"]
    assert Weights(family, "brushnet").branches({}).endswith(", for segmentation masks")
    assert Weights(family, "blended-latent", "random").branches({}) == ""


def test_a_folder_and_a_family_without_the_mapping_have_no_choice(tiny_weights: Path) -> None:
    config = RunConfig(method="brushnet", dataset="papercut", split="brush", weights=tiny_weights, device="cpu")
    job, other = resolve(config, scored=False), resolve(replace(config, split="inside"), scored=False)
    assert branch(config) == job.method.branch == ""
    assert job.method.digests == other.method.digests
    assert job.task.dataset.split == job.identity.dataset.split == "brush"
    assert branch(RunConfig(method="telea", dataset="papercut", split="brush")) == ""


def test_a_mapping_to_nothing_is_refused(tmp_path: Path) -> None:
    text = families()["sd15"].read_text()
    file = tmp_path / "own.toml"
    for old, new, said in (
        ('brushnet = "brushnet-random-mask"', 'brushnet = "lost"', "'lost', which isn't a component"),
        ('brushnet = "brushnet-random-mask"', 'brush = "sd15"', "'brush', which isn't in methods.brushnet"),
    ):
        assert old in text
        file.write_text(text.replace(old, new))
        with pytest.raises(UserError, match=said):
            read_family(file)
