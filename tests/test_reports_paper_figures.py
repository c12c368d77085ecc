"""Figures of a paper: their width and the size of their text, what they show, names, outliers and labels."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from report_runs import Made
from support import assert_one_line

from brushbench.reports.axis_range import axis_of
from brushbench.reports.figure_style import FigureStyle
from brushbench.reports.label_places import Box, places_of

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<b> & \"x\" 'y' $a$ ]]> 東"
SMALL = ("--splits", "inside")
"""For tests to which the other splits would add nothing but panels."""
CLIP = [25.0, 26.0, 27.0, 24.0, 26.0, 25.5, 26.5, 24.5]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three methods on three splits, one of whose samples is far from all others."""
    folder, generator = tmp_path_factory.mktemp("figures") / "runs", np.random.default_rng(0)
    for seed, method in enumerate(("brushnet", "powerpaint", "mine")):
        for split in ("brush", "outside", "inside"):
            scores = {
                "psnr": list(generator.normal(22 + seed, 1, 8)),
                "mse": list(generator.lognormal(-5, 0.3, 8)),
                "lpips": list(generator.lognormal(-3, 0.3, 8)),
                "clip": [value + seed for value in CLIP],
            }
            Made(method, scores, split=split).write(folder / f"{method}-{split}")
    return folder


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are written."""
    found: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, *arguments: object, **more: object) -> None:
        found.append(self)
        save(self, *arguments, **more)

    monkeypatch.setattr(Figure, "savefig", keep)
    return found


@pytest.fixture
def draw(runs: Path, brushbench, tmp_path: Path):
    """Write a figure of the runs and return its file."""

    def call(*more: object, suffix: str = ".svg", kind: str = "distributions") -> Path:
        file = tmp_path / f"figure{suffix}"
        code, _, err = brushbench("report", runs, "--figure", file, "--kind", kind, *more)
        assert code == 0, err
        return file

    return call


def texts(file: Path) -> list[str]:
    """All texts of an SVG, which are elements of it rather than outlines of letters."""
    return ["".join(element.itertext()) for element in ElementTree.parse(file).iter(f"{SVG}text")]


def width_of(file: Path) -> float:
    """Width of an SVG in its points."""
    return float(str(ElementTree.parse(file).getroot().get("width")).removesuffix("pt"))


def sizes(file: Path) -> set[float]:
    """Sizes in points of the texts of an SVG."""
    styles = [element.get("style", "") for element in ElementTree.parse(file).iter(f"{SVG}text")]
    return {float(found[1]) for style in styles if (found := re.search(r"font(?:-size)?:(?: \d+)? ?([\d.]+)px", style))}


@pytest.mark.parametrize("kind", ["distributions", "trade-off"])
@pytest.mark.parametrize(
    ("width", "points"), [("column", 252.0), ("text", 516.0), ("237.13pt", 237.13), ("3.25in", 3.25 * 72.27)]
)
def test_a_figure_has_the_width_of_the_page_and_text_of_eight_points(
    kind: str, width: str, points: float, draw
) -> None:
    file = draw("--width", width, kind=kind)
    # TeX's points are smaller than those of SVG and PDF.
    assert width_of(file) == pytest.approx(points * 72 / 72.27, abs=1e-4)
    assert sizes(file) == {8.0}
    pdf = draw("--width", width, kind=kind, suffix=".pdf").read_bytes()
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ", pdf)
    assert box
    assert float(box[1]) == pytest.approx(points * 72 / 72.27, abs=1e-4)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize(("width", "points"), [("column", 252), ("text", 516), ("237.13pt", 237.13)])
def test_latex_finds_a_figure_as_wide_as_its_column(width: str, points: float, draw, tmp_path: Path) -> None:
    file = draw("--width", width, *SMALL, suffix=".pdf")
    (tmp_path / "main.tex").write_text(
        r"\documentclass{article}\usepackage{graphicx}\begin{document}"
        rf"\sbox0{{\includegraphics{{{file.name}}}}}\typeout{{WIDTH \the\wd0}}\end{{document}}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    found = re.search(r"WIDTH ([\d.]+)pt", done.stdout)
    assert found
    assert float(found[1]) == pytest.approx(points, abs=0.002)


def test_a_length_is_one_column_or_goes_across_both(draw, drawn: list[Figure], runs: Path, brushbench) -> None:
    for width, across, form in (("237.13pt", 1, "table"), ("8.4cm", 1, "table"), ("122mm", 3, "table*")):
        draw("--width", width, kind="trade-off")
        lefts = {round(axis.get_position().x0, 3) for axis in drawn[-1].axes}
        assert len(lefts) == across
        assert rf"\begin{{{form}}}" in brushbench("report", runs, "--format", "latex", "--width", width)[1]


@pytest.mark.parametrize("kind", ["distributions", "trade-off"])
@pytest.mark.parametrize("width", ["144pt", "1440pt"])
def test_the_narrowest_and_the_widest_figure_can_be_drawn(kind: str, width: str, draw) -> None:
    assert width_of(draw("--width", width, *SMALL, kind=kind)) == pytest.approx(
        float(width[:-2]) * 72 / 72.27, abs=1e-3
    )


def inside(figure: Figure) -> Iterator[tuple[str, bool]]:
    """Every text of a figure, and whether all of it is on the page."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    page = figure.get_window_extent(renderer)
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in figure.texts]
    boxes += [(axes.get_xlabel(), axes.get_tightbbox(renderer)) for axes in figure.axes]
    for text, box in boxes:
        across = page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1
        yield text, across and page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1


@pytest.mark.parametrize("kind", ["distributions", "trade-off"])
@pytest.mark.parametrize("width", ["column", "text"])
@pytest.mark.parametrize("font", ["sans", "serif"])
def test_nothing_is_cut_off(kind: str, width: str, font: str, draw, drawn: list[Figure]) -> None:
    name = "A method with a really long name, longer than all"
    draw("--width", width, "--font", font, "--rename", f"mine={name}", kind=kind)
    with matplotlib.rc_context(FigureStyle(width, font).settings()):
        found = list(inside(drawn[0]))
    assert found
    assert not [text for text, is_inside in found if not is_inside]


@pytest.mark.parametrize("kind", ["distributions", "trade-off"])
def test_text_is_text(kind: str, draw) -> None:
    assert {"brushnet", "mine"} <= {text.strip() for text in texts(draw(*SMALL, kind=kind))}
    # Fonts of type 42 are whole letters, which can be searched and edited.
    pdf = draw(*SMALL, kind=kind, suffix=".pdf").read_bytes()
    assert b"/FontFile2" in pdf or b"/Type0" in pdf
    assert b"/Type3" not in pdf


def test_serif_is_a_font_like_times(draw) -> None:
    for asked in (("--font", "serif"), ("--style", "serif")):
        assert "STIXGeneral" in draw(*SMALL, *asked).read_text()
    assert "DejaVu Sans" in draw(*SMALL).read_text()
    assert "STIXGeneral" not in draw(*SMALL, "--style", "serif", "--font", "sans").read_text()


def test_metrics_and_splits_are_the_chosen_ones_in_their_order(draw, drawn: list[Figure]) -> None:
    draw("--metrics", "lpips,psnr", "--splits", "outside,inside")
    labels = [axes.get_xlabel() for axes in drawn[-1].axes]
    assert labels == ["LPIPS ×10³ ↓\nknown region", "PSNR (dB) ↑\nknown region"] * 2
    titles = [text.get_text() for text in drawn[-1].texts]
    assert [title.split(",")[1] for title in titles] == [" split outside", " split inside"]
    draw()
    # As in the tables.
    assert [text.get_text().split(",")[1] for text in drawn[-1].texts] == [
        " split inside",
        " split outside",
        " split brush",
    ]
    draw("--columns", "inside/clip,mse", "--splits", "inside")
    assert [axes.get_xlabel().split()[0] for axes in drawn[-1].axes] == ["CLIP", "MSE"]
    draw("--metrics", "mse,clip", kind="trade-off")
    assert drawn[-1].axes[0].get_xlabel() == "MSE ×10³ ↓, known region"


def test_methods_are_those_of_the_table_under_its_names(draw, drawn: list[Figure]) -> None:
    given = (
        "--rows",
        "mine,brushnet",
        "--rename",
        "brushnet=BrushNet",
        "--rename",
        "psnr=Fidelity",
        "--splits",
        "inside",
    )
    draw(*given, "--rename", "inside=Objects")
    axes = drawn[-1].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["mine", "BrushNet"]
    assert axes.get_xlabel() == "Fidelity (dB) ↑\nknown region"
    assert drawn[-1].texts[0].get_text() == "brushbench, split Objects, protocol strict, 8 samples"
    names = {text.strip() for text in texts(draw(*given, kind="trade-off"))}
    assert {"BrushNet", "mine"} <= names
    assert "powerpaint" not in names


@pytest.mark.parametrize("kind", ["distributions", "trade-off"])
def test_without_titles_only_what_tells_the_panels_apart_is_left(kind: str, draw) -> None:
    def told(*more: str) -> str:
        return "\n".join(texts(draw("--no-title", *more, kind=kind)))

    one = told("--splits", "inside")
    assert "brushbench" not in one
    assert "inside" not in one
    several = told()
    assert "brushbench" not in several
    assert "outside" in several


@pytest.mark.parametrize("kind", ["distributions", "trade-off"])
def test_hostile_names_are_text(kind: str, draw) -> None:
    file = draw("--rename", f"mine={HOSTILE}", "--width", "text", kind=kind)
    assert "<b> & \"x\" 'y' $a$ ]]> □" in [text.strip() for text in texts(file)]


def test_one_outlier_does_not_flatten_the_rest(tmp_path: Path, brushbench, drawn: list[Figure]) -> None:
    generator = np.random.default_rng(1)
    for method in ("a", "b"):
        mse, clip, ssim = generator.lognormal(-5, 0.3, 40), generator.normal(26, 1, 40), generator.normal(0.9, 0.01, 40)
        psnr = generator.normal(24, 1, 40)
        if method == "b":
            mse[0], clip[0], psnr[:2] = 0.9, -40, -20
        scores = {"mse": list(mse), "clip": list(clip), "ssim": list(ssim), "psnr": list(psnr)}
        Made(method, scores).write(tmp_path / "runs" / method)
    assert brushbench("report", tmp_path / "runs", "--figure", tmp_path / "f.svg")[0] == 0
    axes = {axis.get_xlabel().split()[0]: axis for axis in drawn[0].axes}
    assert axes["MSE"].get_xscale() == "log"
    assert "(log)" in axes["MSE"].get_xlabel()
    for name, low, text in (("CLIP", 20, "◂ 1 to -40"), ("PSNR", 15, "◂ 2 to -20")):
        assert axes[name].get_xscale() == "linear"
        assert axes[name].get_xlim()[0] > low
        assert text in [one.get_text() for one in axes[name].texts]
    assert axes["SSIM"].get_xscale() == "linear"
    assert not axes["SSIM"].texts


@pytest.mark.parametrize(
    ("values", "may_be_log", "kind"),
    [
        (([1, 2, 3], [2, 3, 4]), True, "linear"),
        (([1, 2, 3], [1, 2, 300]), True, "log"),
        (([1, 2, 3], [1, 2, 300]), False, "clipped"),
        (([1, 2, 3], [1, 2, -300]), True, "clipped"),
        (([1, 2, 3], [1, 2, 3], [1000, 1001, 1002]), False, "clipped"),
        # Of two methods far apart, neither is an outlier.
        (([1, 2, 3], [1000, 1001, 1002]), False, "linear"),
        (([5, 5, 5], [5, 5, 5]), True, "linear"),
        (([5, 5, 5],), True, "linear"),
    ],
)
def test_axes(values: tuple[list[float], ...], may_be_log: bool, kind: str) -> None:
    # As if the last value were beyond the whiskers.
    ends = [(float(min(one[:2])), float(max(one[:2]))) for one in values]
    found = axis_of(ends, [float(value) for one in values for value in one], may_be_log=may_be_log)
    assert found.kind == kind
    if kind == "clipped":
        assert 0 < found.low < 1
        assert 2 < found.high < 10


def test_labels_cover_neither_points_nor_each_other() -> None:
    generator = np.random.default_rng(2)
    panel = Box(0, 0, 300, 300)
    points = [(float(x), float(y)) for x, y in generator.uniform(40, 260, (8, 2))]
    sizes = [(50.0, 10.0)] * 8
    found = places_of(points, sizes, panel)
    assert None not in found
    boxes = [
        Box(x + a, y + b, x + a + 50, y + b + 10) for (x, y), (a, b) in zip(points, filter(None, found), strict=True)
    ]
    for place, box in enumerate(boxes):
        assert box.is_in(panel)
        assert not any(box.meets(other) for other in boxes[:place])
        assert not any(box.left < x < box.right and box.bottom < y < box.top for x, y in points)
    assert None in places_of([(5.0, 5.0)] * 30, [(50.0, 10.0)] * 30, Box(0, 0, 60, 60))


def test_points_are_named_beside_them_and_a_legend_is_only_for_too_many(
    draw, drawn: list[Figure], tmp_path: Path, brushbench
) -> None:
    draw("--splits", "inside", kind="trade-off")
    assert not drawn[-1].legends
    assert {text.get_text() for text in drawn[-1].axes[0].texts} == {"brushnet", "powerpaint", "mine"}
    for number in range(30):
        scores = {"psnr": [20.0 + number / 1000] * 6, "clip": CLIP[:6]}
        Made(f"method-{number}", scores).write(tmp_path / "many" / str(number))
    assert brushbench("report", tmp_path / "many", "--kind", "trade-off", "--figure", tmp_path / "m.svg")[0] == 0
    assert len(drawn[-1].legends[0].get_texts()) == 30


def test_the_note_says_only_what_is_there(draw, tmp_path: Path, brushbench, drawn: list[Figure]) -> None:
    told = " ".join(texts(draw(kind="trade-off")))
    assert "bars: 95 % intervals" in told
    assert "open markers" not in told
    assert "95 %" not in " ".join(texts(draw("--notes", "none", kind="trade-off")))
    for method, psnr in (("few", [30.0] * 4), ("capped", [np.inf, 30.0, 31.0, 32.0])):
        Made(method, {"psnr": psnr, "clip": CLIP[:4]}).write(tmp_path / "few" / method)
    assert brushbench("report", tmp_path / "few", "--kind", "trade-off", "--figure", tmp_path / "f.svg")[0] == 0
    told = " ".join(text.get_text() for text in drawn[-1].texts)
    assert "open markers" in told
    assert "bars" not in told


def test_a_method_far_off_stands_at_the_edge_with_its_value(tmp_path: Path, brushbench, drawn: list[Figure]) -> None:
    for place, method in enumerate(("a", "b", "c", "d")):
        psnr = [20.0 + place + value / 10 for value in range(6)]
        clip = [value - (400 if method == "d" else 0) for value in CLIP[:6]]
        Made(method, {"psnr": psnr, "clip": clip}).write(tmp_path / "runs" / method)
    assert brushbench("report", tmp_path / "runs", "--kind", "trade-off", "--figure", tmp_path / "f.svg")[0] == 0
    axes = drawn[0].axes[0]
    assert axes.get_ylim()[0] > 0
    assert "d (y -374.4)" in {text.get_text() for text in axes.texts}
    assert "the value of a point beyond its axis" in " ".join(drawn[0].texts[-1].get_text().split())


def test_the_style_file_has_the_options_of_figures_too(draw, tmp_path: Path, drawn: list[Figure]) -> None:
    (tmp_path / "paper.toml").write_text(
        'width = "column"\nmetrics = ["psnr"]\nsplits = "inside"\nfont = "serif"\nno-title = true'
    )
    file = draw("--style", tmp_path / "paper.toml")
    assert "STIXGeneral" in file.read_text()
    assert len(drawn[-1].axes) == 1
    assert drawn[-1].get_figwidth() * 72.27 == pytest.approx(252)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--metrics", "pnsr"), ["unknown metric 'pnsr': did you mean 'psnr'?"]),
        (("--splits", "insid"), ["unknown split 'insid': did you mean 'inside'?"]),
        (("--kind", "trade-off", "--metrics", "psnr"), ["a trade-off has two metrics", "--metrics has 1"]),
        (("--font", "gothic"), ["'gothic' is not one of 'sans', 'serif'"]),
        *(
            (("--width", width), [f"width '{width}'; valid: column, text, or a length from 144pt to 1440pt such as"])
            for width in ("9", "9 km", "colum", "-9cm", "1in", "900cm", "٩cm", "1e2pt")
        ),
    ],
)
def test_mistakes_are_one_line(
    arguments: tuple[str, ...], parts: list[str], runs: Path, brushbench, tmp_path: Path
) -> None:
    assert_one_line(brushbench("report", runs, "--figure", tmp_path / "f.svg", *arguments), *parts)
    assert not (tmp_path / "f.svg").exists()


def test_a_sweep_has_the_same_options(tmp_path: Path, brushbench) -> None:
    file = tmp_path / "f.svg"
    given = ("--method", "telea", "--vary", "radius=3,9", "--dataset", "papercut", "--limit", 2)
    code, _, err = brushbench(
        *("sweep", *given, "--metrics", "psnr,papercut-clip", "--output", tmp_path / "runs", "--figure", file),
        *("--width", "column", "--font", "serif", "--no-title"),
    )
    assert code == 0, err
    assert width_of(file) == pytest.approx(252 * 72 / 72.27, abs=1e-4)
    assert sizes(file) == {8.0}
    found = {text.strip() for text in texts(file)}
    assert {"3.0", "9.0", "telea by radius", "papercut-clip ↑, whole image"} <= found
    assert "papercut, split inside" not in found
