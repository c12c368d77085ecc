"""Which of a folder's files are a model's weights: one set, by one rule."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support import slow_but

import brushbench as suite
from brushbench.weights.formats import DIFFUSERS, TRANSFORMERS, valid_names, weight_files
from brushbench.weights.layouts import (
    Request,
    anything,
    base,
    ip_adapter,
    one_model,
    pipeline,
    powerpaint,
    powerpaint_v2,
)
from brushbench.weights.repository import NamedFiles

D, T = "diffusion_pytorch_model", "pytorch_model"
CASES: dict[str, tuple[list[str], list[str], str | None]] = {
    "plain safetensors before all": (
        [f"{D}.bin", f"{D}.fp16.safetensors", f"{D}.safetensors"],
        [f"{D}.safetensors"],
        None,
    ),
    "half safetensors before a pickle": ([f"{D}.bin", f"{D}.fp16.safetensors"], [f"{D}.fp16.safetensors"], "fp16"),
    "a pickle before a pickle in half": ([f"{D}.fp16.bin", f"{D}.bin"], [f"{D}.bin"], None),
    "a pickle in half before nothing": ([f"{D}.fp16.bin", "config.json"], [f"{D}.fp16.bin"], "fp16"),
    "several files and their index": (
        [
            f"{D}-00002-of-00002.safetensors",
            f"{D}-00001-of-00002.safetensors",
            f"{D}.safetensors.index.json",
            f"{D}.bin",
        ],
        [f"{D}-00001-of-00002.safetensors", f"{D}-00002-of-00002.safetensors", f"{D}.safetensors.index.json"],
        None,
    ),
    "not several of which one is missing": (
        [f"{D}-00001-of-00003.safetensors", f"{D}-00003-of-00003.safetensors", f"{D}.bin"],
        [f"{D}.bin"],
        None,
    ),
    "several in half": (
        [f"{D}.fp16-00001-of-00001.safetensors", f"{D}.safetensors.index.fp16.json", f"{D}.safetensors.index.json"],
        [f"{D}.fp16-00001-of-00001.safetensors", f"{D}.safetensors.index.fp16.json"],
        "fp16",
    ),
    "several pickles": (
        [f"{D}-00001-of-00001.bin", f"{D}.bin.index.json"],
        [f"{D}-00001-of-00001.bin", f"{D}.bin.index.json"],
        None,
    ),
    "an odd name": ([f"{D}-002.bin", f"{D}-002.safetensors"], [f"{D}-002.safetensors"], None),
    "the last of odd names": ([f"{D}-001.bin", f"{D}-002.bin"], [f"{D}-002.bin"], None),
    "the usual name before an odd one": ([f"{D}-002.safetensors", f"{D}.safetensors"], [f"{D}.safetensors"], None),
    "an odd name in half": ([f"{D}-002.fp16.safetensors"], [f"{D}-002.fp16.safetensors"], "fp16"),
    "not what another framework reads": (
        ["diffusion_flax_model.msgpack", "openvino_model.bin", "model.onnx", f"{D}.non_ema.bin", f"{D}.bin"],
        [f"{D}.bin"],
        None,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_one_set_of_weights_is_chosen(case: str) -> None:
    names, expected, variant = CASES[case]
    found = weight_files(names)
    assert found is not None
    assert (list(found.names), found.variant) == (expected, variant)


def test_a_variant_that_is_asked_for_comes_first() -> None:
    names = [f"{D}.safetensors", f"{D}.non_ema.bin", f"{D}.fp16.safetensors"]
    assert weight_files(names, variant="non_ema").names == (f"{D}.non_ema.bin",)
    assert weight_files(names, variant="fp16").names == (f"{D}.fp16.safetensors",)
    assert weight_files(names, variant="ema").names == (f"{D}.safetensors",)


def test_each_library_has_its_names() -> None:
    names = [f"{T}.bin", "model.fp16.safetensors", f"{D}.safetensors"]
    assert weight_files(names, TRANSFORMERS).names == ("model.fp16.safetensors",)
    assert weight_files(names, DIFFUSERS).names == (f"{D}.safetensors",)
    assert weight_files([f"{T}.safetensors", "model.bin"], TRANSFORMERS) is None
    assert weight_files([], DIFFUSERS) is None
    assert valid_names(TRANSFORMERS) == "model.safetensors, model.fp16.safetensors, pytorch_model.bin"


def test_of_a_base_only_its_components_are_read() -> None:
    names = {
        *("README.md", "v1-5.ckpt", "model_index.json", "unet/config.json", f"unet/{D}.safetensors", f"unet/{D}.bin"),
        *("vae/config.json", f"vae/{D}.bin", "vae_1_0/config.json", f"vae_1_0/{D}.safetensors"),
        *("text_encoder/config.json", "text_encoder/model.safetensors", "tokenizer/vocab.json", "tokenizer/merges.txt"),
        *("scheduler/scheduler_config.json", "safety_checker/config.json", "safety_checker/model.safetensors"),
        *("feature_extractor/preprocessor_config.json", "image_encoder/config.json", "image_encoder/model.safetensors"),
    }
    expected = {
        *("model_index.json", "unet/config.json", f"unet/{D}.safetensors", "vae/config.json", f"vae/{D}.bin"),
        *("text_encoder/config.json", "text_encoder/model.safetensors", "tokenizer/vocab.json", "tokenizer/merges.txt"),
        "scheduler/scheduler_config.json",
    }
    assert set(base(NamedFiles(names), Request())) == expected
    assert set(base(NamedFiles({f"sub/{name}" for name in names}), Request("sub"))) == {
        f"sub/{name}" for name in expected
    }
    alone = {"model_index.json", "vae/config.json", f"vae/{D}.bin"}
    assert set(base(NamedFiles(names), Request(only=frozenset({"vae"})))) == alone
    small = {name for name in expected if name.endswith((".json", ".txt"))}
    assert set(base(NamedFiles(names), Request(configs_only=True))) == small
    # A whole pipeline reads what its index names, an image encoder too.
    more = expected | {"image_encoder/config.json", "image_encoder/model.safetensors"}
    assert set(pipeline(NamedFiles(names), Request())) == more


def test_without_an_index_a_base_is_known_by_its_folders() -> None:
    names = {f"{part}/config.json" for part in ("unet", "vae", "text_encoder")} | {f"unet/{D}.bin", f"vae/{D}.bin"}
    names |= {"text_encoder/pytorch_model.bin", "tokenizer/vocab.json", "scheduler/scheduler_config.json"}
    assert set(base(NamedFiles(names), Request())) == names
    with pytest.raises(suite.UserError, match=r"^it has no vae/ folder$"):
        base(NamedFiles({name for name in names if not name.startswith("vae/")}), Request())
    with pytest.raises(suite.UserError, match=r"^unet/ has no config\.json$"):
        base(NamedFiles(names - {"unet/config.json"}), Request())


def test_parts_without_a_config() -> None:
    first = NamedFiles({"unet/unet.safetensors", "text_encoder/text_encoder.safetensors", "README.md"})
    assert powerpaint(first, Request()) == ["unet/unet.safetensors", "text_encoder/text_encoder.safetensors"]
    only_text = NamedFiles({"text_encoder/text_encoder.bin"})
    assert powerpaint(only_text, Request()) == ["text_encoder/text_encoder.bin"]
    second = NamedFiles({f"p/{D}.safetensors", "p/pytorch_model.bin", "p/pytorch_model.fp16.bin"})
    assert powerpaint_v2(second, Request("p")) == [f"p/{D}.safetensors", "p/pytorch_model.bin"]
    with pytest.raises(suite.UserError, match=r"^p/ has no pytorch_model\.safetensors, model\.safetensors"):
        powerpaint_v2(NamedFiles({f"p/{D}.safetensors"}), Request("p"))
    adapter = NamedFiles(
        {
            *("models/ip-adapter_sd15.bin", "models/ip-adapter_sd15.safetensors", "models/ip-adapter-plus_sd15.bin"),
            *("models/image_encoder/config.json", "models/image_encoder/model.safetensors"),
        }
    )
    assert set(ip_adapter(adapter, Request("models"))) == {
        "models/ip-adapter_sd15.safetensors",
        "models/image_encoder/config.json",
        "models/image_encoder/model.safetensors",
    }


def test_a_part_that_only_a_plug_in_knows_gets_what_can_be_loaded() -> None:
    alone = {"config.json", f"{D}.safetensors"}
    assert set(anything(NamedFiles({*alone, f"{D}.bin", "README.md"}), Request())) == alone
    assert set(one_model(NamedFiles({*alone, "weights.ckpt"}), Request())) == alone
    with pytest.raises(suite.UserError, match="there is nothing to load in it"):
        anything(NamedFiles({"README.md"}), Request())


def in_parts(file: Path) -> None:
    """Split a file of weights into two, with an index."""
    tensors = load_file(file)
    half = len(tensors) // 2
    where = {}
    for number, names in ((1, sorted(tensors)[:half]), (2, sorted(tensors)[half:])):
        part = f"{file.stem}-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name] for name in names}, file.with_name(part), metadata={"format": "pt"})
        where |= dict.fromkeys(names, part)
    index = {"metadata": {"total_size": 0}, "weight_map": where}
    file.with_name(f"{file.stem}.safetensors.index.json").write_text(json.dumps(index))
    file.unlink()


def pickled(file: Path, name: str) -> None:
    torch.save(load_file(file), file.with_name(name))
    file.unlink()


FORMS: dict[str, Callable[[Path], None]] = {
    "in two files": lambda sd: in_parts(sd / "unet" / f"{D}.safetensors"),
    "an odd name": lambda sd: (sd / "unet" / f"{D}.safetensors").rename(sd / "unet" / f"{D}-002.safetensors") and None,
    "an odd pickle": lambda sd: pickled(sd / "unet" / f"{D}.safetensors", f"{D}-002.bin"),
    "pickles": lambda sd: (
        [
            pickled(sd / part / f"{name}.safetensors", other)
            for part, name, other in (
                ("unet", D, f"{D}.bin"),
                ("text_encoder", "model", f"{T}.bin"),
                ("vae", D, f"{D}.bin"),
            )
        ]
        and None
    ),
}


@pytest.mark.parametrize("form", slow_but(["pickles"], FORMS))
def test_every_form_is_the_same_model(form: str, golden_weights: Path, tmp_path: Path, write_bench) -> None:
    samples = list(suite.load_dataset("brushbench", root=write_bench(count=1)))
    batch = suite.Batch.of(samples)
    folder = shutil.copytree(golden_weights, tmp_path / "sd")
    FORMS[form](folder)
    methods = (suite.load_method("brushnet", weights=each, device="cpu", steps=1) for each in (golden_weights, folder))
    first, second = (method(batch, [1]) for method in methods)
    assert torch.equal(first, second)
