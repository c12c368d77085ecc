"""Names, options and plug-ins."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import torch

import brushbench
from brushbench.core.options import build
from brushbench.core.registry import registered
from brushbench.core.types import Batch, Sample


@dataclass(frozen=True)
class Options:
    steps: int = 50
    scale: float = 1.0
    on: bool = True
    base: str | None = "x"
    blend: Literal["none", "paste"] = "paste"
    version: Literal[1, 2] = 1


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("steps", "20", 20),
        ("steps", 20, 20),
        ("scale", "0.5", 0.5),
        ("scale", 1, 1.0),
        ("on", "false", False),
        ("base", "none", None),
        ("base", "folder", "folder"),
        ("blend", "none", "none"),
        ("version", "2", 2),
        ("version", 2, 2),
    ],
)
def test_options_are_typed(key: str, value, expected) -> None:
    assert getattr(build("test", Options, {key: value}), key) == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [("steps", "1.5"), ("steps", "x"), ("scale", "inf"), ("on", "perhaps"), ("blend", "blur"), ("version", "3")],
)
def test_options_of_another_type_are_refused(key: str, value: str) -> None:
    with pytest.raises(brushbench.UserError, match=f"option {key}='{value}' of test: "):
        build("test", Options, {key: value})


PLUGIN = """
from dataclasses import dataclass
import torch
from brushbench.core.metric_info import MetricInfo

class White:
    def __call__(self, batch, seeds):
        return torch.where(batch.masks, 255, batch.images).to(torch.uint8)

@dataclass(frozen=True)
class Brightness:
    level: float = 255.0

    @property
    def info(self):
        return MetricInfo("brightness", "", higher_is_better=True, region="whole", version="1")

    def __call__(self, batch, images):
        return images.double().flatten(1).mean(dim=1) / self.level
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with entry points, as pip would install it."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "whitening.py").write_text(PLUGIN)
    info = tmp_path / "site" / "whitening-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: whitening\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[brushbench.methods]\nwhite = whitening:White\ntelea = whitening:White\nlost = whitening_lost:White\n"
        "[brushbench.metrics]\nbrightness = whitening:Brightness\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    registered.cache_clear()
    yield
    registered.cache_clear()
    sys.modules.pop("whitening", None)


def test_plugins_are_used_by_name(plugin, tmp_path: Path, write_bench) -> None:
    config = brushbench.RunConfig(
        method="white",
        dataset="brushbench",
        root=write_bench(),
        output=tmp_path / "runs",
        metrics=["brightness", "psnr"],
    )
    tidy = brushbench.frame(brushbench.run(config))
    assert set(tidy["metric"]) == {"brightness", "psnr"}
    assert registered("method")["telea"].target == "brushbench.baselines.classical:Telea"
    with pytest.raises(brushbench.UserError, match="method 'lost' can't be imported"):
        brushbench.load_method("lost")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("class Other:\n    pass\n", "unknown class .*'Mine'.*valid: Other"),
        ("import nothing_of_that_name\n", "can't be imported: ModuleNotFoundError"),
        ("def (\n", "can't be imported: SyntaxError"),
        ("1 / 0\n", "can't be imported: ZeroDivisionError"),
        ("class Mine:\n    pass\n", "has no __call__"),
    ],
)
def test_a_method_file_that_is_none(text: str, part: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(brushbench.UserError, match=part):
        brushbench.load_method(f"{tmp_path}/mine.py:Mine")


def test_the_method_file_of_the_readme_works(tmp_path: Path) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    (tmp_path / "grey.py").write_text(readme.split("```python\n")[1].split("```")[0])
    dataset = brushbench.load_dataset("photos")
    batch = Batch.of([dataset[0]])
    images = brushbench.load_method(f"{tmp_path}/grey.py:Grey", level="100")(batch, [0])
    assert torch.equal(images, torch.where(batch.masks, 100, batch.images).to(torch.uint8))


OPTIONED = """
from dataclasses import dataclass, field
from pathlib import Path

@dataclass(frozen=True)
class Mine:
    sizes: tuple[int, ...] = (1, 2)
    folder: Path = Path("here")
    model: object = field(init=False, default=print)

    def __call__(self, batch, seeds):
        return batch.images
"""


def test_options_of_any_type_can_be_stored(tmp_path: Path, write_bench) -> None:
    (tmp_path / "mine.py").write_text(OPTIONED)
    config = brushbench.RunConfig(f"{tmp_path}/mine.py:Mine", "brushbench", write_bench(), output=tmp_path / "runs")
    run = brushbench.run(config)
    assert run.record.identity.method.options == {"sizes": [1, 2], "folder": "here"}
    assert brushbench.run(config).record == run.record


def test_the_file_is_part_of_the_fingerprint(tmp_path: Path, write_bench) -> None:
    file = tmp_path / "mine.py"
    file.write_text("class Mine:\n    def __call__(self, batch, seeds):\n        return batch.images\n")
    config = brushbench.RunConfig(f"{file}:Mine", "brushbench", write_bench(), output=tmp_path / "runs")
    brushbench.run(config)
    file.write_text("class Mine:\n    def __call__(self, batch, seeds):\n        return 255 - batch.images\n")
    with pytest.raises(brushbench.UserError, match="the file of Mine changed since"):
        brushbench.run(config)


def test_an_edit_of_equal_size_within_a_second_is_not_the_old_code(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    for level in (1, 2):
        file.write_text(f"LEVEL = {level}\nclass Mine:\n    def __call__(self, batch, seeds):\n        return LEVEL\n")
        os.utime(file, (1_700_000_000, 1_700_000_000))
        assert brushbench.load_method(f"{file}:Mine")(None, None) == level


def test_samples_and_batches_check_their_shapes() -> None:
    image, mask = torch.zeros(3, 8, 8, dtype=torch.uint8), torch.ones(1, 8, 8, dtype=torch.bool)
    small = Sample("b", image[:, :4], mask[:, :4], "")
    with pytest.raises(brushbench.UserError, match="got 4x8, 8x8"):
        Batch.of([Sample("a", image, mask, ""), small])
    with pytest.raises(brushbench.UserError, match="got no sample"):
        Batch.of([])


def test_samples_of_another_shape_are_user_errors(script) -> None:
    """Run in a separate process, where no earlier check of shapes interferes."""
    code = (
        "import torch, brushbench\n"
        "try: brushbench.Sample('a', torch.zeros(3, 8, 8).byte(), torch.ones(1, 4, 8).bool(), '')\n"
        "except brushbench.UserError as error: print(error)\n"
    )
    assert script(code) == (0, "sample 'a': mask is bool [1, 4, 8], must be bool [1, 8, 8]\n", "")


def test_every_public_name_is_there() -> None:
    assert all(getattr(brushbench, name) is not None for name in brushbench.__all__)
    with pytest.raises(AttributeError):
        brushbench.nothing  # noqa: B018
