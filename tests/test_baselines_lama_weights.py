"""LaMa's weights: every form in which its generator is published, and what is refused in one line."""

import collections
import json
import pickle
import shutil
import sys
import typing
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hub_server import Hub, locked, put_in_cache, use_hub
from safetensors.torch import load_file, save_file
from support import Touch, assert_one_line, assert_same_tensors, run_on
from torch import Tensor

import brushbench as suite
from brushbench.baselines.lama.checkpoint import load_generator
from brushbench.evaluation.methods import open_method
from brushbench.weights import Weights
from brushbench.weights.manifest import manifest_of

TINY = Path(__file__).parent / "golden" / "lama" / "tiny_generator.safetensors"
FIRST = "model.1.ffc.convl2l.weight"
SETTINGS = {
    "omegaconf.base": ("ContainerMetadata", "Metadata"),
    "omegaconf.dictconfig": ("DictConfig",),
    "omegaconf.listconfig": ("ListConfig",),
    "omegaconf.nodes": ("AnyNode",),
    "pytorch_lightning.callbacks.model_checkpoint": ("ModelCheckpoint",),
}
"""The classes that the official checkpoint names, by module."""


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return load_file(TINY)


def prefixed(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def saved(tensors: dict[str, Tensor], file: Path) -> Path:
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, file)
    return file


@pytest.fixture
def classes(monkeypatch: pytest.MonkeyPatch) -> dict[str, type]:
    """Stand-ins of the classes of Lightning and omegaconf, importable only while a checkpoint is written."""
    made = {}
    for package in ("omegaconf", "pytorch_lightning", "pytorch_lightning.callbacks"):
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
    for module, names in SETTINGS.items():
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
        for name in names:
            made[name] = type(
                name, (), {"__module__": module, "__init__": lambda self, **state: vars(self).update(state)}
            )
            setattr(sys.modules[module], name, made[name])
    return made


@pytest.fixture
def official(
    classes: dict[str, type], tensors: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Write a checkpoint that is laid out like the official best.ckpt; afterwards its classes can't be imported."""

    def write(file: Path, **more: object) -> Path:
        reference = classes["ContainerMetadata"](ref_type=typing.Any, element_type=int, object_type=dict, other=list)
        node = classes["AnyNode"](_val=3, _metadata=classes["Metadata"](ref_type=typing.Any, optional=True))
        settings = collections.defaultdict(dict)
        settings["generator"] = {"ngf": 8}
        listed = classes["ListConfig"](_content=[node], _metadata=reference)
        torch.save(
            {
                "epoch": 39,
                "state_dict": collections.OrderedDict(
                    prefixed(tensors, "generator.")
                    | {"val_evaluator.lpips.weight": torch.zeros(3), "test.x": torch.ones(1)}
                ),
                "callbacks": {classes["ModelCheckpoint"]: {"best_model_score": torch.tensor(0.1)}},
                "hyper_parameters": classes["DictConfig"](
                    _content={"generator": node, "losses": listed}, _metadata=reference
                ),
                "settings": settings,
                **more,
            },
            file,
        )
        monkeypatch.undo()
        assert "omegaconf.nodes" not in sys.modules
        return file

    return write


@pytest.mark.parametrize("prefix", ["", "generator.", "model.generator.", "lama.generator."])
def test_safetensors_with_any_prefix_that_ends_in_generator(
    prefix: str, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    others = {"val_evaluator.lpips.weight": torch.zeros(3), "discriminator.model0.0.weight": torch.zeros(2)}
    generator = load_generator(saved(prefixed(tensors, prefix) | others, tmp_path / "lama.safetensors"))
    assert_same_tensors(generator.state_dict(), tensors)
    assert not generator.training
    assert not any(parameter.requires_grad for parameter in generator.parameters())


def test_the_official_checkpoint_is_read_without_the_libraries_that_wrote_it(
    official: Callable[..., Path], tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    file = official(tmp_path / "best.ckpt")
    allowed = torch.serialization.get_safe_globals()
    assert_same_tensors(load_generator(file).state_dict(), tensors)
    # The names were allowed for this file only; without stand-ins of them, nothing of it can be read.
    assert set(torch.serialization.get_safe_globals()) == set(allowed)
    with pytest.raises(pickle.UnpicklingError, match="Unsupported global"):
        torch.load(file, weights_only=True)


def test_code_in_a_checkpoint_is_named_and_never_run(
    official: Callable[..., Path], brushbench, write_bench, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    file = official(tmp_path / "best.ckpt", loops=Touch(trace))
    told = brushbench(*run_on(write_bench(), tmp_path / "runs", "-o", f"model={file}", method="lama"))
    assert_one_line(
        told,
        "best.ckpt: can't be loaded: it holds a Python object (builtins.getattr), ",
        "so it is refused; valid: big-",
    )
    assert not trace.exists()


def test_a_torch_checkpoint_of_the_generator_alone(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(tensors, tmp_path / "lama.pth")
    assert_same_tensors(load_generator(tmp_path / "lama.pth").state_dict(), tensors)


def test_torchscript_is_refused_with_what_is_valid(brushbench, write_bench, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), tmp_path / "big-lama.pt")
    told = brushbench(*run_on(write_bench(), tmp_path / "runs", "-o", f"model={tmp_path}/big-lama.pt", method="lama"))
    parts = (
        "big-lama.pt: can't be loaded: it is a TorchScript program",
        "; valid: big-lama or lama-fourier as safetens",
    )
    assert_one_line(told, *parts)
    assert not (tmp_path / "runs").exists()


def test_the_number_of_blocks_and_the_width_are_the_file_s(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    """With one block fewer, every number behind the blocks is one lower."""
    fewer = {}
    for name, tensor in tensors.items():
        start, number, rest = name.split(".", 2)
        if number != "6":
            fewer[f"{start}.{int(number) - (int(number) > 6)}.{rest}"] = tensor
    generator = load_generator(saved(fewer, tmp_path / "lama.safetensors"))
    assert_same_tensors(generator.state_dict(), fewer)
    assert generator(torch.rand(1, 4, 16, 24)).shape == (1, 3, 16, 24)


def test_numbers_in_half_precision_become_float32(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    halves = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    generator = load_generator(saved(halves, tmp_path / "lama.safetensors"))
    expected = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in halves.items()}
    assert_same_tensors(generator.state_dict(), expected)


def damaged(tensors: dict[str, Tensor], how: str) -> dict[str, Tensor]:
    changed = dict(tensors)
    if how == "missing":
        del changed["model.5.conv1.ffc.convg2g.fu.bn.weight"]
    elif how == "shape":
        changed["model.6.conv2.ffc.convl2g.weight"] = torch.zeros(48, 16, 1, 1)
    elif how == "first shape":
        changed[FIRST] = torch.zeros(8, 3, 7, 7)
    elif how == "no picture":
        changed[FIRST] = torch.zeros(8)
    elif how == "unknown":
        changed["model.5.conv1.ffc.convg2g.lfu.bn.weight"] = torch.zeros(48)
    elif how == "block":
        changed |= {name.replace("model.5.", "model.99."): tensor for name, tensor in tensors.items()}
    elif how == "short name":
        changed["model.x"] = torch.zeros(1)
    elif how == "two":
        changed = prefixed(tensors, "a.generator.") | prefixed(tensors, "b.generator.")
    else:
        changed = {name.replace("model.1.ffc.convl2l", "model.1"): tensor for name, tensor in tensors.items()}
    return changed


DAMAGES = {
    "missing": "the checkpoint lacks model.5.conv1.ffc.convg2g.fu.bn.weight (1 in all)",
    "shape": "model.6.conv2.ffc.convl2g.weight has shape [48, 16, 1, 1], must be [48, 16, 3, 3]",
    "first shape": f"{FIRST} has shape [8, 3, 7, 7], must be [8, 4, 7, 7]",
    "no picture": f"{FIRST} has shape [8], must be [64, 4, 7, 7]; valid: big-lama or lama-fourier as safetensors",
    "unknown": "the checkpoint has unknown model.5.conv1.ffc.convg2g.lfu.bn.weight (1 in all)",
    "short name": "the checkpoint has unknown model.x (1 in all)",
    "block": "the checkpoint lacks model.",
    "two": "it contains several generators (a.generator., b.generator.)",
    "another network": f"it has no tensor {FIRST}, with or without a prefix that ends in generator.; valid: big-lama",
}


@pytest.mark.parametrize("how", DAMAGES)
def test_a_file_of_something_else(
    how: str, tensors: dict[str, Tensor], brushbench, write_bench, tmp_path: Path
) -> None:
    file = saved(damaged(tensors, how), tmp_path / "lama.safetensors")
    told = brushbench(*run_on(write_bench(), tmp_path / "runs", "-o", f"model={file}", method="lama"))
    assert_one_line(told, "lama.safetensors: ", DAMAGES[how])
    assert not (tmp_path / "runs").exists()


def digests(*options: object, weights: Path | None = None) -> tuple[dict[str, str], dict[str, str], str]:
    found = open_method(
        "lama", weights=weights, device="cpu", dtype="float32", options=dict(part.split("=", 1) for part in options)
    )
    return dict(found.digests), dict(found.places), found.origin


def test_a_file_a_folder_and_a_folder_of_weights_are_the_same_model(
    official: Callable[..., Path], tmp_path: Path
) -> None:
    weights = tmp_path / "weights"
    for name in ("big-lama.safetensors", "model.safetensors"):
        folder = weights / name.partition(".")[0] / "lama"
        folder.mkdir(parents=True)
        shutil.copyfile(TINY, folder / name)
        assert digests(f"model={folder}")[0] == digests(f"model={TINY}")[0]
        assert digests(weights=folder.parent)[0] == digests(f"model={TINY}")[0]
    assert digests(f"model={TINY}")[1:] == ({"lama": str(TINY.resolve())}, str(TINY))
    unpacked = tmp_path / "big-lama"
    (unpacked / "models").mkdir(parents=True)
    (unpacked / "config.yaml").write_text("generator:\n")
    official(unpacked / "models" / "best.ckpt")
    found, places, origin = digests(f"model={unpacked}")
    assert found == digests(f"model={unpacked}/models/best.ckpt")[0]
    assert (places, origin) == ({"lama": str(unpacked.resolve())}, str(unpacked))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("model=nothing.safetensors", "model=nothing.safetensors: no such file"),
        ("model=models/big-lama.pt", "model=models/big-lama.pt: no such file"),
        ("model=nothing", "model=nothing: no such folder, and not a hub id of the form owner/name"),
        (
            "model=.",
            "can't be used as lama: it has no big-lama.safetensors or model.safetensors or models/best.ckpt or",
        ),
        ("steps=3", "unknown option of lama 'steps': valid: model"),
    ],
)
def test_models_that_are_not_there(
    given: str, told: str, brushbench, write_bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_bench()
    monkeypatch.chdir(root)
    assert_one_line(brushbench(*run_on(root, tmp_path / "runs", "-o", given, method="lama")), told)


def test_by_default_it_is_big_lama_and_no_stable_diffusion(
    brushbench, write_bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert Weights(None, "lama").name == "lama"
    assert {Weights(None, name).name for name in ("brushnet", "diffusers", "lab.py:Mine")} == {"sd15"}
    commit = manifest_of("michaelgold/big-lama").commit
    told = brushbench(*run_on(write_bench(), tmp_path / "runs", method="lama"))
    download = f"hf download michaelgold/big-lama --revision {commit} --include big-lama.safetensors"
    assert_one_line(told, "lama: michaelgold/big-lama is not on this machine", download, "-o model=FOLDER")
    told = brushbench("run", "--method", "lama", "--dataset", "papercut", "--output", tmp_path / "runs")
    assert_one_line(
        told, "the weights papercut have no 'lama' for lama", "-o model=FOLDER, a hub id, or --weights lama; "
    )


@pytest.mark.usefixtures("unsized_manifests")
def test_the_default_is_found_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "repository").mkdir()
    shutil.copyfile(TINY, tmp_path / "repository" / "big-lama.safetensors")
    put_in_cache(tmp_path / "hub", "michaelgold/big-lama", tmp_path / "repository")
    found, places, origin = digests()
    commit = manifest_of("michaelgold/big-lama").commit
    assert found == digests(f"model={TINY}")[0]
    assert places == {"lama": f"michaelgold/big-lama@{commit}"}
    assert origin == "lama (michaelgold/big-lama)"
    assert locked(tmp_path / "hub")["lama"]["files"] == ["big-lama.safetensors"]


def test_another_file_under_the_published_commit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "repository").mkdir()
    shutil.copyfile(TINY, tmp_path / "repository" / "big-lama.safetensors")
    put_in_cache(tmp_path / "hub", "michaelgold/big-lama", tmp_path / "repository")
    with pytest.raises(suite.UserError, match=r"big-lama\.safetensors is not the published file: its SHA-256 is "):
        suite.load_method("lama", device="cpu")


def test_a_hub_id_as_model(hub: Callable[..., Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "repository").mkdir()
    for name in ("big-lama.safetensors", "readme.md", "big-lama.pt"):
        shutil.copyfile(TINY, tmp_path / "repository" / name)
    use_hub(monkeypatch, hub({"tiny/lama": tmp_path / "repository"}), tmp_path / "hub")
    found, places, origin = digests("model=tiny/lama")
    assert found == digests(f"model={TINY}")[0]
    assert (places, origin) == ({"lama": "tiny/lama"}, "tiny/lama")
    assert [path.name for path in tmp_path.glob("hub/*/snapshots/*/*")] == ["big-lama.safetensors"]


def test_a_run_from_the_command_line(brushbench, write_bench, tmp_path: Path) -> None:
    root = write_bench(count=3)
    more = ("--metrics", "psnr,mse", "--dtype", "float16", "--split", "inside,outside", "--batch-size", 2)
    told = brushbench(*run_on(root, tmp_path / "runs", "-o", f"model={TINY}", *more, method="lama,telea"))
    code, out, err = told
    assert code == 0, err
    assert f"weights of lama: {TINY}\n" in err
    assert "≥ 60" in out or ">= 60" in out
    run = tmp_path / "runs" / "brushbench-inside" / "lama"
    record = json.loads((run / "run.json").read_text())
    assert record["identity"]["method"] == {
        "name": "lama",
        "options": {"model": str(TINY)},
        "digests": digests(f"model={TINY}")[0],
        "version": 1,
    }
    assert record["provenance"]["weights.lama"] == str(TINY.resolve())
    assert len([*run.glob("images/*.png")]) == 3


def test_it_is_listed_as_a_contender_with_its_option(brushbench) -> None:
    code, out, _ = brushbench("list", "methods", "lama")
    assert code == 0
    assert "lama: LaMa, arXiv:2109.07161" in out
    assert "Role: contender. Version: 1." in out
    code, out, _ = brushbench("list", "weights")
    assert code == 0
    assert "michaelgold/big-lama (Apache-2.0, as the authors' code and, by an author's answer, its weights; " in out
