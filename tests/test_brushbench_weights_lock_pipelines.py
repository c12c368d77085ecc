"""Whole pipelines from a hub's cache: each component is locked, by revision and by the variant that its files are."""

import json
import shutil
from pathlib import Path

import pytest
from hub_server import locked, put_in_cache
from pipeline_calls import opened
from tiny_pipelines import Folders

import brushbench as suite
from brushbench.weights import lock


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub's cache, still empty; there is no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def spoil(file: Path) -> None:
    """Make it another one that can be loaded all the same."""
    file.write_text(json.dumps(json.loads(file.read_text()) | {"_spoilt": True}))


def test_every_component_of_both_halves_is_locked(cache: Path, pipelines: Folders) -> None:
    halves = {}
    for kind in ("kandinsky", "kandinsky-prior"):
        halves[kind] = put_in_cache(cache, f"tiny/{kind}", pipelines(kind))
    options = {"revision": "v2", "prior": "tiny/kandinsky-prior"}
    method = opened("tiny/kandinsky", **options)
    entries = locked(cache)
    assert {name: entry["sha256"] for name, entry in entries.items()} == method.digests
    assert {"pipeline", "prior_pipeline", "movq", "scheduler", "prior_tokenizer", "prior_image_processor"} <= set(
        entries
    )
    for name, entry in entries.items():
        second = name.startswith("prior_")
        source, revision = ("tiny/kandinsky-prior", "main") if second else ("tiny/kandinsky", "v2")
        place = "" if name.endswith("pipeline") else name.removeprefix("prior_") if second else name
        assert (entry["source"], entry["revision"], entry["folder"]) == (source, revision, place)
    assert opened("tiny/kandinsky", **options).digests == method.digests

    for kind, name, file in (
        ("kandinsky", "pipeline", "model_index.json"),
        ("kandinsky", "scheduler", "scheduler/scheduler_config.json"),
        ("kandinsky-prior", "prior_pipeline", "model_index.json"),
        ("kandinsky-prior", "prior_image_processor", "image_processor/preprocessor_config.json"),
    ):
        kept = (halves[kind] / file).read_bytes()
        spoil(halves[kind] / file)
        with pytest.raises(suite.UserError, match=f"^{name}: tiny/{kind}.* has changed since its first use"):
            opened("tiny/kandinsky", **options)
        (halves[kind] / file).write_bytes(kept)


def test_a_controlnet_is_locked_beside_the_pipeline(cache: Path, pipelines: Folders) -> None:
    put_in_cache(cache, "tiny/sd", pipelines("sd"))
    folder = put_in_cache(cache, "tiny/controlnet", pipelines("sd-controlnet"))
    method = opened("tiny/sd", controlnet="tiny/controlnet")
    entries = locked(cache)
    assert {name: entry["sha256"] for name, entry in entries.items()} == method.digests
    assert (entries["controlnet"]["source"], entries["controlnet"]["folder"]) == ("tiny/controlnet", "")
    spoil(folder / "config.json")
    with pytest.raises(suite.UserError, match=r"^controlnet: tiny/controlnet.* has changed since its first use"):
        opened("tiny/sd", controlnet="tiny/controlnet")


def test_variants_and_files_in_several_are_locked_apart(cache: Path, pipelines: Folders) -> None:
    folder = put_in_cache(cache, "tiny/sd", pipelines("sd-inpainting"))
    unet, vae = folder / "unet", folder / "vae"
    for model in (unet, vae):
        name = "diffusion_pytorch_model{}.safetensors"
        shutil.copy(model / name.format(""), model / name.format(".fp16"))
    opened("tiny/sd")
    opened("tiny/sd", variant="fp16")
    entries = lock._read().components
    # What has no files of the variant is the plain component, and locked once.
    assert [(entry.component, entry.variant) for entry in entries if entry.variant] == [
        ("unet", "fp16"),
        ("vae", "fp16"),
    ]
    assert len(entries) == len(locked(cache)) + 2

    file = unet / "diffusion_pytorch_model.fp16.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    opened("tiny/sd")
    with pytest.raises(suite.UserError, match=r"^unet: tiny/sd/unet@main \(fp16\) has changed since its first use"):
        opened("tiny/sd", variant="fp16")
