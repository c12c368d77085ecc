"""`data verify`: it finds what was planted, and nothing else; in a clean set it finds nothing."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import write_benchmark
from planted import CAPTIONS, FIRST, IN_BENCH, IN_FOLDER, SECOND, THIRD, WORDS, change, entry, own_folder
from support import assert_one_line
from transformers import CLIPTokenizer

from brushbench import load_dataset
from brushbench.curation.captions import count_tokens
from brushbench.curation.convert import Conversion, convert_dataset
from brushbench.curation.verify import verify_dataset
from brushbench.datasets.defects import KINDS


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_benchmark(tmp_path_factory.mktemp("clean") / "bench")
    change(root, lambda mapping: [mapping[name].update(caption=text) for name, text in CAPTIONS.items()])
    return root


@pytest.fixture
def bench(clean: Path, tmp_path: Path) -> Path:
    return shutil.copytree(clean, tmp_path / "bench")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return own_folder(tmp_path / "mine")


@pytest.mark.parametrize("name", IN_BENCH)
def test_a_planted_defect_is_found_and_nothing_else(name: str, bench: Path) -> None:
    kind, plant = IN_BENCH[name]
    plant(bench)
    assert {finding.kind for finding in verify_dataset("brushbench", bench).findings} == {kind}


@pytest.mark.parametrize("name", IN_FOLDER)
def test_a_planted_defect_of_a_folder(name: str, folder: Path) -> None:
    kind, plant = IN_FOLDER[name]
    plant(folder)
    assert {finding.kind for finding in verify_dataset("folder", folder).findings} == {kind}


def test_every_kind_is_planted_somewhere() -> None:
    planted = {kind for kind, _ in (*IN_BENCH.values(), *IN_FOLDER.values())}
    assert planted == KINDS.keys() - {"unusable-sample"}


@pytest.mark.parametrize("splits", [None, ["inside"], ["inside", "outside", "brush"]])
def test_nothing_is_found_in_a_clean_set(splits: list[str] | None, clean: Path) -> None:
    found = verify_dataset("brushbench", clean, splits)
    assert not found.findings
    assert list(found.splits) == (splits or ["inside", "outside"])
    assert [sample.id for sample in found.seen] == list(CAPTIONS)
    assert found.notes == ["4 of 600 samples: an incomplete copy"]
    assert found.digest == load_dataset("brushbench", root=clean).digest()


@pytest.mark.parametrize("name", ["photos", "folder"])
def test_nothing_is_found_in_other_clean_sets(name: str, folder: Path) -> None:
    assert not verify_dataset(name, folder if name == "folder" else None).findings


def test_a_parquet_file(clean: Path, tmp_path: Path) -> None:
    file = tmp_path / "all.parquet"
    convert_dataset(Conversion(file, root=clean))
    assert not verify_dataset(None, file).findings
    table = pq.read_table(file)
    rows = table.to_pylist()
    rows[0]["image"]["bytes"] = rows[0]["image"]["bytes"][:100]
    rows[1]["caption"] = rows[2]["caption"]
    rows[3]["inpainting_mask"] = rows[3]["outpainting_mask"]
    pq.write_table(pa.Table.from_pylist(rows, table.schema), file)
    found = {(finding.kind, finding.subject) for finding in verify_dataset("parquet", file).findings}
    assert found == {
        ("unusable-sample", FIRST),
        ("duplicate-caption", THIRD),
        ("masks-overlap", "000000003"),
        ("masks-gap", "000000003"),
    }


def test_the_misspelt_tree_is_recognised(bench: Path, tmp_path: Path) -> None:
    shutil.move(bench, tmp_path / "data" / "BrushDench")
    found = verify_dataset(None, tmp_path / "data")
    assert found.name == "brushbench"
    assert not found.findings
    assert any("BrushDench" in note and "README" in note for note in found.notes)


def test_a_defect_of_one_split_is_no_defect_of_the_other(bench: Path) -> None:
    entry(outpainting_mask=[])(bench)
    assert not verify_dataset("brushbench", bench, ["inside"]).findings
    assert {finding.kind for finding in verify_dataset("brushbench", bench, ["outside"]).findings} == {"mask-empty"}


def test_many_defects_at_once_are_told_apart(bench: Path) -> None:
    entry(inpainting_mask=[], caption="Two lamps")(bench)
    (bench / "images" / f"{SECOND}.png").unlink()
    (bench / "images" / f"{THIRD}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    found = {(finding.kind, finding.subject) for finding in verify_dataset("brushbench", bench).findings}
    assert found == {
        ("mask-empty", FIRST),
        ("duplicate-caption", SECOND),
        ("missing-image", SECOND),
        ("truncated", THIRD),
    }


def test_the_report_groups_by_kind(bench: Path, brushbench) -> None:
    change(bench, lambda mapping: [record.update(caption="the same") for record in mapping.values()])
    entry(image="../\x1b[31m", inpainting_mask=[])(bench)
    code, out, _ = brushbench("data", "verify", "--dataset", "brushbench", "--root", bench)
    assert code == 1
    assert "\x1b" not in out
    lines = out.splitlines()
    # What can't be used comes first.
    assert [line.split(":")[0] for line in lines if "(" in line and line[0] != " " and line.split()[0] in KINDS] == [
        "image-outside (1)",
        "mask-empty (1)",
        "duplicate-caption (3)",
    ]
    assert f"  {SECOND}: same as {FIRST}" in lines


def test_json_has_everything(bench: Path, brushbench) -> None:
    entry(inpainting_mask=[5])(bench)
    code, out, _ = brushbench("data", "verify", "--root", bench, "--format", "json")
    content = json.loads(out)
    assert (code, content["dataset"], content["samples"], content["sizes"]) == (1, "brushbench", 4, {"64x64": 4})
    assert content["defects"] == {"rle-malformed": 1}
    assert content["findings"][0]["subject"] == FIRST
    assert not content["findings"][0]["usable"]


def test_clean_is_exit_code_0(clean: Path, brushbench) -> None:
    code, out, _ = brushbench("data", "verify", "--root", clean)
    assert code == 0
    assert out.endswith("no defects found\n")
    assert load_dataset("brushbench", root=clean).digest() in out


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--dataset", "brushbanch"), "did you mean 'brushbench'"),
        (("--root", "nowhere"), "no such folder: nowhere"),
        (("--root", "."), "no data set found"),
        (("--split", "insid"), "did you mean 'inside'"),
        (("--dataset", "photos", "--split", "brush"), "unknown split 'brush'"),
        (("--dataset", "photos", "--root", "."), "embedded and takes no --root"),
        (("--format", "yaml"), "unknown format 'yaml'"),
        (("--dataset", "brushbench", "--root", "."), "no mapping_file.json"),
    ],
)
def test_wrong_usage_is_one_line(arguments, part: str, brushbench, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert_one_line(brushbench("data", "verify", *arguments), part)


def test_tokens_are_those_of_clip(golden: Path) -> None:
    """Counts with the real vocabulary equal those of another implementation."""
    tokenizer = CLIPTokenizer.from_pretrained(golden / "brushnet" / "weights" / "tokenizer")
    for caption in (*CAPTIONS.values(), WORDS, "Ein Bär's Hut, 2x!", "\u4e00\u53ea\u732b", ""):
        assert count_tokens(caption) == len(tokenizer(caption)["input_ids"])


def test_quiet_and_verbose_are_options_of_every_data_command(write_bench, brushbench, tmp_path: Path) -> None:
    given = ("--dataset", "brushbench", "--root", write_bench(count=2))
    target = ("--output", tmp_path / "written")
    for command in (("verify", *given), ("convert", *given, "--to", "folder", *target), ("list",)):
        code, out, err = brushbench("data", *command, "--quiet")
        assert (code, err) == (0, ""), err
        assert out
    assert brushbench("data", "verify", *given, "-v")[2].splitlines()[0] == "loading PyTorch, to check brushbench"
    for command in ("verify", "convert", "show", "list", "get"):
        assert_one_line(brushbench("data", command, "-q", "-v"), "contradict each other")
