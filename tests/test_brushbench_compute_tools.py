"""What compiling needs on a machine: found missing before anything is generated, and told in one line."""

import os
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from support import assert_one_line, run_on
from torch import nn

import brushbench as suite
from brushbench.weights import recipe

CUDA = torch.device("cuda")
CPU = torch.device("cpu")
FAST = ("--weights", "papercut", "--steps", 1, "--device", "cpu", "--metrics", "psnr", "--compute", "fast")


def refused(device: torch.device) -> str:
    recipe.check_tools("plain", device)
    with pytest.raises(suite.UserError, match=r"^compute 'fast': .*; valid: plain, which needs nothing") as error:
        recipe.check_tools("fast", device)
    return str(error.value)


@pytest.fixture
def with_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "find_spec", lambda name: ModuleSpec(name, None))


def test_without_a_compiler_a_run_ends_before_it_begins(
    brushbench, write_bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", (None, "no-such-compiler"))
    asked = run_on(write_bench(count=1), tmp_path / "runs", *FAST, method="brushnet")
    told = "no C++ compiler was found (g++ or $CXX), which compiles blocks for the CPU; valid: plain"
    assert_one_line(brushbench(*asked), told, last=True)
    assert not (tmp_path / "runs").exists()


def test_without_triton_no_block_is_compiled_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "find_spec", lambda _name: None)
    assert "the package triton, which compiles blocks for a GPU, is not installed" in refused(CUDA)


@pytest.mark.usefixtures("with_triton")
def test_triton_needs_a_c_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert "no C compiler was found (gcc, clang or $CC), which triton needs" in refused(CUDA)


@pytest.mark.usefixtures("with_triton")
@pytest.mark.parametrize("device", [CPU, CUDA])
def test_both_need_the_headers_of_python(device: torch.device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "_cpp_compiler", lambda: "g++")
    monkeypatch.setattr(recipe.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(recipe.sysconfig, "get_path", lambda _kind: str(tmp_path))
    assert f"Python's headers, which compiled blocks need, are missing: {tmp_path / 'Python.h'}" in refused(device)
    (tmp_path / "Python.h").touch()
    recipe.check_tools("fast", device)


def test_other_devices_have_no_compiled_blocks() -> None:
    assert "blocks are compiled for cpu and cuda, not for mps" in refused(torch.device("mps"))


# Any: what a backend of `torch.compile` is given.
def broken(_graph: object, _inputs: object, **_: object) -> None:
    raise OSError("the compiler\nran out of luck")


def test_a_block_that_cannot_be_compiled_ends_the_run(
    brushbench, write_bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would fail for each sample."""
    monkeypatch.setattr(recipe, "BACKEND", broken)
    asked = run_on(write_bench(), tmp_path / "runs", *FAST, method="brushnet")
    told = "compute 'fast': blocks can't be compiled here; valid: plain, which needs nothing of that: "
    assert_one_line(brushbench(*asked), told, "OSError: the compiler ran out of luck", last=True)
    assert not (tmp_path / "runs/brushbench-inside/brushnet/samples.jsonl").exists()


def test_code_is_kept_beside_the_hub_s_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    monkeypatch.setattr("huggingface_hub.utils._cache_assets.HF_ASSETS_CACHE", str(tmp_path / "assets"))
    recipe.compile_in_place(nn.Linear(1, 1))
    folder = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])
    assert folder.is_relative_to(tmp_path / "assets" / "brushbench")
    assert folder.is_dir()
    assert Path(constants.HF_ASSETS_CACHE).parent == Path(constants.HF_HOME)


def test_a_folder_of_the_user_s_choice_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "mine"))
    recipe.compile_in_place(nn.Linear(1, 1))
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "mine")
