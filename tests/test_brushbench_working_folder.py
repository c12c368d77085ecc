"""A working folder that holds modules of any name: the suite imports its own, and a method file the user's."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHADOWS = ("metrics.py", "torch.py", "click.py", "baselines/__init__.py", "reports/__init__.py", "pandas.py")
METHOD = """
from metrics import fid


class MyMethod:
    def __call__(self, batch, seeds):
        assert fid() == "the user's own"
        return batch.images
"""
SCRIPT = "from brushbench.__main__ import main\nmain()\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, unpacked as an installation unpacks it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(folder / "site")
    return folder / "site"


@pytest.fixture(params=["checkout", pytest.param("wheel", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest) -> Path:
    """The folder from which the suite is imported."""
    return ROOT if request.param == "checkout" else request.getfixturevalue("installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder whose modules can't be imported."""
    for name in SHADOWS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"raise SystemExit({f'{name} of the working folder was imported'!r})\n")
    return tmp_path


def run(folder: Path, place: Path, *arguments: str, first: str = "", script: Path | None = None) -> str:
    """Return the output of a process that starts in the folder; `first` is before the suite in PYTHONPATH."""
    start = [str(script)] if script else ["-m", "brushbench"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [first, str(place)]))}
    done = subprocess.run(
        [sys.executable, *start, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


RUN = ("run", "--method", "mean-fill", "--dataset", "photos", "--limit", "1", "--metrics", "psnr")


@pytest.mark.parametrize("first", [".", pytest.param("", marks=pytest.mark.slow)])
def test_a_run_is_as_elsewhere(first: str, place: Path, folder: Path) -> None:
    assert "mean-fill" in run(folder, place, "list", "methods", first=first)
    assert "PSNR" in run(folder, place, *RUN, first=first)


def test_the_installed_command_is_as_elsewhere(
    place: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    script = tmp_path_factory.mktemp("bin") / "brushbench"
    script.write_text(SCRIPT)
    assert "mean-fill" in run(folder, place, "list", "methods", first=".", script=script)


def test_a_method_file_imports_the_modules_beside_it(place: Path, tmp_path: Path) -> None:
    (tmp_path / "metrics.py").write_text('def fid():\n    return "the user\'s own"\n')
    (tmp_path / "my.py").write_text(METHOD)
    method = ("run", "--method", "my.py:MyMethod", *RUN[3:])
    assert "MyMethod" in run(tmp_path, place, *method)


def test_in_the_folder_that_a_checkout_lies_in(tmp_path: Path) -> None:
    (tmp_path / "brushbench").symlink_to(ROOT)
    assert "mean-fill" in run(tmp_path, ROOT, "list", "methods")


@pytest.mark.slow
def test_a_source_archive_holds_real_folders(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as opened:
        members = {member.name.partition("/")[2]: member for member in opened.getmembers()}
    for name in ("baselines", "metrics", "reports"):
        assert members[f"brushbench/{name}/py.typed"].isreg()
        assert not [member for member in members if member.startswith(f"{name}/")]
    pages = {f"brushbench/reports/gallery/page/{name}" for name in ("gallery.html", "gallery.css", "js/app.js")}
    assert pages <= members.keys()
    assert {"benchmarks/score.py", "tests/conftest.py", "docs/checkpoints.md"} <= members.keys()


def test_a_wheel_holds_real_folders_and_all_data(installed: Path) -> None:
    for name in ("baselines", "metrics", "reports"):
        assert (installed / "brushbench" / name / "py.typed").is_file()
        assert not (installed / "brushbench" / name).is_symlink()
        assert not (installed / name).exists()
    assert (installed / "brushbench/baselines/weights/sd15.toml").is_file()
    assert list((installed / "brushbench/weights/manifests").glob("*.toml"))
    assert (installed / "brushbench/baselines/papercut/weights").is_dir()
    page = installed / "brushbench/reports/gallery/page"
    assert {file.name for file in page.iterdir()} == {"gallery.html", "gallery.css", "js"}
    assert (page / "js/app.js").is_file()
