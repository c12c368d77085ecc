"""The manifests, the page that is printed from them, and their comparison with the live hub."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from file_server import Served as File
from file_server import serving
from hub_server import Hub, Moved, Served, use_hub
from published import Publication

import brushbench as suite
from brushbench.evaluation.select_metrics import load_metric
from brushbench.metrics.catalogue import CATALOGUE
from brushbench.weights import families, manifest, read_family
from brushbench.weights.manifest import canonical, manifest_of, manifests, names_of
from brushbench.weights.metrics import Weighted
from brushbench.weights.repository import NamedFiles
from brushbench.weights.sources import HubFiles

ROOT = Path(__file__).parent.parent
Brushbench = Callable[..., tuple[int, str, str]]


def test_the_page_is_the_manifests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")
    import checkpoints

    assert (ROOT / "docs" / "checkpoints.md").read_text(encoding="utf-8") == checkpoints.page()


def test_the_digests_and_revisions_that_the_authors_of_public_code_state() -> None:
    """Compare with what public code states, for some files by hand."""
    first, second = manifest_of("JunhaoZhuang/PowerPaint-v1"), manifest_of("JunhaoZhuang/PowerPaint-v2-1")
    assert first.commit.startswith("b4174b7c")
    assert first.digest("text_encoder/text_encoder.safetensors").startswith("16410ea0")
    assert second.commit.startswith("5ae2be3a")
    assert second.digest("PowerPaint_Brushnet/diffusion_pytorch_model.safetensors").startswith("530f2886")
    assert second.digest("PowerPaint_Brushnet/pytorch_model.bin").startswith("73709b43")
    inpainting = manifest_of("runwayml/stable-diffusion-inpainting")
    assert (inpainting.repository, inpainting.commit[:8]) == (
        *("stable-diffusion-v1-5/stable-diffusion-inpainting", "8a4288a7"),
    )
    plain = {"unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors"}
    assert not plain & {file.path for file in inpainting.files}
    address = "https://github.com/LAION-AI/aesthetic-predictor/raw/main/sa_0_4_vit_l_14_linear.pth"
    head = manifest_of(address).files[0]
    assert (head.bytes, head.sha256) == (4071, "2cd4e60f4f24ae3bcd57b847b13c1f3ba27edc28cc1a7f9ce74ee9f421243cba")
    assert canonical("THUDM/ImageReward") == "zai-org/ImageReward"
    assert names_of("THUDM/ImageReward") == ("THUDM/ImageReward", "zai-org/ImageReward")
    assert names_of("lab/unknown") == ("lab/unknown",)


def test_what_metrics_read_is_what_their_manifests_say() -> None:
    """Those of sets have none: of Inception only the first digits of its digest are known."""
    read: dict[str, set[str]] = {}
    used: dict[str, set[str]] = {}
    for name in (name for name, info in CATALOGUE.items() if info.scope == "image"):
        others = ("alex", "vgg") if name == "lpips" else ()
        named = {name: load_metric(name), **{f"{name} net={net}": load_metric(name, net=net) for net in others}}
        for title, metric in named.items():
            if isinstance(metric, Weighted):
                for source in metric.weights():
                    if not (isinstance(source, HubFiles) and Path(source.source).exists()):
                        place = source.source if isinstance(source, HubFiles) else source.address
                        found = manifest_of(place)
                        names = [file.path for file in found.files]
                        chosen = source.choose(NamedFiles(names)) if isinstance(source, HubFiles) else names
                        read.setdefault(found.place, set()).update(chosen)
                        used.setdefault(found.place, set()).add(title)
    stated = {each.place: each for each in manifests() if each.metrics}
    assert {place: set(each.reads) for place, each in stated.items()} == read
    assert {place: set(each.metrics) for place, each in stated.items()} == used


def test_licences_that_are_known_are_stated() -> None:
    for path in families().values():
        for name, component in read_family(path).components.items():
            assert "see the authors" not in component.licence, name
    licences = {name: part.licence for name, part in read_family(families()["sd15"]).components.items()}
    assert licences["powerpaint-v2"] == licences["powerpaint-v2-base"] == "Apache-2.0"
    assert licences["brushnet-random-mask"].startswith("Apache-2.0")


BROKEN: Mapping[str, tuple[str, str]] = {
    "an unknown source": ('source = "us"\nbytes = 3', 'source = "them"\nbytes = 3'),
    "a digest that is none": ("bytes = 3", 'sha256 = "abc"'),
    "an unknown word": ("bytes = 3", "size = 3"),
    "neither repository nor address": ('repository = "lab/sd"', ""),
    "no table": ('repository = "lab/sd"', "repository ="),
}
WHOLE = """
repository = "lab/sd"
licence = { name = "MIT", source = "us" }
[sources.us]
where = "here"
confidence = "read"
[[files]]
path = "a.bin"
source = "us"
bytes = 3
"""


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_is_no_manifest(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "FOLDER", tmp_path)
    (tmp_path / "sd.toml").write_text(WHOLE.replace(*BROKEN[case]))
    with pytest.raises(suite.UserError, match=r"sd\.toml: not a manifest of a repository \("):
        manifest_of("lab/sd")


@pytest.fixture
def start(published: Publication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Hub]]:
    """Start a hub with all repositories but for the changes; files at addresses are as large as published."""
    monkeypatch.setattr(manifest, "FOLDER", published.manifests)
    monkeypatch.setattr("brushbench.weights.drift._length", lambda address: None)
    hubs = []

    def started(changes: Mapping[str, object]) -> Hub:
        repositories = {
            name: Served(folder, commit=manifest_of(name).commit or "b" * 40)
            for name, folder in published.folders.items()
        }
        hubs.append(Hub({**repositories, **changes}))
        use_hub(monkeypatch, hubs[-1], tmp_path / "hub")
        return hubs[-1]

    yield started
    for hub in hubs:
        hub.close()


def told(brushbench: Brushbench) -> tuple[int, dict[str, str]]:
    code, out, err = brushbench("doctor", "--weights")
    assert not err
    return code, dict(line.rsplit(": ", 1) if "://" in line else line.split(": ", 1) for line in out.splitlines())


def test_a_hub_that_is_as_the_manifests_say(start, brushbench: Brushbench, tmp_path: Path) -> None:
    hub = start({})
    code, found = told(brushbench)
    assert (code, set(found.values())) == (0, {"matches its manifest"})
    assert len(found) == 22
    assert all(path.startswith("api/models/") for path in hub.asked)
    assert not (tmp_path / "hub").exists()


def changed(published: Publication, name: str, folder: Path) -> Path:
    return shutil.copytree(published.folders[name], folder)


def test_what_has_changed_on_the_hub_is_told(
    start, published: Publication, brushbench: Brushbench, tmp_path: Path
) -> None:
    inpainting = "stable-diffusion-v1-5/stable-diffusion-inpainting"
    plain = changed(published, inpainting, tmp_path / "plain")
    half = plain / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    shutil.copy(half, half.with_name("diffusion_pytorch_model.safetensors"))
    branch = changed(published, "Sanster/brushnet_random_mask", tmp_path / "branch")
    weights = branch / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    control = changed(published, "lllyasviel/control_v11p_sd15_inpaint", tmp_path / "control")
    (control / "config.json").unlink()
    pinned = manifest_of(inpainting).commit
    start(
        {
            inpainting: Served(plain, commit=pinned),
            "Sanster/brushnet_random_mask": Served(branch, commit=manifest_of("Sanster/brushnet_random_mask").commit),
            "lllyasviel/control_v11p_sd15_inpaint": Served(control, commit="e" * 40),
            "kd5678/prefpaint-v1.0": Served(published.folders["kd5678/prefpaint-v1.0"], commit="f" * 40),
            "zai-org/ImageReward": Moved("lab/reward"),
            "lab/reward": Served(
                published.folders["zai-org/ImageReward"], commit=manifest_of("THUDM/ImageReward").commit, licence="mit"
            ),
            "h94/IP-Adapter": Served(
                published.folders["h94/IP-Adapter"], commit=manifest_of("h94/IP-Adapter").commit, gated=True
            ),
            "xswu/HPSv2": (500, ""),
        }
    )
    code, found = told(brushbench)
    assert code == 1
    assert found[inpainting] == (
        "unet/diffusion_pytorch_model.fp16.safetensors is no longer read; "
        "unet/diffusion_pytorch_model.safetensors is new and would be read"
    )
    assert found["Sanster/brushnet_random_mask"].startswith("diffusion_pytorch_model.safetensors has SHA-256 ")
    gone = f"revision {manifest_of('lllyasviel/control_v11p_sd15_inpaint').commit[:8]}, which the suite reads, is gone"
    assert gone in found["lllyasviel/control_v11p_sd15_inpaint"]
    assert "it has no config.json" in found["lllyasviel/control_v11p_sd15_inpaint"]
    assert "its main branch is now at ffffffff" in found["kd5678/prefpaint-v1.0"]
    assert "it is now called lab/reward" in found["zai-org/ImageReward"]
    assert "its card states the licence mit, but the manifest has Apache-2.0" in found["zai-org/ImageReward"]
    assert "it is gated now" in found["h94/IP-Adapter"]
    assert found["xswu/HPSv2"] == "not compared: the hub answered with HTTP status 500"
    assert found["google-bert/bert-base-uncased"] == "matches its manifest"


def test_what_couldn_t_be_asked_is_undecided(start, brushbench: Brushbench) -> None:
    start({"xswu/HPSv2": (503, "")})
    code, found = told(brushbench)
    assert (code, found["xswu/HPSv2"]) == (4, "not compared: the hub answered with HTTP status 503")


def test_offline_nothing_is_compared(brushbench: Brushbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    code, found = told(brushbench)
    assert (code, set(found.values())) == (4, {"HF_HUB_OFFLINE is set", "not compared: HF_HUB_OFFLINE is set"})


def test_a_file_at_an_address_has_a_size(
    brushbench: Brushbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(File(b"four")) as served:
        (tmp_path / "listing").mkdir()
        listing = WHOLE.replace('repository = "lab/sd"', f'address = "{served.address}"\nmetrics = ["lpips"]')
        (tmp_path / "listing" / "a.toml").write_text(listing)
        monkeypatch.setattr(manifest, "FOLDER", tmp_path / "listing")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        code, out, _ = brushbench("doctor", "--weights")
    assert (code, out) == (1, f"{served.address}: it has 4 bytes; 3 were published\n")


def test_list_says_what_is_pinned(brushbench: Brushbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    code, out, _ = brushbench("list", "weights")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert code == 0
    assert lines["sd15-inpainting"].endswith("(CreativeML OpenRAIL-M); revision 8a4288a7")
    assert "would be downloaded, 2.1 GB as published: HF_HUB_OFFLINE is set" in lines["sd15-inpainting"]
    assert lines["brupa"].endswith("; not pinned: its main branch is used")
    assert "xswu/HPSv2 (Apache-2.0); revision 697403c7" in lines["hps"]
    assert "download of 2.0 GB" in lines["hps"]
