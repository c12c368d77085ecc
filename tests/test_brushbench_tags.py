"""Tags of samples: from the mapping file, from `tags.csv` beside it, and from the columns of captions."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import brushbench

HEADER = "id,source,subject\n"


@pytest.fixture
def bench(write_bench) -> Path:
    return write_bench()


def of_samples(dataset) -> dict[str, dict[str, str]]:
    return {sample.id: dict(sample.tags) for sample in dataset}


@pytest.mark.parametrize("split", ["inside", "outside", "brush"])
def test_a_sidecar_gives_tags_to_samples(split: str, bench: Path) -> None:
    (bench / "tags.csv").write_text(HEADER + "000000002,natural,animal\r\n000000000,artificial,\n")
    dataset = brushbench.load_dataset("brushbench", root=bench, split=split)
    assert of_samples(dataset) == {
        "000000000": {"source": "artificial"},
        "000000001": {},
        "000000002": {"source": "natural", "subject": "animal"},
        "000000003": {},
    }
    assert dataset.tags() == of_samples(dataset)


def test_a_sidecar_is_no_part_of_the_data_set_s_identity(bench: Path) -> None:
    """Tags change no number: a run goes on when somebody adds them."""
    digest = brushbench.load_dataset("brushbench", root=bench).digest()
    (bench / "tags.csv").write_text(HEADER + "000000000,natural,human\n")
    assert brushbench.load_dataset("brushbench", root=bench).digest() == digest


def test_tags_of_the_mapping_file_stay_and_the_sidecar_s_hold(bench: Path) -> None:
    mapping = json.loads((bench / "mapping_file.json").read_text())
    mapping["000000001"]["tags"] = {"source": "natural", "mood": "calm"}
    mapping["000000003"] = {"image": 5}
    (bench / "mapping_file.json").write_text(json.dumps(mapping))
    (bench / "tags.csv").write_text("\ufeffsubject,id,source\nhuman,000000001,artificial\n")
    tags = brushbench.load_dataset("brushbench", root=bench).tags()
    assert tags["000000001"] == {"source": "artificial", "mood": "calm", "subject": "human"}
    assert tags["000000003"] == {}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "no header"),
        ("id,source\n", "valid: id, source, subject"),
        (HEADER[:-1] + ",mood\n", "valid: id, source, subject"),
        (HEADER + "000000000,painted,human\n", "unknown source 'painted': valid: artificial, natural"),
        (HEADER + "000000000,natural,humen\n", "did you mean 'human'"),
        (HEADER + "7,natural,human\n", "id '7' is not in the data set"),
        (HEADER + "000000000,natural,human\n" * 2, "'000000000' occurs twice"),
        (HEADER + "000000000,natural,human,more\n", "line 2: 4 cells for 3 columns"),
        ("id,source,source\n", "'source' occurs twice"),
        (HEADER + '000000000,"natural\n', "line 2"),
        (HEADER + "000000000\x1b[31m,natural,human\n", "not in the data set"),
        (HEADER + "0" * 200_000 + ",natural,human\n", "field larger than field limit"),
    ],
)
def test_a_sidecar_that_is_wrong_is_one_line(text: str, part: str, bench: Path, brushbench) -> None:
    (bench / "tags.csv").write_text(text)
    code, out, err = brushbench("run", "--method", "copy", "--dataset", "brushbench", "--root", bench)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert part in err
    assert "tags.csv" in err
    assert "\x1b" not in err


def test_more_columns_of_captions_are_tags(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for stem in ("a.b", "c"):
        Image.fromarray(np.full((8, 8, 3), 9, dtype=np.uint8)).save(tmp_path / "images" / f"{stem}.png")
        Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(tmp_path / "masks" / f"{stem}.png")
    (tmp_path / "captions.csv").write_text("image,place,caption\nimages/a.b.png,indoor,one\nc.png,,two\n")
    dataset = brushbench.load_dataset("folder", root=tmp_path)
    assert [sample.caption for sample in dataset] == ["one", "two"]
    assert dataset.tags() == of_samples(dataset) == {"a.b": {"place": "indoor"}, "c": {}}
    (tmp_path / "captions.csv").write_text("id,caption\na.b,one\nc,two\nc.png,three\n")
    with pytest.raises(brushbench.UserError, match="'c' occurs twice"):
        brushbench.load_dataset("folder", root=tmp_path)


@pytest.mark.parametrize("name", ["photos", "papercut"])
def test_embedded_data_sets_have_tags(name: str) -> None:
    dataset = brushbench.load_dataset(name)
    tags = dataset.tags()
    assert list(tags) == list(dataset.ids)
    assert dict(dataset[0].tags) == tags[dataset.ids[0]] != {}
