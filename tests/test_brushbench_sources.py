"""Sources of weights: methods and metrics ask the same questions of them, and get the same answers."""

import ast
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hub_server import Served, locked, put_in_cache, use_hub

from brushbench.core.errors import UserError
from brushbench.core.files import file_digest
from brushbench.weights import Weights, manifest, read_family
from brushbench.weights.hub import HubFolder
from brushbench.weights.layouts import Request, base
from brushbench.weights.sources import HubFiles, Local, Source, WebFile, digest_of_files, named

ROOT = Path(__file__).parent.parent
NAME = "lab/net"
FILES = ("config.json", "model.safetensors")
NEEDED = tuple((name,) for name in FILES)
FAMILY = """
summary = "a miniature"
[components.net]
source = "lab/net"
revision = "{revision}"
licence = "none"
citation = "none"
[methods.mine]
brushnet = "net"
"""
MANIFEST = """
repository = "lab/net"
commit = "{revision}"
licence = {{ name = "none", source = "us" }}
revision_source = {{ source = "us" }}
[sources.us]
where = "here"
confidence = "read"
[[files]]
path = "config.json"
source = "us"
[[files]]
path = "diffusion_pytorch_model.safetensors"
source = "us"
"""
COMMIT = "a" * 40


@pytest.fixture
def net(tmp_path: Path) -> Path:
    folder = tmp_path / "repository" / "net"
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub's cache, still empty; there is no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "hub"


def folder_on_the_hub(net: Path, cache: Path) -> Source:
    put_in_cache(cache, NAME, net)
    return HubFolder(NAME, None)


def folder_in_a_folder_on_the_hub(net: Path, cache: Path) -> Source:
    put_in_cache(cache, NAME, net.parent)
    return HubFolder(NAME, None, Request("net"))


def local_folder(net: Path, cache: Path) -> Source:
    return Local(net)


def files_on_the_hub(net: Path, cache: Path) -> Source:
    put_in_cache(cache, NAME, net)
    return HubFiles("checkpoint", NAME, NEEDED)


def files_in_a_folder(net: Path, cache: Path) -> Source:
    return HubFiles("checkpoint", str(net), NEEDED)


@pytest.mark.parametrize(
    "make",
    [folder_on_the_hub, folder_in_a_folder_on_the_hub, local_folder, files_on_the_hub, files_in_a_folder],
)
def test_a_folder_of_files_that_are_here(make: Callable[[Path, Path], Source], net: Path, cache: Path) -> None:
    source = make(net, cache)
    assert isinstance(source, Source)
    assert source.here() == source.get()
    assert [file.relative_to(source.get()).as_posix() for file in source.files()] == list(FILES)
    assert digest_of_files(source.files()) == digest_of_files([net / name for name in FILES])


def single_file(file: Path) -> Source:
    return Local(file)


def file_for_files(file: Path) -> Source:
    return HubFiles("checkpoint", str(file), NEEDED, file_will_do=True)


def file_for_an_address(file: Path) -> Source:
    return WebFile("backbone", str(file), "http://127.0.0.1:9/net.pth")


def file_at_an_address(file: Path) -> Source:
    source = WebFile("backbone", None, "http://127.0.0.1:9/net.pth")
    kept = Path(source.how_to_get_it().split()[4])
    kept.parent.mkdir(parents=True)
    kept.write_bytes(file.read_bytes())
    return source


@pytest.mark.parametrize("make", [single_file, file_for_files, file_for_an_address, file_at_an_address])
def test_a_single_file_that_is_here(make: Callable[[Path], Source], net: Path, cache: Path) -> None:
    source = make(net / "model.safetensors")
    assert isinstance(source, Source)
    assert source.here() == source.get()
    assert source.files() == (source.get(),)
    assert digest_of_files(source.files()) == file_digest(net / "model.safetensors")


@pytest.mark.parametrize(
    ("source", "place"),
    [
        (HubFolder(NAME, None, Request("unet")), "lab/net/unet"),
        (HubFolder(NAME, "v2"), "lab/net@v2"),
        (HubFiles("checkpoint", NAME, NEEDED), "lab/net"),
        (WebFile("backbone", None, "http://127.0.0.1:9/net.pth"), "http://127.0.0.1:9/net.pth"),
    ],
)
def test_what_is_not_here(source: Source, place: str, cache: Path) -> None:
    assert (source.here(), source.files()) == (None, ())
    assert named(source) == place
    assert source.how_to_get_it()
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        source.get()


@pytest.fixture
def family(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(FAMILY.format(revision=COMMIT))
    return path


def told(call: Callable[[], object]) -> str:
    with pytest.raises(UserError) as error:
        call()
    return str(error.value)


@pytest.fixture
def both(family: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Return the errors of a method and a metric for one unavailable repository: `lab/net`, pinned to a commit."""
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "net.toml").write_text(MANIFEST.format(revision=COMMIT))
    monkeypatch.setattr(manifest, "FOLDER", tmp_path / "manifests")
    needed = (("config.json",), ("diffusion_pytorch_model.safetensors",))

    def say() -> list[str]:
        method = told(lambda: Weights(family, "mine").folder("brushnet"))
        metric = told(HubFiles("brushnet", NAME, needed).get)
        assert method.startswith("brushnet: ")
        method = method.removeprefix("brushnet: ").replace("-o brushnet=FOLDER or --weights FOLDER", "brushnet=FOLDER")
        # The same command in two forms: of a metric's files it names each.
        return [" ".join(word for word in text.split() if word not in COMMAND) for text in (method, metric)]

    return say


COMMAND = {"--include", "--revision", COMMIT, f"{COMMIT};", "'*.json'", "config.json"} | {
    f"diffusion_pytorch_model.safetensors{end}" for end in ("", ";")
}


def test_offline_a_method_and_a_metric_say_the_same(both: Callable[[], list[str]], cache: Path) -> None:
    method, metric = both()
    assert method == metric
    assert method.startswith(
        "lab/net is not on this machine and can't be downloaded: HF_HUB_OFFLINE is set; on a machine"
    )
    assert method.endswith("or give a folder: brushnet=FOLDER")


def test_of_a_damaged_download_a_method_and_a_metric_say_the_same(
    both: Callable[[], list[str]], hub, tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = {"diffusion_pytorch_model.safetensors"}
    use_hub(monkeypatch, hub({NAME: Served(tiny_weights / "brushnet", damaged=damaged)}), tmp_path / "hub")
    method, metric = both()
    assert method == metric
    assert method.startswith("lab/net: was damaged during download: the hub announces the digest ")
    assert method.endswith("download it again; or give a folder: brushnet=FOLDER")


def test_of_a_revision_that_is_gone_a_metric_says_no_useless_command(
    both: Callable[[], list[str]], hub, tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Served(tiny_weights / "brushnet", commit="e" * 40)
    use_hub(monkeypatch, hub({NAME: served}), tmp_path / "hub")
    method, metric = both()
    assert metric.startswith("lab/net is not on this machine and can't be downloaded: the hub has no such revision")
    assert metric.endswith("; valid: a folder: brushnet=FOLDER")
    assert method == metric.replace("valid: ", f"valid: -o brushnet={NAME}, which uses its main branch; ")


def test_a_metric_s_download_is_locked_by_the_digests_of_its_files_in_their_order(net: Path, cache: Path) -> None:
    put_in_cache(cache, NAME, net)
    HubFiles("checkpoint", NAME, (("model.safetensors",), ("config.json",))).here()
    digests = [hashlib.sha256(name.encode()).hexdigest() for name in ("model.safetensors", "config.json")]
    entry = locked(cache)["metric"]
    assert entry["sha256"] == hashlib.sha256("".join(digests).encode()).hexdigest()
    assert (entry["source"], entry["revision"], entry["folder"], entry["commit"]) == (NAME, "main", "", COMMIT)


def test_files_that_a_metric_may_do_without_are_loaded_but_not_locked(net: Path, cache: Path) -> None:
    (net / "more.json").write_text("{}")
    put_in_cache(cache, NAME, net)
    source = HubFiles("checkpoint", NAME, NEEDED, optional=("more.json",))
    assert [file.name for file in source.files()] == [*FILES, "more.json"]
    assert locked(cache)["metric"]["files"] == list(FILES)


def test_the_command_gets_what_this_use_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sd.toml").write_text(
        MANIFEST.format(revision=COMMIT).replace('path = "', 'path = "vae/')
        + '[[files]]\npath = "unet/model.safetensors"\nsource = "us"\n'
    )
    monkeypatch.setattr(manifest, "FOLDER", tmp_path)
    only = HubFolder(NAME, None, Request(only=frozenset({"vae"})), base)
    assert only.how_to_get_it() == (
        "hf download lab/net --include '*.json' --include vae/diffusion_pytorch_model.safetensors"
    )


def test_a_component_says_where_it_is_taken_from(family: Path, net: Path, cache: Path) -> None:
    component = read_family(family).components["net"]
    assert named(component.taken_from) == f"lab/net@{COMMIT}"
    component.source = str(net)
    assert named(component.taken_from) == str(net.resolve())


def test_source_is_the_name_of_one_class() -> None:
    folders = ("brushbench", "baselines", "metrics", "reports")
    files = {path.resolve() for folder in folders for path in (ROOT / folder).rglob("*.py")}
    classes = [
        path.name
        for path in files
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.ClassDef) and node.name == "Source"
    ]
    assert classes == ["sources.py"]
