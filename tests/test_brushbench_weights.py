"""The sources of weights: folders, families, and a hub that runs on this machine."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hub_server import Hub, put_in_cache, use_hub
from support import assert_one_line

import brushbench
from brushbench.evaluation.methods import open_method
from brushbench.weights import Weights, families, read_family

FAMILY = """
summary = "a miniature"
[components.sd]
source = "tiny/sd"
licence = "none"
citation = "none"
[components.brushnet]
source = "tiny/{brushnet}"
licence = "none"
citation = "none"
[methods.brushnet]
base = "sd"
brushnet = "brushnet"
"""


def test_a_family_is_downloaded_locked_and_then_used_offline(
    hub: Callable[..., Hub], tiny_weights: Path, tmp_path: Path, write_bench, brushbench, monkeypatch
) -> None:
    served = hub({"tiny/sd": tiny_weights, "tiny/brushnet": tiny_weights / "brushnet"})
    use_hub(monkeypatch, served, tmp_path / "hub")
    family = tmp_path / "tiny.toml"
    family.write_text(FAMILY.format(brushnet="brushnet"))
    root = write_bench(count=1)

    def run(output: str) -> tuple[int, str, str]:
        data = ("--dataset", "brushbench", "--root", root, "--output", tmp_path / output)
        return brushbench("generate", "--method", "brushnet", "--weights", family, "--steps", 1, *data)

    assert run("online")[0] == 0
    lock = tmp_path / "hub.brushbench.lock.json"
    entries = json.loads(lock.read_text())["components"]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert run("offline")[0] == 0
    assert json.loads(lock.read_text())["components"] == entries
    runs = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("*/brushbench-inside/brushnet/run.json"))]
    assert runs[0]["fingerprint"] == runs[1]["fingerprint"]
    places = {"weights.base": "tiny/sd", "weights.brushnet": "tiny/brushnet"}
    assert all(places.items() <= run["provenance"].items() for run in runs)
    assert runs[0]["identity"]["method"]["digests"] == {entry["component"]: entry["sha256"] for entry in entries}
    assert {entry["component"] for entry in entries} == {
        *("brushnet", "scheduler", "text_encoder", "tokenizer", "unet", "vae")
    }

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    family.write_text(FAMILY.format(brushnet="nothing"))
    missing = "brushnet: tiny/nothing is not on this machine and can't be downloaded"
    assert_one_line(run("missing"), missing, "404", last=True)


@pytest.mark.parametrize("name", ["papercut", "sd15", "sdxl"])
def test_the_suites_own_families_can_be_read(name: str) -> None:
    family = read_family(families()[name])
    assert all(part.licence and part.citation for part in family.components.values())
    assert "brushnet" in family.methods


def test_the_family_sdxl_has_a_base_and_a_branch_for_brushnet(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    base = put_in_cache(tmp_path, "stabilityai/stable-diffusion-xl-base-1.0", tiny_weights)
    regulus = "Regulus0725/random_mask_brushnet_ckpt_sdxl_regulus_v1"
    branch = put_in_cache(tmp_path, regulus, tiny_weights / "brushnet")
    weights = Weights("sdxl", "brushnet")
    assert (weights.folder("base"), weights.folder("brushnet")) == (base, branch)
    assert weights.origin == f"sdxl (stabilityai/stable-diffusion-xl-base-1.0, {regulus})"


def test_a_family_without_the_method_says_which_it_has(tmp_path: Path) -> None:
    with pytest.raises(
        brushbench.UserError, match=r"weights sdxl have no 'base' for powerpaint; .* support autoencoder, brushnet$"
    ):
        Weights("sdxl", "powerpaint").folder("base")
    with pytest.raises(brushbench.UserError, match=r"sd15 have no 'brushnet' for powerpaint; .* -o brushnet="):
        Weights("sd15", "powerpaint").folder("brushnet")
    (tmp_path / "bare.toml").write_text('summary = "x"\n[components]\n[methods]\n')
    with pytest.raises(
        brushbench.UserError, match=r"have no 'base' for brushnet; .* these weights support no method yet$"
    ):
        Weights(tmp_path / "bare.toml", "brushnet").folder("base")


SD = str(Path(__file__).parent / "golden" / "brushnet" / "weights")
ELSEWHERE: dict[str, dict[str, str]] = {"base_v2": {}, "powerpaint_v2": {"base": SD}}


@pytest.mark.parametrize(("part", "option"), [("base_v2", "-o base=FOLDER"), ("powerpaint_v2", "-o checkpoint=FOLDER")])
def test_a_missing_component_is_named_with_the_option_that_replaces_it(
    part: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(brushbench.UserError) as error:
        brushbench.load_method("powerpaint", weights="sd15", version=2, device="cpu", **ELSEWHERE[part])
    assert f"{part}: JunhaoZhuang/PowerPaint-v2-1/" in str(error.value)
    assert option in str(error.value)


LOST = 'summary = "x"\n[components]\n[methods.brushnet]\nbase = "lost"\n'


@pytest.mark.parametrize("content", ["not = toml = at all", "summary = 1", 'summary = "x"\nother = 2\n', LOST])
def test_a_file_that_is_no_family(content: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(content)
    with pytest.raises(brushbench.UserError, match=r"mine\.toml: not a family of weights"):
        Weights(tmp_path / "mine.toml", "brushnet")


def test_a_base_of_ones_own_goes_under_the_branch(tiny_weights: Path, inpainting_weights: Path) -> None:
    with pytest.raises(brushbench.UserError, match="brushnet needs a UNet with 4 input channels; this one has 9"):
        brushbench.load_method("brushnet", weights=tiny_weights, base=inpainting_weights, device="cpu")
    alone = tiny_weights / "brushnet"
    method = brushbench.load_method("brushnet", weights=tiny_weights, base=tiny_weights, brushnet=alone, device="cpu")
    assert method.branch.config.block_out_channels == [16, 32, 32, 32]
    with pytest.raises(brushbench.UserError, match="base=nowhere: no such folder, and not a hub id"):
        brushbench.load_method("brushnet", weights=tiny_weights, base="nowhere", device="cpu")


OWN = """
summary = "a miniature beside its file"
defaults = {{steps = 3, guidance = 1.5, radius = 9}}
[components.sd]
source = "models/sd"
licence = "none"
citation = "none"
[components.branch]
source = "models/sd/brushnet"
licence = "none"
citation = "none"
[components.wide]
source = "models/wide/unet"
licence = "none"
citation = "none"
[methods.brushnet]
base = "sd"
brushnet = "branch"
[methods.sd-inpainting]
base = "sd"
unet = "{unet}"
"""


@pytest.fixture
def own_family(tmp_path: Path, tiny_weights: Path, inpainting_weights: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "sd").symlink_to(tiny_weights)
    (tmp_path / "models" / "wide").symlink_to(inpainting_weights)
    (tmp_path / "own.toml").write_text(OWN.format(unet="wide"))
    return tmp_path / "own.toml"


def test_sources_may_lie_beside_the_family(own_family: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    method = brushbench.load_method("brushnet", weights=own_family, device="cpu")
    assert method.branch.config.block_out_channels == [16, 32, 32, 32]


def test_a_family_may_replace_one_component_of_the_base(own_family: Path, tiny_weights: Path) -> None:
    method = brushbench.load_method("sd-inpainting", weights=own_family, device="cpu")
    assert method.sd.unet.config.in_channels == 9
    with pytest.raises(brushbench.UserError, match="needs a UNet with 9 input channels; this one has 4"):
        brushbench.load_method("sd-inpainting", weights=own_family, base=tiny_weights, device="cpu")


def test_a_family_s_defaults_give_way_to_the_user_s_options(own_family: Path) -> None:
    options = brushbench.load_method("brushnet", weights=own_family, device="cpu").options
    assert (options.steps, options.guidance, options.scale) == (3, 1.5, 1.0)
    options = brushbench.load_method("brushnet", weights=own_family, device="cpu", steps=7).options
    assert (options.steps, options.guidance) == (7, 1.5)


def test_a_component_of_the_family_can_be_named_as_an_option(own_family: Path) -> None:
    weights = Weights(own_family, "brushnet")
    assert weights.folder("brushnet", "branch") == weights.folder("brushnet")
    assert weights.origin == f"{own_family} ({weights.folder('base')}, {weights.folder('brushnet')})"
    method = brushbench.load_method("brushnet", weights=own_family, brushnet="branch", device="cpu")
    assert method.options.brushnet == "branch"
    with pytest.raises(brushbench.UserError, match="brushnet=brunch: no such folder, and not a hub id"):
        brushbench.load_method("brushnet", weights=own_family, brushnet="brunch", device="cpu")


def test_each_part_says_where_it_was_taken_from(own_family: Path, tiny_weights: Path, inpainting_weights: Path) -> None:
    """The place is that of the component in use, also where an option or the family replaces one."""

    def places(method: str, weights: Path, **options: object) -> dict[str, str]:
        return dict(open_method(method, weights=weights, device="cpu", dtype="float32", options=options).places)

    base, branch = str(tiny_weights.resolve()), str((tiny_weights / "brushnet").resolve())
    assert places("brushnet", tiny_weights) == {"base": base, "brushnet": branch}
    assert places("brushnet", own_family, brushnet=str(tiny_weights / "brushnet")) == {"base": base, "brushnet": branch}
    unet = str((inpainting_weights / "unet").resolve())
    assert places("sd-inpainting", own_family) == {"base": base, "unet": unet}
    weights = Weights("sd15", "brushnet", "random")
    with pytest.raises(brushbench.UserError, match="not on this machine"):
        weights.folder("brushnet", "some/branch", revision="abc")
    with pytest.raises(brushbench.UserError, match="not on this machine"):
        weights.folder("base")
    pinned = "stable-diffusion-v1-5/stable-diffusion-v1-5@451f4fe16113bff5a5d2269ed5ad43b0592e9a14"
    assert weights.places == {"brushnet": "some/branch@abc", "base": pinned}
