"""Scoring with networks: what is looked at how often, what is missing, what is on the disk, what the tables say."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from metric_photos import single
from PIL import Image
from safetensors.torch import load_file, save_file
from support import assert_one_line, run_on
from tiny_metrics import clip_folder, hps_options, reward_folder

import brushbench as library
from brushbench.core.metric_info import MetricInfo
from brushbench.core.progress import silent
from brushbench.core.types import Batch, Metric
from brushbench.datasets.open import load_dataset
from brushbench.evaluation import pairs as pairs_module
from brushbench.evaluation import score as scoring_module
from brushbench.evaluation.evaluate import generate
from brushbench.evaluation.memory import RESERVE, stages
from brushbench.evaluation.score import Scoring
from brushbench.evaluation.select_metrics import Selection, load_metric
from brushbench.imaging import images as image_files
from brushbench.metrics import preference
from brushbench.metrics.clip import CLIP, clip_of
from brushbench.metrics.features import cropped, floor_offset
from brushbench.runs.config import RunConfig
from brushbench.runs.folder import Run
from brushbench.runs.scores import read_scores
from brushbench.weights.memory import release
from brushbench.weights.metrics import unavailable_reason
from brushbench.weights.runtime import device_named
from brushbench.weights.tensors import read_tensors


@pytest.fixture(scope="module")
def networks(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Metric]:
    """Every metric with a network, on tiny weights, and the others."""
    root = tmp_path_factory.mktemp("networks")
    clip = clip_folder(golden, root / "clip")
    return [
        load_metric("psnr"),
        load_metric("seam"),
        load_metric("lpips", backbone=golden / "metrics/lpips/squeezenet1_1_features.fp16.safetensors"),
        load_metric("clip", model=clip),
        load_metric("clip@painted", model=clip),
        load_metric("aesthetic", model=clip, linear=golden / "metrics/aesthetic/linear.safetensors"),
        load_metric("image-reward", checkpoint=reward_folder(golden, root / "reward")),
        load_metric("hps", **hps_options(golden, root / "hps")),
    ]


def scored(metrics: list[Metric], root: Path, output: Path, method: str = "mean-fill") -> Run:
    config = RunConfig(method, "brushbench", root, output=output)
    run = generate(config)
    Scoring(run, load_dataset("brushbench", root=root), Selection(tuple(metrics), {}))(silent)
    return run


@contextmanager
def counted(modules: dict[str, torch.nn.Module]) -> Iterator[Counter[str]]:
    """Count the rows that go through each module."""
    rows: Counter[str] = Counter()
    with ExitStack() as stack:
        for name, module in modules.items():

            def hook(_module: torch.nn.Module, _inputs: object, output: object, name: str = name) -> None:
                first = output[0] if not isinstance(output, torch.Tensor) else output
                rows[name] += len(first)

            stack.callback(module.register_forward_hook(hook).remove)
        yield rows


def test_each_image_once_each_caption_once_each_file_once(
    networks: list[Metric], write_bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_bench(count=11)
    mapping = json.loads((root / "mapping_file.json").read_text())
    for index, row in enumerate(mapping.values()):
        row["caption"] = f"counted caption {index % 4}"
    (root / "mapping_file.json").write_text(json.dumps(mapping))
    by_name = {metric.info.name: metric for metric in networks}
    device = device_named("cpu")
    clip = clip_of(by_name["clip"].model, device).model
    read: Counter[str] = Counter()

    def reading(image: image_files.EncodedImage) -> torch.Tensor:
        read[image.name] += 1
        return image_files.read_image(image)

    run = generate(RunConfig("mean-fill", "brushbench", root, output=tmp_path / "runs"))
    # The networks are there once something has been scored.
    warm = single(torch.zeros(3, 64, 64, dtype=torch.uint8), "a warm one")
    for metric in networks:
        metric(*warm)
    reward, hps = by_name["image-reward"]._loaded().net, by_name["hps"]._loaded().net
    modules = {
        "clip image": clip.vision_model,
        "clip text": clip.text_model,
        "reward image": reward.vision,
        "reward text": reward.text,
        "hps image": hps.visual,
        "hps text": hps.transformer,
    }
    monkeypatch.setattr(pairs_module, "read_image", reading)
    metrics = tuple(metric for metric in networks if metric.info.name != "clip@painted")
    with counted(modules) as rows:
        Scoring(run, load_dataset("brushbench", root=root), Selection(metrics, {}))(silent)
    assert rows["clip image"] == rows["reward image"] == rows["reward text"] == rows["hps image"] == 11
    assert rows["clip text"] == 4
    assert rows["hps text"] == 4
    assert len(read) == 11
    assert set(read.values()) == {1}


@pytest.mark.parametrize("level", [0, 255])
def test_extremes_leave_no_nan_on_the_disk(level: int, networks: list[Metric], write_bench, tmp_path: Path) -> None:
    flat = np.full((64, 64, 3), level, dtype=np.uint8)
    root = write_bench(count=1)
    Image.fromarray(flat).save(root / "images/flat.png")
    whole = {"image": "images/flat.png", "caption": ""}
    entries = {
        "dot": whole | {"inpainting_mask": [2017, 1], "outpainting_mask": [1, 1]},
        "everything": whole | {"inpainting_mask": [1, 64 * 64], "outpainting_mask": [1, 1]},
    }
    mapping = json.loads((root / "mapping_file.json").read_text())
    (root / "mapping_file.json").write_text(json.dumps(mapping | entries))
    scores = read_scores(scored(networks, root, tmp_path / "runs", method="copy"))
    assert scores is not None
    table = scores.table
    for metric in scores.metrics:
        values, statuses = table[metric], table[f"{metric}.status"]
        assert np.isfinite(values.dropna().to_numpy(dtype=float)).all()
        assert (values.isna() == (statuses != "")).all(), metric
    assert table.loc["everything", "lpips.status"] == "nothing to score"
    assert table.loc["everything", "seam.status"] == "nothing to score"
    assert table.loc["dot", ["lpips.status", "clip@painted.status", "hps.status"]].tolist() == ["", "", ""]


def test_long_captions_are_counted_in_the_table(
    networks: list[Metric], write_bench, tmp_path: Path, brushbench
) -> None:
    root = write_bench(count=2)
    mapping = json.loads((root / "mapping_file.json").read_text())
    mapping["000000001"]["caption"] = "a very long caption " * 30
    (root / "mapping_file.json").write_text(json.dumps(mapping))
    clip = [metric for metric in networks if metric.info.name == "clip"]
    run = scored(clip, root, tmp_path / "runs")
    tidy = library.frame(run.path)
    assert tidy["note"].tolist() == ["", "caption over 77 tokens: cut there"]
    _, out, _ = brushbench("report", run.path)
    assert "clip: 1 of the scores: caption over 77 tokens: cut there" in out
    # What is kept keeps its note.
    before = read_scores(run)
    Scoring(run, load_dataset("brushbench", root=root), Selection((load_metric("mse"),), {}))(silent)
    after = read_scores(run)
    assert before is not None
    assert after is not None
    assert after.table["clip.note"].tolist() == before.table["clip.note"].tolist()


def test_without_weights_a_run_ends_and_its_table_says_so(
    brushbench, write_bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere(monkeypatch, tmp_path)
    code, out, _ = brushbench(*run_on(write_bench(count=1), tmp_path / "runs"))
    assert code == 0
    assert "not scored: lpips, clip, image-reward, hps, aesthetic: its weights are not on this machine" in out
    tidy = library.frame(tmp_path / "runs")
    assert set(tidy["metric"]) == {"psnr", "mse", "ssim", "ssim@whole"}
    _, out, _ = brushbench("doctor")
    assert "metric clip: not on this machine" in out
    assert "hf download xswu/HPSv2 HPS_v2.1_compressed.pt" in out


@pytest.mark.parametrize(
    ("metric", "place"),
    [
        ("clip", "openai/clip-vit-large-patch14"),
        ("lpips@painted", "squeezenet1_1-b8a52dc0.pth"),
        ("image-reward", "THUDM/ImageReward"),
        ("hps", "xswu/HPSv2"),
    ],
)
def test_asked_for_by_name_missing_weights_are_an_error_before_anything_is_painted(
    metric: str, place: str, brushbench, write_bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere(monkeypatch, tmp_path)
    result = brushbench(*run_on(write_bench(count=1), tmp_path / "runs", "--metrics", f"psnr,{metric}"))
    assert_one_line(result, f"metric {metric}: ", place, "is not on this machine", "HF_HUB_OFFLINE is set")
    assert not (tmp_path / "runs").exists()


def nowhere(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """No weights in any cache, and no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(folder / "torch"))


def test_weights_are_found_in_the_hub_s_cache(
    golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unsized_manifests: None
) -> None:
    from hub_server import put_in_cache

    nowhere(monkeypatch, tmp_path)
    assert load_metric("clip").info.version == "2"
    clip = clip_folder(golden, tmp_path / "clip")
    put_in_cache(tmp_path / "cache", "openai/clip-vit-large-patch14", clip)
    found = load_metric("clip")
    assert found.info.version == load_metric("clip", model=clip).info.version != "2"
    pair = single(torch.zeros(3, 32, 32, dtype=torch.uint8), "a cat")
    assert found(*pair).tolist() == load_metric("clip", model=clip)(*pair).tolist()


def test_weights_that_are_others_than_at_their_first_use_are_refused(
    golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unsized_manifests: None
) -> None:
    from hub_server import put_in_cache

    nowhere(monkeypatch, tmp_path)
    clip = clip_folder(golden, tmp_path / "clip")
    put_in_cache(tmp_path / "cache", "openai/clip-vit-large-patch14", clip)
    kept = tmp_path / "torch/hub/checkpoints/sa_0_4_vit_l_14_linear.pth"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"first")
    assert unavailable_reason(load_metric("aesthetic"), download=False) == ""
    kept.write_bytes(b"another one")
    changed = "sa_0_4_vit_l_14_linear.pth has changed since its first use"
    assert changed in unavailable_reason(load_metric("aesthetic"), download=False)
    tensors = load_file(clip / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, clip / "model.safetensors")
    shutil.rmtree(tmp_path / "cache")
    put_in_cache(tmp_path / "cache", "openai/clip-vit-large-patch14", clip)
    changed = "openai/clip-vit-large-patch14@32bd64288804d66eefd0ccbe215aa642df71cc41 has changed since its first use"
    assert changed in unavailable_reason(load_metric("clip"), download=False)


def test_options_of_metrics_on_the_command_line(brushbench, write_bench, tmp_path: Path, golden: Path) -> None:
    run = run_on(write_bench(count=1), tmp_path / "runs", "--metrics", "psnr,lpips@whole,lpips")
    backbone = golden / "metrics/lpips/squeezenet1_1_features.fp16.safetensors"
    for wrong, said in (
        ("lpips", "option 'lpips' is not of the form key=value"),
        ("net=alex", "metric option 'net' is not of the form metric.key=value"),
        ("clip.model=there", "given for metric clip, which isn't requested; requested: psnr, lpips@whole, lpips"),
        ("lpisp.net=alex", "unknown metric 'lpisp'"),
        ("lpips.backbones=x", "unknown option of lpips 'backbones'"),
        ("lpips.net=resnet", "option net='resnet' of lpips"),
        ("lpips.backbone=nowhere.safetensors", "backbone=nowhere.safetensors: no such file"),
    ):
        assert_one_line(brushbench(*run, "--metric-option", wrong), said)
    assert not (tmp_path / "runs").exists()
    assert brushbench(*run, "--metric-option", f"lpips.backbone={backbone}")[0] == 0
    assert set(library.frame(tmp_path / "runs")["metric"]) == {"psnr", "lpips@whole", "lpips"}
    again = ("score", tmp_path / "runs", "--metrics", "lpips", "--metric-option")
    assert brushbench(*again, f"lpips.backbone={backbone}")[0] == 0
    assert_one_line(brushbench(*again, "lpips.net=resnet"), "option net='resnet' of lpips")


def test_half_precision_checkpoints_are_read_in_single(golden: Path) -> None:
    tensors = read_tensors(golden / "metrics/lpips/squeezenet1_1_features.fp16.safetensors", for_scores=True)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


@dataclass(frozen=True)
class Hungry:
    """Has room only when the networks of others are gone."""

    model: Path
    first: CLIP

    info = MetricInfo("hungry", "", higher_is_better=True, region="whole", version="1")

    def __call__(self, batch: Batch, images: torch.Tensor) -> torch.Tensor:
        if clip_of(str(self.model), torch.device("cpu")) is self.first:
            raise MemoryError
        return torch.ones(len(images), dtype=torch.float64)


def test_where_memory_is_short_other_networks_are_freed(golden: Path, write_bench, tmp_path: Path) -> None:
    model = clip_folder(golden, tmp_path / "clip")
    hungry = Hungry(model, clip_of(str(model), torch.device("cpu")))
    scores = read_scores(scored([load_metric("clip", model=model), hungry], write_bench(count=2), tmp_path / "runs"))
    assert scores is not None
    assert scores.table["hungry"].tolist() == [1.0, 1.0]
    assert scores.table["clip.status"].tolist() == ["", ""]


def test_where_memory_is_short_one_network_after_the_other_looks_at_all_images(
    networks: list[Metric], write_bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_bench(count=19)
    plain = read_scores(scored(networks, root, tmp_path / "plain"))
    asked: list[str] = []

    def noting(name: str, load: Callable[..., object], *arguments: object) -> object:
        asked.append(name)
        return load(*arguments)

    for name in ("_reward", "_preference"):
        monkeypatch.setattr(preference, name, partial(noting, name, vars(preference)[name]))
    run = generate(RunConfig("mean-fill", "brushbench", root, output=tmp_path / "short"))
    told: list[int] = []
    short = Scoring(run, load_dataset("brushbench", root=root), Selection(tuple(networks), {}), free=lambda _: 0)(
        lambda _stage, _total, _finished: lambda done, _failed: told.append(done)
    )
    assert sum(told) == 19
    assert [name for name, _ in groupby(asked)] == ["_reward", "_preference"]
    assert plain is not None
    pd.testing.assert_frame_equal(short.table, plain.table)


def test_networks_that_share_weights_are_loaded_together_and_apart_from_others(networks: list[Metric]) -> None:
    by_name = {metric.info.name: metric for metric in networks}
    assert stages(by_name, lambda _: 1 << 50) == [list(by_name)]
    assert stages(by_name, lambda _: 0) == [
        ["psnr", "seam", "lpips"],
        ["clip", "clip@painted", "aesthetic"],
        ["image-reward"],
        ["hps"],
    ]


def test_what_is_loaded_needs_no_more_memory(networks: list[Metric]) -> None:
    by_name = {metric.info.name: metric for metric in networks if metric.info.name in ("clip", "hps")}
    release()
    assert len(stages(by_name, lambda _: RESERVE)) == 2
    for metric in by_name.values():
        metric(*single(torch.zeros(3, 64, 64, dtype=torch.uint8), "a cat"))
    assert len(stages(by_name, lambda _: RESERVE)) == 1


def test_images_are_looked_at_together_by_what_a_device_has() -> None:
    def chunk(device: str, total: int) -> int:
        return scoring_module.chunk_size(torch.device(device), lambda _: total)

    assert [chunk("cuda:0", 80 * 10**9), chunk("cuda:0", 12 * 10**9), chunk("cpu", 80 * 10**9)] == [32, 8, 8]


def test_threads_cut_images_as_one_does_and_notice_changed_pixels() -> None:
    images = torch.randint(0, 256, (5, 3, 40, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    together = cropped(images, 32, floor_offset)
    for index, image in enumerate(images):
        alone = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((51, 32), Image.Resampling.BICUBIC)
        expected = np.asarray(alone.crop((9, 0, 41, 32)))
        assert np.array_equal(together[index].permute(1, 2, 0).numpy(), expected)
    assert cropped(images, 32, floor_offset) is together
    images[3, 0, 20, 20] += 1
    assert cropped(images, 32, floor_offset) is not together
