"""Method files as researchers have them: helpers beside them, arguments, functions, and code that misbehaves."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support import assert_one_line, run_on

import brushbench as library
from brushbench.evaluation.methods import open_method

GREY = """
class Grey:
    def __call__(self, batch, seeds):
        return torch.where(batch.masks, {level}, batch.images).to(torch.uint8)
"""


@pytest.fixture
def method(tmp_path: Path):
    """Write a file of this text; the path of it, to have a name added."""

    def write(text: str, name: str = "mine.py") -> str:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return str(file)

    return write


def options_of(runs: Path, name: str) -> dict[str, object]:
    return json.loads((runs / "brushbench-inside" / name / "run.json").read_text())["identity"]["method"]["options"]


FUTURE = """
from __future__ import annotations
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
import torch
if TYPE_CHECKING:
    from collections.abc import Sequence
    from brushbench import Batch

@dataclass(frozen=True)
class Mine:
    level: int = 3
    names: tuple[str, ...] = ()

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> torch.Tensor:
        return torch.where(batch.masks, self.level, batch.images).to(torch.uint8)

class Plain:
    def __init__(self, level: int = 3, *, factor: float = 1.0):
        self.level = level * factor
    __call__ = Mine.__call__

def function(batch: Batch, seeds: Sequence[int], level: int = 3):
    return torch.where(batch.masks, level, batch.images).to(torch.uint8)
"""


@pytest.mark.parametrize(
    ("name", "options"),
    [("Mine", {"level": 7, "names": []}), ("Plain", {"level": 7, "factor": 1.0}), ("function", {"level": 7})],
)
def test_hints_can_be_texts(name: str, options, method, write_bench, tmp_path: Path, brushbench) -> None:
    runs = tmp_path / "runs"
    arguments = run_on(write_bench(), runs, "-o", "level=7", "--metrics", "psnr", method=f"{method(FUTURE)}:{name}")
    assert brushbench(*arguments)[0] == 0
    assert options_of(runs, name) == options


def test_a_file_has_neighbours_under_the_command(method, write_bench, tmp_path: Path) -> None:
    """Run in a separate process, as installed: its path begins with the folder of the command."""
    method("from deeper import level\nLEVEL = level.LEVEL\n", "helper.py")
    method("LEVEL = 11\n", "deeper/level.py")
    method("LEVEL = 0.5\n", "late.py")
    file = method(
        """
        import helper, torch

        class Mine:
            def __call__(self, batch, seeds):
                from late import LEVEL
                return torch.where(batch.masks, LEVEL * helper.LEVEL * 2, batch.images).to(torch.uint8)
        """
    )
    arguments = map(str, run_on(write_bench(), tmp_path / "runs", "--metrics", "psnr", method=f"{file}:Mine"))
    code = "import sys; sys.path = [part for part in sys.path if part]; from brushbench.cli.main import main; main()"
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, cwd=tmp_path.parent)
    assert not [*tmp_path.glob("__pycache__/helper*")]


def test_neighbours_of_one_name_are_told_apart(method) -> None:
    files = []
    for level in (1, 2):
        method(f"LEVEL = {level}\n", f"{level}/helper.py")
        files.append(method("from helper import LEVEL\ndef mine(batch, seeds): return LEVEL\n", f"{level}/mine.py"))
    assert [library.load_method(f"{file}:mine")(None, None) for file in (*files, *files)] == [1, 2, 1, 2]


def test_an_edited_neighbour_is_not_the_old_code(method) -> None:
    file = method("from helper import LEVEL\ndef mine(batch, seeds): return LEVEL\n")
    for level in (1, 2):
        method(f"LEVEL = {level}\n", "helper.py")
        assert library.load_method(f"{file}:mine")(None, None) == level


def test_a_file_is_executed_once_for_as_long_as_it_stays(method, write_bench, tmp_path: Path, brushbench) -> None:
    file = method("import torch\nwith open(__file__ + '.log', 'a') as log: log.write('x')\n" + GREY.format(level=1))
    assert brushbench(*run_on(write_bench(), tmp_path / "runs", "--metrics", "psnr", method=f"{file}:Grey"))[0] == 0
    assert Path(f"{file}.log").read_text() == "x"


def test_a_neighbour_is_never_taken_for_a_part_of_the_suite(method, write_bench, tmp_path: Path) -> None:
    method("", "metrics.py")
    file = method("import torch" + GREY.format(level=1))
    arguments = map(str, run_on(write_bench(), tmp_path / "runs", "--metrics", "psnr", method=f"{file}:Grey"))
    subprocess.run([sys.executable, "-m", "brushbench", *arguments], check=True)


REQUIRED = """
from dataclasses import dataclass
from pathlib import Path
import torch

@dataclass(frozen=True)
class Fields:
    ckpt: Path
    def __call__(self, batch, seeds):
        return torch.where(batch.masks, int(self.ckpt.read_text()), batch.images).to(torch.uint8)

class Arguments:
    def __init__(self, ckpt):
        with open(ckpt) as file:
            self.level = int(file.read())
    def __call__(self, batch, seeds):
        return torch.where(batch.masks, self.level, batch.images).to(torch.uint8)

def function(batch, seeds, ckpt):
    return Arguments(ckpt)(batch, seeds)
"""


@pytest.mark.parametrize("name", ["Fields", "Arguments", "function"])
def test_an_option_without_a_default_must_be_given(name: str, method, write_bench, tmp_path: Path, brushbench) -> None:
    (tmp_path / "ckpt").write_text("9")
    file, root, runs = method(REQUIRED), write_bench(), tmp_path / "runs"
    asked = run_on(root, runs, "--metrics", "psnr", method=f"{file}:{name}")
    assert_one_line(brushbench(*asked), f"option ckpt of {file}:{name} has no default", "ckpt=VALUE")
    assert_one_line(brushbench(*asked, "-o", "path=x"), "unknown option", "ckpt")
    assert brushbench(*asked, "-o", f"ckpt={tmp_path / 'ckpt'}")[0] == 0
    assert options_of(runs, name) == {"ckpt": str(tmp_path / "ckpt")}


def test_what_an_init_raises_is_one_line(method, write_bench, tmp_path: Path, brushbench) -> None:
    file = method(REQUIRED)
    asked = run_on(write_bench(), tmp_path / "runs", "-o", "ckpt=nowhere", method=f"{file}:Arguments")
    assert_one_line(brushbench(*asked), "FileNotFoundError", "nowhere", "mine.py, line 14")


UNTYPED = """
class Mine:
    def __init__(self, steps=20, scale=0.5, on=True, text="a", other=None):
        self.given = (steps, scale, on, text, other)
    def __call__(self, batch, seeds):
        return self.given
"""


def test_options_without_hints_have_the_types_of_their_defaults(method) -> None:
    file = f"{method(UNTYPED)}:Mine"
    loaded = library.load_method(file, steps="5", scale="1", on="false", text="1", other="b")
    assert loaded(None, None) == (5, 1.0, False, "1", "b")
    assert library.load_method(file, steps="7.5")(None, None)[0] == 7.5
    with pytest.raises(library.UserError, match="option steps='x'"):
        library.load_method(file, steps="x")


@pytest.mark.parametrize(
    ("text", "name", "part"),
    [
        ("Mine = 3\nclass Other: pass\n", "Mine", "is of type int, not a class or function; valid: Other"),
        ("Mine = None\n", "Mine", "is of type NoneType, not a class or function; valid: none"),
        ("import math as Mine\n", "Mine", "is of type module"),
        ("import sys\nsys.exit()\n", "Mine", "can't be imported: SystemExit (mine.py, line 2)"),
        ("import sys\nsys.exit('no GPU')\n", "Mine", "can't be imported: SystemExit: no GPU"),
        ("raise GeneratorExit\n", "Mine", "can't be imported: GeneratorExit"),
        ("class Mine:\n  def __init__(self): raise SystemExit(0)\n", "Mine", "can't be created: SystemExit: 0"),
        ("class Mine:\n  def __init__(self, a: 'Nowhere'): pass\n", "Mine", "NameError: name 'Nowhere'"),
        ("def telea(batch, seeds): return batch.images\n", "telea", "the suite already has a method called 'telea'"),
        ("", "", "names no class or function of the file; valid:"),
        ("import torch\nfrom torch.nn import Module\nclass A: pass\n", "B", "'B': valid: A"),
    ],
)
def test_a_file_that_misbehaves_is_one_line(
    text: str, name: str, part: str, method, write_bench, tmp_path: Path, brushbench
) -> None:
    asked = run_on(write_bench(), tmp_path / "runs", method=f"{method(text)}:{name}")
    assert_one_line(brushbench(*asked), part)


def test_a_file_without_a_name_is_one_line(method, write_bench, tmp_path: Path, brushbench) -> None:
    file = method("")
    asked = run_on(write_bench(), tmp_path / "runs", method=file)
    assert_one_line(brushbench(*asked), f"names no class or function of the file; valid: {file}:NAME")


RAISING = """
class Mute(BaseException):
    def __str__(self):
        raise SystemExit(0)

class Mine:
    def __call__(self, batch, seeds):
        if batch.ids[0] == "000000002":
            raise {error}
        return batch.images
"""


@pytest.mark.parametrize(
    "error", ["SystemExit(0)", "SystemExit", "GeneratorExit('over')", "BaseException('odd')", "Mute()"]
)
def test_a_sample_whose_call_ends_the_process_has_failed(
    error: str, method, write_bench, tmp_path: Path, brushbench
) -> None:
    runs = tmp_path / "runs"
    name = f"{method(RAISING.format(error=error))}:Mine"
    code, _, err = brushbench(*run_on(write_bench(), runs, "--metrics", "psnr", "--batch-size", 1, method=name))
    assert code == 3
    assert "failed: 000000002" in err
    ledger = (runs / "brushbench-inside" / "Mine" / "samples.jsonl").read_text().splitlines()
    entries = {entry["id"]: entry for entry in map(json.loads, ledger)}
    assert [entry["status"] for entry in entries.values()] == ["done", "done", "failed", "done"]
    assert entries["000000002"]["error"].startswith(error.partition("(")[0])


def test_a_failed_sample_keeps_its_traceback_until_it_succeeds(method, write_bench, tmp_path: Path, brushbench) -> None:
    """The traceback's file is named after the sample, even if its id can't be a file's name."""
    entries = {"../up": {"image": "images/none.png", "caption": "", "inpainting_mask": [0, 1], "outpainting_mask": []}}
    root, runs, failing = write_bench(entries=entries), tmp_path / "runs", tmp_path / "failing"
    failing.touch()
    file = method(
        f"""
        import os

        def mine(batch, seeds):
            if os.path.exists({str(failing)!r}) and batch.ids[0] == "000000002":
                raise ValueError("one line\\nand another")
            return batch.images
        """
    )
    asked = run_on(root, runs, "--metrics", "psnr", "--batch-size", 1, method=f"{file}:mine")
    code, _, err = brushbench(*asked)
    assert code == 3
    assert "errors/" in err
    errors = runs / "brushbench-inside" / "mine" / "errors"
    kept = sorted(errors.iterdir())
    assert [path.name.partition("~")[0] for path in kept] == ["000000002.txt", "___up"]
    text = kept[0].read_text()
    assert text.startswith("000000002: ValueError: one line and another\n\nTraceback")
    assert 'mine.py", line 6, in mine' in text
    assert text.endswith("ValueError: one line\nand another\n")
    failing.unlink()
    assert brushbench(*asked)[0] == 3
    assert sorted(errors.iterdir()) == kept[1:]


def test_ctrl_c_in_a_call_is_an_interruption(method, write_bench, tmp_path: Path, brushbench) -> None:
    name = f"{method(RAISING.format(error='KeyboardInterrupt'))}:Mine"
    code, _, err = brushbench(*run_on(write_bench(), tmp_path / "runs", "--batch-size", 1, method=name))
    assert code == 130
    assert "Traceback" not in err


@pytest.mark.parametrize(("value", "told"), [("None", "NoneType"), ("batch.images.numpy()", "ndarray")])
def test_what_is_no_tensor_is_one_line(value: str, told: str, method, write_bench, tmp_path: Path, brushbench) -> None:
    file = method(f"def mine(batch, seeds): return {value}\n")
    asked = run_on(write_bench(), tmp_path / "runs", method=f"{file}:mine")
    assert_one_line(brushbench(*asked), f"the method returned {told}, must be a tensor")


DEVICE = """
from dataclasses import dataclass
import torch

@dataclass(frozen=True)
class Fields:
    device: str = "cuda:7"
    def __call__(self, batch, seeds):
        return torch.zeros_like(batch.images, device=self.device)

class Arguments:
    def __init__(self, device: torch.device):
        assert isinstance(device, torch.device)
        self.device = device
    __call__ = Fields.__call__

def function(batch, seeds, device):
    return torch.zeros_like(batch.images, device=device)
"""


@pytest.mark.parametrize("name", ["Fields", "Arguments", "function"])
def test_a_method_without_weights_is_told_its_device(name: str, method, write_bench, tmp_path: Path) -> None:
    file = f"{method(DEVICE)}:{name}"
    config = library.RunConfig(
        file, "brushbench", write_bench(), device="cpu", output=tmp_path / "runs", metrics="psnr"
    )
    run = library.run(config)
    assert run.record.identity.method.options == {}
    assert run.record.provenance["device"] == "cpu"
    assert len(run.intact()) == 4
    with pytest.raises(library.UserError, match="takes no options, got device"):
        open_method(file, weights=None, device="cpu", dtype="auto", options={"device": "cpu"})


def test_a_device_that_is_not_here_is_one_line(method, write_bench, tmp_path: Path, brushbench) -> None:
    asked = run_on(write_bench(), tmp_path / "runs", "--device", "cuda:99", method=f"{method(DEVICE)}:Fields")
    assert_one_line(brushbench(*asked), "device 'cuda:99'")


def test_the_traceback_of_what_breaks_is_a_note_in_python(method) -> None:
    with pytest.raises(library.UserError, match=r"ZeroDivisionError.*\(mine.py, line 1\)") as caught:
        library.load_method(f"{method('1 / 0')}:Mine")
    assert "Traceback" in caught.value.__notes__[0]
