"""Libraries' warnings are in the notes of their run and below its tables, and are never silenced."""

import io
import json
import logging
import os
import shutil
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image
from report_runs import Made
from support import run_on
from torch import Tensor

from brushbench import UserError, load_method
from brushbench.core.bars import without_bars
from brushbench.core.notes import MOST, apart, collecting, hearing, note, tell_again
from brushbench.evaluation.select_metrics import Selection, select
from brushbench.metrics.pixel import MSE
from brushbench.reports.formats import render
from brushbench.reports.tables import TableOptions, make_report
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry

CommandLine = Callable[..., tuple[int, str, str]]

METHOD = """
import logging
import warnings

log = logging.getLogger("diffusers.of.a.test")


class Loud:
    @classmethod
    def load(cls, options, runtime):
        warnings.warn("loaded with a grain of salt")
        log.warning("the config has a strange key")
        return cls()

    class Options:
        pass

    def __call__(self, batch, seeds):
        warnings.warn("painted\\nwith a thick brush", RuntimeWarning)
        logging.getLogger("PIL.Somewhere").error("odd picture")
        return batch.images.clone()
"""


def test_what_libraries_warn_of_is_heard_once_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    filters, handlers = list(warnings.filters), list(logging.getLogger("diffusers").handlers)
    with hearing() as heard:
        for _ in range(2):
            warnings.warn("first\nline", stacklevel=1)
            logging.getLogger("diffusers.models").warning("second %d", 2)
            logging.getLogger("PIL.PngImagePlugin").error("third")
            logging.warning("\x1b[1mfourth\x1b[0m")  # as open_clip does
            note("fifth")
        logging.getLogger("diffusers.models").info("not worth a note")
    assert heard == ["first line", "diffusers: second 2", "PIL: third", "fourth", "fifth"]
    assert capsys.readouterr() == ("", "")
    assert warnings.filters == filters
    assert logging.getLogger("diffusers").handlers == handlers
    assert not any(handler.filters for handler in handlers)


def test_the_innermost_hears(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("transformers.of.a.test")
    with hearing() as outer:
        with hearing() as inner:
            log.warning("inside")
            warnings.warn("too", stacklevel=1)
            with collecting() as of_a_sample:
                note("of a sample")
                log.warning("of a library")
        log.warning("outside")
    assert inner == ["transformers: inside", "too", "transformers: of a library"]
    assert (outer, of_a_sample) == (["transformers: outside"], ["of a sample"])
    assert capsys.readouterr() == ("", "")


def test_what_is_collected_apart_is_not_heard_until_it_is_told_again() -> None:
    log = logging.getLogger("diffusers.apart")

    def other() -> list[str]:
        with apart() as notes:
            warnings.warn("a warning there", stacklevel=1)
            log.warning("a record there")
            note("a note there")
        warnings.warn("afterwards", stacklevel=1)
        return notes

    with hearing() as heard:
        note("before")
        with ThreadPoolExecutor(1) as pool:
            notes = pool.submit(other).result()
        assert notes == ["a warning there", "diffusers: a record there", "a note there"]
        assert heard == ["before", "afterwards"]
        tell_again(notes)
        tell_again(f"number {index}" for index in range(2 * MOST))
    assert heard[:5] == ["before", "afterwards", *notes]
    assert len(heard) == MOST


def test_a_handler_that_a_library_adds_meanwhile_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("open_clip")
    with hearing() as heard:
        log.addHandler(handler := logging.StreamHandler())
        log.warning("told")
    log.removeHandler(handler)
    assert heard == ["open_clip: told"]
    assert not handler.filters
    assert capsys.readouterr() == ("", "")


def test_noise_is_dropped_and_no_library_fills_the_record() -> None:
    with hearing() as heard:
        logging.getLogger("diffusers").warning("You have disabled the safety checker for <class 'X'> by passing ...")
        for index in range(3 * MOST):
            warnings.warn(f"sample {index}", stacklevel=1)
    assert heard == [f"sample {index}" for index in range(MOST)]


def test_where_nobody_collects_a_note_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="heed this"):
        note("heed this")


def test_a_warning_for_developers_stays_what_it_is() -> None:
    with hearing() as heard, pytest.warns(DeprecationWarning, match="use another"):
        warnings.warn("use another", DeprecationWarning, stacklevel=1)
    assert heard == []


def test_bars_are_off_only_inside() -> None:
    from diffusers.utils import logging as diffusers_logging
    from huggingface_hub.utils import are_progress_bars_disabled
    from transformers.utils import logging as transformers_logging

    def states() -> tuple[bool, bool, bool]:
        shown = [library.is_progress_bar_enabled() for library in (diffusers_logging, transformers_logging)]
        return shown[0], shown[1], not are_progress_bars_disabled()

    before = states()
    with without_bars():
        assert states() == (False, False, False)
    assert states() == before


WHOLE_STATE = """
import logging, sys, warnings
import diffusers, open_clip, pandas, peft, PIL.Image, pyarrow, torchvision, transformers
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPImageProcessor, CLIPModel, CLIPTextModel, CLIPTokenizer
from diffusers.utils import logging as of_diffusers
from transformers.utils import logging as of_transformers

def facts(logger):
    return logger.level, logger.propagate, list(logger.handlers), list(logger.filters)

def loggers():
    known = {name: facts(one) for name, one in logging.root.manager.loggerDict.items() if hasattr(one, "level")}
    return known | {"": facts(logging.root)}

def settings():
    bars = of_diffusers.is_progress_bar_enabled(), of_transformers.is_progress_bar_enabled()
    return warnings.showwarning, logging.root.manager.disable, bars

before, known, filters = settings(), loggers(), list(warnings.filters)
import brushbench
import brushbench.metrics.clip, brushbench.metrics.pixel, brushbench.metrics.preference
brushbench.load_method("brushnet", weights=sys.argv[1], device="cpu", steps=1)
brushbench.load_metric("papercut-clip")
brushbench.run(brushbench.RunConfig("telea", dataset="photos", limit=1, metrics="psnr", output=sys.argv[2]))
assert settings() == before
now = loggers()
assert {name: now[name] for name in known} == known
assert [one for one in warnings.filters if one in filters] == filters
# What other packages add when they are imported for the first time is theirs; none of it ignores all of a module.
assert not [one for one in warnings.filters if one not in filters and one[0] == "ignore" and one[2] is Warning]
print("unchanged")
"""


@pytest.mark.slow
def test_using_the_suite_changes_no_filter_and_no_log_level(tiny_weights: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", WHOLE_STATE, tiny_weights, tmp_path / "runs"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "unchanged\n", done.stderr


@pytest.fixture
def loud(tmp_path: Path) -> str:
    """A method that warns."""
    (tmp_path / "loud.py").write_text(METHOD)
    return f"{tmp_path / 'loud.py'}:Loud"


def test_a_run_has_them_in_its_record_and_below_its_table(
    loud: str, write_bench: Callable[..., Path], tmp_path: Path, brushbench: CommandLine
) -> None:
    heard = ["loaded with a grain of salt", "diffusers: the config has a strange key"]
    heard += ["painted with a thick brush", "PIL: odd picture"]
    asked = run_on(write_bench(count=2), tmp_path / "runs", "--metrics", "mse", "--batch-size", 1, method=loud)
    code, out, err = brushbench(*asked, "--limit", 1)
    assert code == 0, err
    folder = tmp_path / "runs" / "brushbench-inside" / "Loud"
    record = json.loads((folder / "run.json").read_text())
    assert record["notes"] == heard
    for text in heard:
        assert out.splitlines().count(f"Loud: {text}") == 1
        assert text not in err
    # Going on adds nothing that is there already, and is the same run.
    code, out, err = brushbench(*asked)
    assert code == 0, err
    assert json.loads((folder / "run.json").read_text()) == record | {"asked": 2}
    for form in ("markdown", "latex", "html"):
        assert "painted with a thick brush" in brushbench("report", folder, "--format", form, "--notes", "full")[1]
    for form in ("csv", "json"):
        assert "thick brush" not in brushbench("report", folder, "--format", form)[1]


def test_what_diffusers_says_of_a_checkpoint_stands_below_the_table(
    tiny_weights: Path, write_bench: Callable[..., Path], tmp_path: Path, brushbench: CommandLine
) -> None:
    shutil.copytree(tiny_weights, tmp_path / "weights")
    config = tmp_path / "weights" / "unet" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"strange_key": 3}))
    chosen = ("--weights", tmp_path / "weights", "--steps", 1, "--metrics", "mse")
    code, out, err = brushbench(*run_on(write_bench(count=1), tmp_path / "runs", *chosen, method="brushnet"))
    assert code == 0, err
    (line,) = [line for line in out.splitlines() if "strange_key" in line]
    assert line.startswith("brushnet: diffusers: The config attributes {'strange_key': 3} were passed to")
    assert "strange_key" not in err


def test_what_is_heard_of_metrics_is_a_note_of_the_run_too(
    write_bench: Callable[..., Path], tmp_path: Path, brushbench: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loading(*arguments: object, **named: object) -> Selection:
        warnings.warn("while a metric was loaded", stacklevel=1)
        return select(*arguments, **named)

    def scoring(*arguments: object) -> Tensor:
        warnings.warn("while a metric scored", stacklevel=1)
        return computed(*arguments)

    computed = MSE.__call__
    monkeypatch.setattr("brushbench.evaluation.resolve.select", loading)
    monkeypatch.setattr(MSE, "__call__", scoring)
    code, out, err = brushbench(*run_on(write_bench(count=1), tmp_path / "runs", "--metrics", "mse", method="telea"))
    assert code == 0, err
    for text in ("while a metric was loaded", "while a metric scored"):
        assert out.splitlines().count(f"telea: {text}") == 1
        assert text not in err


def test_what_pillow_finds_odd_in_a_picture_is_a_note_and_nothing_else(
    write_bench: Callable[..., Path], tmp_path: Path, brushbench: CommandLine
) -> None:
    root = write_bench(count=2)
    file = root / "images" / "000000000.png"
    encoded = io.BytesIO()
    Image.open(file).save(encoded, "JPEG")
    broken = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"
    start, rest = encoded.getvalue()[:2], encoded.getvalue()[2:]
    file.write_bytes(start + b"\xff\xe1" + struct.pack(">H", len(broken) + 2) + broken + rest)
    code, out, err = brushbench(*run_on(root, tmp_path / "runs", "--metrics", "mse", method="telea"))
    assert code == 0, err
    assert len([line for line in out.splitlines() if line.startswith("telea: PIL: Corrupt EXIF data")]) == 1
    assert "EXIF" not in err


def test_used_without_a_run_libraries_warn_as_they_always_do(loud: str, caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("diffusers")
    log.addHandler(caplog.handler)
    with pytest.warns(UserWarning, match="loaded with a grain of salt"):
        load_method(loud, device="cpu")
    log.removeHandler(caplog.handler)
    assert "the config has a strange key" in caplog.messages


def test_what_is_heard_outside_of_runs_is_told_at_the_end_but_beside_no_mistake(
    brushbench: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> dict[str, str]:
        warnings.warn("from somewhere", stacklevel=1)
        if mistaken:
            raise UserError("nothing there")
        return {"device": "cpu"}

    monkeypatch.setattr("brushbench.cli.diagnosis.diagnose", found)
    mistaken = False
    assert brushbench("doctor") == (0, "device: cpu\n", "warning: from somewhere\n")
    mistaken = True
    assert brushbench("doctor") == (2, "", "brushbench: nothing there\n")


def test_an_interrupted_run_keeps_what_was_heard_so_far(tmp_path: Path) -> None:
    run = Made("telea", {"mse": [1.0]}).write(tmp_path / "run")
    with run.noting():
        warnings.warn("early", stacklevel=1)
        run.append(LedgerEntry(id="0", status="failed", error="for a test"))
        assert Run.open(tmp_path / "run").record.notes == ("early",)


def test_processes_of_one_run_add_to_each_others_notes(tmp_path: Path) -> None:
    first = Made("telea", {"mse": [1.0]}).write(tmp_path / "run")
    second = Run.open(tmp_path / "run")
    first.add_notes(["one", "two"])
    second.add_notes(["three", "one"])
    first.add_notes(["three"])
    record = Run.open(tmp_path / "run").record
    assert record.notes == ("one", "two", "three")
    assert record.fingerprint == first.record.fingerprint
    assert Made("telea", {"mse": [1.0]}).write(tmp_path / "run").record.notes == record.notes


def test_tables_print_each_note_once_with_its_methods_and_count_those_of_samples(tmp_path: Path) -> None:
    runs = []
    for method, split, notes in (
        ("brushnet", "inside", ["a shared one", "of brushnet"]),
        ("brushnet", "outside", ["of brushnet"]),
        ("telea", "inside", ["a shared one"]),
        ("copy", "brush", ["of another table"]),
    ):
        run = Made(method, {"mse": [1.0, 2.0, 3.0]}, split=split).write(tmp_path / f"{method}-{split}")
        run.add_notes(notes)
        runs.append(run)
    for index, text in enumerate(["decoded again in float32", "decoded again in float32", "odd"]):
        runs[0].append(LedgerEntry(id=str(index), status="done", image=f"{index}.png", sha256="0", note=text))
    runs[1].append(LedgerEntry(id="0", status="done", image="0.png", sha256="0", note="odd"))
    runs[2].append(LedgerEntry(id="0", status="failed", error="for a test", note="of an image that isn't there"))
    expected = [
        "brushnet, telea: a shared one",
        "brushnet: of brushnet",
        "brushnet, inside: 2 samples: decoded again in float32",
        "brushnet, inside: 1 sample: odd",
    ]
    for table, below in (
        ("summary", expected),
        ("paper", [*expected, "brushnet, outside: 1 sample: odd"]),
        ("ablation", ["brushnet: a shared one", *expected[1:], "brushnet, outside: 1 sample: odd"]),
    ):
        notes = make_report(runs, TableOptions(table=table)).tables[0].notes
        mentioned = [text for text in notes if text.startswith(("brushnet", "telea:", "copy"))]
        assert mentioned == below
    assert [table.notes[-1] for table in make_report(runs, TableOptions()).tables][1:] == [
        "brushnet, outside: 1 sample: odd",
        "copy: of another table",
    ]


def test_a_damaged_ledger_and_a_record_without_notes_print_a_table(tmp_path: Path) -> None:
    run = Made("telea", {"mse": [1.0]}).write(tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    del record["notes"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    (tmp_path / "run" / "samples.jsonl").write_text("damaged\n")
    text = render(make_report([Run.open(run)], TableOptions()), "text")
    assert "telea" in text
