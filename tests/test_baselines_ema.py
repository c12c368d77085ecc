"""Single files with EMA weights beside the plain ones of their UNet, or in place of them."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from accelerate import init_empty_weights
from diffusers import UNet2DConditionModel
from ldm_layout import ldm_unet, single_file
from safetensors.torch import save_file
from support import DIFFUSION_METHODS, assert_one_line, run_on
from torch import Tensor

import brushbench
from brushbench.baselines.ema import PLAIN, of_one_kind
from brushbench.core.method_options import default_options
from brushbench.core.options import Value
from brushbench.core.types import Batch
from brushbench.evaluation.methods import open_method
from brushbench.runs.folder import Run

XL = {
    "cross_attention_dim": 2048,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
    "use_linear_projection": True,
    "attention_head_dim": (5, 10, 20),
}
KINDS = {"Stable Diffusion 1.x": {"cross_attention_dim": 768}, "Stable Diffusion XL": XL}


@pytest.fixture(scope="module")
def plain(tiny_weights: Path) -> dict[str, Tensor]:
    return single_file(tiny_weights)


@pytest.fixture(scope="module")
def averaged(plain: dict[str, Tensor]) -> dict[str, Tensor]:
    """EMA weights under the names that the original code gives them; they paint something else than the plain ones."""
    torch.manual_seed(3)
    names = [name for name in plain if name.startswith(PLAIN)]
    found = {flat(name): plain[name] * (1 + 0.3 * torch.randn_like(plain[name])) for name in names}
    return found | {"model_ema.num_updates": torch.tensor(7)}


@pytest.fixture(scope="module")
def painted_by_ema(
    plain: dict[str, Tensor],
    averaged: dict[str, Tensor],
    tiny_weights: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A file whose plain weights are those EMA weights."""
    file = tmp_path_factory.mktemp("ema") / "only plain.safetensors"
    save_file({name: averaged.get(flat(name), tensor).clone() for name, tensor in plain.items()}, file)
    return file


def flat(name: str) -> str:
    return f"model_ema.{name.removeprefix('model.').replace('.', '')}"


def painted(samples: list, weights: Path, **options: Value) -> tuple[Tensor, str]:
    """The images, and what is said of where the weights are from."""
    chosen = {"steps": 2, **options}
    method = open_method("brushnet", weights=weights, device="cpu", dtype="float32", options=chosen)
    return method.call(Batch.of(samples), [3, 4, 5]), method.origin


@pytest.mark.parametrize("suffix", [".safetensors", pytest.param(".ckpt", marks=pytest.mark.slow)])
def test_of_both_kinds_the_plain_weights_are_taken_unless_ema_is_asked_for(
    suffix: str, samples, plain, averaged, painted_by_ema: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    file = tmp_path / f"both{suffix}"
    save = torch.save if suffix == ".ckpt" else save_file
    save(plain | averaged, file)
    usual, said = painted(samples, tiny_weights, base=file)
    assert said.endswith(f"{file.name}: its plain weights (for its EMA weights: -o ema=true)")
    assert torch.equal(usual, painted(samples, tiny_weights)[0])
    ema, said = painted(samples, tiny_weights, base=file, ema=True)
    assert said.endswith(f"{file.name}: its EMA weights")
    assert torch.equal(ema, painted(samples, tiny_weights, base=painted_by_ema)[0])
    assert not torch.equal(ema, usual)


@pytest.mark.parametrize("ema", [False, True])
def test_a_file_with_nothing_else_has_its_ema_weights_taken(
    ema: bool, samples, plain, averaged, painted_by_ema: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    others = {name: tensor for name, tensor in plain.items() if not name.startswith(PLAIN)}
    save_file(others | averaged, tmp_path / "only.safetensors")
    images, said = painted(samples, tiny_weights, base=tmp_path / "only.safetensors", ema=ema)
    assert said.endswith("only.safetensors: its EMA weights, as it has no plain ones")
    assert torch.equal(images, painted(samples, tiny_weights, base=painted_by_ema)[0])


def test_of_a_file_with_one_kind_nothing_is_said(samples, painted_by_ema: Path, tiny_weights: Path) -> None:
    assert "weights, " not in painted(samples, tiny_weights, base=painted_by_ema)[1]
    assert "EMA" not in painted(samples, tiny_weights)[1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_names_of_real_models_come_back(kind: str) -> None:
    with init_empty_weights():
        unet = UNet2DConditionModel(**KINDS[kind])
    names = {f"{PLAIN}{name}": tensor for name, tensor in ldm_unet(unet).items()}
    assert len(names) == len({flat(name) for name in names}) > 600
    found, _ = of_one_kind({flat(name): tensor for name, tensor in names.items()}, Path("x.ckpt"), ema=False)
    assert {name: tensor.shape for name, tensor in found.items()} == {
        name: tensor.shape for name, tensor in names.items()
    }


def test_the_vae_s_baseline_says_nothing_of_a_unet(plain, averaged, tiny_weights: Path, tmp_path: Path) -> None:
    save_file(plain | averaged, tmp_path / "both.safetensors")
    options: dict[str, Value] = {"base": str(tmp_path / "both.safetensors")}
    method = open_method("autoencoder", weights=tiny_weights, device="cpu", dtype="float32", options=options)
    assert "EMA" not in method.origin


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no ema", "ema=true: "),
        ("one less", "its EMA weights lack model_ema.diffusion_modelmiddle_block0in_layers2weight (1 in all)"),
        ("another name", "the EMA weight model_ema.diffusion_modelmixer0weight is unknown to the original"),
    ],
)
def test_ema_weights_that_can_not_be_taken_are_refused_in_one_line(
    change: str, message: str, plain, averaged, tiny_weights: Path, write_bench, tmp_path: Path, brushbench
) -> None:
    name = "model_ema.diffusion_modelmiddle_block0in_layers2weight"
    tensors = {
        "no ema": plain,
        "one less": plain | {key: tensor for key, tensor in averaged.items() if key != name},
        "another name": averaged | {"model_ema.diffusion_modelmixer0weight": torch.ones(1)},
    }[change]
    save_file(tensors, tmp_path / "base.safetensors")
    asked = run_on(write_bench(count=1), tmp_path / "runs", "--weights", tiny_weights, method="brushnet")
    result = brushbench(*asked, "-o", f"base={tmp_path / 'base.safetensors'}", "-o", "ema=true")
    assert_one_line(result, message, "base.safetensors")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("method", "options"), DIFFUSION_METHODS)
def test_no_method_takes_ema_weights_of_a_folder(
    method: str, options: dict[str, object], tiny_weights: Path, write_bench, tmp_path: Path, brushbench
) -> None:
    more = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    asked = run_on(write_bench(count=1), tmp_path / "runs", *more, "-o", "ema=true", method=method)
    for given in (("--weights", tiny_weights), ("-o", f"base={tiny_weights}")):
        result = brushbench(*asked, *given)
        assert_one_line(result, f"ema=true: {tiny_weights} is not a single file; valid: ", "or ema=false")
    assert not (tmp_path / "runs").exists()


def test_a_family_s_file_has_its_ema_weights_taken_too(
    samples, plain, averaged, painted_by_ema: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    save_file(plain | averaged, tmp_path / "mine.safetensors")
    family = tmp_path / "mine.toml"
    component = 'licence = "none"\ncitation = "none"\n'
    family.write_text(
        f'summary = "mine"\n[components.mine]\nsource = "mine.safetensors"\nconfig = "layout"\n{component}'
        f'[components.layout]\nsource = "{tiny_weights}"\n{component}'
        f'[components.branch]\nsource = "{tiny_weights / "brushnet"}"\n{component}'
        f'[methods.brushnet]\nbase = "mine"\nbrushnet = "branch"\n'
    )
    expected = painted(samples, tiny_weights, base=painted_by_ema)[0]
    images, said = painted(samples, family, ema=True)
    assert torch.equal(images, expected)
    assert said.endswith("; mine.safetensors: its EMA weights")


def test_powerpaint_has_no_use_for_it_where_a_unet_takes_the_place_of_the_base_s(
    plain, averaged, inpainting_weights: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "ppt-v1"
    (folder / "text_encoder").mkdir(parents=True)
    shutil.copytree(inpainting_weights / "unet", folder / "unet")
    next((folder / "unet").glob("*.safetensors")).rename(folder / "unet" / "unet.safetensors")
    text = next((inpainting_weights / "text_encoder").glob("*.safetensors"))
    shutil.copy(text, folder / "text_encoder" / "text_encoder.safetensors")
    wide = UNet2DConditionModel.from_pretrained(inpainting_weights / "unet")
    unet = {f"{PLAIN}{name}": tensor.clone() for name, tensor in ldm_unet(wide).items()}
    save_file(
        plain | unet | {flat(name): tensor.clone() for name, tensor in unet.items()}, tmp_path / "wide.safetensors"
    )
    options = {"base": tmp_path / "wide.safetensors", "checkpoint": folder, "ema": True, "device": "cpu", "version": 1}
    with pytest.raises(brushbench.UserError, match="ema=true has no effect here"):
        brushbench.load_method("powerpaint", weights=inpainting_weights, **options)


def test_runs_without_the_option_store_what_they_stored_before_there_was_it(
    golden: Path, tiny_weights: Path, write_bench, tmp_path: Path, brushbench
) -> None:
    """Their fingerprints are made of it."""
    stored = json.loads((golden / "default_options.json").read_text())
    for name, expected in stored.items():
        assert {key: value for key, value in default_options(name).items() if key != "ema"} == expected
    asked = run_on(write_bench(count=1), tmp_path / "runs", "--weights", tiny_weights, "--steps", 1, method="brushnet")
    assert brushbench(*asked)[0] == 0
    run = next((tmp_path / "runs").rglob("run.json")).parent
    first = Run.open(run).record
    assert first.identity.method.options == stored["brushnet"] | {"steps": 1}
    assert brushbench(*asked, "-o", "ema=false")[0] == 0
    assert Run.open(run).record.fingerprint == first.fingerprint


def test_a_run_with_the_option_is_another_run(
    plain, averaged, tiny_weights: Path, write_bench, tmp_path: Path, brushbench
) -> None:
    save_file(plain | averaged, tmp_path / "both.safetensors")
    asked = run_on(write_bench(count=1), tmp_path / "runs", "--weights", tiny_weights, "--steps", 1, method="brushnet")
    base = ("-o", f"base={tmp_path / 'both.safetensors'}")
    code, _, err = brushbench(*asked, *base, "-o", "ema=true")
    assert code == 0
    assert "both.safetensors: its EMA weights" in err
    run = next((tmp_path / "runs").rglob("run.json")).parent
    assert Run.open(run).record.identity.method.options["ema"] is True
    result = brushbench(*asked, *base)
    assert_one_line(result, "contains another run: method.options.ema was True and is now not set", last=True)
