"""The BibTeX of what runs used."""

import re
from pathlib import Path

import pytest
from report_runs import Made

from brushbench.core.dataset_info import NOT_STATED
from brushbench.core.registry import built_in
from brushbench.reports import citations
from brushbench.weights import families, read_family

REFERENCE = re.compile(r"arXiv:(\d{4}\.\d{4,5})|doi:(10\.[^\s;,]+)|(https://[^\s;,]+)")
UNPUBLISHED = {"autoencoder", "copy", "mean-fill", "papercut", "folder", "parquet", "seam", "papercut-judge"}
"""What has no paper of its own."""


def test_the_file_is_bibtex() -> None:
    text = citations.FILE.read_text(encoding="utf-8")
    entries = re.split(r"\n\n(?=@)", text.strip())
    keys = [re.match(r"@(article|inproceedings|misc)\{(\w+),\n", entry) for entry in entries]
    assert all(keys)
    names = [key[2] for key in keys if key]
    assert names == sorted(set(names))
    for entry in entries:
        depths = [entry[: place + 1].count("{") - entry[: place + 1].count("}") for place in range(len(entry))]
        assert min(depths) >= 0
        assert depths[-1] == 0
        assert len(re.findall(r"^  (?:eprint|doi|url) = \{\S+\}", entry, re.MULTILINE)) == 1
        assert {"title", "author", "year"} <= set(re.findall(r"^  (\w+) = \{.+\},?$", entry, re.MULTILINE))
        # A journal is an article's, a book of proceedings that of a talk.
        assert ("journal" in entry) == entry.startswith("@article")
        assert ("booktitle" in entry) == entry.startswith("@inproceedings")


@pytest.mark.parametrize("kind", ["method", "metric", "dataset"])
def test_everything_built_in_has_an_entry_for_each_of_its_papers(kind) -> None:
    text = citations.FILE.read_text(encoding="utf-8")
    for name, entry in built_in(kind).items():
        found = [next(filter(None, match)) for match in REFERENCE.findall(entry.info.citation)]
        assert bool(found) == (name not in UNPUBLISHED), name
        assert [reference for reference in found if f"{{{reference}}}" not in text] == []


def test_the_components_of_every_family_say_what_to_cite() -> None:
    for path in families().values():
        for name, component in read_family(path).components.items():
            assert REFERENCE.search(component.citation) or component.citation.startswith("docs/"), name


def test_runs_are_cited_by_data_set_method_weights_and_metrics(tmp_path: Path, brushbench) -> None:
    place = read_family(families()["sd15"]).components["brushnet-segmentation-mask"].on_hub.place
    used = {"weights.brushnet": place, "weights.unet": "/somewhere/else"}
    Made("brushnet", {"clip": [20.0], "lpips@whole": [0.1]}, provenance=used).write(tmp_path / "runs" / "a")
    Made("copy", {"clip": [20.0]}, dataset="editbench", split="").write(tmp_path / "runs" / "b")
    code, out, told = brushbench("cite", tmp_path / "runs")
    assert (code, told) == (0, "")
    found = dict(re.findall(r"^% (.*)\n@\w+\{(\w+),", out, re.MULTILINE))
    assert found == {
        "this suite": "brushbench",
        "metric clip": "hessel2021clipscore",
        "data set brushbench, method brushnet, weights brushnet-segmentation-mask": "ju2024brushnet",
        "data set editbench": "wang2023imagen",
        "metric lpips": "zhang2018unreasonable",
    } | {"metric clip": found["metric clip"]}
    assert {"hessel2021clipscore", "radford2021learning"} <= set(re.findall(r"@\w+\{(\w+),", out))


def test_what_has_no_known_reference_is_said(tmp_path: Path, brushbench, monkeypatch: pytest.MonkeyPatch) -> None:
    Made("my own", {"psnr": [20.0]}, dataset="mine").write(tmp_path / "runs" / "a")
    code, out, told = brushbench("cite", tmp_path / "runs")
    assert code == 0
    assert "no reference is known for method my own (not recorded)" in told
    assert f"no reference is known for data set mine ({NOT_STATED})" in told
    # A plug-in names a paper that isn't in the file.
    file = tmp_path / "none.bib"
    file.write_text("")
    monkeypatch.setattr(citations, "FILE", file)
    citations._entries.cache_clear()
    out = brushbench("cite", tmp_path / "runs")[1]
    citations._entries.cache_clear()
    assert "% metric psnr\n@misc{2403-06976,\n  eprint = {2403.06976},\n  archiveprefix = {arXiv}\n}" in out


def test_a_folder_without_runs_is_one_line(tmp_path: Path, brushbench) -> None:
    code, out, told = brushbench("cite", tmp_path)
    assert (code, out, told.count("\n")) == (2, "", 1)
