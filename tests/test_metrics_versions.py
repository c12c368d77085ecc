"""A metric's version is of the very files that it loads: no file beside them changes it, and each of them does."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from metric_photos import single
from safetensors.torch import load_file, save_file
from tiny_metrics import clip_folder, hps_options, reward_folder

from brushbench import load_metric
from brushbench.core.errors import UserError
from brushbench.core.options import Value
from brushbench.core.types import Metric
from brushbench.evaluation.networks import prepare
from brushbench.weights.memory import release

NAMES = ("lpips", "clip", "aesthetic", "image-reward", "hps", "papercut-clip")
LOADED: Mapping[str, tuple[str, ...]] = {
    "lpips": ("backbone.safetensors",),
    "clip": (
        "clip/model.safetensors",
        "clip/config.json",
        "clip/preprocessor_config.json",
        "clip/vocab.json",
        "clip/merges.txt",
    ),
    "aesthetic": ("linear.safetensors", "clip/model.safetensors", "clip/config.json", "clip/preprocessor_config.json"),
    "image-reward": (
        "reward/ImageReward.safetensors",
        "reward/med_config.json",
        "reward/vit_config.json",
        "reward/tokenizer/vocab.txt",
    ),
    "hps": ("hps/hps.safetensors", "config.json"),
    "papercut-clip": ("clip/model.safetensors", "clip/config.json", "clip/vocab.json"),
}


@pytest.fixture(scope="module")
def stored(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("stored")
    clip_folder(golden, root / "clip")
    reward_folder(golden, root / "reward")
    options = hps_options(golden, root / "hps")
    shutil.copy(str(options["model"]), root / "config.json")
    shutil.copy(golden / "metrics/lpips/squeezenet1_1_features.fp16.safetensors", root / "backbone.safetensors")
    shutil.copy(golden / "metrics/aesthetic/linear.safetensors", root)
    return root


@pytest.fixture
def root(stored: Path, tmp_path: Path) -> Path:
    return shutil.copytree(stored, tmp_path / "weights")


def made(name: str, root: Path) -> Metric:
    options: dict[str, dict[str, Value]] = {
        "lpips": {"backbone": str(root / "backbone.safetensors")},
        "clip": {"model": str(root / "clip")},
        "aesthetic": {"model": str(root / "clip"), "linear": str(root / "linear.safetensors")},
        "image-reward": {"checkpoint": str(root / "reward")},
        "hps": {"checkpoint": str(root / "hps/hps.safetensors"), "model": str(root / "config.json")},
        "papercut-clip": {"checkpoint": str(root / "clip")},
    }
    return load_metric(name, **options[name])


@pytest.mark.parametrize("name", NAMES)
def test_other_files_beside_it_change_nothing(name: str, root: Path) -> None:
    before = made(name, root).info.version
    for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
        for suffix in (".pt", ".bin", ".safetensors", ".json", ".pth", ".txt"):
            (folder / f"another{suffix}").write_bytes(b"another file")
        (folder / "special_tokens_map.json").write_text("{}")
        (folder / "adapter_config.json").write_text("{}")
    assert made(name, root).info.version == before
    assert " " in before


@pytest.mark.parametrize(("name", "file"), [(name, file) for name in NAMES for file in LOADED[name]])
def test_every_file_that_is_loaded_changes_it(name: str, file: str, root: Path) -> None:
    before = made(name, root).info.version
    content = (root / file).read_bytes()
    (root / file).write_bytes(content + b" ")
    changed = made(name, root).info.version
    assert changed != before
    (root / file).write_bytes(content)
    assert made(name, root).info.version == before


@pytest.mark.parametrize("name", NAMES)
def test_where_the_files_lie_changes_nothing(name: str, root: Path, tmp_path: Path) -> None:
    before = made(name, root).info.version
    for moved in ("a", "z"):
        assert made(name, shutil.copytree(root, tmp_path / moved)).info.version == before


def test_an_hps_of_another_architecture_is_another(root: Path) -> None:
    file = root / "hps/hps.safetensors"
    versions = {load_metric("hps", checkpoint=file, model=model).info.version for model in ("ViT-H-14", "ViT-B-32")}
    assert len(versions) == 2


def test_a_tokenizer_s_settings_beside_the_vocabulary_are_not_read(root: Path) -> None:
    pair = single(torch.zeros(3, 64, 64, dtype=torch.uint8), "a cat on a mat")
    before = made("clip", root)(*pair)
    settings = json.loads((root / "clip/tokenizer_config.json").read_text())
    (root / "clip/tokenizer_config.json").write_text(json.dumps(settings | {"bos_token": "cat", "eos_token": "mat"}))
    release()
    assert torch.equal(made("clip", root)(*pair), before)


@pytest.mark.parametrize("change", ["vocab.json", "preprocessor_config.json"])
def test_what_changes_the_version_changes_the_network_in_one_process(change: str, root: Path) -> None:
    pair = single(torch.full((3, 64, 64), 99, dtype=torch.uint8), "a cat on a mat")
    before = made("clip", root)(*pair)
    file = root / "clip" / change
    content = json.loads(file.read_text())
    if change == "vocab.json":
        content["cat</w>"], content["mat</w>"] = content["mat</w>"], content["cat</w>"]
    else:
        content["image_std"] = [0.1, 0.2, 0.3]
    file.write_text(json.dumps(content))
    assert not torch.equal(made("clip", root)(*pair), before)


Damage = Callable[[Path], None]


def missing_tensor(file: Path) -> None:
    tensors = load_file(file)
    tensors.pop(next(name for name in sorted(tensors) if name.endswith("weight")))
    save_file(tensors, file)


def not_finite(file: Path) -> None:
    tensors = load_file(file)
    name = next(name for name in sorted(tensors) if name.endswith("weight"))
    tensors[name] = torch.full_like(tensors[name], torch.nan)
    save_file(tensors, file)


def other_shape(file: Path) -> None:
    tensors = load_file(file)
    name = next(name for name in sorted(tensors) if name.endswith("weight"))
    save_file(tensors | {name: tensors[name][:1].repeat(3, *[1] * (tensors[name].ndim - 1)).contiguous()}, file)


DAMAGES: Mapping[str, Damage] = {
    "cut off": lambda file: file.write_bytes(file.read_bytes()[:-100]) and None,
    "empty": lambda file: file.write_bytes(b"") and None,
    "noise": lambda file: file.write_bytes(b"\xff" * 5000) and None,
    "missing tensor": missing_tensor,
    "not finite": not_finite,
    "other shape": other_shape,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_checkpoint_is_refused(name: str, damage: str, root: Path) -> None:

    DAMAGES[damage](root / LOADED[name][0])
    with pytest.raises(UserError, match=rf"^metric {name} can't be computed: ") as error:
        prepare({name: made(name, root)}, keep=False)
    assert "\n" not in str(error.value)
    assert Path(LOADED[name][0]).name in str(error.value)
