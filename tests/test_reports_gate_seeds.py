"""The gate over several seeds, what it plans, and its formats for programs."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from report_runs import Made, with_images
from support import assert_one_line

from brushbench.reports.baseline import Baseline, read_baseline
from brushbench.reports.baseline_making import baseline_of, samples_needed
from brushbench.reports.regression import check_runs, verdict_of
from brushbench.runs.folder import Run

COUNT = 60
SPREAD, SEED_NOISE = 3.0, 0.5
Write = Callable[..., Run]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Runs whose scores are a sample's own difficulty and a seed's noise; `worse` is taken off."""

    def run(seed: int, *, worse: float = 0.0, method: str = "mine", count: int = COUNT, **facts: object) -> Run:
        difficulty = np.random.default_rng(0).normal(30, SPREAD, count)
        noise = np.random.default_rng([1, seed]).normal(0, SEED_NOISE, count)
        psnr = difficulty + noise - worse
        scores = {"psnr": psnr.tolist(), "mse": (10 ** (-psnr / 10)).tolist()}
        made = Made(method, facts.pop("scores", scores), seed=seed, **facts)
        written = made.write(tmp_path / f"{method}-{seed}-{worse}-{len(facts)}")
        return with_images(written)

    return run


def verdict(run: Run, baseline: Baseline) -> str:
    return verdict_of(check_runs([run], baseline)[0])


def test_an_unchanged_method_passes_under_any_seed_and_a_worse_one_does_not(write: Write) -> None:
    baseline = baseline_of([write(seed) for seed in (1, 2, 3)], [], None, {})
    (entry,) = baseline.runs
    assert entry.seeds == [1, 2, 3]
    psnr = entry.metrics["psnr"]
    # Of one more seed, less the mean of three.
    assert psnr.noise == pytest.approx(SEED_NOISE * (1 + 1 / 3) ** 0.5, rel=0.1)
    means = np.mean([np.array(run_scores(write(seed), "psnr")) for seed in (1, 2, 3)], axis=0)
    assert psnr.scores == pytest.approx(means.tolist())
    again = [verdict(write(seed), baseline) for seed in range(10, 40)]
    assert again.count("passed") >= 28
    assert "failed" not in again
    worse = [verdict(write(seed, worse=2 * psnr.margin), baseline) for seed in range(10, 30)]
    assert set(worse) == {"failed"}


def test_several_seeds_are_compared_by_their_means(write: Write, brushbench, tmp_path: Path) -> None:
    baseline = baseline_of([write(seed) for seed in (1, 2, 3)], [], None, {})
    (checked,), _ = check_runs([write(seed) for seed in (4, 5, 6)], baseline)
    psnr = next(finding for finding in checked.findings if finding.metric == "psnr")
    each = {seed: np.array(run_scores(write(seed), "psnr")) for seed in range(1, 7)}
    change = np.mean([each[4], each[5], each[6]], axis=0) - np.mean([each[1], each[2], each[3]], axis=0)
    assert psnr.result.mean == pytest.approx(change.mean())
    assert verdict_of([checked]) == "passed"
    worse = [write(seed, worse=2 * psnr.baseline.margin) for seed in (4, 5, 6)]
    assert verdict_of(check_runs(worse, baseline)[0]) == "failed"
    file = tmp_path / "b.json"
    assert brushbench("check", *(write(seed).path for seed in (1, 2, 3)), "--write", file)[0] == 0
    # The same runs in one go: nothing has changed.
    code, out, err = brushbench("check", *(write(seed).path for seed in (1, 2, 3)), "--against", file)
    assert code == 0, out + err


def test_a_sample_needs_its_score_under_each_seed(write: Write) -> None:
    baseline = baseline_of([write(seed) for seed in (1, 2)], [], None, {})
    short = write(3, count=COUNT - 1)
    (checked,), _ = check_runs([write(4), short], baseline)
    assert list(checked.lost.values()) == ["seed 3: not scored"]
    assert verdict_of([checked]) == "failed"


def test_seeds_are_refused_beside_a_baseline_of_one_seed_or_beside_other_differences(
    write: Write, brushbench, tmp_path: Path
) -> None:
    file = tmp_path / "b.json"
    assert brushbench("check", write(1).path, "--write", file)[0] == 0
    both = brushbench("check", write(1).path, write(2).path, "--against", file)
    assert_one_line(both, "has seed 2, but the baseline has 1")
    mixed = brushbench("check", write(1).path, write(1, options={"radius": 3}).path, "--against", file)
    assert_one_line(mixed, "give one of them, or runs that differ only in their seeds")


def run_scores(run: Run, metric: str) -> list[float]:
    from brushbench.runs.scores import read_scores

    scores = read_scores(run)
    assert scores is not None
    return scores.table[metric].tolist()


def test_one_seed_is_compared_with_itself_alone(write: Write, brushbench, tmp_path: Path) -> None:
    first, other = write(1), write(2)
    assert brushbench("check", first.path, "--write", tmp_path / "b.json")[0] == 0
    refused = brushbench("check", other.path, "--against", tmp_path / "b.json")
    assert_one_line(refused, "has seed 2, but the baseline has 1", "one run for each seed")
    code, out, err = brushbench("check", first.path, other.path, "--write", tmp_path / "b.json")
    assert code == 0, err
    assert "under another seed to pass in 99% of the checks" in out
    assert brushbench("check", write(3).path, "--against", tmp_path / "b.json")[0] == 0


def test_only_seeds_may_differ(write: Write, brushbench, tmp_path: Path) -> None:
    first = write(1)
    for other in (write(2, options={"radius": 3}), write(1, options={})):
        result = brushbench("check", first.path, other.path, "--write", tmp_path / "b.json")
        assert_one_line(result, "two runs are mine on", "differ only in their seeds")
    few = write(2, count=COUNT - 1)
    assert_one_line(
        brushbench("check", first.path, few.path, "--write", tmp_path / "b.json"), "other samples than", "same samples"
    )
    assert not (tmp_path / "b.json").exists()


def test_it_says_how_many_samples_a_margin_needs(write: Write, brushbench, tmp_path: Path) -> None:
    # (1.645 + 2.326)^2 (deviation / margin)^2.
    assert samples_needed(1.0, 0.5) == 64
    assert samples_needed(0.0, 0.0) == 0
    assert samples_needed(1.0, 0.0) is None
    runs = [write(seed).path for seed in (1, 2)]
    code, out, _ = brushbench("check", *runs, "--write", tmp_path / "b.json", "--margin", "psnr=0.1")
    assert code == 0
    noise = json.loads((tmp_path / "b.json").read_text())["runs"][0]["metrics"]["psnr"]["noise"]
    needed = int(np.ceil((3.971 * noise / 0.1) ** 2))
    assert needed > COUNT
    assert f"too few samples for the margin: psnr of mine on brushbench/inside, protocol strict: {needed} needed" in out
    _, out, _ = brushbench("check", *runs, "--write", tmp_path / "b.json")
    assert "too few" not in out


def test_a_file_of_the_first_version_is_read(write: Write, tmp_path: Path, brushbench) -> None:
    run = write(1)
    assert brushbench("check", run.path, "--write", tmp_path / "b.json")[0] == 0
    content = json.loads((tmp_path / "b.json").read_text())
    assert content["schema_version"] == 2
    content["schema_version"] = 1
    del content["runs"][0]["seeds"]
    for metric in content["runs"][0]["metrics"].values():
        del metric["noise"]
    (tmp_path / "b.json").write_text(json.dumps(content))
    assert read_baseline(tmp_path / "b.json").runs[0].seeds == []
    assert brushbench("check", run.path, "--against", tmp_path / "b.json")[0] == 0


def test_json_says_all_of_it(write: Write, tmp_path: Path, brushbench) -> None:
    brushbench("check", write(1).path, "--write", tmp_path / "b.json")
    code, out, err = brushbench("check", write(1, worse=1.0).path, "--against", tmp_path / "b.json", "--format", "json")
    assert code == 1
    assert not err
    found = json.loads(out)
    assert (found["verdict"], found["positive_is"]) == ("failed", "better")
    (run,) = found["runs"]
    assert (run["method"], run["missing"], run["lost"], run["verdict"]) == ("mine", False, {}, "failed")
    metrics = {metric["metric"]: metric for metric in run["metrics"]}
    assert metrics["psnr"]["change"] == pytest.approx(-1.0)
    # A squared error that grew is worse, so its change is negative too; printed times 1000.
    assert metrics["mse"]["change"] == pytest.approx(
        1000 * np.mean(np.array(run_scores(write(1), "mse")) * (1 - 10**0.1))
    )
    assert metrics["mse"]["now"] > metrics["mse"]["baseline"]
    assert all(metric["verdict"] == "worse" and metric["samples"] == COUNT for metric in metrics.values())


@pytest.mark.parametrize(("undecided", "failures", "code"), [("fail", 1, 4), ("pass", 0, 0)])
def test_junit_is_xml_with_a_case_for_each_metric(
    undecided: str, failures: int, code: int, write: Write, tmp_path: Path, brushbench
) -> None:
    run = write(1, method='<a> & "b"')
    brushbench("check", run.path, "--write", tmp_path / "b.json", "--metrics", "psnr")
    content = json.loads((tmp_path / "b.json").read_text())
    psnr = content["runs"][0]["metrics"]["psnr"]
    psnr["scores"] = [score + 5 * (-1) ** place for place, score in enumerate(psnr["scores"])]
    (tmp_path / "b.json").write_text(json.dumps(content))
    arguments = ("--against", tmp_path / "b.json", "--format", "junit", "--undecided", undecided)
    found, out, err = brushbench("check", run.path, *arguments)
    assert (found, err) == (code, "")
    root = ElementTree.fromstring(out.split("\n", 1)[1])
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", "2", str(failures))
    cases = root.findall("testsuite/testcase")
    assert [case.get("name") for case in cases] == ["samples", "psnr"]
    assert cases[1].get("classname") == '<a> & "b" on brushbench/inside, protocol strict'
    assert [failure.get("type") for failure in root.iter("failure")] == ["undecided"] * failures
    assert "change (positive = better): " in "".join(root.itertext())


def test_paper_keeps_its_thousand(write: Write, tmp_path: Path, brushbench) -> None:
    scores = {"psnr": [1000.0] * 30 + [40.0] * 30}
    for protocol, expected in (("strict", "50"), ("paper", "520")):
        run = write(1, scores=scores, protocol=protocol, method=protocol)
        assert brushbench("check", run.path, "--write", tmp_path / "b.json")[0] == 0
        code, out, _ = brushbench("check", run.path, "--against", tmp_path / "b.json")
        assert code == 0
        assert next(line for line in out.splitlines() if line.startswith("psnr")).split()[3] == expected
        assert ("30 samples are at the ceiling of 60 dB" in out) == (protocol == "strict")
