"""Names of methods, data sets, tags and samples that are made to break a format, or a terminal."""

import csv
import html.parser
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_runs import Made, plausible

from brushbench.reports.formats import FORMATS, escaping, render
from brushbench.reports.tables import TableOptions, make_report
from brushbench.runs.folder import Run

LATEX = r"a_b%c$d&e#f{g}h^i~j\k \input{/etc/passwd} \write18{id} <|>`'" + '"'
MARKDOWN = "| x | **b** _i_ `c` [l](http://e.vil) ![i](x) <img src=x onerror=alert(1)> # $x$ ~~s~~ @all"
HTML = "<script>alert('x')</script>\"'&amp;"
FORMULA = "=cmd|' /C calc'!A0"
TERMINAL = "\x1b[31mred\x1b[0m\x07\x9b2J\u202eevil\u200b\nnew line\r\ttab"
WORLD = "Ærøskøbing çüéğ ß 中文 😀 ← ∞ ñ"
NAMES = (LATEX, MARKDOWN, HTML, FORMULA, TERMINAL, WORLD, "-1+1", "@SUM(1)", "x" * 2000)

pytestmark = pytest.mark.xdist_group("hostile names")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Every name as a method, a data set's split and tag; and in a remark of a metric."""
    root = tmp_path_factory.mktemp("runs")
    return [
        Made(
            name,
            plausible(4, place),
            dataset=dataset,
            split="inside",
            tags={"tag": [name] * 4},
            notes={"clip": [name] * 4},
        ).write(root / f"{place}-{number}")
        for place, name in enumerate(NAMES)
        for number, dataset in enumerate(("brushbench", name))
    ]


@pytest.fixture(scope="module", params=["paper", "summary"])
def outputs(request: pytest.FixtureRequest, runs: list[Run]) -> dict[str, str]:
    made = make_report(runs, TableOptions(request.param, by="tag"))
    return {name: render(made, name) for name in FORMATS}


def test_no_control_character_reaches_a_terminal(outputs: dict[str, str]) -> None:
    for name, text in outputs.items():
        bad = {character for character in text if not character.isprintable() and character != "\n"}
        assert not bad, (name, bad)


def test_markdown_keeps_its_columns(outputs: dict[str, str]) -> None:
    lines = [line for line in outputs["markdown"].splitlines() if line.startswith("|")]
    pipes = [len(re.findall(r"(?<!\\)\|", line)) for line in lines]
    heads = [place for place, line in enumerate(lines) if line.startswith("| method")]
    for start, end in zip(heads, [*heads[1:], len(lines)], strict=True):
        assert len(set(pipes[start:end])) == 1
    assert r"&lt;img src=x onerror=alert(1)&gt;" in outputs["markdown"]
    assert "<img" not in outputs["markdown"]
    assert "<script" not in outputs["markdown"]
    assert r"\[l\](http\://e.vil)" in outputs["markdown"]


class Elements(html.parser.HTMLParser):
    """Collects the elements that a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_has_no_element_of_a_name(outputs: dict[str, str]) -> None:
    page = Elements()
    page.feed(outputs["html"])
    page.close()
    known = "html head meta title style body section h2 table thead tbody tr th td span ul li"
    assert page.tags <= set(known.split())
    assert page.attributes <= {"lang", "charset", "name", "content", "class", "colspan", "scope"}
    assert "<script>alert('x')</script>" in page.text
    assert not re.search(r"@import|url\(", outputs["html"].split("<style>")[1].split("</style>")[0])


def test_csv_computes_nothing(outputs: dict[str, str]) -> None:
    for row in csv.reader(io.StringIO(outputs["csv"])):
        for cell in row:
            assert not cell.startswith(("=", "@", "+")), cell
            assert not cell.startswith("-") or re.fullmatch(r"-?[\d.]+(e-?\d+)?", cell), cell
    assert "'=cmd" in outputs["csv"]


def test_json_keeps_names_as_they_are(outputs: dict[str, str]) -> None:
    assert outputs["json"].isascii()
    names = {row["method"] for row in json.loads(outputs["json"])}
    assert {LATEX, MARKDOWN, HTML, FORMULA, TERMINAL, WORLD} <= names


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(outputs: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "table.tex").write_text(outputs["latex"], encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-1500:]
    assert "passwd" not in done.stdout


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_no_latex_command_gets_through(text: str) -> None:
    known = set(escaping._LATEX.values())
    rest = escaping.latex(text)
    for replacement in sorted(known, key=len, reverse=True):
        rest = rest.replace(replacement, "")
    assert not set(rest) & set("\\{}$&#%_^~"), rest


@given(st.text(max_size=40))
def test_plain_text_is_one_printable_line(text: str) -> None:
    line = escaping.plain(text)
    assert line.isprintable()
    assert "  " not in line
    assert len(line) <= escaping.LONGEST


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@A1", "\t=1", " =1", "\r\n@x", "＝1"])
def test_formulas(text: str) -> None:
    assert escaping.spreadsheet(text).startswith("'")
    assert escaping.spreadsheet(f"a{text}")[0] == "a"
