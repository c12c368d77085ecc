"""Files of weights: what is read, what is refused and how it is told; nothing in a file is ever run."""

import collections
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file
from support import Touch
from torch import nn

from brushbench.core.errors import UserError
from brushbench.core.notes import collecting
from brushbench.weights.tensors import explained, load_checked, read_tensors

WEIGHTS = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2)}
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 4265380512\n"
PAGE = '\n<!DOCTYPE html>\n<html lang="en"><head><title>Sign in</title></head></html>'


class Hidden(Touch):
    """A second way to run code, by words that the pickle contains already."""

    def __reduce__(self) -> tuple[object, ...]:
        return eval, (f"open({str(self.trace)!r}, 'w')",)


def legacy(content: object, file: Path) -> None:
    torch.save(content, file, _use_new_zipfile_serialization=False)


def plain(protocol: int) -> Callable[[object, Path], None]:
    return lambda content, file: file.write_bytes(pickle.dumps(content, protocol)) and None


WAYS = {"torch": torch.save, "old torch": legacy} | {f"protocol {number}": plain(number) for number in range(6)}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [Touch, Hidden])
def test_code_in_a_file_is_named_and_never_run(kind: type[Touch], way: str, tmp_path: Path) -> None:
    file, trace = tmp_path / "model.ckpt", tmp_path / "trace"
    words = ["builtins", "eval", "builtins", "eval"]
    WAYS[way]({"words": words, "state_dict": {"a": kind(trace)}, "more": [kind(trace), 1.5]}, file)
    name = r"(pathlib|builtins|__builtin__)\.(Path|PosixPath|Path\.touch|getattr|eval)"
    with pytest.raises(
        UserError, match=rf"model\.ckpt: can't be loaded: it holds a Python object \({name}\)"
    ) as caught:
        read_tensors(file)
    assert "\n" not in str(caught.value)
    assert "safetensors version" in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("beside", "name"),
    [
        (np.float64(3), r"numpy\._?core\.multiarray\.scalar"),
        (collections.defaultdict(list), r"collections\.defaultdict"),
        (nn.Linear(2, 3), r"torch\.nn\.modules\.linear\.Linear"),
    ],
)
@pytest.mark.parametrize("way", ["torch", "old torch"])
def test_an_object_beside_the_weights_is_named(beside: object, name: str, way: str, tmp_path: Path) -> None:
    WAYS[way]({"state_dict": WEIGHTS, "beside": beside}, tmp_path / "model.ckpt")
    with pytest.raises(UserError, match=rf"it holds a Python object \({name}\), which could run any code"):
        read_tensors(tmp_path / "model.ckpt")


@pytest.mark.parametrize("way", ["torch", "old torch"])
@pytest.mark.parametrize("mapped", [True, False])
def test_what_training_leaves_beside_the_weights_is_no_obstacle(way: str, mapped: bool, tmp_path: Path) -> None:
    """The checkpoint is laid out as Lightning stores it."""
    optimizer = torch.optim.AdamW([nn.Parameter(torch.ones(2))])
    content = {
        "epoch": 6,
        "global_step": 470000,
        "pytorch-lightning_version": "1.4.2",
        "state_dict": collections.OrderedDict(WEIGHTS),
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_path": "x.ckpt", "best": torch.tensor(0.5)}},
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [{"last_epoch": 3, "_last_lr": [1e-4]}],
        "hparams_name": None,
    }
    WAYS[way](content, tmp_path / "model.ckpt")
    found = read_tensors(tmp_path / "model.ckpt", mapped=mapped)
    assert found.keys() == WEIGHTS.keys()
    assert torch.equal(found["weight"], WEIGHTS["weight"])


def test_safetensors_are_read_by_any_name(tmp_path: Path) -> None:
    for name in ("model.safetensors", "model.ckpt", "no suffix"):
        save_file(WEIGHTS, tmp_path / name)
        assert torch.equal(read_tensors(tmp_path / name)["weight"], WEIGHTS["weight"])


def half(write: Callable[[Path], None]) -> Callable[[Path], None]:
    def cut(file: Path) -> None:
        write(file)
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])

    return cut


def archive(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("model/readme.txt", "unpack me")


def program(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as opened:
        for name in ("constants.pkl", "data.pkl", "code/__torch__.py", "version"):
            opened.writestr(f"model/{name}", "3\n")


def header_only(file: Path) -> None:
    header = json.dumps({"weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(7))


BROKEN: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "page": (".safetensors", lambda file: file.write_text(PAGE), "it is a web page, probably from a failed download"),
    "page as ckpt": (".ckpt", lambda file: file.write_text(PAGE.lower()), "it is a web page"),
    "denied": (".ckpt", lambda file: file.write_text('<?xml version="1.0"?><Error/>'), "it is a web page"),
    "pointer": (".safetensors", lambda file: file.write_text(LFS), "it is a Git LFS pointer"),
    "empty": (".ckpt", lambda file: file.write_bytes(b""), "it is empty: download it again"),
    "empty too": (".safetensors", lambda file: file.write_bytes(b""), "it is empty: download it again"),
    "cut": (".ckpt", half(lambda file: torch.save(WEIGHTS, file)), "it is cut off (the end of its archive is missing"),
    "cut, old": (".ckpt", half(lambda file: legacy(WEIGHTS, file)), "it seems to be cut off"),
    "cut pickle": (".bin", half(lambda file: plain(4)({"a": "b" * 99}, file)), "can't be loaded"),
    "cut header": (".safetensors", lambda file: file.write_bytes(save(WEIGHTS)[:60]), "it is cut off (its header has"),
    "cut tensors": (".safetensors", header_only, "it is cut off (it has "),
    "archive": (".ckpt", archive, "it is a zip archive of other files (model/readme.txt), not a checkpoint"),
    "program": (".pt", program, "it is a TorchScript program"),
    "other name": (".safetensors", lambda file: torch.save(WEIGHTS, file), "rename it to .ckpt"),
    "text": (".ckpt", lambda file: file.write_text("not a checkpoint\n" * 9), "can't be loaded"),
    "no names": (".ckpt", lambda file: torch.save([torch.ones(1)], file), "contains no state dict"),
    "one tensor": (".ckpt", lambda file: torch.save({"state_dict": torch.ones(3)}, file), "contains no state dict"),
    "numbers": (".ckpt", lambda file: torch.save({1: torch.ones(3)}, file), "contains no state dict"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_what_is_no_checkpoint_is_called_what_it_is(how: str, tmp_path: Path) -> None:
    suffix, write, message = BROKEN[how]
    file = tmp_path / f"model{suffix}"
    write(file)
    for mapped in (True, False):
        with pytest.raises(UserError) as caught:
            read_tensors(file, mapped=mapped)
        assert str(caught.value).startswith(f"{file}: ")
        assert message in str(caught.value)


def test_what_a_library_could_not_load_is_explained_if_it_can_be(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "sound.bin")
    (tmp_path / "page.bin").write_text(PAGE)
    (tmp_path / "page.json").write_text(PAGE)
    for names, message in ((("sound.bin", "page.json"), "of the library"), (("sound.bin", "page.bin"), "a web page")):
        with pytest.raises(UserError, match=message), explained(tmp_path / name for name in names):
            raise UserError("of the library")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 2)


INNER = {f"inner.{name}": tensor for name, tensor in WEIGHTS.items()}
EXTRAS = ["inner.position_ids", "attn_mask", "inner.relative_position_index", "inner.token_type_ids"]


@pytest.mark.parametrize("assign", [True, False])
def test_constants_of_known_names_are_left_out_and_listed(assign: bool, tmp_path: Path) -> None:
    net = Net()
    with collecting() as notes:
        load_checked(net, INNER | {name: torch.zeros(1) for name in EXTRAS}, tmp_path / "net.pt", assign=assign)
        load_checked(net, INNER, tmp_path / "other.pt", assign=assign)
    assert torch.equal(net.inner.weight, WEIGHTS["weight"])
    assert notes == [f"net.pt: left out as constants: {', '.join(sorted(EXTRAS))}"]


@pytest.mark.parametrize("name", ["inner.extra", "position_ids.weight", "inner.my_position_ids", "running_mean"])
def test_anything_else_left_over_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"net\.pt: the checkpoint has unknown {name} \(1 in all\)"):
        load_checked(Net(), INNER | {name: torch.zeros(1), "attn_mask": torch.zeros(1)}, tmp_path / "net.pt")


def test_what_is_missing_or_of_another_shape_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the checkpoint lacks inner\.bias \(1 in all\)"):
        load_checked(Net(), {"inner.weight": WEIGHTS["weight"]}, tmp_path / "net.pt")
    with pytest.raises(UserError, match=r"inner\.bias has shape \[3\], must be \[2\]"):
        load_checked(Net(), INNER | {"inner.bias": torch.ones(3)}, tmp_path / "net.pt")


@pytest.mark.parametrize("assign", [True, False])
def test_a_module_is_ready_to_be_used(assign: bool, tmp_path: Path) -> None:
    filled = load_checked(Net().train(), INNER, tmp_path / "net.pt", assign=assign)
    assert not filled.training
    assert not any(parameter.requires_grad for parameter in filled.parameters())


def test_for_scores_all_numbers_are_float32_and_finite(tmp_path: Path) -> None:
    tensors = {"half": torch.ones(2).half(), "ids": torch.arange(3)}
    save_file(tensors, tmp_path / "net.safetensors")
    read = read_tensors(tmp_path / "net.safetensors", for_scores=True)
    assert [read["half"].dtype, read["ids"].dtype] == [torch.float32, torch.int64]
    save_file(tensors | {"worst": torch.tensor([0.0, torch.nan])}, tmp_path / "net.safetensors")
    assert read_tensors(tmp_path / "net.safetensors")["half"].dtype == torch.float16
    with pytest.raises(UserError, match=r"net\.safetensors: worst holds values that aren't finite$"):
        read_tensors(tmp_path / "net.safetensors", for_scores=True)
