"""A difference to a published number is printed for a run that is like the published one, and for no other."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from report_runs import Made, plausible

from brushbench.core.method_options import default_options
from brushbench.datasets.open import stored_dataset_options
from brushbench.reports.formats import render
from brushbench.reports.tables import TableOptions, make_report
from brushbench.runs.folder import Run
from brushbench.runs.record import WEIGHTS

BASE = "stable-diffusion-v1-5/stable-diffusion-v1-5"
BRANCHES = {"inside": "Sanster/brushnet_segmentation_mask", "all": "Sanster/brushnet_random_mask"}
PUBLISHED = Made(
    "brushnet",
    plausible(600, 1),
    protocol="paper",
    options=default_options("brushnet"),
    dtype="float16",
    provenance={f"{WEIGHTS}base": BASE, f"{WEIGHTS}brushnet": BRANCHES["inside"]},
    size="512x512",
    suffix=".jpg",
)
"""Made as the authors made theirs."""
WITH = TableOptions("paper", with_published=True)
Table = Callable[[Made], tuple[str, list[dict[str, object]]]]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """The text and the records of a table of one run."""

    def made(run: Made) -> tuple[str, list[dict[str, object]]]:
        found = make_report([run.write(tmp_path / "run")], WITH)
        return render(found, "text"), json.loads(render(found, "json"))

    return made


def test_a_like_run_has_a_difference_with_its_interval(table: Table) -> None:
    text, records = table(PUBLISHED)
    line = next(line for line in text.splitlines() if line.startswith("measured - published"))
    psnr = next(record for record in records if record["metric"] == "psnr")
    # Published: 21.65; the made-up scores spread by 3 dB around 21.6.
    assert psnr["published"] == 21.65
    assert psnr["published_difference"] == pytest.approx(psnr["mean"] - 21.65)
    assert psnr["published_difference_low"] == pytest.approx(psnr["low"] - 21.65)
    assert psnr["published_difference_high"] == pytest.approx(psnr["high"] - 21.65)
    assert psnr["published_is_within"] is True
    assert psnr["published_unlike"] is None
    assert f"{round(psnr['mean'], 2) - 21.65:+.2f} ± {psnr['high'] - psnr['mean']:.2f} within" in line
    assert "no difference" not in text


def test_a_published_number_outside_the_interval(table: Table) -> None:
    scores = plausible(600, 1) | {"psnr": [value + 1 for value in plausible(600, 1)["psnr"]]}
    text, records = table(replace(PUBLISHED, scores=scores))
    psnr = next(record for record in records if record["metric"] == "psnr")
    assert psnr["published_is_within"] is False
    assert psnr["published_difference_low"] > 0
    assert "not within" in text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"size": "128x128"}, "size 128x128 (published: 512x512)"),
        ({"size": ""}, "size not recorded (published: 512x512)"),
        ({"suffix": ".png"}, "storage PNG (published: JPEG)"),
        ({"suffix": ""}, "storage not recorded (published: JPEG)"),
        ({"scores": plausible(599, 1)}, "samples 599 (published: 600)"),
        ({"scores": plausible(6, 1)}, "samples 6 (published: 600)"),
        ({"seed": 1}, "seed 1 (published: 1234)"),
        ({"dtype": "float32"}, "dtype float32 (published: float16)"),
        (
            {"provenance": {}},
            "components not recorded (published: stable-diffusion-v1-5/stable-diffusion-v1-5, Sanster",
        ),
    ],
)
def test_an_unlike_run_has_none(change: dict[str, object], reason: str, table: Table) -> None:
    text, records = table(replace(PUBLISHED, **change))
    assert f"no difference is printed for brushnet (inside), whose set-up differs: {reason}" in text
    assert f"not compared, differs in {reason.partition(' ')[0]}" in text
    assert "measured - published" not in text
    assert {record["published_difference"] for record in records} == {None}
    assert all(reason in str(record["published_unlike"]) for record in records)
    assert all(record["published"] for record in records)


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("steps", 20, "steps 20 (published: 50)"),
        ("guidance", 5.0, "guidance 5.0 (published: 7.5)"),
        ("negative_prompt", "ugly", "negative_prompt 'ugly' (published: '')"),
        ("sampler", "euler", "sampler 'euler' (published: none)"),
        ("scale", 0.8, "scale 0.8 (published: 1.0)"),
        ("start", 0.3, "start 0.3 (published: 0.0)"),
        ("end", 0.8, "end 0.8 (published: 1.0)"),
        ("lora", "style.safetensors", "lora 'style.safetensors' (published: none)"),
        ("ip_adapter", "h94/IP-Adapter", "ip_adapter 'h94/IP-Adapter' (published: none)"),
        ("ema", True, "ema True (published: False)"),
        ("of_tomorrow", 3, "of_tomorrow 3 (published: no such option)"),
    ],
)
def test_every_option_counts(option: str, value: object, reason: str, table: Table) -> None:
    text, _ = table(replace(PUBLISHED, options={**PUBLISHED.options, option: value}))
    assert f"whose set-up differs: {reason}" in text


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("hd-painter", {"painta": False}),
        ("hd-painter", {"eta": 0.2}),
        ("hd-painter", {"positive_prompt": "nice"}),
        ("blended-latent", {"blending_start": 0.5}),
        ("powerpaint", {"fitting": 0.5}),
        ("powerpaint", {"task": "object-removal"}),
        ("controlnet", {"scale": 0.5}),
    ],
)
def test_the_options_of_the_other_methods_count(method: str, options: dict[str, object], table: Table) -> None:
    text, _ = table(replace(PUBLISHED, method=method, options={**default_options(method), **options}))
    name = next(iter(options))
    assert f"whose set-up differs: {name} " in text
    assert f"not compared, differs in {name}, " in text


@pytest.mark.parametrize(
    ("places", "reason"),
    [
        ({"base": "/models/mine", "brushnet": BRANCHES["inside"]}, f"base /models/mine (published: {BASE})"),
        ({"base": BASE, "brushnet": BRANCHES["all"]}, f"brushnet {BRANCHES['all']} (published: {BRANCHES['inside']})"),
        ({"base": f"{BASE}@abc", "brushnet": BRANCHES["inside"]}, f"base {BASE}@abc (published: {BASE})"),
        ({"base": BASE, "brushnet": BRANCHES["inside"], "unet": "x/y"}, "unet x/y (published: none)"),
    ],
)
def test_every_component_counts(places: dict[str, str], reason: str, table: Table) -> None:
    provenance = {f"{WEIGHTS}{part}": place for part, place in places.items()}
    text, _ = table(replace(PUBLISHED, provenance=provenance))
    assert f"whose set-up differs: {reason}" in text


def test_an_option_that_names_the_official_component_changes_nothing(table: Table) -> None:
    text, _ = table(replace(PUBLISHED, options={**PUBLISHED.options, "brushnet": "brushnet-segmentation-mask"}))
    assert "measured - published" in text


def test_the_revision_that_the_family_names_is_the_published_component(table: Table) -> None:
    pinned = f"{BASE}@451f4fe16113bff5a5d2269ed5ad43b0592e9a14"
    provenance = {f"{WEIGHTS}base": pinned, f"{WEIGHTS}brushnet": BRANCHES["inside"]}
    text, _ = table(replace(PUBLISHED, provenance=provenance))
    assert "measured - published" in text


def test_editbench_is_of_the_random_branch_and_its_full_prompts(table: Table) -> None:
    made = replace(
        PUBLISHED,
        scores=plausible(240, 2),
        dataset="editbench",
        options={**PUBLISHED.options, "blend": "blur"},
        data_options=stored_dataset_options("editbench", {}),
        provenance={f"{WEIGHTS}base": BASE, f"{WEIGHTS}brushnet": BRANCHES["all"]},
    )
    text, _ = table(made)
    assert "measured - published" in text
    assert "no difference" not in text


@pytest.mark.parametrize(("option", "value"), [("prompt", "mask-simple"), ("close_holes", 16), ("size", 256)])
def test_options_of_the_data_count(option: str, value: object, table: Table) -> None:
    made = replace(
        PUBLISHED,
        scores=plausible(240, 2),
        dataset="editbench",
        options={**PUBLISHED.options, "blend": "blur"},
        data_options=stored_dataset_options("editbench", {}) | {option: value},
        provenance={f"{WEIGHTS}base": BASE, f"{WEIGHTS}brushnet": BRANCHES["all"]},
    )
    assert f"whose set-up differs: {option} " in table(made)[0]


def test_one_metric_of_fewer_samples(table: Table) -> None:
    """The others are compared all the same."""
    scores = plausible(600, 1)
    text, records = table(replace(PUBLISHED, scores=scores | {"lpips": [None, *scores["lpips"][1:]]}))
    assert {record["metric"] for record in records if record["published_difference"] is None} == {"lpips"}
    assert (
        "no difference is printed for brushnet (inside: lpips), whose set-up differs: samples 599 (published: 600)"
        in text
    )


def test_the_mean_of_both_splits_needs_both_alike(tmp_path: Path) -> None:
    def runs(folder: str, **change: object) -> list[Run]:
        outside = replace(PUBLISHED, split="outside", scores=plausible(600, 3), **change)
        return [PUBLISHED.write(tmp_path / folder / "in"), outside.write(tmp_path / folder / "out")]

    wanted = TableOptions("ablation", with_published=True)
    text = render(make_report(runs("like"), wanted), "text")
    assert "measured - published" in text
    text = render(make_report(runs("unlike", size="256x256"), wanted), "text")
    assert "not compared, differs in size" in text


@pytest.mark.parametrize(("method", "few"), [("powerpaint", True), ("brushnet", False), ("sd-inpainting", False)])
def test_a_published_row_of_few_images_says_so(method: str, few: bool, table: Table) -> None:
    text, _ = table(replace(PUBLISHED, method=method, options=default_options(method)))
    note = "published PP (inside): the mean PSNR is 6.6 dB above that of the mean MSE"
    assert (note in text) == ("which a few images dominate" in text) == few
