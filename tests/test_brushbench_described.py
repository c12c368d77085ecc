"""`list methods NAME`: every option with meaning, unit, default and the paper's section, read without executing."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support import assert_one_line

from brushbench.core.described.options import NOT_DESCRIBED, describe_options
from brushbench.core.method_options import options_type, supplied
from brushbench.core.options import Parameter, parameters
from brushbench.core.registry import PluginKind, load_class, registered

KINDS: tuple[PluginKind, ...] = ("method", "metric", "dataset")
EVERYTHING = [(kind, name) for kind in KINDS for name in registered(kind)]
PLUG_IN = '''
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Optional

from pydantic import Field

from neighbour import MOST, Base, Mode

open("executed", "w").close()
Share = Annotated[float, Field(gt=0, le=1)]


@dataclass
class Mine(Base):
    """Fills holes.

    Slowly.
    """

    kept: ClassVar[int] = 3
    mode: Mode = "soft"
    """How it fills.
    Unit: none. Paper: Doe et al. 2025, section 3.4."""
    share: "Share" = 0.5  # Part of the hole.
    count: Annotated[int, Field(ge=2, lt=MOST)] = MOST - 1
    folder: Optional[Path] = None
    words: list[str] = field(default_factory=list)
    made: int = field(default=1, init=False)
    given: InitVar[int] = 0
    level: int = 9
    must: str = field(kw_only=True)
    device: str = "cpu"

    def __call__(self, batch, seeds):
        return batch.images


class Plain:
    def __init__(self, size: int, *, soft: bool = True, device=None, **more):
        pass

    def __call__(self, batch, seeds):
        return batch.images


def function(batch, seeds, radius: float = 2.5, *, name="x y"):
    return batch.images
'''
NEIGHBOUR = '''
from dataclasses import dataclass
from typing import Literal

MOST = 100
Mode = Literal["hard", "soft"]


@dataclass
class Base:
    level: int = 4
    """Grey level. Unit: levels."""
'''


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "neighbour.py").write_text(NEIGHBOUR)
    (tmp_path / "mine.py").write_text(PLUG_IN)
    return tmp_path / "mine.py"


def imported(kind: PluginKind, name: str) -> dict[str, Parameter]:
    """The options as a run finds them."""
    cls = load_class(kind, name)
    if kind == "dataset":
        return parameters(name, cls.Options) if hasattr(cls, "Options") else {}
    if kind == "metric":
        return parameters(name, cls)
    given = supplied(cls, lambda: torch.device("cpu"))
    return {key: each for key, each in parameters(name, options_type(cls)).items() if key not in given}


@pytest.mark.parametrize(("kind", "name"), EVERYTHING)
def test_what_is_read_is_what_a_run_finds(kind: PluginKind, name: str) -> None:
    found, real = {option.name: option for option in describe_options(kind, name).options}, imported(kind, name)
    assert list(found) == list(real)
    for key, option in found.items():
        default = real[key].default
        as_given = str(default).lower() if isinstance(default, bool | None) else str(default)
        assert option.default == (as_given or '""'), key


@pytest.mark.parametrize(("kind", "name"), EVERYTHING)
def test_every_option_has_a_meaning_and_every_quantity_a_unit(kind: PluginKind, name: str) -> None:
    for option in describe_options(kind, name).options:
        assert option.meaning != NOT_DESCRIBED, option.name
        assert option.unit or "number" not in option.values.split(), option.name
        assert "Unit:" not in option.meaning
        assert "Paper:" not in option.meaning


def test_all_of_an_option_is_printed(brushbench) -> None:
    code, out, _ = brushbench("list", "methods", "brushnet")
    assert code == 0
    text = " ".join(out.split())
    assert "brushnet: BrushNet, arXiv:2403.06976" in text
    assert (
        "steps Number of denoising steps. Default: 50. With --weights papercut: 12. Values: whole number from 1 to "
        "1000. Unit: steps."
    ) in text
    assert (
        "Default: none. Values: paste, blur or none. Paper: Ju et al., BrushNet, arXiv:2403.06976, on blending with a "
        "blurred mask."
    ) in text


def test_a_family_without_the_method_replaces_no_default(brushbench) -> None:
    assert "papercut" not in brushbench("list", "methods", "diffusers")[1]


def test_several_names_are_described_in_their_order(brushbench) -> None:
    code, out, _ = brushbench("list", "methods", "telea", "copy,hd-painter", "telea")
    assert code == 0
    assert [part.partition(":")[0] for part in out.split("\n\n")] == ["telea", "copy", "hd-painter"]
    assert "It has no options." in out


def test_a_metric_and_a_data_set_say_how_their_options_are_set(brushbench) -> None:
    code, out, _ = brushbench("list", "metrics", "psnr@painted")
    assert code == 0
    assert "Unit: dB. Better: higher. Region: known." in out
    assert "--metric-option psnr.OPTION=VALUE" in out
    code, out, _ = brushbench("list", "datasets", "folder")
    assert code == 0
    assert "Splits: inside, outside." in out
    assert "--data-option OPTION=VALUE" in out


def test_a_file_is_read_but_not_executed(file: Path, brushbench) -> None:
    code, out, _ = brushbench("list", "methods", f"{file}:Mine")
    assert code == 0
    assert "Fills holes." in out
    assert "Slowly" not in out
    assert not (file.parent / "executed").exists()
    # The expected values, as importing the file finds them.
    found = {option.name: option for option in describe_options("method", f"{file}:Mine").options}
    assert list(found) == list(imported("method", f"{file}:Mine"))
    assert dataclasses.astuple(found["mode"]) == (
        "mode", "How it fills.", "hard or soft", "soft", "none", "Doe et al. 2025, section 3.4",
    )  # fmt: skip
    assert (found["share"].meaning, found["share"].values) == ("Part of the hole.", "number above 0 and up to 1")
    assert (found["count"].default, found["count"].values) == ("MOST - 1", "whole number of at least 2 and below 100")
    assert (found["folder"].default, found["folder"].values) == ("none", "path or none")
    assert (found["words"].default, found["must"].default) == ("list()", "none, must be given")
    # The class changes only the default of this field, so the text is that of its base.
    assert (found["level"].default, found["level"].meaning, found["level"].unit) == ("9", "Grey level.", "levels")


def test_an_installed_plug_in_is_read_but_not_imported(tmp_path: Path) -> None:
    """Its class is in another module of its package, as in most packages."""
    package, about = tmp_path / "striped", tmp_path / "striped-1.0.dist-info"
    package.mkdir()
    about.mkdir()
    (package / "__init__.py").write_text("from .inside.methods import Grey as Stripes\n")
    (package / "inside").mkdir()
    (package / "inside" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "inside" / "methods.py").write_text(
        "from dataclasses import dataclass\nfrom ..names import WIDTH\n\n"
        "@dataclass\nclass Grey:\n    width: int = WIDTH\n    'Width of a stripe. Unit: pixels.'\n"
    )
    (package / "names.py").write_text("WIDTH = 7\n")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: striped\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[brushbench.methods]\nstripes = striped:Stripes\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    command = [sys.executable, "-m", "brushbench", "list", "methods", "stripes"]
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    assert " ".join(told.split()).endswith(
        "width Width of a stripe. Default: 7. Values: whole number. Unit: pixels."
    ), told


def test_a_plain_class_and_a_function_have_their_parameters(file: Path) -> None:
    plain, function = (describe_options("method", f"{file}:{name}").options for name in ("Plain", "function"))
    assert [(each.name, each.values, each.default) for each in plain] == [
        ("size", "whole number", "none, must be given"),
        ("soft", "true or false", "true"),
    ]
    assert [(each.name, each.values, each.default) for each in function] == [
        ("radius", "number", "2.5"),
        ("name", "any", "x y"),
    ]


def test_the_examples_are_described(brushbench) -> None:
    examples = Path(__file__).parent.parent / "examples"
    _, out, _ = brushbench("list", "datasets", f"{examples}/my_dataset.py:Boxes")
    assert "Pixels by which boxes are extended on every side." in out
    _, out, _ = brushbench("list", "methods", f"{examples}/my_method.py:NearestFill")
    assert "grain" in out


@pytest.mark.parametrize(
    ("kind", "name", "parts"),
    [
        ("methods", "brushnt", ["unknown method 'brushnt'", "did you mean 'brushnet'?"]),
        ("metrics", "psmr", ["unknown metric 'psmr'", "did you mean 'psnr'?"]),
        ("datasets", "photo", ["unknown dataset 'photo'", "did you mean 'photos'?"]),
        ("methods", "none.py:X", ["file not found: none.py"]),
        ("methods", "mine.py:Min", ["unknown class or function of mine.py 'Min'", "did you mean 'Mine'?"]),
        ("methods", "mine.py", ["valid: mine.py:NAME"]),
        ("methods", "broken.py:X", ["broken.py can't be read as Python", "SyntaxError"]),
        ("weights", "sd15", ["NAME 'sd15' is not valid here", "methods, metrics, datasets"]),
        ("published", "BLT", ["nothing is published for 'BLT'", "valid: BLD, SDI"]),
    ],
)
def test_a_wrong_name_is_one_line(kind: str, name: str, parts: list[str], file: Path, brushbench) -> None:
    (file.parent / "broken.py").write_text("class X(:\n")
    assert_one_line(brushbench("list", kind, name), *parts)


def test_lines_fit_a_narrow_terminal(brushbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    _, out, _ = brushbench("list", "methods", "brushnet")
    assert max(map(len, out.splitlines())) <= 60


@pytest.mark.parametrize("kind", ["methods brushnet hd-painter powerpaint", "metrics lpips", "datasets folder"])
def test_describing_imports_neither_torch_nor_pandas(kind: str) -> None:
    code = (
        "import sys\nfrom brushbench.cli.main import main\n"
        f"try: main({['list', *kind.split()]!r})\nexcept SystemExit as end: assert not end.code\n"
        "loaded = {'torch', 'pandas', 'diffusers', 'transformers', 'pydantic'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=dict(os.environ))
