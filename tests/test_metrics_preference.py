"""ImageReward and HPS against the official code's numbers, and the official checkpoints' names against the networks."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import open_clip
import pytest
import torch
from metric_photos import assert_batch_is_its_samples, single
from safetensors.torch import load_file, save_file
from support import run_on, slow_but
from tiny_metrics import golden_cases, hps_options, reward_folder
from torch import Tensor

import brushbench
from brushbench.core.notes import collecting
from brushbench.core.options import Value
from brushbench.core.types import Batch, Metric, Sample
from brushbench.metrics.blip import Shapes, empty_network, renamed
from brushbench.runs.folder import Run
from brushbench.runs.scores import read_scores

Pairs = tuple[Batch, Tensor]


@pytest.fixture(scope="module")
def reward(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reward_folder(golden, tmp_path_factory.mktemp("reward") / "ImageReward")


@pytest.fixture(scope="module")
def hps(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Value]:
    return hps_options(golden, tmp_path_factory.mktemp("hps") / "hps")


@pytest.fixture(scope="module", params=["image-reward", "hps"])
def metric(request: pytest.FixtureRequest, reward: Path, hps: dict[str, Value]) -> Metric:
    if request.param == "hps":
        return brushbench.load_metric("hps", **hps)
    return brushbench.load_metric("image-reward", checkpoint=reward)


def scenes(count: int = 3) -> Pairs:
    draw = torch.Generator().manual_seed(2)
    captions = ("a cup of coffee", "a tabby cat looking at the camera", "a very long caption about a cat " * 20)
    pixels = torch.randint(0, 256, (2, count, 3, 60, 90), generator=draw, dtype=torch.uint8)
    empty = torch.zeros(1, 60, 90, dtype=torch.bool)
    return Batch.of([Sample(str(k), pixels[0, k], empty, captions[k]) for k in range(count)]), pixels[1]


def test_image_reward_gives_the_official_numbers(golden: Path, reward: Path) -> None:
    cases = golden_cases(golden, json.loads((golden / "metrics/image_reward/golden.json").read_text())["cases"])
    assert len(cases) == 5
    found = brushbench.load_metric("image-reward", checkpoint=reward)
    for row, pair in cases:
        assert found(*pair).item() == pytest.approx(row["standardised"], abs=2e-6)


def test_image_reward_where_its_layer_norms_show_from_a_pickled_checkpoint(
    golden: Path, reward: Path, tmp_path: Path
) -> None:
    stored = json.loads((golden / "metrics/image_reward/golden_small_embeddings.json").read_text())
    folder = shutil.copytree(reward, tmp_path / "reward")
    tensors = load_file(folder / "ImageReward.safetensors")
    scaled = {name: tensor.float() * stored["scale"].get(name, 1) for name, tensor in tensors.items()}
    (folder / "ImageReward.safetensors").unlink()
    torch.save(scaled, folder / "ImageReward.pt")
    cases = golden_cases(golden, stored["rows"])
    assert len(cases) == 2
    found = brushbench.load_metric("image-reward", checkpoint=folder)
    for row, pair in cases:
        assert found(*pair).item() == pytest.approx(row["standardised"], abs=1e-5)


@pytest.mark.parametrize(("antialias", "column"), [(True, "score"), (False, "score_no_antialias")])
def test_hps_gives_the_official_numbers(golden: Path, hps: dict[str, Value], antialias: bool, column: str) -> None:
    cases = golden_cases(golden, json.loads((golden / "metrics/hps/golden.json").read_text())["cases"])
    assert len(cases) == 5
    found = brushbench.load_metric("hps", antialias=antialias, **hps)
    for row, pair in cases:
        assert found(*pair).item() == pytest.approx(row[column], abs=1e-6)


def test_the_names_of_the_official_image_reward_are_all_that_the_network_has(golden: Path) -> None:
    manifest = json.loads((golden / "metrics/manifests/imagereward_v1_full_keys.json").read_text())
    assert len(manifest) == 625
    config = json.loads((golden / "metrics/image_reward/med_config.full.json").read_text())
    shapes = Shapes.model_validate({"text": config})
    checkpoint = renamed({name: torch.empty(shape, device="meta") for name, shape in manifest.items()})
    wanted = empty_network(shapes).state_dict()
    assert {name: tensor.shape for name, tensor in checkpoint.items()} == {
        name: tensor.shape for name, tensor in wanted.items()
    }
    assert len(wanted) == 620


def test_the_names_of_the_official_hps_are_all_that_open_clip_s_network_has(golden: Path) -> None:
    manifest = json.loads((golden / "metrics/manifests/hpsv2_vit_h14_keys.json").read_text())
    with torch.device("meta"):
        network = open_clip.CLIP(**open_clip.get_model_config("ViT-H-14"))
    assert {name: list(tensor.shape) for name, tensor in network.state_dict().items()} == manifest


def test_a_batch_is_its_samples_in_any_order(metric: Metric) -> None:
    assert metric(*scenes()).dtype == torch.float64
    assert_batch_is_its_samples(metric, scenes())


def test_the_caption_counts(metric: Metric) -> None:
    batch, images = scenes()
    other = metric(replace(batch, captions=("a rocket", *batch.captions[1:])), images)
    assert (other != metric(batch, images)).tolist()[0]


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (224, 224)])
def test_extremes_have_a_number(level: int, size: tuple[int, int], metric: Metric) -> None:
    assert metric(*single(torch.full((3, *size), level, dtype=torch.uint8), "")).isfinite().all()


def test_checkpoints_that_are_none(golden: Path, reward: Path, hps: dict[str, Value], tmp_path: Path) -> None:
    pair = scenes(1)
    with pytest.raises(brushbench.UserError, match=r"no ImageReward\.safetensors or ImageReward\.pt"):
        brushbench.load_metric("image-reward", checkpoint=tmp_path)(*pair)
    folder = shutil.copytree(reward, tmp_path / "reward")
    tensors = load_file(folder / "ImageReward.safetensors")
    tensors.pop("mlp.layers.7.bias")
    save_file(tensors | {"another": torch.zeros(1)}, folder / "ImageReward.safetensors")
    with pytest.raises(brushbench.UserError, match=r"lacks mlp\.4\.bias"):
        brushbench.load_metric("image-reward", checkpoint=folder)(*pair)
    (folder / "ImageReward.safetensors").unlink()
    torch.save({"code": print}, folder / "ImageReward.pt")
    with pytest.raises(brushbench.UserError, match=r"holds a Python object \((__builtin__|builtins)\.print\)"):
        brushbench.load_metric("image-reward", checkpoint=folder)(*pair)
    with pytest.raises(brushbench.UserError, match="model=ViT-Z: neither a model of open_clip"):
        brushbench.load_metric("hps", checkpoint=hps["checkpoint"], model="ViT-Z")(*pair)
    with pytest.raises(brushbench.UserError, match=r"lacks ln_final\.bias"):
        brushbench.load_metric("hps", checkpoint=reward / "ImageReward.safetensors", model=hps["model"])(*pair)


BUFFERS = {
    "image-reward": ("blip.text_encoder.embeddings.token_type_ids", "text.embeddings.token_type_ids"),
    "hps": ("attn_mask", "attn_mask"),
}


def with_extra(name: str, extra: str, reward: Path, hps: dict[str, Value], place: Path) -> dict[str, Value]:
    """Options for the tiny checkpoint of a metric with one more tensor."""
    if name == "hps":
        tensors = load_file(hps["checkpoint"])
        save_file(tensors | {extra: torch.zeros(3)}, place / "hps.safetensors")
        return hps | {"checkpoint": place / "hps.safetensors"}
    folder = shutil.copytree(reward, place / "reward")
    tensors = load_file(folder / "ImageReward.safetensors")
    save_file(tensors | {extra: torch.zeros(3)}, folder / "ImageReward.safetensors")
    return {"checkpoint": folder}


@pytest.mark.parametrize("name", slow_but(["image-reward"], BUFFERS))
def test_constants_of_another_version_change_no_score_and_are_listed_in_every_run(
    name: str, reward: Path, hps: dict[str, Value], brushbench, write_bench, tmp_path: Path
) -> None:
    extra, listed = BUFFERS[name]
    scores = []
    for output, options in (
        ("with", with_extra(name, extra, reward, hps, tmp_path)),
        ("without", hps if name == "hps" else {"checkpoint": reward}),
    ):
        given = [word for key, value in options.items() for word in ("--metric-option", f"{name}.{key}={value}")]
        root = tmp_path / "bench" if (tmp_path / "bench").exists() else write_bench(count=2)
        asked = ("--metrics", name, *given, "--split", "inside,outside")
        assert brushbench(*run_on(root, tmp_path / output, *asked))[0] == 0
        runs = [Run.open(file.parent) for file in sorted((tmp_path / output).rglob("run.json"))]
        scores.append([read_scores(run).table[name].tolist() for run in runs])
        told = [[note for note in run.record.notes if "left out" in note] for run in runs]
        file = Path(options["checkpoint"]).name if name == "hps" else "ImageReward.safetensors"
        assert told == [[f"{file}: left out as constants: {listed}"] if output == "with" else []] * 2
    assert scores[0] == scores[1]


@pytest.mark.parametrize("name", BUFFERS)
@pytest.mark.parametrize("extra", ["blip.text_encoder.pooler.dense.weight", "mlp.layers.9.bias", "visual.extra"])
def test_any_other_tensor_too_many_is_an_error(
    name: str, extra: str, reward: Path, hps: dict[str, Value], tmp_path: Path
) -> None:
    options = with_extra(name, extra, reward, hps, tmp_path)
    with pytest.raises(brushbench.UserError, match=r"the checkpoint has unknown \S+ \(1 in all\)"):
        brushbench.load_metric(name, **options)(*scenes(1))


def test_what_official_files_hold_beside_the_network_is_left_out_in_silence(
    reward: Path, hps: dict[str, Value], tmp_path: Path
) -> None:
    options = with_extra("image-reward", "blip.text_encoder.embeddings.position_ids", reward, hps, tmp_path)
    with collecting() as notes:
        brushbench.load_metric("image-reward", **options)(*scenes(1))
    assert notes == []
