"""Names in two forms of Unicode, and pairings that go by an order of names."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from support import assert_one_line, run_on

import brushbench as library
from brushbench.curation.convert import Conversion, convert_dataset
from brushbench.curation.verify import verify_dataset
from brushbench.datasets.names import stored_name
from brushbench.datasets.source import images_in

NFC, NFD = "caf\u00e9", "cafe\u0301"
SIDE = 16


def own_folder(root: Path, *names: str, masks: tuple[str, ...] = ()) -> Path:
    """Images of these names, each of a colour of its own, and masks of the same or of other names."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for index, (name, mask) in enumerate(zip(names, masks or names, strict=True)):
        Image.new("RGB", (SIDE, SIDE), (10 * index, 7, 7)).save(root / "images" / f"{name}.png")
        Image.fromarray(np.eye(SIDE, dtype=np.uint8) * 255).save(root / "masks" / f"{mask}.png")
    return root


UNORDERED = [
    [str(number) for number in range(1, 13)],
    ["img-9", "img-10", "img-11"],
    ["1.5", "1.10"],
    ["Boat", "anchor"],
    ["cat", "cat-2"],
    ["IMG_2", "img_10"],
]


@pytest.mark.parametrize("names", UNORDERED, ids=" ".join)
def test_captions_by_an_order_that_programs_disagree_on_are_refused(names: list[str], tmp_path: Path) -> None:
    root = own_folder(tmp_path / "mine", *names)
    (root / "captions.txt").write_text("".join(f"picture {name}\n" for name in names))
    with pytest.raises(library.UserError, match="which programs sort differently") as error:
        library.load_dataset("folder", root=root)
    message = str(error.value)
    assert "captions.txt" in message
    assert "captions.csv" in message
    assert "\n" not in message
    assert {finding.kind for finding in verify_dataset("folder", root).findings} == {"caption-order"}


def test_on_the_command_line_it_is_one_line(brushbench, tmp_path: Path) -> None:
    root = own_folder(tmp_path / "mine", *UNORDERED[0])
    (root / "captions.txt").write_text("".join(f"{name}\n" for name in UNORDERED[0]))
    run = ("run", "--method", "mean-fill", "--dataset", "folder", "--root", root, "--output", tmp_path / "runs")
    assert_one_line(brushbench(*run), "captions.txt", "'10' comes before '2'", "01.png", "captions.csv")
    assert not (tmp_path / "runs").exists()
    code, out, _ = brushbench("data", "verify", "--dataset", "folder", "--root", root)
    assert code == 1
    assert "caption-order" in out
    (root / "captions.txt").unlink()
    (root / "captions.csv").write_text("id,caption\n" + "".join(f"{name},picture {name}\n" for name in UNORDERED[0]))
    found = library.load_dataset("folder", root=root)
    assert [sample.caption for sample in found] == [f"picture {name}" for name in found.ids]


@pytest.mark.parametrize("names", [["01", "02", "10"], ["a", "b"], ["x001", "x002"], ["7"], ["img-09", "img-10"]])
def test_captions_by_an_order_that_all_agree_on(names: list[str], tmp_path: Path) -> None:
    root = own_folder(tmp_path / "mine", *names)
    (root / "captions.txt").write_text("".join(f"picture {name}\n" for name in names))
    assert [sample.caption for sample in library.load_dataset("folder", root=root)] == [f"picture {n}" for n in names]


def test_only_line_ends_part_captions(tmp_path: Path) -> None:
    root = own_folder(tmp_path / "mine", "a", "b")
    (root / "captions.txt").write_bytes("one\u2028still one\x0band\x85so on\r\ntwo\n".encode())
    captions = [sample.caption for sample in library.load_dataset("folder", root=root)]
    assert captions == ["one\u2028still one\x0band\x85so on", "two"]


@pytest.mark.parametrize(("image", "mask", "caption"), [(NFC, NFD, NFD), (NFD, NFC, NFC), (NFD, NFD, NFC)])
@pytest.mark.parametrize("file", ["captions.csv", "captions.json"])
def test_a_folder_in_any_form_of_unicode(image: str, mask: str, caption: str, file: str, tmp_path: Path) -> None:
    root = own_folder(tmp_path / "mine", "a", image, masks=("a", mask))
    captions = {"a": "one", f"{caption}.png": "coffee"}
    lines = "".join(f"{name},{text}\n" for name, text in captions.items())
    (root / file).write_text(json.dumps(captions) if file.endswith("json") else f"id,caption\n{lines}")
    found = library.load_dataset("folder", root=root)
    assert list(found.ids) == ["a", NFC]
    assert (found[1].id, found[1].caption) == (NFC, "coffee")
    assert not {finding.kind for finding in verify_dataset("folder", root).findings} - {"mask-full"}
    other = own_folder(tmp_path / "other", "a", NFC)
    (other / file).write_bytes((root / file).read_bytes())
    assert library.load_dataset("folder", root=other).digest() == found.digest()


@pytest.mark.parametrize("part", ["images", "masks"])
def test_two_files_of_one_name_are_refused(part: str, tmp_path: Path) -> None:
    root = own_folder(tmp_path / "mine", NFC)
    shutil.copy(root / part / f"{NFC}.png", root / part / f"{NFD}.png")
    (root / "captions.csv").write_text(f"id,caption\n{NFC},coffee\n")
    with pytest.raises(library.UserError) as error:
        library.load_dataset("folder", root=root)
    assert r"'cafe\u0301.png' and 'caf\xe9.png'" in str(error.value)


def test_two_captions_of_one_name_are_refused(tmp_path: Path) -> None:
    root = own_folder(tmp_path / "mine", NFC)
    (root / "captions.csv").write_text(f"id,caption\n{NFC},coffee\n{NFD},tea\n")
    with pytest.raises(library.UserError) as error:
        library.load_dataset("folder", root=root)
    assert r"'caf\xe9' and 'cafe\u0301' are one name" in str(error.value)


@pytest.mark.parametrize(("key", "image", "stored"), [(NFD, NFC, NFD), (NFC, NFD, NFC), (NFD, NFD, NFC)])
def test_a_mapping_file_in_any_form(key: str, image: str, stored: str, write_bench, tmp_path: Path) -> None:
    root = write_bench(count=2)
    mapping = json.loads((root / "mapping_file.json").read_text())
    plain = library.load_dataset("brushbench", root=root)[1].image
    (root / "images/000000001.png").rename(root / "images" / f"{stored}.png")
    mapping[key] = mapping.pop("000000001") | {"image": f"images/{image}.png"}
    (root / "mapping_file.json").write_text(json.dumps(mapping))
    (root / "tags.csv").write_text(f"id,source,subject\n{stored},natural,animal\n")
    found = library.load_dataset("brushbench", root=root)
    assert list(found.ids) == ["000000000", NFC]
    assert (found[1].image == plain).all()
    assert found[1].tags == {"source": "natural", "subject": "animal"}
    assert not verify_dataset("brushbench", root).findings
    convert_dataset(Conversion(tmp_path / "all.parquet", root=root))
    assert list(library.load_dataset("parquet", root=tmp_path / "all.parquet").ids) == ["000000000", NFC]


def test_keys_of_a_mapping_file_that_are_one_name(write_bench) -> None:
    root = write_bench(count=2)
    mapping = json.loads((root / "mapping_file.json").read_text())
    (root / "mapping_file.json").write_text(json.dumps({NFC: mapping["000000000"], NFD: mapping["000000001"]}))
    with pytest.raises(library.UserError) as error:
        library.load_dataset("brushbench", root=root)
    assert r"'caf\xe9' and 'cafe\u0301' are one name" in str(error.value)
    assert "names-alike" in {finding.kind for finding in verify_dataset("brushbench", root).findings}


def test_an_image_of_which_there_are_two(write_bench) -> None:
    root = write_bench(count=2)
    mapping = json.loads((root / "mapping_file.json").read_text())
    for name in (NFC, NFD):
        shutil.copy(root / "images/000000001.png", root / "images" / f"{name}.png")
    mapping["000000001"]["image"] = f"images/{NFC}.png"
    (root / "mapping_file.json").write_text(json.dumps(mapping))
    with pytest.raises(library.UserError, match="are one name"):
        library.load_dataset("brushbench", root=root)[1]
    assert "names-alike" in {finding.kind for finding in verify_dataset("brushbench", root).findings}


def test_editbench_in_any_form(tmp_path: Path) -> None:
    root = tmp_path / "EditBench"
    for part in ("references_natural", "masks_natural"):
        (root / part).mkdir(parents=True)
    Image.new("RGB", (SIDE, SIDE), (9, 9, 9)).save(root / "references_natural" / f"{NFD}.png")
    Image.fromarray(np.eye(SIDE, dtype=np.uint8) * 255).save(root / "masks_natural" / f"{NFC}.png")
    header = "aos,prompt_full,prompt_mask-simple,prompt_mask-rich\n"
    (root / "annotations_natural.csv").write_text(f"{header}{NFC},coffee,cup,a cup\n")
    found = library.load_dataset("editbench", root=root)
    assert list(found.ids) == [f"natural-{NFC}"]
    assert found[0].caption == "coffee"
    (root / "annotations_natural.csv").write_text(f"{header}{NFC},coffee,cup,a cup\n{NFD},tea,cup,a cup\n")
    with pytest.raises(library.UserError, match="are one name"):
        library.load_dataset("editbench", root=root)


def test_rows_that_are_counted_through_files_in_an_order(write_bench, tmp_path: Path) -> None:
    convert_dataset(Conversion(tmp_path / "all.parquet", root=write_bench(count=3)))
    table = pq.read_table(tmp_path / "all.parquet")
    (tmp_path / "parts").mkdir()
    for name, index in (("1", 0), ("2", 1), ("10", 2)):
        pq.write_table(table.slice(index, 1).drop_columns(["id"]), tmp_path / "parts" / f"{name}.parquet")
    with pytest.raises(library.UserError, match=r"numbered across the files, but '10\.parquet' comes before"):
        library.load_dataset("parquet", root=tmp_path / "parts")
    for name, index in (("1", 0), ("2", 1), ("10", 2)):
        pq.write_table(table.slice(index, 1), tmp_path / "parts" / f"{name}.parquet")
    assert sorted(library.load_dataset("parquet", root=tmp_path / "parts").ids) == [f"{k:09d}" for k in range(3)]


@pytest.mark.parametrize(("key", "given"), [(NFC, NFD), (NFD, NFC)])
def test_pictures_made_elsewhere_in_any_form(key: str, given: str, write_bench, brushbench, tmp_path: Path) -> None:
    root = write_bench(count=1)
    mapping = json.loads((root / "mapping_file.json").read_text())
    (root / "mapping_file.json").write_text(json.dumps({key: mapping["000000000"]}))
    (tmp_path / "made").mkdir()
    Image.fromarray(np.tri(64, dtype=np.uint8) * 99).convert("RGB").save(tmp_path / "made" / f"{given}.png")
    run = run_on(root, tmp_path / "runs")[3:]
    code, _, err = brushbench("score", "--images", tmp_path / "made", *run)
    assert code == 0
    assert "no image" not in err
    assert "belong to no sample" not in err
    shutil.copy(tmp_path / "made" / f"{given}.png", tmp_path / "made" / f"{key}.jpg")
    assert_one_line(brushbench("score", "--images", tmp_path / "made", *run), "two images for", "are one name")


def test_names_below_a_folder(tmp_path: Path) -> None:
    (tmp_path / NFD).mkdir()
    (tmp_path / NFD / f"{NFC}.txt").touch()
    assert stored_name(tmp_path, f"{NFC}/{NFD}.txt") == f"{NFD}/{NFC}.txt"
    assert stored_name(tmp_path, f"{NFC}/none.txt") == f"{NFD}/none.txt"
    assert stored_name(tmp_path, "../plain") == "../plain"
    assert images_in(tmp_path) == {}
