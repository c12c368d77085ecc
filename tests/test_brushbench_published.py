"""Every method and metric of every family from copies of the real repositories' listings, by the hub's real client."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from file_server import Served as File
from file_server import serving
from hub_server import Hub, Served, use_hub
from published import JUNK, Publication
from safetensors.torch import load_file
from support import slow_but

from brushbench.core.method_options import option_names
from brushbench.core.registry import load_class
from brushbench.evaluation.select_metrics import load_metric
from brushbench.metrics.blip import Shapes
from brushbench.metrics.catalogue import CATALOGUE
from brushbench.metrics.perceptual import NETS
from brushbench.weights import families, manifest, read_family
from brushbench.weights.manifest import manifest_of
from brushbench.weights.memory import release
from brushbench.weights.metrics import Weighted, sources_of
from brushbench.weights.sources import HubFiles, WebFile

pytestmark = pytest.mark.xdist_group("published")
"""The repositories are written once."""
WEIGHTS = (".safetensors", ".bin", ".pt")
Brushbench = Callable[..., tuple[int, str, str]]
FAMILIES = {name: read_family(path) for name, path in families().items()}
REMOTE = {
    (family, name): component
    for family, content in FAMILIES.items()
    for name, component in content.components.items()
    if not component.local
}
USED = [
    pytest.param(family, name, id=f"{family}-{name}", marks=[pytest.mark.slow] if family == "sdxl" else [])
    for family, name in REMOTE
]
"""Those of SDXL take longest, and the same code reads them."""
OPTIONAL = {
    ("sd15", "brushnetx"): ("brushnet", ("brushnet=brushnetx",)),
    ("sd15", "realistic-vision"): ("brushnet", ("base=realistic-vision",)),
    ("sd15", "ip-adapter"): ("brushnet", ("ip_adapter=ip-adapter", "ip_adapter_image={picture}")),
    ("sd15", "brushnet-random-mask"): ("brushnet", ("brushnet=brushnet-random-mask",)),
    ("sd15", "prefpaint"): ("sd-inpainting", ("base=prefpaint",)),
    ("sd15", "brupa"): ("brushnet", ("brushnet=brupa",)),
    ("sd15", "powerpaint-v2"): ("powerpaint", ("version=2",)),
    ("sd15", "powerpaint-v2-base"): ("powerpaint", ("version=2",)),
    ("sdxl", "ip-adapter"): ("brushnet", ("ip_adapter=ip-adapter", "ip_adapter_image={picture}")),
}
"""The method and options for components that no method uses by default."""


@pytest.fixture
def served(published: Publication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with every repository, at the commit of its manifest; manifests with its sizes and digests."""
    monkeypatch.setattr(manifest, "FOLDER", published.manifests)
    repositories = {
        name: Served(folder, commit=((found := manifest_of(name)) and found.commit) or "b" * 40)
        for name, folder in published.folders.items()
    }
    hub = Hub(repositories)
    use_hub(monkeypatch, hub, tmp_path / "hub")
    yield hub
    hub.close()


@pytest.mark.parametrize(("family", "name"), REMOTE, ids=map("-".join, REMOTE))
def test_every_component_has_a_listing_with_all_that_is_read(family: str, name: str) -> None:
    component = REMOTE[family, name]
    listed = manifest_of(component.source)
    assert listed is not None, f"no manifest of {component.source}"
    assert component.revision == listed.commit
    assert component.part, f"{name}: what it is read as isn't said"
    names = component.on_hub.published_names()
    assert any(path.endswith((".safetensors", ".bin")) for path in names)
    assert {path for path in names if not path.startswith(component.subfolder)} == set()


def test_every_source_of_a_metric_has_a_listing_with_all_that_is_read() -> None:
    seen = set()
    for name in (name for name, info in CATALOGUE.items() if info.scope == "image"):
        metric = load_metric(name)
        for source in sources_of(metric) if isinstance(metric, Weighted) else ():
            if isinstance(source, HubFiles) and (Path(source.source).exists() or "papercut" in name):
                continue
            address = source.source if isinstance(source, HubFiles) else source.address
            listed = manifest_of(address)
            assert listed is not None, f"no manifest of {address}"
            if isinstance(source, HubFiles):
                assert source.revision == listed.commit
            else:
                assert isinstance(source, WebFile)
                assert listed.files[0].sha256.startswith(source.digest)
            seen.add(name)
    assert seen == {"lpips", "clip", "image-reward", "hps", "aesthetic"}


@pytest.mark.parametrize(("family", "name"), USED)
def test_every_component_can_be_used(
    family: str, name: str, served: Hub, brushbench: Brushbench, write_bench, tmp_path: Path
) -> None:
    component = REMOTE[family, name]
    methods = [method for method, parts in FAMILIES[family].methods.items() if name in parts.values()]
    method, options = OPTIONAL.get((family, name)) or (methods[-1], ())
    root = write_bench(count=1)
    given = [part for option in options for part in ("-o", option.format(picture=root / "images/000000000.png"))]
    given += ["--steps", "2"] if "steps" in option_names(load_class("method", method)) else []
    code, _, err = brushbench(
        *("generate", "--method", method, "--weights", family, "--dataset", "brushbench", "--root", root, *given),
        *("--output", tmp_path / "runs"),
    )
    assert code == 0, err
    run = json.loads(next(tmp_path.glob("runs/*/*/run.json")).read_text())
    places = {value for key, value in run["provenance"].items() if key.startswith("weights.")}
    assert f"{component.on_hub.place}@{component.revision}".removesuffix("@None") in places
    assert_only_what_is_read(tmp_path / "hub")


def assert_only_what_is_read(cache: Path) -> None:
    """Nothing that can't be loaded was downloaded, and of no model's weights a second set."""
    got = [path for path in cache.rglob("snapshots/**/*") if path.is_file()]
    assert got
    assert not [path for path in got if path.read_bytes() == JUNK]
    weights = [path for path in got if path.suffix in WEIGHTS]
    folders = [path.parent for path in weights if path.parent.name != "PowerPaint_Brushnet"]
    assert len(folders) == len(set(folders))


def downloaded(cache: Path) -> set[str]:
    """Which weights there are in a hub's cache, with their repositories."""
    found = (path.relative_to(cache) for path in cache.rglob("snapshots/**/*") if path.suffix in WEIGHTS)
    return {f"{path.parts[0].split('--')[-1]}: {'/'.join(path.parts[3:])}" for path in found}


READ = {
    "sd15": {
        "stable-diffusion-v1-5: unet/diffusion_pytorch_model.safetensors",
        "stable-diffusion-v1-5: vae/diffusion_pytorch_model.safetensors",
        "stable-diffusion-v1-5: text_encoder/model.safetensors",
        "stable-diffusion-inpainting: unet/diffusion_pytorch_model.fp16.safetensors",
        "stable-diffusion-inpainting: vae/diffusion_pytorch_model.fp16.safetensors",
        "stable-diffusion-inpainting: text_encoder/model.fp16.safetensors",
        "brushnet_segmentation_mask: diffusion_pytorch_model.safetensors",
        "control_v11p_sd15_inpaint: diffusion_pytorch_model.safetensors",
        "PowerPaint-v1: unet/unet.safetensors",
        "PowerPaint-v1: text_encoder/text_encoder.safetensors",
    },
    "sdxl": {
        "stable-diffusion-xl-base-1.0: unet/diffusion_pytorch_model.safetensors",
        "stable-diffusion-xl-base-1.0: vae/diffusion_pytorch_model.safetensors",
        "stable-diffusion-xl-base-1.0: text_encoder/model.safetensors",
        "stable-diffusion-xl-base-1.0: text_encoder_2/model.safetensors",
        "random_mask_brushnet_ckpt_sdxl_regulus_v1: diffusion_pytorch_model.safetensors",
    },
}
"""All weights that the methods of a family download: of the base of SDXL one VAE, and nowhere a second format."""
HALVES = "; unet, text_encoder, vae from fp16 files (no plain safetensors found)"


@pytest.mark.first
@pytest.mark.parametrize("family", slow_but(["sdxl"], READ))
def test_all_methods_run_with_a_family_and_then_once_more_without_a_network(
    family: str, served: Hub, brushbench: Brushbench, write_bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_bench(count=1)

    def run(output: str) -> tuple[dict[str, bytes], dict[str, str], str]:
        code, _, err = brushbench(
            *("run", "--method", "all", "--weights", family, "--dataset", "brushbench", "--root", root, "--steps", 2),
            *("--metrics", "psnr", "--output", tmp_path / output),
        )
        assert code == 0, err
        images = {path.parts[-3]: path.read_bytes() for path in tmp_path.glob(f"{output}/*/*/images/*.png")}
        records = tmp_path.glob(f"{output}/*/*/run.json")
        return images, {path.parts[-2]: json.loads(path.read_text())["fingerprint"] for path in records}, err

    images, fingerprints, told = run("online")
    assert images.keys() >= {*FAMILIES[family].methods}
    inpainting = f"weights of sd-inpainting: sd15 (stable-diffusion-v1-5/stable-diffusion-inpainting){HALVES}\n"
    assert (inpainting in told) == (family == "sd15")
    assert downloaded(tmp_path / "hub") == READ[family]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    asked = len(served.asked)
    assert run("offline")[:2] == (images, fingerprints)
    assert len(served.asked) == asked


def test_powerpaint_v2_reads_pickles_where_there_are_no_others(
    served: Hub, brushbench: Brushbench, write_bench, tmp_path: Path
) -> None:
    arguments = ("--weights", "sd15", "--dataset", "brushbench", "--root", write_bench(count=1), "--steps", 1)
    code, _, err = brushbench(
        *("generate", "--method", "powerpaint", "-o", "version=2", *arguments, "--output", tmp_path / "runs")
    )
    assert code == 0, err
    base = "realisticVisionV60B1_v51VAE"
    assert downloaded(tmp_path / "hub") == {
        "PowerPaint-v2-1: PowerPaint_Brushnet/diffusion_pytorch_model.safetensors",
        "PowerPaint-v2-1: PowerPaint_Brushnet/pytorch_model.bin",
        f"PowerPaint-v2-1: {base}/text_encoder/pytorch_model.bin",
        f"PowerPaint-v2-1: {base}/unet/diffusion_pytorch_model.bin",
        f"PowerPaint-v2-1: {base}/vae/diffusion_pytorch_model.bin",
    }


def test_the_upper_bound_downloads_nothing_but_the_vae(
    served: Hub, brushbench: Brushbench, write_bench, tmp_path: Path
) -> None:
    arguments = ("--weights", "sd15", "--dataset", "brushbench", "--root", write_bench(count=1))
    code, _, err = brushbench("generate", "--method", "autoencoder", *arguments, "--output", tmp_path / "runs")
    assert code == 0, err
    assert downloaded(tmp_path / "hub") == {"stable-diffusion-v1-5: vae/diffusion_pytorch_model.safetensors"}


@pytest.fixture
def pages(golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[File]]:
    """LAION's head and the backbone of LPIPS at addresses of this machine."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    tensors = load_file(golden / "metrics/lpips/squeezenet1_1_features.fp16.safetensors")
    torch.save({name: tensor.float() for name, tensor in tensors.items()}, tmp_path / "squeezenet.pth")
    head = golden / "metrics/aesthetic/sa_0_4_vit_l_14_linear.random.pth"
    with ExitStack() as stack:
        files = [stack.enter_context(serving(File(path.read_bytes()))) for path in (head, tmp_path / "squeezenet.pth")]
        first, second = (f"{file.address.removesuffix('data.zip')}{k}.pth" for k, file in enumerate(files))
        monkeypatch.setattr("brushbench.metrics.aesthetic.ADDRESS", first)
        net = dataclasses.replace(NETS["squeeze"], address=second, digest="")
        monkeypatch.setitem(NETS, "squeeze", net)
        yield files


def test_every_metric_is_downloaded_and_then_used_offline(
    served: Hub,
    pages: list[File],
    golden: Path,
    brushbench: Brushbench,
    write_bench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The published networks are ViT-H and ViT-L; a repository doesn't say so, and here they are small.
    reward = Shapes.read(golden / "metrics/image_reward")
    monkeypatch.setattr(Shapes, "read", staticmethod(lambda folder: reward))
    options = ("--metric-option", f"hps.model={golden / 'metrics/hps/tiny-hps-vit.json'}")
    root, names = write_bench(count=1), "lpips,clip,aesthetic,image-reward,hps"

    def score(output: str) -> dict[str, float]:
        release()
        run = ("run", "--method", "mean-fill", "--dataset", "brushbench", "--root", root, "--metrics", names)
        code, _, err = brushbench(*run, *options, "--output", tmp_path / output)
        assert code == 0, err
        row = pd.read_parquet(next(tmp_path.glob(f"{output}/*/*/scores.parquet"))).iloc[0]
        return {name: row[name] for name in names.split(",")}

    scores = score("online")
    assert np.isfinite([*scores.values()]).all()
    assert "ImageReward: ImageReward.pt" in downloaded(tmp_path / "hub")
    assert "HPSv2: HPS_v2.1_compressed.pt" in downloaded(tmp_path / "hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    asked = len(served.asked), *(len(page.asked) for page in pages)
    assert score("offline") == scores
    assert (len(served.asked), *(len(page.asked) for page in pages)) == asked
    assert_only_what_is_read(tmp_path / "hub")
