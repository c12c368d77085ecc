"""Where weights come from: folders, families, and a hub that runs on this machine."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import brushbench
from brushbench.weights import Weights, families, read_family

COMMIT = "a" * 40


def hub_of(repositories: dict[str, Path]) -> type[BaseHTTPRequestHandler]:
    """The part of the hub's protocol that a snapshot needs: the list of files, and the files."""

    class Hub(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(send=False)

        def do_GET(self) -> None:
            self.answer(send=True)

        def answer(self, *, send: bool) -> None:
            path = self.path.partition("?")[0].strip("/")
            name = next(
                (name for name in repositories if f"{path}/".startswith((f"api/models/{name}/", f"{name}/"))), None
            )
            body, etag = b"{}", COMMIT
            if name is None:
                self.send_response(404)
            elif path.startswith("api/"):
                self.send_response(200)
                body = json.dumps(self.listing(name, repositories[name], tree="/tree/" in path)).encode()
            else:
                file = repositories[name] / path.split("/", 4)[4]
                body = file.read_bytes()
                etag = hashlib.sha256(body).hexdigest()
                self.send_response(200)
            for key, value in (("Content-Length", len(body)), ("ETag", f'"{etag}"'), ("X-Repo-Commit", COMMIT)):
                self.send_header(key, str(value))
            self.end_headers()
            if send:
                self.wfile.write(body)

        def listing(self, name: str, folder: Path, *, tree: bool) -> object:
            paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
            files = [str(path.relative_to(folder)) for path in paths]
            if tree:
                sizes = [path.stat().st_size for path in paths]
                return [
                    {"type": "file", "path": file, "size": size, "oid": COMMIT}
                    for file, size in zip(files, sizes, strict=True)
                ]
            return {"id": name, "modelId": name, "sha": COMMIT, "siblings": [{"rfilename": file} for file in files]}

        def log_message(self, *arguments: object) -> None:
            pass

    return Hub


@pytest.fixture
def hub(tiny_weights: Path) -> Iterator[str]:
    handler = hub_of({"tiny/sd": tiny_weights, "tiny/brushnet": tiny_weights / "brushnet"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


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


def test_a_family_is_downloaded_and_then_used_offline(hub: str, tmp_path: Path, write_bench) -> None:
    family = tmp_path / "tiny.toml"
    family.write_text(FAMILY.format(brushnet="brushnet"))
    command = [
        *(sys.executable, "-m", "brushbench", "run", "--method", "brushnet", "--weights", str(family), "--steps", "1"),
        *("--dataset", "brushbench", "--root", str(write_bench(count=1)), "--output"),
    ]
    environment = os.environ | {"HF_HOME": str(tmp_path / "cache"), "HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0"}
    subprocess.run([*command, str(tmp_path / "online")], check=True, env=environment, stdout=subprocess.DEVNULL)
    environment["HF_HUB_OFFLINE"] = "1"
    subprocess.run([*command, str(tmp_path / "offline")], check=True, env=environment, stdout=subprocess.DEVNULL)
    runs = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("*/brushbench-inside/brushnet/run.json"))]
    assert runs[0]["fingerprint"] == runs[1]["fingerprint"]
    assert set(runs[0]["identity"]["method"]["digests"]) == {
        *("brushnet", "scheduler", "text_encoder", "tokenizer", "unet", "vae")
    }

    family.write_text(FAMILY.format(brushnet="nothing"))
    environment["HF_HUB_OFFLINE"] = "0"
    result = subprocess.run(
        [*command, str(tmp_path / "missing")], check=False, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "brushnet: tiny/nothing is not on this machine, and it can't be downloaded" in result.stderr


def test_the_suites_own_families_can_be_read() -> None:
    assert {"brushnet", "sd-inpainting"} <= read_family(families()["sd15"]).methods.keys()


LOST = 'summary = "x"\n[components]\n[methods.brushnet]\nbase = "lost"\n'


@pytest.mark.parametrize("content", ["not = toml = at all", "summary = 1", 'summary = "x"\nother = 2\n', LOST])
def test_a_file_that_is_no_family(content: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(content)
    with pytest.raises(brushbench.UserError, match=r"mine\.toml: not a family of weights"):
        Weights(tmp_path / "mine.toml", "brushnet")


def test_a_base_of_ones_own_goes_under_the_branch(tiny_weights: Path, inpainting_weights: Path) -> None:
    with pytest.raises(brushbench.UserError, match="brushnet needs a UNet of 4 input channels, this one has 9"):
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
    with pytest.raises(brushbench.UserError, match="needs a UNet of 9 input channels, this one has 4"):
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
