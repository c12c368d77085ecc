"""Data sets without a given place are looked for in a fixed order, which `doctor` prints."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support import assert_one_line

import brushbench
from brushbench.core.errors import UserError
from brushbench.datasets.locate import locate

Put = Callable[[str], Path]


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """A file in the working folder, which is empty as every other place is; its folder."""
    for name in ("work", "home"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("BRUSHBENCH_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home" / "data"))

    def write(file: str, content: str = "{}") -> Path:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path.parent

    return write


def test_the_order(put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert locate(None, None) == ("papercut", None)
    platform = put("home/data/brushbench/BrushBench/mapping_file.json").parent
    assert locate(None, None) == locate("brushbench", None) == ("brushbench", platform)
    setting = put("own/mapping_file.json")
    put("work/brushbench.toml", 'data = "../own"')
    assert locate("brushbench", None)[1].resolve() == setting
    variable = put("variable/BrushDench/mapping_file_list.json").parent
    monkeypatch.setenv("BRUSHBENCH_DATA", str(variable))
    assert locate(None, None) == ("brushbench", variable)
    assert locate(None, "given") == ("brushbench", Path("given"))
    monkeypatch.setenv("BRUSHBENCH_DATA", str(put("empty/nothing").parent / "empty"))
    assert locate("brushbench", None)[1].resolve() == setting
    assert locate("papercut", None) == ("papercut", None)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("all/BrushBench/mapping_file.json", "brushbench"),
        ("all/EditBench/mapping_file.json", "editbench"),
        ("all/EditBench/annotations_natural.csv", "editbench"),
        ("all/annotations_generated.csv", "editbench"),
        ("all/mapping_file.json", "brushbench"),
    ],
)
def test_one_folder_for_all(file: str, name: str, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of EditBench and BrushBench in one format are told apart by the names of their folders."""
    folder = put(file)
    for place in {folder, tmp_path / "all"}:
        monkeypatch.setenv("BRUSHBENCH_DATA", str(place))
        for other in ("brushbench", "editbench"):
            assert locate(other, None)[1] == (place if other == name else None)
        assert locate(None, place) == (name, place)


def test_a_folder_for_each(put: Put, tmp_path: Path, write_bench) -> None:
    root = write_bench(count=2)
    put("work/brushbench.toml", f'[data]\nbrushbench = "{root}"\neditbench = "~/edit"\nfolder = "mine"\n')
    assert len(brushbench.load_dataset("brushbench")) == 2
    for name in ("editbench", "folder"):
        with pytest.raises(UserError, match=r"brushbench\.toml names .*, but there is no such folder"):
            brushbench.load_dataset(name)
    (tmp_path / "home" / "edit").mkdir()
    (tmp_path / "work" / "mine").mkdir()
    assert locate("editbench", None) == ("editbench", tmp_path / "home" / "edit")
    assert locate("folder", None)[1].resolve() == tmp_path / "work" / "mine"


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("data = ", ["brushbench.toml: not TOML"]),
        ("x = " + "[" * 10_000, ["brushbench.toml: not TOML"]),
        ("root = 'x'", ["brushbench.toml: unknown key 'root'", "valid: data"]),
        ('data = ""', ["brushbench.toml: '' can't be a folder"]),
        ('data = "\\u0000"', ["brushbench.toml: '\\x00' can't be a folder"]),
        ("data = 7", ["wrong data; valid:"]),
        ("[data]\nbrushbanch = 'x'", ["unknown data set 'brushbanch': did you mean 'brushbench'?"]),
        ("[data]\nphotos = 'x'", ["unknown data set 'photos'", "valid: brushbench"]),
        ("[data]\nbrushbench = 7", ["wrong data.brushbench; valid: a folder"]),
    ],
)
def test_settings_that_are_wrong(content: str, parts: list[str], put: Put, brushbench) -> None:
    put("work/brushbench.toml", content)
    assert_one_line(brushbench("run", "--method", "mean-fill"), *parts)
    code, out, _ = brushbench("doctor")
    assert code == 0
    assert parts[0] in out


def test_nowhere(put: Put, brushbench, tmp_path: Path) -> None:
    for name in ("brushbench", "editbench"):
        result = brushbench("run", "--method", "mean-fill", "--dataset", name)
        home = tmp_path / "home" / "data" / "brushbench"
        assert_one_line(result, f"data set '{name}' needs its folder: --root DIR", str(home))


@pytest.mark.parametrize("more", [(), ("--dataset", "brushbench"), ("--dataset", "editbench")])
def test_a_place_that_is_named_and_missing_is_no_reason_to_use_another(
    more: tuple[str, ...], put: Put, brushbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = "run", "--method", "mean-fill", "--output", tmp_path / "runs", *more
    put("home/data/brushbench/BrushBench/mapping_file.json")
    for missing in ("nowhere", "x" * 300):
        monkeypatch.setenv("BRUSHBENCH_DATA", str(tmp_path / missing))
        assert_one_line(brushbench(*arguments), f"BRUSHBENCH_DATA names '{tmp_path / missing}'", "no such folder")
    monkeypatch.setenv("BRUSHBENCH_DATA", str(put("files/a.txt") / "a.txt"))
    assert_one_line(brushbench(*arguments), "a.txt', but there is no such folder")
    monkeypatch.delenv("BRUSHBENCH_DATA")
    put("work/brushbench.toml", 'data = "gone"')
    assert_one_line(brushbench(*arguments), "brushbench.toml names", "gone', but there is no such folder")
    assert not (tmp_path / "runs").exists()


def test_a_missing_place_of_another_data_set_says_nothing(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRUSHBENCH_DATA", "/nowhere")
    assert locate("papercut", None) == ("papercut", None)
    assert locate(None, "given") == ("brushbench", Path("given"))
    monkeypatch.delenv("BRUSHBENCH_DATA")
    put("work/brushbench.toml", '[data]\neditbench = "/nowhere/edit"')
    assert locate(None, None) == ("papercut", None)


def test_doctor_tells_what_was_used(put: Put, brushbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRUSHBENCH_DATA", str(put("all/mapping_file.json")))
    put("work/brushbench.toml", '[data]\neditbench = "/nowhere/edit"')
    _, out, _ = brushbench("doctor")
    assert f"data: brushbench in {tmp_path / 'all'}" in out
    assert f"data brushbench: {tmp_path / 'all'} (from BRUSHBENCH_DATA)" in out
    assert "data editbench: brushbench.toml names '/nowhere/edit', but there is no such folder" in out
    monkeypatch.delenv("BRUSHBENCH_DATA")
    _, out, _ = brushbench("doctor")
    assert f"data brushbench: not found in {tmp_path / 'home' / 'data' / 'brushbench'} (the platform's data" in out
