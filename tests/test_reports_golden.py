"""The tables of a stored small set of runs, byte for byte, in every format; and that LaTeX takes them."""

import shutil
import subprocess
from pathlib import Path

import pytest
from report_goldens import HERE, texts

EXPECTED = sorted(file.name for file in (HERE / "tables").iterdir())
pytestmark = pytest.mark.xdist_group("golden tables")
needs_latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return texts()


@pytest.mark.parametrize("name", EXPECTED)
def test_tables_come_out_byte_for_byte(name: str, made: dict[str, str]) -> None:
    assert made[name].encode() == (HERE / "tables" / name).read_bytes()


def test_nothing_is_missing(made: dict[str, str]) -> None:
    assert sorted(made) == EXPECTED


def compiled(source: str, folder: Path) -> str:
    (folder / "main.tex").write_text(source, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


@needs_latex
@pytest.mark.parametrize("name", ["paper.tex", "published.tex", "by_source.tex"])
def test_latex_compiles_as_it_is(name: str, tmp_path: Path) -> None:
    log = compiled((HERE / "tables" / name).read_text(encoding="utf-8"), tmp_path)
    assert "Overfull" not in log


@needs_latex
def test_latex_can_be_input(tmp_path: Path) -> None:
    for name in ("paper.tex", "published.tex"):
        shutil.copyfile(HERE / "tables" / name, tmp_path / name)
    lines = [r"\documentclass[twocolumn]{article}\usepackage{booktabs,graphicx}\begin{document}"]
    compiled("\n".join([*lines, r"\input{paper.tex}", r"\input{published}", r"The end.\end{document}"]), tmp_path)
