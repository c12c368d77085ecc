"""PowerPaint, both versions, against the official code's outputs on tiny random models."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from support import with_whole_vocabulary
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import brushbench
from brushbench.baselines.papercut.diffusion import new_text_encoder
from brushbench.baselines.papercut.vocabulary import write_tokenizer
from brushbench.baselines.powerpaint.prompts import version_1, version_2, version_2_caption
from brushbench.baselines.powerpaint.text import TASKS, VECTORS, Prompt, TaskText
from brushbench.baselines.stable_diffusion import StableDiffusion
from brushbench.core.types import Batch, Sample

GOLDEN = Path(__file__).parent / "golden" / "powerpaint"
CASES = {case["name"]: case for case in json.loads((GOLDEN / "cases.json").read_text())}


@pytest.fixture(scope="module")
def folders(golden_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The golden models in the published layouts: both bases and both checkpoints."""
    root = tmp_path_factory.mktemp("powerpaint")
    for name in ("v1", "v2"):
        shutil.copytree(GOLDEN / "models" / name, root / name, ignore=shutil.ignore_patterns("unet.safetensors"))
        shutil.copytree(golden_weights / "tokenizer", root / name / "tokenizer")
        save_file(
            with_whole_vocabulary(GOLDEN / "models" / "v2_text_encoder.safetensors"),
            root / name / "text_encoder" / "model.safetensors",
        )
    # Version 1 replaces UNet and text encoder of its base: here these are others, so that it shows if it doesn't.
    torch.manual_seed(0)
    config = json.loads((root / "v1" / "unet" / "config.json").read_text())
    UNet2DConditionModel.from_config(config).save_pretrained(root / "v1" / "unet")
    (root / "ppt-v1" / "text_encoder").mkdir(parents=True)
    (root / "ppt-v1" / "unet").mkdir()
    shutil.copy(GOLDEN / "models" / "v1" / "unet.safetensors", root / "ppt-v1" / "unet")
    text = with_whole_vocabulary(GOLDEN / "models" / "v1_text_encoder.safetensors")
    save_file(text, root / "ppt-v1" / "text_encoder" / "text_encoder.safetensors")
    (root / "ppt-v2").mkdir()
    shutil.copy(GOLDEN / "branch" / "diffusion_pytorch_model.safetensors", root / "ppt-v2")
    text = with_whole_vocabulary(GOLDEN / "models" / "v2_task_text_encoder.safetensors")
    torch.save(text, root / "ppt-v2" / "pytorch_model.bin")
    return {name: root / name for name in ("v1", "v2", "ppt-v1", "ppt-v2")}


def method_of(folders: dict[str, Path], version: int, **options: object) -> brushbench.core.types.Method:
    base, checkpoint = folders[f"v{version}"], folders[f"ppt-v{version}"]
    return brushbench.load_method(
        "powerpaint",
        weights=base,
        version=version,
        checkpoint=options.pop("checkpoint", checkpoint),
        device="cpu",
        dtype="float32",
        **options,
    )


def batch_of(arrays: dict[str, Tensor], prompt: str) -> Batch:
    image = arrays["image"].permute(2, 0, 1).contiguous()
    return Batch.of([Sample("golden", image, arrays["mask"][None] >= 128, prompt)])


@pytest.mark.parametrize("name", CASES)
def test_it_equals_the_official_code(
    name: str, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, arrays = CASES[name], load_file(GOLDEN / f"{name}.run.safetensors")
    version = int(case["version"][-1])
    options = {"sampler": "pndm"} if case["scheduler"] == "PNDM" else {}
    if case["timestep_spacing"]:
        base = shutil.copytree(folders["v2"], tmp_path / "base")
        file = base / "scheduler" / "scheduler_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"timestep_spacing": case["timestep_spacing"]}))
        options["base"] = base
    latents = []
    decode = StableDiffusion.decode
    monkeypatch.setattr(StableDiffusion, "decode", lambda self, final: latents.append(final) or decode(self, final))
    method = method_of(
        folders,
        version,
        steps=case["steps"],
        guidance=case["scale"],
        negative_prompt=case["negative_prompt"],
        task=case["task"],
        fitting=case["fitting_degree"],
        **options,
    )
    image = method(batch_of(arrays, case["prompt"]), [case["seed"]])[0]
    expected = arrays["latents_final"]
    assert (latents[0] - expected).abs().max() <= 3e-4 * expected.abs().max()
    levels = (image.int() - arrays["result"].permute(2, 0, 1).int()).abs()
    assert (levels <= 2).double().mean() >= 0.999


def test_prompts_are_the_official_ones() -> None:
    """The golden runs record the official prompts in `pipeline_kwargs`."""

    def written(prompt: Prompt) -> str:
        return " ".join(f"{prompt.before} {prompt.caption}{prompt.behind} {prompt.task}".split())

    quality = ", worst quality, low quality, normal quality, bad quality, blurry"
    painted, removed = version_1("shape-guided", "a cat", "dog")
    assert [written(painted.first), written(painted.second)] == ["a cat P_shape", "a cat P_ctxt"]
    assert [written(removed.first), written(removed.second)] == [f"dog{quality} P_shape", f"dog{quality} P_ctxt"]
    painted, removed = version_1("object-removal", "a cat", "dog")
    assert (written(painted.first), written(removed.first)) == ("empty scene blur a cat P_ctxt", "dog P_obj")
    assert [written(pair.first) for pair in version_2("image-outpainting")] == ["P_ctxt", "P_obj"]
    assert [written(pair.first) for pair in version_2("text-guided")] == ["P_obj", "P_obj"]
    assert version_2_caption("object-removal", "a cat") == "a cat empty scene blur"


@pytest.mark.parametrize("version", [1, 2])
def test_a_batch_is_its_samples(version: int, folders: dict[str, Path], write_bench) -> None:
    samples = list(brushbench.load_dataset("brushbench", root=write_bench(count=2)))
    method = method_of(folders, version, steps=3, task="shape-guided", fitting=0.5)
    together = method(Batch.of(samples), [5, 6])
    for index, sample in enumerate(samples):
        alone = method(Batch.of([sample]), [5 + index])[0]
        assert (alone.int() - together[index].int()).abs().max() <= 1


@pytest.fixture(scope="module")
def small_text(tmp_path_factory: pytest.TempPathFactory) -> TaskText:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    return TaskText.of(tokenizer, new_text_encoder(tokenizer))


def test_task_tokens_have_the_published_names(small_text: TaskText, tmp_path: Path) -> None:
    small_text.save(tmp_path / "text_encoder.safetensors")
    stored = load_file(tmp_path / "text_encoder.safetensors")
    official = json.loads((GOLDEN / "text_encoder_with_task_tokens.json").read_text())
    fewer = {name for name in official if ".layers." not in name or name.split(".")[3] in ("0", "1", "2")}
    assert stored.keys() == fewer - {"text_model.embeddings.position_ids"}


def test_a_task_is_ten_tokens_behind_everything_else(small_text: TaskText) -> None:
    size = len(small_text.embedding.wrapped.weight)
    first = size + VECTORS * TASKS.index("P_shape")
    start, end = small_text.tokenizer.bos_token_id, small_text.tokenizer.eos_token_id
    assert small_text.ids(Prompt("", "P_shape")) == [start, *range(first, first + VECTORS)] + [end] * 66
    embedded = small_text.embedding(torch.arange(first, first + VECTORS)[None])[0]
    assert torch.equal(embedded, small_text.embedding.trainable_embeddings["P_shape"])


def test_a_long_caption_is_cut_and_the_task_is_not(small_text: TaskText) -> None:
    ids = small_text.ids(Prompt("a red balloon " * 60, "P_ctxt", before="empty scene blur", behind=", ugly "))
    assert len(ids) == 77
    size = len(small_text.embedding.wrapped.weight)
    assert ids[-11:] == [*range(size, size + VECTORS), small_text.tokenizer.eos_token_id]
    assert small_text.tokenizer.convert_ids_to_tokens(ids[1:4]) == ["empty</w>", "scene</w>", "blur</w>"]
    assert small_text.tokenizer.convert_ids_to_tokens(ids[-13:-11]) == [",</w>", "ugly</w>"]


DAMAGES = {
    "text": (1, lambda folder: (folder / "text_encoder/text_encoder.safetensors").unlink(), "has no text_encoder/"),
    "unet": (1, lambda folder: save_file({"x": torch.ones(1)}, folder / "unet/unet.safetensors"), "lacks conv_in.bias"),
    "cut": (1, lambda folder: (folder / "unet/unet.safetensors").write_bytes(b""), "can't be loaded: it is empty"),
    "branch": (2, lambda folder: (folder / "diffusion_pytorch_model.safetensors").unlink(), "has no diffusion_pytorch"),
    "pickle": (2, lambda folder: torch.save(Path("code"), folder / "pytorch_model.bin"), "holds a Python object"),
}


@pytest.mark.parametrize("how", DAMAGES)
def test_checkpoints_that_can_not_be_used(how: str, folders: dict[str, Path], tmp_path: Path) -> None:
    version, damage, message = DAMAGES[how]
    checkpoint = shutil.copytree(folders[f"ppt-v{version}"], tmp_path / "checkpoint")
    damage(checkpoint)
    with pytest.raises(brushbench.UserError, match=message):
        method_of(folders, version, checkpoint=checkpoint)


def test_another_size_of_text_encoder_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    base = shutil.copytree(folders["v1"], tmp_path / "base")
    config = CLIPTextConfig.from_pretrained(base / "text_encoder", hidden_size=16)
    CLIPTextModel(config).save_pretrained(base / "text_encoder")
    with pytest.raises(brushbench.UserError, match="has shape"):
        method_of(folders | {"v1": base}, 1)
