"""Read mutated run folders, baselines, families and Parquet files: only the suite's own error may be raised.

    python benchmarks/fuzz_run_folders.py --count 100000          # the full number of cases
    python benchmarks/fuzz_run_folders.py --count 1 --seed 4711   # repeat one case

Case k of a run has the seed `--seed` + k and depends on nothing else. Files are written to `--folder`, by default a
folder in memory if the machine has one. If any other exception is raised, each kind is printed with its first seed, and
the exit code is 1.
"""

import json
import random
import shutil
import tomllib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import fuzzing
import pyarrow.parquet as pq
from mutated_tables import table
from mutations import PICTURES, picture, restructured, scrambled
from pydantic import ValidationError

import brushbench
from brushbench.core.errors import UserError
from brushbench.curation.convert import Conversion, convert_dataset
from brushbench.datasets.parquet import Parquet
from brushbench.imaging.images import read_image
from brushbench.reports.baseline import read_baseline, write_baseline
from brushbench.reports.baseline_making import baseline_of
from brushbench.reports.comparison import compare
from brushbench.reports.comparison_tables import render_comparison
from brushbench.reports.formats import FORMATS, render
from brushbench.reports.frame import frame
from brushbench.reports.gate_formats import Outcome, render_gate
from brushbench.reports.regression import check_runs
from brushbench.reports.tables import TABLES, TableOptions, make_report
from brushbench.runs.folder import Identity, Run
from brushbench.weights import Weights, families, read_family
from brushbench.weights.sources import named

SPLITS = ("inside", "outside", "brush")
SLOW = 0.05
"""Share of the cases that also make slow things: tables, comparisons."""


class Fuzz(fuzzing.Fuzz):
    """Two intact runs, their baseline, a family and a Parquet file, one of which each case damages."""

    KINDS: ClassVar = {
        "record": 20,
        "ledger": 15,
        "scores": 25,
        "image": 5,
        "baseline": 15,
        "family": 10,
        "parquet": 10,
    }

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        family = families()["papercut"]
        # The copy has no weights beside it.
        self._family_text = family.read_bytes().replace(b'"../', f'"{family.parent.parent}/'.encode())
        bench = _bench(folder / "bench")
        for method in ("mean-fill", "telea"):
            config = brushbench.RunConfig(
                method=method,
                dataset="brushbench",
                root=bench,
                output=folder / "sound" / method,
                metrics="psnr,mse,seam",
            )
            brushbench.run(config)
        (self._sound, self._other) = (Path(Run.open(path)) for path in sorted((folder / "sound").glob("*/*/*")))
        self._files = [path for path in self._sound.rglob("*") if path.is_file() and not path.name.startswith(".")]
        self._run = folder / "run"
        shutil.copytree(self._sound, self._run)
        self._baseline_file = folder / "baseline.json"
        write_baseline(self._baseline_file, baseline_of([Run.open(self._sound), Run.open(self._other)], [], None, {}))
        self._sound_baseline = self._baseline_file.read_bytes()
        self._parquet_file = folder / "bench.parquet"
        convert_dataset(Conversion(self._parquet_file, "brushbench", bench))
        self._samples = pq.read_table(self._parquet_file)
        self._scores_table = pq.read_table(self._sound / "scores.parquet")

    def mend(self) -> None:
        """Restore the run folder and the baseline."""
        for file in self._files:
            damaged = self._run / file.relative_to(self._sound)
            if not damaged.exists() or damaged.read_bytes() != file.read_bytes():
                shutil.copyfile(file, damaged)
        self._baseline_file.write_bytes(self._sound_baseline)

    def _record(self, draw: random.Random) -> None:
        file = self._run / "run.json"
        file.write_bytes(_record(draw, file.read_bytes()))
        self._read_run(draw)

    def _ledger(self, draw: random.Random) -> None:
        file = self._run / "samples.jsonl"
        lines = [_json(draw, line) for line in file.read_bytes().splitlines()]
        text = b"\n".join(draw.sample(lines, len(lines))) + draw.choice((b"\n", b"", b"\n\n"))
        file.write_bytes(text if draw.random() < 0.5 else scrambled(draw, text))
        self._read_run(draw)

    def _scores(self, draw: random.Random) -> None:
        (self._run / "scores.parquet").write_bytes(table(draw, self._scores_table))
        self._read_run(draw)

    def _image(self, draw: random.Random) -> None:
        file = draw.choice(sorted((self._run / "images").iterdir()))
        file.write_bytes(picture(draw))
        self._read_run(draw)
        for entry in Run.open(self._run).ledger().values():
            read_image(Run.open(self._run).image_path(entry))

    def _baseline(self, draw: random.Random) -> None:
        content = json.loads(self._sound_baseline)
        for _ in range(draw.randint(0, 3)):
            content = restructured(draw, content)
        text = json.dumps(content).encode()
        self._baseline_file.write_bytes(text if draw.random() < 0.7 else scrambled(draw, text))
        self._check(draw)

    def _family(self, draw: random.Random) -> None:
        file = self._folder / "family.toml"
        content: object = tomllib.loads(self._family_text.decode())
        for _ in range(draw.randint(0, 3)):
            content = restructured(draw, content)
        text = _toml(content) if draw.random() < 0.5 else self._family_text
        file.write_bytes(text if draw.random() < 0.5 else scrambled(draw, text))
        family = read_family(file)
        weights = Weights(file, "brushnet", draw.choice(("segmentation", "random")))
        assert weights.defaults is not None
        assert weights.origin
        for component in family.components.values():
            assert named(component.taken_from)
        weights.branches({})

    def _parquet(self, draw: random.Random) -> None:
        self._parquet_file.write_bytes(table(draw, self._samples))
        dataset = Parquet.open(self._parquet_file, draw.choice(SPLITS))
        dataset.tags()
        dataset.digest()
        refusals = []
        for index in range(len(dataset.ids)):
            try:
                dataset[index]
            except UserError as error:
                refusals.append(error)
        if refusals:
            raise refusals[0]

    def _read_run(self, draw: random.Random) -> None:
        """Read a run as each command does, whatever the previous command raised."""
        slow = draw.random() < SLOW
        how = draw.choice(list(TABLES)), draw.choice(list(FORMATS)), draw.choice(("", "", "source", "mask-size"))
        _all_of(
            lambda: Run.open(self._run).intact(),
            lambda: frame(self._run),
            lambda: self._check(draw) if draw.random() < 4 * SLOW else None,
            lambda: self._report(*how) if slow else None,
            lambda: self._compare() if slow else None,
            lambda: brushbench.score(self._run, ["psnr"]) if slow else None,
        )

    def _report(self, kind: str, form: str, by: str) -> None:
        runs = [Run.open(self._run), Run.open(self._other)]
        render(make_report(runs, TableOptions(kind, by, significant=form == "html")), form)

    def _compare(self) -> None:
        comparison = compare([Run.open(self._run)], [Run.open(self._other)])
        for form in ("text", "markdown", "csv", "json"):
            render_comparison(comparison, form)

    def _check(self, draw: random.Random) -> None:
        checked, extra = check_runs([Run.open(self._run)], read_baseline(self._baseline_file))
        render_gate(Outcome(checked, extra), draw.choice(("text", "markdown", "json", "junit")))


def _all_of(*steps: Callable[[], object]) -> None:
    refusals = []
    for step in steps:
        try:
            step()
        except UserError as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]


def _bench(root: Path) -> Path:
    (root / "images").mkdir(parents=True)
    entries = {}
    for name, content in zip("abcd", PICTURES, strict=False):
        (root / "images" / f"{name}.png").write_bytes(content)
        masks = {"inpainting_mask": [40, 90], "outpainting_mask": [1, 39, 130, 127]}
        entries[name] = {"image": f"images/{name}.png", "caption": f"picture {name}", **masks}
    (root / "mapping_file.json").write_text(json.dumps(entries))
    return root


def _json(draw: random.Random, text: bytes) -> bytes:
    content = json.loads(text)
    for _ in range(draw.randint(0, 2)):
        content = restructured(draw, content)
    return json.dumps(content).encode()


def _record(draw: random.Random, text: bytes) -> bytes:
    """Damage run.json, mostly with a matching fingerprint: without one, it is refused before anything else is read."""
    content = json.loads(_json(draw, text))
    if isinstance(content, dict) and draw.random() < 0.7:
        with suppress(KeyError, UnicodeEncodeError, ValidationError):
            content["fingerprint"] = Identity.model_validate(content["identity"]).fingerprint()
    text = json.dumps(content).encode()
    return text if draw.random() < 0.8 else scrambled(draw, text)


def _toml(content: object) -> bytes:
    if not isinstance(content, dict):
        return _value(content).encode(errors="replace")
    lines = [f"{json.dumps(key)} = {_value(value)}" for key, value in content.items() if value is not None]
    return "\n".join(lines).encode(errors="replace")


def _value(content: object) -> str:
    if isinstance(content, dict):
        parts = (f"{json.dumps(str(key))} = {_value(value)}" for key, value in content.items() if value is not None)
        return f"{{{', '.join(parts)}}}"
    if isinstance(content, list):
        return f"[{', '.join(_value(value) for value in content if value is not None)}]"
    if isinstance(content, float):
        return repr(content)
    return json.dumps(content, ensure_ascii=False)


if __name__ == "__main__":
    fuzzing.main(Fuzz, __doc__)
