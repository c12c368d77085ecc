"""`diffusers` against the pipelines called by hand, and what it says when it can't."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from diffusers import AutoPipelineForInpainting, DiffusionPipeline, EulerDiscreteScheduler
from huggingface_hub.utils import filter_repo_objects
from PIL import Image
from safetensors.torch import load_file, save_file
from support import assert_one_line, run_on
from tiny_pipelines import make

import brushbench as suite
from baselines.diffusers_pipeline import BATCHED
from brushbench.loading import LoadedMethod, open_method
from brushbench.types import Batch, Sample

Folders = Callable[[str], Path]
SEEDS = [11, 12, 13]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path) -> Folders:
    """The folder of a tiny pipeline, made when it is first asked for."""
    root = tmp_path_factory.mktemp("pipelines")

    def folder(kind: str) -> Path:
        return root / kind if (root / kind).exists() else make(kind, root / kind, tiny_weights / "tokenizer")

    return folder


@pytest.fixture
def changed(folders: Folders, tmp_path: Path) -> Folders:
    """A copy of one, to be damaged."""
    return lambda kind: shutil.copytree(folders(kind), tmp_path / "changed")


@pytest.fixture
def samples(write_bench) -> list[Sample]:
    return list(suite.load_dataset("brushbench", root=write_bench(count=3)))


def opened(model: Path | str, **options: object) -> LoadedMethod:
    return open_method("diffusers", weights=None, device="cpu", dtype="float32", options={"model": model, **options})


def change_index(folder: Path, **entries: object) -> None:
    file = folder / "model_index.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


def by_hand(folder: Path, prior: Path | None = None) -> DiffusionPipeline:
    """As diffusers' own pages say; FLUX Fill is the one that its AutoPipeline doesn't know."""
    if prior:
        halves = DiffusionPipeline.from_pretrained(prior).components
        pipeline = diffusers.KandinskyV22InpaintCombinedPipeline.from_pretrained(
            folder, **{f"prior_{name}": component for name, component in halves.items()}
        )
    elif "FluxFillPipeline" in (folder / "model_index.json").read_text():
        pipeline = diffusers.FluxFillPipeline.from_pretrained(folder)
    elif "StableDiffusion3Pipeline" in (folder / "model_index.json").read_text():
        pipeline = AutoPipelineForInpainting.from_pretrained(folder, text_encoder_3=None, tokenizer_3=None)
    else:
        pipeline = AutoPipelineForInpainting.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def called(pipeline: DiffusionPipeline, sample: Sample, seed: int, **arguments: object) -> torch.Tensor:
    """One picture, int, [3, h, w]."""
    picture = pipeline(
        prompt=sample.caption,
        image=Image.fromarray(sample.image.numpy().transpose(1, 2, 0)),
        mask_image=Image.fromarray(np.where(sample.mask[0].numpy(), 255, 0).astype(np.uint8)),
        height=sample.image.shape[1],
        width=sample.image.shape[2],
        generator=torch.Generator().manual_seed(seed),
        num_inference_steps=3,
        **arguments,
    ).images[0]
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).int()


CASES = {
    "sd": ({"guidance": 4.0, "negative_prompt": "ugly"}, {"guidance_scale": 4.0, "negative_prompt": "ugly"}),
    "sd-inpainting": ({}, {}),
    "sdxl-inpainting": ({"guidance": 3.0}, {"guidance_scale": 3.0, "strength": 1.0}),
    "flux": (
        {"strength": 0.7, "true_cfg_scale": 2.0, "negative_prompt": "ugly"},
        {"strength": 0.7, "true_cfg_scale": 2.0, "negative_prompt": "ugly"},
    ),
    "flux-fill": ({"guidance": 12.0}, {"guidance_scale": 12.0}),
    "sd3": ({}, {"strength": 1.0}),
    "kandinsky": ({"negative_prompt": "ugly"}, {"negative_prompt": "ugly"}),
}


@pytest.mark.parametrize("kind", CASES)
def test_it_equals_the_pipeline_called_by_hand(kind: str, folders: Folders, samples: list[Sample]) -> None:
    options, arguments = CASES[kind]
    prior = folders("kandinsky-prior") if kind == "kandinsky" else None
    method = opened(folders(kind), steps=3, **options, **({"prior": prior} if prior else {})).call
    pipeline = by_hand(folders(kind), prior)
    assert type(method.pipeline) is type(pipeline)

    expected = torch.stack(
        [called(pipeline, sample, seed, **arguments) for sample, seed in zip(samples, SEEDS, strict=True)]
    )
    together = method(Batch.of(samples), SEEDS)
    assert together.dtype == torch.uint8
    assert (together.int() - expected).abs().max() <= 1
    alone = [method(Batch.of([sample]), [seed])[0] for sample, seed in zip(samples, SEEDS, strict=True)]
    assert torch.equal(torch.stack(alone).int(), expected)
    # Neither grey nor the same for all: else the comparison means nothing.
    assert min(image.float().std() for image in together) > 5
    assert min((together[0].int() - other.int()).abs().max() for other in together[1:]) > 20


def test_every_pipeline_that_gets_whole_batches_is_compared_above(folders: Folders) -> None:
    kinds = [type(opened(folders(kind)).call.pipeline).__name__ for kind in CASES if kind != "kandinsky"]
    assert set(kinds) == BATCHED


def test_options_left_alone_are_the_pipeline_s_own(folders: Folders, samples: list[Sample]) -> None:
    method = opened(folders("flux-fill"), steps=3).call
    expected = called(by_hand(folders("flux-fill")), samples[0], 1)
    assert torch.equal(method(Batch.of(samples[:1]), [1])[0].int(), expected)
    assert opened(folders("flux-fill")).options["guidance"] is None


def test_a_sampler_takes_the_place_of_the_folder_s_own(folders: Folders, samples: list[Sample]) -> None:
    pipeline = by_hand(folders("sd-inpainting"))
    before = called(pipeline, samples[0], 1)
    pipeline.scheduler = EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    expected = called(pipeline, samples[0], 1)
    method = opened(folders("sd-inpainting"), steps=3, sampler="euler").call
    assert torch.equal(method(Batch.of(samples[:1]), [1])[0].int(), expected)
    assert not torch.equal(before, expected)


def test_the_second_half_of_kandinsky_gets_the_sampler_too(folders: Folders) -> None:
    method = opened(folders("kandinsky"), prior=folders("kandinsky-prior"), sampler="ddim").call
    assert type(method.pipeline.decoder_pipe.scheduler).__name__ == "DDIMScheduler"


def test_the_dtype_is_the_runtime_s(folders: Folders, samples: list[Sample]) -> None:
    method = suite.load_method(
        "diffusers", model=folders("sd-inpainting"), device="cpu", dtype="bfloat16", steps=2, guidance=1.0
    )
    assert {part.dtype for part in (method.pipeline.unet, method.pipeline.vae)} == {torch.bfloat16}
    assert method(Batch.of(samples[:1]), [1]).shape == (1, 3, 64, 64)


def test_no_safety_checker_and_nothing_printed(changed: Folders, samples: list[Sample], capfd) -> None:
    folder = changed("sd")
    checker = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    change_index(
        folder,
        safety_checker=checker,
        feature_extractor=["transformers", "CLIPFeatureExtractor"],
        requires_safety_checker=True,
    )
    method = opened(folder, steps=1).call
    method(Batch.of(samples[:1]), [1])
    assert method.pipeline.safety_checker is None
    assert capfd.readouterr() == ("", "")


def test_no_watermark(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    module = "diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_inpaint"
    monkeypatch.setattr(f"{module}.is_invisible_watermark_available", lambda: True)
    monkeypatch.setattr(f"{module}.StableDiffusionXLWatermarker", object, raising=False)
    assert opened(folders("sdxl-inpainting")).call.pipeline.watermark is None


def test_digests_are_those_of_the_files_that_are_used(changed: Folders, folders: Folders) -> None:
    original = opened(folders("sd-inpainting")).digests
    assert set(original) == {"pipeline", "scheduler", "text_encoder", "tokenizer", "unet", "vae"}
    folder = changed("sd-inpainting")
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"not used")
    assert opened(folder).digests == original
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    tensors["conv_out.bias"] += 0.5
    save_file(tensors, file)
    scheduler = folder / "scheduler" / "scheduler_config.json"
    scheduler.write_text(scheduler.read_text().replace("scaled_linear", "linear"))
    assert {name for name, digest in opened(folder).digests.items() if digest != original[name]} == {
        "scheduler",
        "unet",
    }


def test_kandinsky_s_first_half_is_part_of_its_identity(folders: Folders) -> None:
    digests = opened(folders("kandinsky"), prior=folders("kandinsky-prior")).digests
    assert {"movq", "prior_prior", "prior_tokenizer", "prior_image_processor"} <= set(digests)


def test_several_files_and_a_variant(folders: Folders, tmp_path: Path, samples: list[Sample]) -> None:
    pipeline = by_hand(folders("sd-inpainting"))
    pipeline.save_pretrained(tmp_path / "plain", max_shard_size="40KB")
    assert len(list((tmp_path / "plain" / "unet").glob("*-of-*.safetensors"))) > 1
    pipeline.save_pretrained(tmp_path / "half", variant="fp16")
    expected = called(pipeline, samples[0], 1)
    for folder, options in ((tmp_path / "plain", {}), (tmp_path / "half", {"variant": "fp16"})):
        method = opened(folder, steps=3, **options).call
        assert torch.equal(method(Batch.of(samples[:1]), [1])[0].int(), expected)
    with pytest.raises(suite.UserError, match="half/text_encoder has no weights"):
        opened(tmp_path / "half")
    with pytest.raises(suite.UserError, match=r"variant=fp16: .*plain has no weights of it"):
        opened(tmp_path / "plain", variant="fp16")


@pytest.mark.parametrize(("kind", "factor"), [("sd-inpainting", 8), ("flux-fill", 16), ("sd3", 16), ("kandinsky", 64)])
def test_sizes(kind: str, factor: int, folders: Folders, samples: list[Sample]) -> None:
    prior = {"prior": folders("kandinsky-prior")} if kind == "kandinsky" else {}
    method = opened(folders(kind), steps=2, **prior).call
    sample = samples[0]

    def cut(height: int, width: int) -> Batch:
        image = sample.image.repeat(1, 1, 2)[:, :height, :width]
        return Batch.of([Sample("cut", image, sample.mask.repeat(1, 1, 2)[:, :height, :width], sample.caption)])

    assert method(cut(64, 64 + factor), [1]).shape == (1, 3, 64, 64 + factor)
    for height, width in ((64 - factor // 2, 64), (64, 64 + factor // 2)):
        with pytest.raises(suite.UserError, match=rf"{height}x{width}: .* multiples of {factor}$"):
            method(cut(height, width), [1])


def test_seeds_and_pixels_are_checked(folders: Folders, samples: list[Sample]) -> None:
    method = opened(folders("sd-inpainting"), steps=1).call
    with pytest.raises(suite.UserError, match="1 seeds for 2 samples"):
        method(Batch.of(samples[:2]), [1])
    torch.nn.init.constant_(method.pipeline.vae.decoder.conv_out.bias, float("nan"))
    with pytest.raises(suite.UserError, match="pixels that are no numbers"):
        method(Batch.of(samples[:1]), [1])


REFUSED = {
    "negative prompt": ("flux-fill", {"negative_prompt": "ugly"}, "option negative_prompt='ugly': FluxFillPipeline"),
    "valid ones": ("flux-fill", {"true_cfg_scale": 2}, "valid: steps, guidance, strength$"),
    "strength": ("kandinsky", {"strength": 0.5}, r"strength=0\.5: KandinskyV22InpaintCombinedPipeline has nothing"),
    "no guidance": ("flux", {"negative_prompt": "ugly"}, "negative_prompt means nothing to FluxInpaintPipeline"),
    "distilled": ("flux-unguided", {"guidance": 3}, "guidance=3: .* no guidance input; valid: true_cfg_scale"),
    "sampler": ("flux-fill", {"sampler": "ddim"}, "sampler=ddim can't take the place of .*FlowMatchEuler.*valid: none"),
    "prior": ("sd", {"prior": "somewhere"}, "prior=somewhere: StableDiffusionInpaintPipeline in .* needs none"),
    "revision": ("sd", {"revision": "main"}, "revision=main means nothing here; valid only with -o model=owner/name"),
    "no step": ("sd", {"strength": 0.2, "steps": 4}, r"strength=0\.2 of steps=4 is less than one step"),
    "range": ("sd", {"strength": 1.5}, r"option strength=1\.5 of diffusers"),
    "variant": ("sd", {"variant": "../x"}, "option variant='../x' of diffusers"),
    "unknown": ("sd", {"strenght": 1}, "did you mean 'strength'"),
    "first half": ("kandinsky", {}, "the weights sd15 have no 'prior' for diffusers; valid: -o prior=FOLDER"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_options_that_a_pipeline_has_not(why: str, folders: Folders) -> None:
    kind, options, message = REFUSED[why]
    with pytest.raises(suite.UserError, match=message):
        opened(folders(kind), **options)


def lose_tensor(folder: Path) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({name: tensor for name, tensor in load_file(file).items() if name != "conv_out.bias"}, file)


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "no index": (lambda root: (root / "model_index.json").unlink(), "has no model_index.json"),
    "no object": (lambda root: (root / "model_index.json").write_text("[]"), "must be an object whose _class_name"),
    "not json": (lambda root: (root / "model_index.json").write_text("{"), "must be an object whose _class_name"),
    "remote class": (
        lambda root: change_index(root, _class_name=["pipeline", "Mine"]),
        "must be an object whose _class_name",
    ),
    "unknown class": (lambda root: change_index(root, _class_name="Mine"), "'Mine' is not a pipeline of diffusers"),
    "model class": (
        lambda root: change_index(root, _class_name="AutoencoderKL"),
        "'AutoencoderKL' is not a pipeline of diffusers",
    ),
    "no inpainting": (
        lambda root: change_index(root, _class_name="PixArtAlphaPipeline"),
        "PixArtAlphaPipeline can't inpaint: PixArtAlphaPipeline takes no image and no mask_image",
    ),
    "control": (
        lambda root: change_index(root, _class_name="StableDiffusionControlNetPipeline"),
        "needs more than an image, a mask and a prompt: control_image",
    ),
    "other model": (
        lambda root: change_index(root, _class_name="StableDiffusionXLPipeline"),
        "has no 'text_encoder_2', which StableDiffusionXLInpaintPipeline needs",
    ),
    "code": (lambda root: change_index(root, unet=["mine", "UNet"]), "unet is mine.UNet, no component"),
    "function": (
        lambda root: change_index(root, unet=["diffusers", "utils"]),
        "unet is diffusers.utils, no component",
    ),
    "component": (lambda root: shutil.rmtree(root / "vae"), "has no vae/ folder"),
    "tensor": (lose_tensor, "unet: the checkpoint lacks conv_out.bias"),
    "scheduler": (
        lambda root: (root / "scheduler/scheduler_config.json").write_text("{"),
        "scheduler: can't be loaded",
    ),
    "vocabulary": (
        lambda root: shutil.rmtree(root / "tokenizer") or (root / "tokenizer").mkdir(),
        "tokenizer: no vocab.json with merges.txt, and no tokenizer.json",
    ),
}


@pytest.mark.parametrize("how", DAMAGES)
def test_folders_with_one_thing_wrong(how: str, brushbench, changed: Folders, tmp_path: Path, write_bench) -> None:
    damage, part = DAMAGES[how]
    damage(folder := changed("sd"))
    assert_one_line(brushbench(*diffusers_on(write_bench(), tmp_path, "-o", f"model={folder}")), part)
    assert not (tmp_path / "runs").exists()


def diffusers_on(root: Path, folder: Path, *more: object) -> list[object]:
    arguments = run_on(root, folder / "runs", *more)
    return ["diffusers" if item == "mean-fill" else item for item in arguments]


def test_models_that_are_nowhere(
    brushbench, tmp_path: Path, write_bench, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    command = diffusers_on(write_bench(), tmp_path)
    assert_one_line(brushbench(*command), "have no 'model' for diffusers; valid: -o model=FOLDER, or a hub id")
    assert_one_line(brushbench(*command, "-o", "model=nowhere"), "model=nowhere: no such folder, and not a hub id")
    assert_one_line(
        brushbench(*command, "-o", "model=somebody/something"),
        "model: somebody/something is not on this machine, and it can't be downloaded",
    )
    kandinsky = [*command, "-o", f"model={folders('kandinsky')}"]
    assert_one_line(brushbench(*kandinsky, "-o", "prior=some/prior"), "prior: some/prior is not on this machine")


def test_the_command_line(brushbench, tmp_path: Path, write_bench, changed: Folders) -> None:
    folder = changed("sd-inpainting")
    command = diffusers_on(write_bench(count=2), tmp_path, "--steps", "1", "--device", "cpu")
    code, out, err = brushbench(*command, "-o", f"model={folder}", "-o", "negative_prompt=ugly")
    assert code == 0, err
    assert "diffusers" in out
    assert f"weights of diffusers: {folder}" in err
    run = json.loads((tmp_path / "runs/brushbench-inside/diffusers/run.json").read_text())["identity"]["method"]
    assert (run["options"]["steps"], run["options"]["negative_prompt"]) == (1, "ugly")
    assert len(list((tmp_path / "runs/brushbench-inside/diffusers/images").glob("*.png"))) == 2

    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    save_file({name: tensor + 0.01 for name, tensor in load_file(file).items()}, file)
    result = brushbench(*command, "-o", f"model={folder}", "-o", "negative_prompt=ugly")
    assert_one_line(result, "vae")


def test_the_folder_may_be_given_as_weights(folders: Folders, samples: list[Sample]) -> None:
    batch = Batch.of(samples[:1])
    options = {"device": "cpu", "steps": 1}
    images = suite.load_method("diffusers", weights=folders("sd"), **options)(batch, [1])
    assert torch.equal(images, suite.load_method("diffusers", model=folders("sd"), **options)(batch, [1]))
    other = suite.load_method("diffusers", weights=folders("sd"), model=folders("sd-inpainting"), **options)
    assert other.pipeline.unet.config.in_channels == 9
    with pytest.raises(suite.UserError, match="revision=main means nothing here"):
        suite.load_method("diffusers", weights=folders("sd"), revision="main", **options)


FAMILY = """
summary = "one model"
defaults = {steps = 2}
[components.mine]
source = "SOURCE"
licence = "none"
citation = "none"
[methods.diffusers]
model = "mine"
"""


def test_a_family_of_one_s_own_may_name_the_model(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(FAMILY.replace("SOURCE", str(folders("sd"))))
    method = open_method("diffusers", weights=tmp_path / "mine.toml", device="cpu", dtype="float32", options={})
    assert method.options["steps"] == 2
    assert method.digests == opened(folders("sd")).digests


def test_a_family_s_defaults_are_for_the_family_s_models(folders: Folders) -> None:
    options = {"model": folders("sd")}
    method = open_method("diffusers", weights="papercut", device="cpu", dtype="float32", options=options)
    assert (method.options["steps"], method.options["guidance"]) == (None, None)
    assert method.origin == str(folders("sd"))


def test_a_variant_is_downloaded_where_there_is_one(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, cache = tmp_path / "hub", tmp_path / "cache"
    by_hand(folders("sd-inpainting")).save_pretrained(hub)
    by_hand(folders("sd-inpainting")).save_pretrained(hub, variant="fp16")
    (hub / "text_encoder" / "model.fp16.safetensors").unlink()
    (hub / "safety_checker").mkdir()
    (hub / "safety_checker" / "config.json").write_text("{}")
    (hub / "safety_checker" / "model.safetensors").write_bytes(b"never downloaded")
    asked: list[tuple[str, str | None]] = []

    def snapshot(
        source: str,
        *,
        revision: str | None,
        allow_patterns: list[str],
        ignore_patterns: list[str],
        local_files_only: bool,
    ) -> str:
        assert not local_files_only
        asked.append((source, revision))
        names = [str(file.relative_to(hub)) for file in hub.rglob("*") if file.is_file()]
        for name in filter_repo_objects(names, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns):
            (cache / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(hub / name, cache / name)
        return str(cache)

    monkeypatch.setattr("brushbench.hub.snapshot_download", snapshot)
    # Beside it lies the lock file.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    method = opened("tiny/sd", variant="fp16", revision="v1")
    assert method.origin == "tiny/sd"
    assert set(asked) == {("tiny/sd", "v1")}
    assert {str(file.relative_to(cache)) for file in cache.rglob("*.safetensors")} == {
        "text_encoder/model.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.fp16.safetensors",
    }
    shutil.rmtree(cache)
    opened("tiny/sd")
    assert not list(cache.rglob("*fp16*"))
