"""`data convert`: what comes out is what went in, completely or not at all."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from conftest import picture, write_benchmark
from PIL import Image
from support import assert_one_line

from brushbench import UserError, load_dataset
from brushbench.core.types import Dataset, Sample
from brushbench.curation.convert import Conversion, convert_dataset
from brushbench.curation.targets import FORMATS
from brushbench.imaging.masks import brush_strokes

CAPTIONS = ['a "quoted", red\nfish', "\u4e00\u53ea\u732b \U0001f408", "\u0642\u0637\u0629", "=1+1 ; \\ /"]
TAGS = [{"source": "natural"}, {}, {"source": "artificial", "subject": "animal"}, {"subject": "human"}]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Captions and tags of all kinds; one image is a JPEG; the masks of the first don't complement each other."""
    root = write_benchmark(tmp_path_factory.mktemp("source") / "bench")
    file = root / "mapping_file.json"
    mapping = json.loads(file.read_text())
    for record, caption, tags in zip(mapping.values(), CAPTIONS, TAGS, strict=True):
        record.update({"caption": caption, "tags": tags} if tags else {"caption": caption})
    Image.fromarray(picture(9, 64)).save(root / "images" / "000000001.jpg")
    mapping["000000001"]["image"] = "images/000000001.jpg"
    mapping["000000000"]["outpainting_mask"] = [1, 7]
    mapping["\u00fcb er_\u732b.png"] = mapping.pop("000000003")
    file.write_text(json.dumps(mapping))
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of a user's own: pictures of every mode, a rotated JPEG, masks in several forms."""
    root = tmp_path / "mine"
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    base = Image.fromarray(picture(1, 64)).resize((64, 48))
    base.resize((48, 64)).save(root / "images" / "turned.jpg", exif=exif)
    base.save(root / "images" / "plain.webp", lossless=True)
    for mode in ("L", "P", "RGBA", "1"):
        base.convert(mode).save(root / "images" / f"mode_{mode}.png")
    mask = Image.fromarray(np.tri(48, 64, 3, dtype=np.uint8) * 255)
    for index, path in enumerate(sorted((root / "images").iterdir())):
        mask.rotate(90 * (index % 3) * 2).convert(("L", "1", "RGB")[index % 3]).save(
            root / "masks" / f"{path.stem}.png"
        )
    names = sorted(path.stem for path in (root / "images").iterdir())
    (root / "captions.txt").write_text("".join(f"number {name}\n" for name in names))
    return root


def assert_same(first: Dataset, second: Dataset) -> None:
    assert list(first.ids) == list(second.ids)
    assert first.tags() == second.tags()
    for one, other in zip(first, second, strict=True):
        assert (one.id, one.caption, one.tags) == (other.id, other.caption, other.tags)
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.mask, other.mask)


@pytest.mark.parametrize("split", ["inside", "outside"])
def test_parquet_and_back(split: str, bench: Path, tmp_path: Path) -> None:
    convert_dataset(Conversion(tmp_path / "all.parquet", root=bench))
    convert_dataset(Conversion(tmp_path / "back", root=tmp_path / "all.parquet"))
    source = load_dataset("brushbench", root=bench, split=split)
    assert_same(source, load_dataset("parquet", root=tmp_path / "all.parquet", split=split))
    assert_same(source, load_dataset("brushbench", root=tmp_path / "back", split=split))


def test_a_folder_and_back(bench: Path, tmp_path: Path) -> None:
    convert_dataset(Conversion(tmp_path / "folder", root=bench, to="folder"))
    source = load_dataset("brushbench", root=bench)
    found = load_dataset("folder", root=tmp_path / "folder")
    by_id = {sample.id: sample for sample in found}
    assert by_id.keys() == set(source.ids)
    for sample in source:
        assert (by_id[sample.id].caption, by_id[sample.id].tags) == (sample.caption, sample.tags)
        assert torch.equal(by_id[sample.id].mask, sample.mask)
        assert torch.equal(by_id[sample.id].image, sample.image)


@pytest.mark.parametrize("split", ["inside", "outside"])
@pytest.mark.parametrize("target", ["mine", "mine.parquet"])
def test_a_folder_of_ones_own(target: str, split: str, folder: Path, tmp_path: Path) -> None:
    convert_dataset(Conversion(tmp_path / "out" / target, root=folder))
    name = "parquet" if target.endswith("parquet") else "brushbench"
    found = load_dataset(name, root=tmp_path / "out" / target, split=split)
    assert_same(load_dataset("folder", root=folder, split=split), found)


def test_brushbench_s_format_as_others_read_it(folder: Path, tmp_path: Path) -> None:
    """The format is drawn by hand: row by row, starts from 1."""
    convert_dataset(Conversion(tmp_path / "out", root=folder))
    mapping = json.loads((tmp_path / "out" / "mapping_file.json").read_text())
    assert {path.name for path in (tmp_path / "out" / "images").iterdir()} == {
        *("turned.png", "plain.webp", "mode_L.png", "mode_P.png", "mode_RGBA.png", "mode_1.png"),
    }
    for sample in load_dataset("folder", root=folder):
        record = mapping[sample.id]
        for key, expected in (("inpainting_mask", sample.mask), ("outpainting_mask", ~sample.mask)):
            drawn = np.zeros(48 * 64, dtype=bool)
            for start, length in zip(record[key][::2], record[key][1::2], strict=True):
                drawn[start - 1 : start - 1 + length] = True
            assert (drawn.reshape(48, 64) == expected[0].numpy()).all()
        with Image.open(tmp_path / "out" / record["image"]) as image:
            assert (np.array(image).transpose(2, 0, 1) == sample.image.numpy()).all()
            assert image.mode == "RGB"
            assert not image.getexif()


def test_plain_files_are_copied(bench: Path, tmp_path: Path) -> None:
    convert_dataset(Conversion(tmp_path / "out", root=bench))
    for name in ("000000001.jpg", "000000002.png"):
        assert (tmp_path / "out" / "images" / name).read_bytes() == (bench / "images" / name).read_bytes()


def test_masks_of_the_brush_split(bench: Path, tmp_path: Path) -> None:
    convert_dataset(Conversion(tmp_path / "masks", root=bench, to="masks", splits=["brush"]))
    dataset = load_dataset("brushbench", root=bench, split="brush")
    assert {path.stem for path in (tmp_path / "masks").iterdir()} == set(dataset.ids)
    for sample in dataset:
        with Image.open(tmp_path / "masks" / f"{sample.id}.png") as mask:
            assert set(mask.convert("L").tobytes()) <= {0, 255}
            assert mask.mode == "L"
            assert (np.array(mask) > 0).tolist() == sample.mask[0].tolist()
    assert brush_strokes(64, 64, 3).shape == dataset[0].mask[0].shape


def test_the_brush_split_as_the_masks_of_a_data_set(bench: Path, tmp_path: Path) -> None:
    source = load_dataset("brushbench", root=bench, split="brush")
    for target, name, split in (("strokes.parquet", "parquet", "brush"), ("strokes", "brushbench", "inside")):
        convert_dataset(Conversion(tmp_path / target, root=bench, splits=["brush"]))
        assert_same(source, load_dataset(name, root=tmp_path / target, split=split))


def test_the_schema_is_the_one_of_datasets(bench: Path, tmp_path: Path) -> None:
    """Compared with the real library by tests/parity/read_with_datasets.py."""
    convert_dataset(Conversion(tmp_path / "all.parquet", root=bench))
    table = pq.read_table(tmp_path / "all.parquet")
    text, image = {"dtype": "string", "_type": "Value"}, {"_type": "Image"}
    assert json.loads(table.schema.metadata[b"huggingface"]) == {
        "info": {
            "features": {
                "id": text,
                "caption": text,
                "image": image,
                "inpainting_mask": image,
                "outpainting_mask": image,
                "tags": {"source": text, "subject": text},
            }
        }
    }
    first = table.to_pylist()[1]
    assert first["image"] == {"bytes": (bench / "images/000000001.jpg").read_bytes(), "path": "000000001.jpg"}
    assert first["tags"] == {"source": None, "subject": None}


def test_row_groups_are_small(bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brushbench.curation.targets.GROUP_ROWS", 3)
    convert_dataset(Conversion(tmp_path / "all.parquet", root=bench))
    assert pq.ParquetFile(tmp_path / "all.parquet").num_row_groups == 2
    assert_same(load_dataset("brushbench", root=bench), load_dataset("parquet", root=tmp_path / "all.parquet"))


def test_a_parquet_file_of_others(tmp_path: Path, bench: Path) -> None:
    """Fewer columns, other names, no ids, in a folder with several files."""
    convert_dataset(Conversion(tmp_path / "all.parquet", root=bench))
    table = pq.read_table(tmp_path / "all.parquet").select(["image", "caption", "inpainting_mask"])
    table = table.rename_columns(["image", "text", "mask"])
    (tmp_path / "repository" / "data").mkdir(parents=True)
    for part in (0, 1):
        pq.write_table(table.slice(2 * part, 2), tmp_path / "repository" / "data" / f"train-{part}.parquet")
    found = load_dataset("parquet", root=tmp_path / "repository")
    assert found.ids == ("000000000", "000000001", "000000002", "000000003")
    for one, other in zip(load_dataset("brushbench", root=bench), found, strict=True):
        assert one.caption == other.caption
        assert torch.equal(one.mask, other.mask)
    assert torch.equal(load_dataset("parquet", root=tmp_path / "repository", split="outside")[3].mask, ~found[3].mask)
    with pytest.raises(UserError, match=r"unknown split 'brush'.* valid: inside, outside"):
        load_dataset("parquet", root=tmp_path / "repository", split="brush")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1"])
def test_no_parquet(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(UserError, match="not a Parquet file"):
        load_dataset("parquet", root=tmp_path / "x.parquet")


def test_a_damaged_parquet_file(tmp_path: Path, bench: Path) -> None:
    """Only the suite's own error comes out, whichever byte is wrong."""
    convert_dataset(Conversion(tmp_path / "all.parquet", root=bench))
    content = (tmp_path / "all.parquet").read_bytes()
    generator = np.random.default_rng(0)
    for _ in range(60):
        changed = bytearray(content)
        for place in generator.integers(0, len(content), 20):
            changed[place] = generator.integers(256)
        (tmp_path / "all.parquet").write_bytes(changed)
        try:
            dataset = load_dataset("parquet", root=tmp_path / "all.parquet")
        except UserError:
            continue
        for index in range(len(dataset)):
            try:
                assert isinstance(dataset[index], Sample)
            except UserError:
                continue


@pytest.mark.parametrize("to", FORMATS)
def test_interrupted_it_leaves_nothing(to: str, bench: Path, tmp_path: Path) -> None:
    count = 0

    def tell(_stage: str, _total: int, _finished: int):
        def advance(_done: int, _failed: int) -> None:
            nonlocal count
            count += 1
            if count == 3:
                raise KeyboardInterrupt

        return advance

    asked = Conversion(tmp_path / "out" / "target", root=bench, to=to, splits=["inside"])
    with pytest.raises(KeyboardInterrupt):
        convert_dataset(asked, tell)
    assert not list((tmp_path / "out").iterdir())
    # What a killed process leaves is in nobody's way.
    (tmp_path / "out" / ".target.partial").write_text("half")
    assert convert_dataset(asked).count == 4
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["target"]


@pytest.mark.parametrize("to", FORMATS)
def test_what_is_there_is_replaced_only_by_the_same_or_by_force(to: str, bench: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    asked = Conversion(target, root=bench, to=to, splits=["inside"])
    assert not convert_dataset(asked).unchanged
    assert convert_dataset(asked).unchanged
    other = replace(asked, splits=["outside"])
    with pytest.raises(UserError, match="exists and is different; use --force"):
        convert_dataset(other)
    assert convert_dataset(asked).unchanged
    assert not convert_dataset(replace(other, force=True)).unchanged
    assert convert_dataset(other).unchanged
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@pytest.mark.parametrize("to", ["brushbench", "folder", "masks"])
def test_a_folder_with_other_things_is_never_replaced(to: str, bench: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    for force in (False, True):
        with pytest.raises(UserError, match=r"has other files, which are never replaced: thesis\.tex"):
            convert_dataset(Conversion(tmp_path, root=bench, to=to, force=force, splits=["inside"]))
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_the_source_is_never_replaced(bench: Path) -> None:
    for target in (bench, bench.parent):
        with pytest.raises(UserError, match="is or contains the data set itself"):
            convert_dataset(Conversion(target, root=bench, force=True))


def damage(root: Path) -> Path:
    (root / "images" / "plain.webp").write_bytes(b"RIFF")
    return root


def test_damaged_samples(folder: Path, brushbench, tmp_path: Path) -> None:
    arguments = ("data", "convert", "--root", damage(folder), "--output", tmp_path / "out.parquet")
    assert_one_line(brushbench(*arguments), "plain: ", "not a PNG, JPEG or WebP image", "--skip-damaged")
    assert not (tmp_path / "out.parquet").exists()
    code, out, err = brushbench(*arguments, "--skip-damaged")
    assert (code, "5 samples of folder, inside, as parquet" in out) == (3, True)
    assert "1 damaged samples left out: plain" in err
    assert len(load_dataset("parquet", root=tmp_path / "out.parquet")) == 5


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--to", "tfrecord"), "unknown format 'tfrecord'"),
        (("--to", "masks", "--split", "inside,outside"), "masks holds one split"),
        (("--split", "inside,brush"), "brushbench holds inside,outside or one split"),
        (("--split", "brusch"), "did you mean 'brush'"),
        (("--to", "parquet", "--output", "."), "is not a file, which parquet is"),
        (("--dataset", "folder"), "no masks/ folder"),
    ],
)
def test_wrong_usage_is_one_line(arguments, part: str, bench: Path, brushbench, tmp_path: Path, monkeypatch) -> None:
    root = tmp_path / "images_only"
    (root / "images").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    source = root if "--dataset" in arguments else bench
    assert_one_line(brushbench("data", "convert", "--root", source, "--output", "out", *arguments), part)
    assert [path.name for path in tmp_path.iterdir()] == ["images_only"]


def test_pictures_of_several_sizes_have_no_place_in_brushbench_s_format(folder: Path, tmp_path: Path) -> None:
    for part in ("images", "masks"):
        Image.new("RGB", (32, 32), (255, 255, 255)).save(folder / part / "small.png")
    names = sorted(path.stem for path in (folder / "images").iterdir())
    (folder / "captions.txt").write_text("".join(f"{name}\n" for name in names))
    with pytest.raises(UserError, match="small: pictures of 48x64 and 32x32; BrushBench's format has one size for all"):
        convert_dataset(Conversion(tmp_path / "out", root=folder))
    assert convert_dataset(Conversion(tmp_path / "out.parquet", root=folder)).count == 7


def test_an_image_alone(tmp_path: Path) -> None:
    root = write_benchmark(tmp_path / "one", count=1)
    assert convert_dataset(Conversion(tmp_path / "one.parquet", root=root)).count == 1
    assert len(load_dataset("parquet", root=tmp_path / "one.parquet")) == 1
