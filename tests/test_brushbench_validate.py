"""The command that tries plug-ins: one that is right passes, and each way of being wrong is found by its name."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support import assert_one_line
from test_brushbench_plugin_data import BRIGHTNESS, SQUARES
from test_docs import ROOT, block

from brushbench.core.registry import load_class, registered

METHOD = """
import torch

class Mine:
    calls = 0
    def __init__(self, level: int = 3):
        self.level = level

    def __call__(self, batch, seeds):
        noise = torch.stack([torch.randint(0, 99, batch.images.shape[1:], generator=torch.Generator().manual_seed(seed))
                             for seed in seeds])
        images = torch.where(batch.masks, noise + self.level, batch.images).to(torch.uint8)
        return images
"""


@pytest.fixture
def validated(tmp_path: Path, brushbench):
    """Write a file, and try what is in it: exit code, and the findings."""

    def call(text: str, name: str, *more: object) -> tuple[int, list[str]]:
        (tmp_path / "mine.py").write_text(text)
        code, out, err = brushbench("validate", f"{tmp_path}/mine.py:{name}", *more)
        assert not err
        return code, out.splitlines()

    return call


def changed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("text", "name", "kind"),
    [(METHOD, "Mine", "method"), (BRIGHTNESS, "Brightness", "metric"), (SQUARES, "Squares", "dataset")],
)
def test_what_is_right_passes(text: str, name: str, kind: str, validated) -> None:
    code, lines = validated(text, name)
    assert code == 0, lines
    assert len(lines) == 1
    assert f"mine.py:{name}: no problems found in this {kind}" in lines[0]


@pytest.mark.parametrize("name", ["mean-fill", "telea", "navier-stokes", "psnr", "ssim", "seam", "photos"])
def test_the_suite_s_own_pass(name: str, brushbench) -> None:
    assert brushbench("validate", name)[:1] == (0,)


def test_the_network_of_the_contributing_page_passes(
    brushbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("repaint.py").write_text(block((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), "network"))
    torch.manual_seed(0)
    save_file(load_class("method", "repaint.py:Network")().state_dict(), "repaint.safetensors")
    code, out, _ = brushbench("validate", "repaint.py:Repaint", "-o", "checkpoint=repaint.safetensors")
    assert code == 0, out


@pytest.mark.parametrize(
    ("old", "new", "start"),
    [
        ("return images", "return images.float()", "dtype: it returns float32 [4, 3, 64, 128], must be uint8"),
        (
            "return images",
            "return images[:1]",
            "shape: it returns uint8 [1, 3, 64, 128], must be uint8 [4, 3, 64, 128]",
        ),
        ("return images", "return images.mT", "shape: it returns uint8 [4, 3, 128, 64]"),
        ("return images", "return None", "shape: it returns None, must be a tensor"),
        ("return images", "return images.numpy()", "shape: it returns an object of type ndarray"),
        ("return images", "return 1 / 0", "error: ZeroDivisionError: division by zero (mine.py, line 13)"),
        ("return images", "raise SystemExit(0)", "error: SystemExit: 0"),
        ("return images", "return images.squeeze(0)", "shape: with a batch of one: it returns uint8 [3, 64, 128]"),
        (
            "return images",
            "self.calls += 1; return images ^ self.calls",
            "determinism: with the same batch and seeds, 100.00% of its values differ, by up to",
        ),
        (
            "return images",
            "return torch.where(batch.masks, images.double().mean().byte(), images)",
            "independence: with other samples in the batch,",
        ),
        ("manual_seed(seed)", "manual_seed(seeds[0])", "independence: with other samples in the batch,"),
        (
            "return images",
            "return images + 9 * torch.arange(len(seeds))[:, None, None, None].byte()",
            "independence: with its samples in another order,",
        ),
        ("return images", "batch.images.zero_(); return images", "input: it changes the tensors of the batch"),
        ("level: int = 3", "level: int = None", "options: the default of level, None, isn't valid: input should be"),
        ("def __call__", "def paint", "loading: method"),
        ("import torch", "import torch\n1 / 0", "loading: "),
        ("class Mine:", "class Mine:\n    role = 'best'", "loading: method"),
        ("        self.level = level", "        raise SystemExit", "loading: "),
    ],
)
def test_what_is_wrong_with_a_method_is_found(old: str, new: str, start: str, validated) -> None:
    code, lines = validated(changed(METHOD, old, new), "Mine")
    assert code == 1
    assert lines[0].startswith(start), lines


@pytest.mark.parametrize(
    ("old", "new", "start"),
    [
        ("return images.double()", "return images.float()", "dtype: it returns float32 [4], must be float64 [4]"),
        (".mean(dim=1)", "", "shape: it returns float64 [4, 24576]"),
        ("return images.double()", "return 3  # ", "shape: it returns an object of type int, must be float64 [4]"),
        ("return images.double()", "raise SystemExit\n        return images.double()", "error: SystemExit"),
        ("/ self.level", "/ self.level + torch.rand(1, dtype=torch.float64)", "determinism: "),
        (
            "/ self.level",
            "- images.double().mean()",
            "independence: a score depends on the other images in the batch: ",
        ),
        ("/ self.level", "+ torch.arange(len(images))", "independence: scores depend on an image's place"),
        ("return images.double()", "return images.zero_().double()", "input: it changes the tensors"),
        ("return images.double()", "assert batch.masks.any(); return images.double()", "error: with empty masks: "),
        ('version="1"', 'version=""', "value: info.version is empty"),
        ('version="1"', 'version="1", highest=0.01', "value: a score of "),
        ('"brightness"', '"psnr"', "loading: metric"),
        (
            "    @property",
            "    def load_network(self): raise SystemExit(0)\n    @property",
            "loading: load_network(): SystemExit",
        ),
        (
            "    @property",
            "    def notes(self, batch): return ['']\n    @property",
            "error: notes(): the metric has 1 notes",
        ),
        ("level: float = 255.0", "level: float = '255'", "options: the default of level, '255', isn't valid"),
        ("level: float = 255.0", "level: float = 255.0\n    region: str = 'whole'", "loading: "),
    ],
)
def test_what_is_wrong_with_a_metric_is_found(old: str, new: str, start: str, validated) -> None:
    text = changed(BRIGHTNESS.replace("\nfrom dataclasses", "\nimport torch\nfrom dataclasses"), old, new)
    code, lines = validated(text, "Brightness", "--device", "cpu", "--kind", "metric")
    assert code == 1
    assert lines[0].startswith(start), lines


@pytest.mark.parametrize(
    ("old", "new", "start"),
    [
        ('"a", "b", "c"', '"a", "a"', "loading: inside: data set"),
        ("return Sample(", "return (lambda *_: 3)(", "error: inside: sample 'a': the data set returned int"),
        ("image[:, :16] += 30", "image += int(torch.randint(200, (1,)))", "determinism: inside: sample"),
        ("def open", "def unfold", "loading: inside: data set"),
        (
            "class Squares:",
            "class Squares:\n    def digest(self): import secrets; return secrets.token_hex()\n",
            "determinism: inside: digest() differs when",
        ),
        (
            "class Squares:",
            "class Squares:\n    def tags(self): return {'b': {'a': 'b'}}\n",
            "value: inside: sample 'b' has other tags than tags() returns",
        ),
        ("torch.bool)", "torch.uint8)", "error: inside: sample 'a': "),
    ],
)
def test_what_is_wrong_with_a_data_set_is_found(old: str, new: str, start: str, validated) -> None:
    code, lines = validated(changed(SQUARES, old, new), "Squares", "--kind", "dataset")
    assert code == 1
    assert lines[0].startswith(start), lines


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("nothing",), ("unknown method, metric or data set 'nothing'",)),
        (("none.py:Mine",), ("file not found: none.py",)),
        (("mean-fill", "-o", "x=3"), ("takes no options, got x",)),
        (("telea", "-o", "x=3"), ("unknown option of telea 'x'", "radius")),
        (("telea", "-o", "radius"), ("not of the form key=value",)),
        (("telea", "--root", "."), ("--root does not apply to a method", "--weights")),
        (("psnr", "--dtype", "float16"), ("--dtype does not apply to a metric",)),
        (("photos", "--weights", "x"), ("--weights does not apply to a dataset", "--split")),
        (("telea", "--kind", "metric"), ("unknown metric 'telea'",)),
        (("telea", "--device", "gpu"), ("device 'gpu'",)),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[str, ...], parts: tuple[str, ...], brushbench) -> None:
    assert_one_line(brushbench("validate", *arguments), *parts)


def test_a_missing_option_is_the_user_s_mistake(tmp_path: Path, brushbench) -> None:
    (tmp_path / "mine.py").write_text(METHOD.replace("level: int = 3", "level: int"))
    assert_one_line(brushbench("validate", f"{tmp_path}/mine.py:Mine"), "option level of", "has no default")
    assert brushbench("validate", f"{tmp_path}/mine.py:Mine", "-o", "level=4")[0] == 0


def test_every_kind_is_known_by_its_name() -> None:
    names = [name for kind in ("method", "metric", "dataset") for name in registered(kind)]
    assert len(set(names)) == len(names)
