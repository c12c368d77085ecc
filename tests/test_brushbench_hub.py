"""The hub's real client against a hub on this machine: what is downloaded, how large it is, and why it can't be had.

The client reads its environment when it is imported, so each of these runs in a process of its own.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hub_server import Answer, Content, Hub, use_hub
from published import unsized

import brushbench
from brushbench.weights.hub import HubFolder
from brushbench.weights.layouts import Request

Start = Callable[[Mapping[str, Content]], Hub]
UNSIZED = """
import os
from pathlib import Path
from brushbench.weights import manifest
manifest.FOLDER = Path(os.environ["LISTINGS"])
"""
FETCH = """
import sys
from brushbench.core.errors import UserError
from brushbench.weights import Weights
try:
    print(Weights("sd15", sys.argv[1]).folder(sys.argv[2]))
except UserError as error:
    sys.exit(str(error))
"""
CONFIGS = FETCH.replace("folder(sys.argv[2])", "configs(sys.argv[2], None)")
SD = "stable-diffusion-v1-5/stable-diffusion-v1-5"
POWERPAINT = "JunhaoZhuang/PowerPaint-v2-1"


@pytest.fixture(scope="module", autouse=True)
def listings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Manifests without digests, for small files under the names of published ones."""
    os.environ["LISTINGS"] = str(unsized(tmp_path_factory.mktemp("listings") / "manifests"))
    yield
    del os.environ["LISTINGS"]


def python(code: str, *arguments: str, cache: Path, endpoint: str, offline: bool = False) -> tuple[int, str, str]:
    environment = {"HF_HOME": str(cache), "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": str(int(offline))}
    code = UNSIZED + code
    without = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=False, env=without | environment, capture_output=True, text=True
    )
    return result.returncode, result.stdout, result.stderr


def failure(part: str, *, cache: Path, endpoint: str, offline: bool = False) -> str:
    code, out, err = python(FETCH, "brushnet", part, cache=cache, endpoint=endpoint, offline=offline)
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1, err
    return err


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((404, "RepoNotFound"), "the hub has no such repository (404)"),
        ((404, ""), "the hub has no such repository (404)"),
        ((401, "RepoNotFound"), "it is gated, private or doesn't exist (401): accept its terms"),
        ((401, ""), "it is gated, private or doesn't exist (401): accept its terms"),
        ((403, "GatedRepo"), "it is gated, private or doesn't exist (403): accept its terms"),
        ((403, ""), "it is gated, private or doesn't exist (403): accept its terms"),
        ((404, "RevisionNotFound"), "the hub has no such revision"),
        ((500, ""), "the hub answered with HTTP status 500"),
    ],
)
def test_a_hub_that_refuses(answer: Answer, reason: str, hub: Start, tmp_path: Path) -> None:
    error = failure("base", cache=tmp_path, endpoint=hub({SD: answer}).endpoint)
    assert f"base: {SD} is not on this machine and can't be downloaded: {reason}" in error
    files = "--include unet/diffusion_pytorch_model.safetensors --include vae/diffusion_pytorch_model.safetensors"
    if "revision" in reason:
        assert f"valid: -o base={SD}, which uses its main branch; a folder: -o base=FOLDER" in error
        return
    assert f"on a machine with a network, run: hf download {SD} " in error
    assert f"{files}; or give a folder: -o base=FOLDER or --weights FOLDER" in error.replace(" --include '*.txt'", "")


def test_for_a_single_file_only_configs_are_downloaded(hub: Start, tiny_weights: Path, tmp_path: Path) -> None:
    served = hub({SD: tiny_weights})
    code, out, err = python(CONFIGS, "brushnet", "base", cache=tmp_path / "hf", endpoint=served.endpoint)
    assert code == 0, err
    got = {path.relative_to(out.strip()).as_posix() for path in Path(out.strip()).rglob("*") if path.is_file()}
    there = {path.relative_to(tiny_weights).as_posix() for path in tiny_weights.rglob("*") if path.is_file()}
    # BrushNet's own folder is no part of the base.
    assert got == {name for name in there if not name.endswith(".safetensors") and not name.startswith("brushnet/")}


def test_no_network(tmp_path: Path) -> None:
    error = failure("base", cache=tmp_path, endpoint="http://127.0.0.1:9")
    assert f"base: {SD} is not on this machine and can't be downloaded: the hub can't be reached (Conn" in error
    assert f"hf download {SD}" in error


def test_offline_asks_nobody(hub: Start, tiny_weights: Path, tmp_path: Path) -> None:
    served = hub({SD: tiny_weights})
    error = failure("base", cache=tmp_path, endpoint=served.endpoint, offline=True)
    assert "can't be downloaded: HF_HUB_OFFLINE is set; on a machine with a network, run: hf download" in error
    assert not served.asked


def test_a_download_that_breaks_off_is_one_line(
    hub: Start, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **keywords: object) -> str:
        raise RuntimeError("data processing error\nwith a second line")

    use_hub(monkeypatch, hub({"tiny/sd": tiny_weights}), tmp_path)
    monkeypatch.setattr("brushbench.weights.repository.snapshot_download", broken)
    with pytest.raises(
        brushbench.UserError, match=r"^the download broke off \(RuntimeError: data .* second line\); run"
    ):
        HubFolder("tiny/sd").get()


def test_the_command_that_gets_it_asks_for_no_more_than_that() -> None:
    assert HubFolder("a/b", "v1", Request("c/d")).how_to_get_it() == "hf download a/b --revision v1 --include 'c/d/*'"


@pytest.fixture
def powerpaint(tmp_path: Path) -> Path:
    """Version 2 as it is published, by its names, and files that nobody needs."""
    sizes = {
        "PowerPaint_Brushnet/diffusion_pytorch_model.safetensors": 1000,
        "PowerPaint_Brushnet/pytorch_model.bin": 200,
        "realisticVisionV60B1_v51VAE/scheduler/scheduler_config.json": 30,
        "realisticVisionV60B1_v51VAE/text_encoder/config.json": 30,
        "realisticVisionV60B1_v51VAE/text_encoder/pytorch_model.bin": 500,
        "realisticVisionV60B1_v51VAE/tokenizer/vocab.json": 30,
        "realisticVisionV60B1_v51VAE/unet/config.json": 30,
        "realisticVisionV60B1_v51VAE/unet/diffusion_pytorch_model.safetensors": 4000,
        "realisticVisionV60B1_v51VAE/unet/diffusion_pytorch_model.fp16.safetensors": 2000,
        "realisticVisionV60B1_v51VAE/vae/config.json": 30,
        "realisticVisionV60B1_v51VAE/vae/diffusion_pytorch_model.bin": 300,
        "realisticVisionV60B1_v51VAE/vae_1_0/diffusion_pytorch_model.safetensors": 300_000,
        "realisticVisionV60B1_v51VAE/safety_checker/model.safetensors": 1_000_000,
        "README.md": 5,
    }
    for name, size in sizes.items():
        (tmp_path / "served" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "served" / name).write_bytes(b"x" * size)
    return tmp_path / "served"


def test_of_a_repository_with_several_models_one_folder_is_downloaded(
    hub: Start, powerpaint: Path, tmp_path: Path
) -> None:
    served = hub({POWERPAINT: powerpaint})
    code, out, err = python(FETCH, "powerpaint", "powerpaint_v2", cache=tmp_path / "hf", endpoint=served.endpoint)
    assert code == 0, err
    folder = Path(out.strip())
    assert folder.name == "PowerPaint_Brushnet"
    files = [path.relative_to(folder.parent) for path in folder.parent.rglob("*") if path.is_file()]
    assert sorted(map(str, files)) == [
        "PowerPaint_Brushnet/diffusion_pytorch_model.safetensors",
        "PowerPaint_Brushnet/pytorch_model.bin",
    ]


LIST = """
import sys
from brushbench.cli.main import main
try:
    main(["list", "weights"])
finally:
    loaded = {"torch", "pandas", "diffusers", "transformers"} & set(sys.modules)
    if loaded:
        print(loaded, file=sys.stderr)
"""


def listed(cache: Path, endpoint: str, *, offline: bool = False) -> dict[str, str]:
    code, out, err = python(LIST, cache=cache, endpoint=endpoint, offline=offline)
    assert (code, err) == (0, "")
    return dict(line.split(maxsplit=1) for line in out.splitlines())


def test_list_says_what_is_here_and_how_much_would_be_downloaded(hub: Start, powerpaint: Path, tmp_path: Path) -> None:
    served = hub({POWERPAINT: powerpaint, "lllyasviel/control_v11p_sd15_inpaint": (403, "GatedRepo")})
    before = listed(tmp_path / "hf", served.endpoint)
    assert before["powerpaint-v2"].startswith("would be downloaded, 1.2 kB ")
    assert before["powerpaint-v2-base"].startswith("would be downloaded, 5.0 kB ")
    assert f"{POWERPAINT}/realisticVisionV60B1_v51VAE" in before["powerpaint-v2-base"]
    assert before["controlnet-inpaint"].startswith("would be downloaded, size unknown: it is gated")
    assert before["sd15-inpainting"].startswith("would be downloaded, size unknown: the hub has no such repository")
    assert before["papercut"].startswith("embedded, ")
    assert before["downloads"].startswith(f"go to {tmp_path / 'hf' / 'hub'}")
    assert not list(tmp_path.glob("hf/hub/models*"))

    assert python(FETCH, "powerpaint", "powerpaint_v2", cache=tmp_path / "hf", endpoint=served.endpoint)[0] == 0
    after = listed(tmp_path / "hf", served.endpoint, offline=True)
    assert after["powerpaint-v2"].startswith("present, 1.2 kB ")
    assert after["powerpaint-v2-base"].startswith("would be downloaded, size unknown: HF_HUB_OFFLINE is set ")


def test_list_without_a_network(tmp_path: Path) -> None:
    found = listed(tmp_path, "http://127.0.0.1:9")
    assert found["sd15"].startswith("would be downloaded, size unknown: the hub can't be reached (ConnectError")


def test_list_does_not_wait_for_a_hub_that_never_answers(hub: Start, tmp_path: Path) -> None:
    served = hub(dict.fromkeys([SD, POWERPAINT, "lllyasviel/control_v11p_sd15_inpaint"]))
    started = time.monotonic()
    found = listed(tmp_path, served.endpoint)
    assert time.monotonic() - started < 50
    assert found["sd15"].startswith("would be downloaded, size unknown: the hub can't be reached (ReadTimeout")
