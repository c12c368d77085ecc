"""Building a gallery again, in part, or in another form: links, reduced pictures, an archive; and mistakes."""

import signal
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from gallery_data import ROOT, command, pictures, script, scripts
from support import assert_one_line

from brushbench.imaging.images import image_size


@pytest.fixture
def bench(write_bench) -> Path:
    return write_bench(count=3)


@pytest.fixture
def made(bench: Path, brushbench, tmp_path: Path) -> Callable[..., Path]:
    """Make runs of these methods, and return their folder."""

    def make(*methods: str, output: str = "runs", limit: int = 3) -> Path:
        options = ("--dataset", "brushbench", "--root", bench, "--metrics", "psnr,mse", "--limit", limit)
        code, _, err = brushbench("run", "--method", ",".join(methods), *options, "--output", tmp_path / output)
        assert code in (0, 3), err
        return tmp_path / output

    return make


def test_a_second_build_does_only_what_is_new(made, brushbench, tmp_path: Path) -> None:
    runs, target = made("copy"), tmp_path / "gallery"
    assert brushbench("gallery", runs, "-o", target)[0] == 0
    first, page = pictures(target), (target / "index.html").read_bytes()
    assert brushbench("gallery", runs, "-o", target)[0] == 0
    assert pictures(target) == first
    assert (target / "index.html").read_bytes() == page
    made("mean-fill")
    assert brushbench("gallery", runs, "-o", target)[0] == 0
    second = pictures(target)
    assert first.items() < second.items()
    # A thumbnail and a full picture of each new image.
    assert len(second) - len(first) == 2 * 3


def test_a_second_build_reads_no_sample_again(
    made, brushbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, target = made("copy"), tmp_path / "gallery"
    assert brushbench("gallery", runs, "-o", target)[0] == 0

    def no_work(*_arguments: object) -> None:
        raise AssertionError

    monkeypatch.setattr("brushbench.reports.gallery.rows._described", no_work)
    monkeypatch.setattr("brushbench.reports.gallery.pictures.read_image", no_work)
    assert brushbench("gallery", runs, "-o", target)[0] == 0


def test_what_is_of_no_use_any_more_is_removed(made, brushbench, tmp_path: Path) -> None:
    runs, target = made("copy", "mean-fill"), tmp_path / "gallery"
    assert brushbench("gallery", runs, "-o", target)[0] == 0
    assert brushbench("gallery", runs / "brushbench-inside" / "copy", "-o", target)[0] == 0
    assert [found["method"] for found in scripts(target, "run")] == ["copy"]
    other = tmp_path / "other"
    assert brushbench("gallery", runs / "brushbench-inside" / "copy", "-o", other)[0] == 0
    assert pictures(target).keys() == pictures(other).keys()


def test_files_of_the_user_s_own_stay(made, brushbench, tmp_path: Path) -> None:
    runs, target = made("copy"), tmp_path / "gallery"
    assert brushbench("gallery", runs, "-o", target)[0] == 0
    (target / "ids.txt").write_text("000000001\n")
    assert brushbench("gallery", runs, "-o", target)[0] == 0
    assert (target / "ids.txt").read_text() == "000000001\n"


def test_an_archive_of_the_working_folder_is_beside_it(
    made, brushbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = made("copy")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert brushbench("gallery", runs, "-o", ".", "--zip")[0] == 0
    assert (tmp_path / "here.zip").is_file()


def test_a_damaged_picture_is_made_again(made, brushbench, tmp_path: Path) -> None:
    runs, target = made("copy"), tmp_path / "gallery"
    assert brushbench("gallery", runs, "-o", target)[0] == 0
    contents = {name: (target / name).read_bytes() for name in pictures(target)}
    for name in contents:
        (target / name).write_bytes(b"")
    assert brushbench("gallery", runs, "-o", target)[0] == 0
    assert {name: (target / name).read_bytes() for name in pictures(target)} == contents


def test_the_old_page_lives_until_the_new_one_is_there(
    made, brushbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, target = made("copy"), tmp_path / "gallery"
    assert brushbench("gallery", runs, "-o", target)[0] == 0
    before = {file: file.read_bytes() for file in target.rglob("*") if file.is_file()}
    made("mean-fill")

    def killed(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("brushbench.reports.gallery.build.write_page", killed)
    assert brushbench("gallery", runs, "-o", target)[0] == 130
    assert {file: file.read_bytes() for file in before} == before
    monkeypatch.undo()
    assert brushbench("gallery", runs, "-o", target)[0] == 0
    assert "mean-fill" in {found["method"] for found in scripts(target, "run")}


@pytest.mark.slow
def test_a_build_that_was_killed_is_finished_by_the_next_one(made, brushbench, tmp_path: Path) -> None:
    runs, target = made("copy", "telea", "mean-fill"), tmp_path / "gallery"
    building = subprocess.Popen(command("gallery", runs, "-o", target), cwd=ROOT)
    while building.poll() is None and not list(target.glob("thumbs/*/*.webp")):
        pass
    building.send_signal(signal.SIGKILL)
    building.wait()
    assert brushbench("gallery", runs, "-o", target)[0] == 0
    assert brushbench("gallery", runs, "-o", tmp_path / "whole")[0] == 0
    names = [{str(f.relative_to(place)) for f in place.rglob("*")} for place in (target, tmp_path / "whole")]
    assert names[0] == names[1]


def test_linked_pictures_stay_where_they_are(made, brushbench, tmp_path: Path) -> None:
    runs, target = made("copy", output="runs #1 100%"), tmp_path / "gallery"
    assert brushbench("gallery", runs, "-o", target, "--link")[0] == 0
    full = script(target, "run", "copy")["full"]
    assert full["base"] == "../runs%20%231%20100%25/brushbench-inside/copy/images/"
    assert full["names"] == ["000000000.png", "000000001.png", "000000002.png"]
    # The sources alone, which not every data set has as files.
    assert len(list((target / "full").rglob("*.png"))) == 3


def test_full_pictures_are_reduced_to_the_largest_size(made, brushbench, tmp_path: Path) -> None:
    runs, target = made("copy"), tmp_path / "gallery"
    assert brushbench("gallery", runs, "-o", target, "--max-size", 32)[0] == 0
    names = [*script(target, "run", "copy")["full"]["names"]]
    assert {image_size(target / name) for name in names} == {(32, 32)}
    assert {image_size(file) for file in (target / "full").rglob("*.png")} == {(32, 32)}
    # Back to whole ones.
    assert brushbench("gallery", runs, "-o", target)[0] == 0
    assert {image_size(file) for file in (target / "full").rglob("*.png")} == {(64, 64)}


def test_an_archive_has_everything_that_the_page_names(made, brushbench, tmp_path: Path) -> None:
    runs, target = made("copy"), tmp_path / "gallery"
    code, out, _ = brushbench("gallery", runs, "-o", target, "--zip")
    assert (code, out) == (0, f"gallery: {tmp_path / 'gallery.zip'}\n")
    with zipfile.ZipFile(tmp_path / "gallery.zip") as archive:
        assert archive.testzip() is None
        inside = {name: archive.read(name) for name in archive.namelist()}
        assert archive.namelist() == sorted(archive.namelist())
    files = [file for file in target.rglob("*") if file.is_file() and not file.name.startswith(".")]
    assert inside == {f"gallery/{file.relative_to(target).as_posix()}": file.read_bytes() for file in files}
    assert [file.name for file in tmp_path.glob(".*partial")] == []


def test_mistakes_are_one_line(made, brushbench, tmp_path: Path) -> None:
    runs = made("copy")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    assert_one_line(brushbench("gallery", runs, "-o", tmp_path / "full"), "contains other files and no gallery")
    assert_one_line(brushbench("gallery", runs, "-o", runs), "contains other files and no gallery")
    assert_one_line(brushbench("gallery", runs, "-o", tmp_path / "full" / "thesis.tex"), "is a file")
    assert_one_line(brushbench("gallery", tmp_path / "full", "-o", tmp_path / "g"), "no runs found")
    for pair in (("--link", "--zip"), ("--link", "--max-size", 64)):
        assert_one_line(brushbench("gallery", runs, "-o", tmp_path / "g", *pair), "exclude each other")
    assert_one_line(brushbench("gallery", runs, "-o", tmp_path / "g", "--max-size", 1), "valid: 16 or more")
    assert not (tmp_path / "g").exists()


def test_two_builds_at_once_in_one_folder_are_refused(made, brushbench, tmp_path: Path) -> None:
    runs, target = made("copy"), tmp_path / "gallery"
    assert brushbench("gallery", runs, "-o", target)[0] == 0
    with FileLock(target / ".lock"):
        assert_one_line(brushbench("gallery", runs, "-o", target), "another process is building this gallery")


def test_quiet_says_only_where_the_gallery_is(made, brushbench, tmp_path: Path) -> None:
    runs, target = made("copy"), tmp_path / "gallery"
    assert brushbench("gallery", runs, "-o", target, "-q") == (0, f"gallery: {target / 'index.html'}\n", "")
    _, _, err = brushbench("gallery", runs, "-o", target, "--verbose")
    assert err.splitlines()[0] == f"loading PyTorch, to build a gallery of {runs}"[:200]
    assert "gallery: 6/6 images" in err


def test_an_interrupted_build_says_how_far_it_was(
    made, brushbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = made("copy")

    def stopped(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("brushbench.reports.gallery.build.write_run", stopped)
    for quiet in ((), ("-q",)):
        code, out, err = brushbench("gallery", runs, "-o", tmp_path / "gallery", *quiet)
        assert (code, out) == (130, "")
        told = "Interrupted at 3/6 (gallery). Run the same command again to resume."
        assert err.splitlines()[-1] == told


def test_methods_and_metrics_have_the_names_of_the_paper(made, brushbench, tmp_path: Path) -> None:
    runs, target = made("copy", "mean-fill"), tmp_path / "gallery"
    file = tmp_path / "paper.toml"
    file.write_text(
        'table = "paper"\n[rename]\nmean-fill = ["Mean", "latex:\\\\textsc{Mean}"]\nelsewhere = "X"\npsnr = "Fidelity"'
    )
    given = ("--style", file, "--rename", "copy=<b>Source</b>", "--rename", "mean-fill=Average")
    code, _, err = brushbench("gallery", runs, "-o", target, *given)
    assert code == 0, err
    about = scripts(target, "about")[0]
    assert set(about["methods"]) == {"<b>Source</b>", "Average"}
    assert {found["method"] for found in scripts(target, "run")} == {"<b>Source</b>", "Average"}
    assert about["metrics"]["psnr"]["label"] == "Fidelity"
    assert about["metrics"]["psnr"]["heading"] == "Fidelity known dB ↑"
    assert about["metrics"]["mse"]["label"] == "MSE"
    page = (target / "index.html").read_text()
    assert "&lt;b&gt;Source&lt;/b&gt; (reference)" in page
    assert "Fidelity known dB" in page
    assert "<b>Source" not in page
    # The link of a cell names the method as the grid does.
    assert "a=%3Cb%3ESource%3C%2Fb%3E" in page


def test_methods_come_in_the_order_that_is_given(made, brushbench, tmp_path: Path) -> None:
    runs = made("copy", "mean-fill", "telea")
    for order, expected in (
        ("telea,copy", ["telea", "copy", "mean-fill"]),
        ("mean-fill", ["mean-fill", "copy", "telea"]),
        ("name", ["A", "copy", "mean-fill"]),
    ):
        target = tmp_path / order
        renamed = ("--rename", "telea=A") if order == "name" else ()
        code, _, err = brushbench("gallery", runs, "-o", target, "--order", order, *renamed)
        assert code == 0, err
        assert scripts(target, "about")[0]["methods"] == expected


def test_names_that_do_not_occur_or_are_taken_are_mistakes(made, brushbench, tmp_path: Path) -> None:
    runs = made("copy", "mean-fill")
    for given, told in (
        (("--rename", "copi=A"), "did you mean 'copy'?"),
        (("--rename", "copy"), "give NAME=TEXT"),
        (("--rename", "copy=mean-fill"), "two runs are mean-fill on brushbench"),
        (("--order", "psnr"), "unknown method of --order 'psnr'"),
        (("--style", tmp_path / "none.toml"), "none.toml"),
    ):
        assert_one_line(brushbench("gallery", runs, "-o", tmp_path / "gallery", *given), told)
    (tmp_path / "odd.toml").write_text("colour = 1")
    given = ("--style", tmp_path / "odd.toml")
    assert_one_line(brushbench("gallery", runs, "-o", tmp_path / "gallery", *given), "unknown key")
    assert not (tmp_path / "gallery").exists()
