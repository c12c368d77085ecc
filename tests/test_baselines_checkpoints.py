"""Folders of weights with one thing wrong: one line, exit code 2, and nothing is begun."""

import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save, save_file
from support import Touch, assert_one_line, run_on


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('code in a pickle was executed')",))


def change_tensors(file: Path, how: str) -> None:
    tensors = load_file(file)
    if how == "shape":
        tensors["conv_in_condition.weight"] = tensors["conv_in_condition.weight"][:, :8].contiguous()
    elif how == "missing":
        del tensors["brushnet_mid_block.weight"]
    else:
        tensors["attention.weight"] = torch.zeros(1)
    save_file(tensors, file)


def put_pickle(folder: Path, name: str, content: bytes) -> None:
    next(folder.glob("*.safetensors")).unlink()
    (folder / name).write_bytes(content)


WEIGHTS = "brushnet/diffusion_pytorch_model.safetensors"
DAMAGES = {
    "part": (lambda root: shutil.rmtree(root / "brushnet"), "has no brushnet/ folder, which brushnet needs"),
    "component": (lambda root: shutil.rmtree(root / "vae"), "has no vae/ folder"),
    "config": (lambda root: (root / "brushnet/config.json").unlink(), "brushnet has no config.json"),
    "tokenizer": (lambda root: (root / "tokenizer/vocab.json").unlink(), "no vocab.json"),
    "scheduler": (
        lambda root: (root / "scheduler/scheduler_config.json").write_text('{"beta_schedule": "none"}'),
        "scheduler: UniPCMultistepScheduler can't be made from this config",
    ),
    "class": (
        lambda root: shutil.copy(root / "unet/config.json", root / "brushnet/config.json"),
        "brushnet holds a UNet2DConditionModel; valid: a BrushNetModel",
    ),
    "weights": (lambda root: (root / WEIGHTS).unlink(), "brushnet has no weights"),
    "cut": (
        lambda root: (root / WEIGHTS).write_bytes((root / WEIGHTS).read_bytes()[:999]),
        "brushnet/diffusion_pytorch_model.safetensors: can't be loaded: it is cut off",
    ),
    "pickle": (
        lambda root: put_pickle(root / "brushnet", "diffusion_pytorch_model.bin", pickle.dumps(Evil())),
        "brushnet/diffusion_pytorch_model.bin: can't be loaded: it holds a Python object (builtins.exec)",
    ),
    "text pickle": (
        lambda root: put_pickle(root / "text_encoder", "pytorch_model.bin", pickle.dumps({"weight": Evil()})),
        "text_encoder/pytorch_model.bin: can't be loaded: it holds a Python object (builtins.exec)",
    ),
    "misnamed": (
        lambda root: put_pickle(root / "brushnet", "diffusion_pytorch_model.bin", save({"x": torch.ones(1)})),
        "it is a safetensors file under another name",
    ),
    "not downloaded": (
        lambda root: put_pickle(
            root / "text_encoder", "pytorch_model.bin", b"version https://git-lfs.github.com/spec/v1"
        ),
        "git lfs pull",
    ),
    "shape": (
        lambda root: change_tensors(root / WEIGHTS, "shape"),
        "conv_in_condition.weight has shape [16, 8, 3, 3]; by config.json it must be [16, 9, 3, 3]",
    ),
    "vocabulary": (lambda root: (root / "tokenizer/vocab.json").write_text("{"), "tokenizer: can't be loaded"),
    "missing": (lambda root: change_tensors(root / WEIGHTS, "missing"), "lacks brushnet_mid_block.weight"),
    "left over": (lambda root: change_tensors(root / WEIGHTS, "left over"), "has unknown attention.weight"),
}


@pytest.mark.parametrize("how", DAMAGES)
def test_weights_that_can_not_be_used(how: str, brushbench, tmp_path: Path, write_bench, tiny_weights: Path) -> None:
    folder = shutil.copytree(tiny_weights, tmp_path / "weights")
    damage, part = DAMAGES[how]
    damage(folder)
    arguments = run_on(write_bench(), tmp_path / "runs", "--weights", folder)
    assert_one_line(brushbench(*(("brushnet" if item == "mean-fill" else item) for item in arguments)), part)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("unet", "diffusion_pytorch_model.bin"),
        ("brushnet", "diffusion_pytorch_model.bin"),
        ("text_encoder", "pytorch_model.bin"),
    ],
)
def test_code_in_a_component_is_named_and_never_run(
    part: str, name: str, brushbench, tmp_path: Path, write_bench, tiny_weights: Path
) -> None:
    folder, trace = shutil.copytree(tiny_weights, tmp_path / "weights"), tmp_path / "trace"
    tensors = load_file(next((folder / part).glob("*.safetensors")))
    put_pickle(folder / part, name, b"")
    torch.save(tensors | {"callbacks": Touch(trace)}, folder / part / name)
    asked = run_on(write_bench(), tmp_path / "runs", "--weights", folder, method="brushnet")
    assert_one_line(brushbench(*asked), f"{part}/{name}: can't be loaded: it holds a Python object (")
    assert not trace.exists()
