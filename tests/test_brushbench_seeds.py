"""Several seeds for each sample: `--seeds 1,2,3` and `--samples K`."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from seeded import NOISE
from support import assert_one_line

from brushbench import UserError
from brushbench.evaluation.seeds import Seeds, parse_seeds, samples
from brushbench.runs.folder import Run

SAMPLES = 2
PLACES = {seed: f"seed={seed}/brushbench-inside/Noise" for seed in (1, 2, 3)}
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def place(tmp_path: Path, write_bench, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data and a method that logs what it generates; the working folder."""
    write_bench(count=SAMPLES)
    (tmp_path / "noise.py").write_text(NOISE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def make(brushbench, place: Path) -> Call:
    """Run the method of `noise.py`, or the named one."""

    def call(*more: object, command: str = "run", method: str = "noise.py:Noise") -> tuple[int, str, str]:
        usual = ("--dataset", "brushbench", "--root", "bench", "--batch-size", 1)
        metrics = ("--metrics", "psnr@painted,mse@painted") if command != "generate" else ()
        return brushbench(command, "--method", method, *usual, *metrics, *more)

    return call


def calls(place: Path) -> list[str]:
    """What the method logged since the last call of this."""
    log = place / "calls.txt"
    found = log.read_text().split("\n")[:-1] if log.exists() else []
    log.unlink(missing_ok=True)
    return found


def drawn(place: Path) -> list[str]:
    """The ids and seeds of the images that were generated since the last call of this, or of `calls`."""
    return [line for line in calls(place) if line != "load"]


def content(folder: Path) -> dict[str, bytes]:
    """The images, scores and fingerprint of a run folder."""
    files = [*(folder / "images").iterdir(), folder / "scores.parquet"]
    found = {file.name: file.read_bytes() for file in files if file.exists()}
    return found | {"fingerprint": json.loads((folder / "run.json").read_text())["fingerprint"].encode()}


def test_each_seed_is_the_run_that_it_is_alone(make: Call, place: Path) -> None:
    code, out, err = make("--seeds", "1,2,3")
    assert code == 0, err
    # The method is loaded once for all seeds.
    assert [line for line in calls(place) if line == "load"] == ["load"]
    assert "images and scores: runs/seed=*/brushbench-inside/Noise (seeds 1, 2, 3)" in out
    assert "run 2 of 3: generating Noise, brushbench/inside, seed 2: 2/2 images" in err
    for seed, folder in PLACES.items():
        assert make("--seed", seed, "--output", f"alone/{seed}")[0] == 0
        alone = content(place / "alone" / str(seed) / "brushbench-inside" / "Noise")
        assert content(place / "runs" / folder) == alone
        assert len(alone) == SAMPLES + 2


def test_the_table_has_one_row_with_the_mean_over_seeds(make: Call, brushbench, place: Path) -> None:
    code, out, _ = make("--seeds", "1,2")
    assert code == 0
    assert "mean over 2 seeds (1, 2)" in " ".join(out.split())
    rows = [line for line in out.splitlines() if line.startswith("Noise")]
    assert len(rows) == 1
    numbers = json.loads(brushbench("report", "runs", "--seeds", "mean", "--format", "json")[1])
    mean = next(row["mean"] for row in numbers if row["metric"] == "mse@painted")
    tables = [pd.read_parquet(f"runs/{PLACES[seed]}/scores.parquet") for seed in (1, 2)]
    each = [value for table in tables for value in table["mse@painted"]]
    assert mean == pytest.approx(sum(each) / 4)
    assert f"{mean * 1000:.2f}" in rows[0]


def test_a_seed_that_exists_is_not_generated_again(make: Call, place: Path) -> None:
    assert make("--seed", 2)[0] == 0
    assert make("--seeds", "1,2", command="generate")[0] == 0
    assert len(drawn(place)) == 2 * SAMPLES
    # The seed of the run in OUTPUT stays there.
    assert not (place / "runs" / "seed=2").exists()
    before = content(place / "runs" / "brushbench-inside" / "Noise")
    assert make("--seeds", "3,2,1")[0] == 0
    assert len(drawn(place)) == SAMPLES
    assert content(place / "runs" / "brushbench-inside" / "Noise") == before


def test_more_samples_keep_those_that_exist(make: Call, place: Path) -> None:
    assert make()[0] == 0
    code, out, err = make("--samples", 2)
    assert code == 0, err
    assert "seed=1235" in out
    assert len(drawn(place)) == 2 * SAMPLES
    code, out, _ = make("--samples", 4)
    assert code == 0
    assert len(drawn(place)) == 2 * SAMPLES
    assert "mean over 4 seeds (1234, 1235, 1236, 1237)" in " ".join(out.split())
    runs = [place / "runs" / "brushbench-inside" / "Noise", *(place / "runs").glob("seed=*/*/Noise")]
    assert sorted(Run.open(run).record.identity.seed for run in runs) == [1234, 1235, 1236, 1237]


@pytest.mark.slow
def test_the_first_of_new_samples_is_the_run_without_them(make: Call, place: Path) -> None:
    assert make("--samples", 2, "--seed", 7)[0] == 0
    calls(place)
    assert Run.open("runs/brushbench-inside/Noise").record.identity.seed == 7
    assert make("--seed", 7)[0] == 0
    assert not drawn(place)


@pytest.mark.slow
def test_samples_beside_a_run_under_another_seed(make: Call, place: Path) -> None:
    assert make("--seed", 5)[0] == 0
    assert make("--samples", 2)[0] == 0
    seeds = {run.parent.parent.name for run in (place / "runs").glob("*/*/Noise")}
    assert seeds == {"seed=1234", "seed=1235"}
    assert Run.open("runs/brushbench-inside/Noise").record.identity.seed == 5


def test_an_interrupted_seed_is_resumed(make: Call, place: Path) -> None:
    assert make("--seeds", "1,2,3", "--output", "whole")[0] == 0
    (place / "stop").write_text(drawn(place)[3].split()[1])
    assert make("--seeds", "1,2,3")[0] == 130
    assert make("--seeds", "1,2,3")[0] == 0
    for folder in PLACES.values():
        assert content(place / "runs" / folder) == content(place / "whole" / folder)


@pytest.mark.slow
def test_shards_divide_every_seed(make: Call, place: Path) -> None:
    assert make("--seeds", "1,2,3", "--output", "whole", command="generate")[0] == 0
    for index in (1, 2):
        shard = ("--seeds", "1,2,3", "--shard", f"{index}/2", "--batch-size", 1, "--allow-partial")
        assert make(*shard, "--output", "parts", command="generate")[0] == 0
    for folder in PLACES.values():
        parts, whole = (place / name / folder / "images" for name in ("parts", "whole"))
        assert {file.name: file.read_bytes() for file in parts.iterdir()} == {
            file.name: file.read_bytes() for file in whole.iterdir()
        }


def test_a_method_that_ignores_seeds_runs_once(make: Call, place: Path) -> None:
    code, out, err = make("--seeds", "1,2", method="noise.py:Noise,mean-fill")
    assert code == 0, err
    assert "one run instead of 2, as no seed changes it: mean-fill" in err
    assert "1 seed (1234) for mean-fill" in " ".join(out.split())
    runs = sorted(str(file.parent.relative_to(place / "runs")) for file in place.rglob("run.json"))
    assert runs == ["brushbench-inside/mean-fill", PLACES[1], PLACES[2]]


def test_a_plug_in_may_say_that_it_ignores_seeds(make: Call, place: Path) -> None:
    (place / "noise.py").write_text(NOISE.replace("class Noise:", "class Noise:\n    ignores_seed = True"))
    assert make("--samples", 3)[0] == 0
    assert [str(file.parent.relative_to(place / "runs")) for file in place.rglob("run.json")] == [
        "brushbench-inside/Noise"
    ]


@pytest.mark.slow
def test_fresh_starts_every_seed_over(make: Call, place: Path) -> None:
    assert make("--seeds", "1,2", command="generate")[0] == 0
    calls(place)
    assert make("--seeds", "1,2", "--fresh", command="generate")[0] == 0
    assert len(drawn(place)) == 2 * SAMPLES
    assert {run.parent.name for run in place.rglob("Noise") if run.is_dir()} == {"brushbench-inside"}
    assert len(list(place.glob("runs/seed=*/.aside/*/*"))) == 2


def test_other_options_are_refused_as_without_seeds(make: Call, place: Path) -> None:
    assert make("--seeds", "1,2", command="generate")[0] == 0
    (place / "noise.py").write_text(NOISE.replace("(0, 256", "(0, 255"))
    code, _, err = make("--seeds", "1,2", command="generate")
    assert code == 2
    assert f"runs/{PLACES[1]} already contains another run: the file of Noise changed" in err


def test_protocol_paper_has_one_seed_for_all_images_under_each_seed(make: Call, place: Path) -> None:
    assert make("--seeds", "1,2", "--protocol", "paper", command="generate")[0] == 0
    assert [line.split()[1] for line in drawn(place)] == ["1", "1", "2", "2"]


@pytest.mark.slow
def test_one_seed_lost_is_made_again(make: Call, place: Path) -> None:
    assert make("--seeds", "1,2,3")[0] == 0
    before = content(place / "runs" / PLACES[2])
    shutil.rmtree(place / "runs" / "seed=2")
    calls(place)
    assert make("--seeds", "1,2,3")[0] == 0
    assert len(drawn(place)) == SAMPLES
    assert content(place / "runs" / PLACES[2]) == before


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--seeds", ""), "--seeds ''; valid: whole numbers from 0"),
        (("--seeds", "1,2,1"), "seed 1 occurs twice"),
        (("--seeds", "1,,2"), "--seeds '1,,2'; valid"),
        (("--seeds", "-1"), "--seeds '-1'; valid"),
        (("--seeds", "1.5"), "--seeds '1.5'; valid"),
        (("--seeds", "one"), "--seeds 'one'; valid"),
        (("--seeds", "٣"), "valid: whole numbers"),
        (("--seeds", str(2**63)), "valid: whole numbers"),
        (("--seeds", "1,2", "--seed", "3"), "--seeds and --seed are both given"),
        (("--seeds", "1,2", "--samples", "3"), "--seeds and --samples are both given"),
        (("--samples", "0"), "--samples 0; valid: 1 to 1000"),
        (("--samples", "-2"), "--samples -2; valid: 1 to 1000"),
        (("--samples", "1001"), "--samples 1001; valid: 1 to 1000"),
        (("--samples", "3", "--seed", str(2**63 - 2)), "--samples 3; valid: 1 to 2"),
    ],
)
def test_wrong_seeds_are_one_line_and_leave_nothing(
    make: Call, place: Path, options: tuple[str, ...], told: str
) -> None:
    assert_one_line(make(*options), told)
    assert not (place / "runs").exists()


def test_seeds_are_parsed() -> None:
    assert parse_seeds(" 3, 1 ,0") == Seeds((3, 1, 0))
    assert samples(3, 1234) == Seeds((1234, 1235, 1236), first_at_home=True)
    with pytest.raises(UserError, match=r"1001 seeds; valid: up to 1000"):
        parse_seeds(",".join(map(str, range(1001))))


@pytest.mark.slow
def test_a_sweep_has_every_seed_of_every_value_and_a_curve_of_means(brushbench, place: Path) -> None:
    (place / "noise.py").write_text(
        NOISE.replace(
            "def __init__(self):", "def __init__(self, share: float = 1.0):\n        self.share = share"
        ).replace("torch.stack(made)", "(torch.stack(made) * self.share).to(torch.uint8)")
    )
    data = ("--dataset", "papercut", "--limit", 2, "--batch-size", 1, "--metrics", "psnr,papercut-clip")
    vary = ("--method", "noise.py:Noise", "--vary", "share=0.5,1.0", "--seeds", "1,2", "--figure", "curve.svg")
    code, out, err = brushbench("sweep", *vary, *data)
    assert code == 0, err
    assert sorted(str(file.parent.relative_to(place / "runs")) for file in place.rglob("run.json")) == [
        f"sweep/share={share}/seed={seed}/papercut-inside/Noise" for share in ("0.5", "1.0") for seed in (1, 2)
    ]
    rows = [line.split()[:2] for line in out.splitlines() if line.startswith("Noise")]
    assert rows == [["Noise", "share=0.5"], ["Noise", "share=1.0"]]
    assert (place / "curve.svg").exists()


def test_status_sums_over_seeds(make: Call, brushbench, place: Path) -> None:
    assert make("--samples", 2, command="generate")[0] == 0
    shard = ("--seeds", 7, "--shard", "1/2", "--allow-partial")
    assert make(*shard, command="generate")[0] == 0
    code, out, _ = brushbench("status", "runs")
    assert code == 3
    assert re.search(r"^runs/seed=\*/brushbench-inside/Noise \(3 seeds\) +5/6 +0 +1 ", out, re.MULTILINE)
    assert "seeds of runs/seed=*/brushbench-inside/Noise: done: 1234, 1235; not done: 7 (1/2)" in out
    records = json.loads(brushbench("status", "runs", "--format", "json")[1])
    assert {record["seed"]: record["done"] for record in records} == {7: 1, 1234: 2, 1235: 2}


def test_seeds_are_scored_together(make: Call, brushbench, place: Path) -> None:
    assert make("--seeds", "1,2", command="generate")[0] == 0
    code, out, err = brushbench("score", "runs", "--metrics", "mse@painted")
    assert code == 0, err
    assert "mean over 2 seeds (1, 2)" in " ".join(out.split())
    assert len([line for line in out.splitlines() if line.startswith("Noise")]) == 1


def test_show_prints_every_seed_of_a_sample(make: Call, brushbench, place: Path) -> None:
    assert make("--seeds", "1,2")[0] == 0
    code, out, err = brushbench("show", "runs", "000000000")
    assert code == 0, err
    for seed in (1, 2):
        assert f"Noise seed={seed}: done" in out
        assert f"--seed {seed} " in out


@pytest.fixture
def made_elsewhere(make: Call, place: Path) -> Path:
    """Images of two seeds, in a folder for each."""
    assert make("--seeds", "1,2", "--output", "there")[0] == 0
    for seed in (1, 2):
        shutil.copytree(place / "there" / PLACES[seed] / "images", place / "elsewhere" / str(seed))
    return place / "elsewhere"


def test_images_of_several_seeds_are_imported_as_seeds(brushbench, made_elsewhere: Path, place: Path) -> None:
    score = ("score", "--images", made_elsewhere, "--name", "theirs", "--dataset", "brushbench", "--root", "bench")
    code, out, err = brushbench(*score, "--metrics", "mse@painted")
    assert code == 0, err
    assert "mean over 2 seeds (1, 2)" in " ".join(out.split())
    for seed in (1, 2):
        run = Run.open(f"runs/seed={seed}/brushbench-inside/theirs")
        assert run.record.identity.seed == seed
        own, there = (pd.read_parquet(path / "scores.parquet") for path in (run.path, place / "there" / PLACES[seed]))
        assert own["mse@painted"].tolist() == there["mse@painted"].tolist()
    assert brushbench("check", "runs", "--write", "baseline.json")[0] == 0
    (made_elsewhere / "2").rename(made_elsewhere / "seed=2")
    assert brushbench(*score, "--output", "other", "--metrics", "mse@painted")[0] == 0
    assert (place / "other" / "seed=2" / "brushbench-inside" / "theirs" / "run.json").exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("notes/a.png", "has notes beside folders of seeds"),
        ("a.png", "has a.png beside folders of seeds"),
        ("3/a.png", "3 has no image for any sample"),
        ("seed=2/000000000.png", "2 and seed=2 are one seed"),
    ],
)
def test_wrong_folders_of_seeds_leave_nothing(
    brushbench, made_elsewhere: Path, place: Path, name: str, told: str
) -> None:
    (made_elsewhere / name).parent.mkdir(exist_ok=True)
    shutil.copy(made_elsewhere / "1" / "000000000.png", made_elsewhere / name)
    result = brushbench("score", "--images", made_elsewhere, "--dataset", "brushbench", "--root", "bench")
    assert_one_line(result, told)
    assert not (place / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_seeds_in_a_store_and_on_a_cluster(make: Call, brushbench, place: Path, engine: str) -> None:
    output = "memory://seeds/local" if engine == "local" else place / "runs"
    more = ("--engine", "ray", "--workers", 1) if engine == "ray" else ()
    assert make("--seeds", "1,2", *more, "--output", output, command="generate")[0] == 0
    assert len(drawn(place)) == 2 * SAMPLES
    code, out, err = make("--seeds", "1,2,3", *more, "--output", output)
    assert code == 0, err
    assert len(drawn(place)) == SAMPLES
    assert f"{output}/seed=*/brushbench-inside/Noise (seeds 1, 2, 3)" in out
