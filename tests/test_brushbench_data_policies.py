"""One reader, two policies: what opening a data set refuses, `data verify` reports, and nothing else."""

import copy
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import write_benchmark
from PIL import Image
from planted import CAPTIONS, FIRST, IN_BENCH, IN_FOLDER, SECOND, Plant, caption_lines, change, own_folder, text
from support import assert_one_line

import brushbench
from brushbench.core.capture import Failure, capture
from brushbench.core.errors import SampleError, UserError
from brushbench.curation.convert import Conversion, convert_dataset
from brushbench.curation.verify import verify_dataset
from brushbench.datasets.defects import KINDS, DefectError
from brushbench.datasets.names import check_id
from brushbench.imaging import images

NFC, NFD = "caf\u00e9", "cafe\u0301"
HEADER_A = "aos,prompt_full,prompt_mask-simple,prompt_mask-rich"
HEADER_B = "aos,type,image_path,masked_image_path,caption"
SPLITS = ("inside", "outside")


def editbench(root: Path) -> Path:
    """Layout A, with one sample of each subset."""
    for subset in ("natural", "generated"):
        for part, mode in (("references", "RGB"), ("masks", "L")):
            (root / f"{part}_{subset}").mkdir(parents=True)
            Image.linear_gradient("L").resize((16, 16)).convert(mode).save(root / f"{part}_{subset}" / "1.png")
        (root / f"annotations_{subset}.csv").write_text(f"{HEADER_A}\n1,a {subset} cup,cup,a red cup\n")
    return root


def bench(root: Path) -> Path:
    write_benchmark(root)
    change(root, lambda mapping: [mapping[name].update(caption=caption) for name, caption in CAPTIONS.items()])
    return root


def parquet(root: Path) -> Path:
    root.mkdir()
    convert_dataset(Conversion(root / "all.parquet", root=bench(root / "bench")))
    shutil.rmtree(root / "bench")
    return root


BUILT: dict[str, Callable[[Path], Path]] = {
    "brushbench": bench,
    "folder": own_folder,
    "editbench": editbench,
    "parquet": parquet,
}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: build(tmp_path_factory.mktemp("clean") / "data") for name, build in BUILT.items()}


def listed(*names: str) -> Plant:
    """The mapping file as a list with these ids."""

    def plant(root: Path) -> None:
        file = root / "mapping_file.json"
        record = json.loads(file.read_text())[FIRST]
        file.write_text(json.dumps([{"image_id": name, **record} for name in names]))

    return plant


def line(name: str, *lines: str) -> Plant:
    return text(name, "\n".join(lines) + "\n")


def renamed_files(folder: str, suffix: str) -> Plant:
    return lambda root: [file.rename(file.with_suffix(suffix)) for file in (root / folder).iterdir()]


def table(edit: Callable[[list[dict]], object], **columns: str | None) -> Plant:
    """Other rows, and columns under other names or, for None, without them."""

    def plant(root: Path) -> None:
        file = root / "all.parquet"
        old = pq.read_table(file)
        rows = old.to_pylist()
        edit(rows)
        new = type(old).from_pylist(rows, old.schema)
        new = new.drop_columns([name for name, other in columns.items() if other is None])
        pq.write_table(new.rename_columns([columns.get(name) or name for name in new.column_names]), file)

    return plant


def captions(name: str, content: str) -> Plant:
    return lambda root: (root / "captions.csv").unlink() or (root / name).write_text(content)


ROW_B = "1,full,images/a.png,masked/a.png,a cup"
OF_A = "annotations_natural.csv"
REFUSED: dict[tuple[str, str], Plant] = {
    ("brushbench", "a number"): text("mapping_file.json", "7"),
    ("brushbench", "nothing but a list"): text("mapping_file.json", "[]"),
    ("brushbench", "a folder"): lambda root: (root / "mapping_file.json").unlink() or (root / "tags.csv").mkdir(),
    ("brushbench", "a key twice"): text("mapping_file.json", '{"a": {"image": "a", "caption": "1", "caption": "2"}}'),
    ("brushbench", "a key twice, and no JSON"): text("mapping_file.json", '{"a": {"image": "a", "image": "2"}, '),
    ("brushbench", "an id twice in a list"): listed("a", "b", "a"),
    ("brushbench", "ids in two forms"): listed(NFC, NFD),
    ("brushbench", "a lone surrogate"): listed("a", "b\ud800"),
    ("brushbench", "several things"): text("mapping_file.json", '{"b\\ud800": 1, "a": 2, "a": 3}'),
    ("brushbench", "tags that are no text"): lambda root: (root / "tags.csv").write_bytes(b"\xff"),
    ("brushbench", "tags of nobody, and wrong"): line("tags.csv", "id,source,subject", "none,true,human"),
    ("brushbench", "a tag of blanks"): line("tags.csv", "id,source,subject", f"{FIRST}, ,human"),
    ("folder", "no image"): lambda root: [file.unlink() for file in (root / "images").iterdir()],
    ("folder", "no images/"): lambda root: shutil.rmtree(root / "images"),
    ("folder", "masks/ is a file"): lambda root: shutil.rmtree(root / "masks") or (root / "masks").write_text(""),
    ("folder", "images of another format"): renamed_files("images", ".bmp"),
    ("folder", "masks of another format"): renamed_files("masks", ".tiff"),
    ("folder", "a mask twice"): lambda root: shutil.copy(root / "masks/a.png", root / "masks/a.webp"),
    ("folder", "a name that is no Unicode"): lambda root: shutil.copy(
        root / "masks/a.png", root / "masks" / os.fsdecode(b"\xff.png")
    ),
    ("folder", "captions in two forms"): caption_lines("a,one", f"{NFC},two", f"{NFD},three"),
    ("folder", "several captions twice"): caption_lines("b,1", "b,2", "c,3", "a,4", "a,5", "a,6"),
    ("folder", "too few lines"): captions("captions.txt", "one\ntwo\n"),
    ("folder", "captions that are a list"): captions("captions.json", "[1]"),
    ("folder", "captions that are no JSON"): captions("captions.json", "{"),
    ("folder", "a caption twice in JSON"): captions("captions.json", '{"a": "one", "a.png": "two"}'),
    ("editbench", "no column"): text(OF_A, "aos,prompt\n1,a cup\n"),
    ("editbench", "no header"): text(OF_A, ""),
    ("editbench", "no text"): lambda root: (root / OF_A).write_bytes(b"\xff\n"),
    ("editbench", "a cell too many"): line(OF_A, HEADER_A, "1,2,3,4,5"),
    ("editbench", "a picture twice"): line(OF_A, HEADER_A, "1,a cup,,", "1,a cup,,"),
    ("editbench", "names in two forms"): line(OF_A, HEADER_A, f"{NFC},a cup,,", f"{NFD},a cup,,"),
    ("editbench", "both tables"): lambda root: [file.write_text("aos\n") for file in root.glob("*.csv")],
    ("editbench", "layout B, a picture twice"): lambda root: (
        [file.unlink() for file in root.glob("*.csv")] and line("b.csv", HEADER_B, ROW_B, ROW_B)(root)
    ),
    ("parquet", "no Parquet"): text("all.parquet", "PAR1"),
    ("parquet", "an id twice"): table(lambda rows: rows[1].update(id=FIRST)),
    ("parquet", "ids in two forms"): table(lambda rows: [rows[0].update(id=NFC), rows[1].update(id=NFD)]),
    ("parquet", "no rows"): table(list.clear),
    ("parquet", "no captions"): table(len, caption="said"),
    ("parquet", "no images"): table(len, image=None),
    ("parquet", "no masks"): table(len, inpainting_mask=None, outpainting_mask=None),
}
OTHERS = {
    **{("brushbench", name): plant for name, (_, plant) in IN_BENCH.items()},
    **{("folder", name): plant for name, (_, plant) in IN_FOLDER.items()},
    ("brushbench", "a caption of nothing"): lambda root: change(root, lambda mapping: mapping[SECOND].clear()),
    ("brushbench", "a list"): listed("a", "b"),
    ("editbench", "no prompt"): line(OF_A, HEADER_A, "1, ,,"),
    ("editbench", "no picture"): line(OF_A, HEADER_A, "2,a cup,,"),
    ("editbench", "one table"): lambda root: (root / OF_A).unlink(),
    ("editbench", "a path out"): line(OF_A, HEADER_A, "../1,a cup,,"),
    ("parquet", "no caption"): table(lambda rows: rows[0].update(caption=None)),
    ("parquet", "no picture"): table(lambda rows: rows[0].update(image=None)),
    ("parquet", "an id that is no name"): table(lambda rows: rows[0].update(id="a/b")),
}


def refusal_of(name: str, root: Path) -> str:
    """Return the error for the first split that can't be opened; empty if all can."""
    for split in SPLITS:
        try:
            brushbench.load_dataset(name, root=root, split=split)
        except UserError as error:
            return str(error)
    return ""


@pytest.mark.parametrize(("name", "what"), [*REFUSED, *OTHERS], ids=" ".join)
def test_both_policies_agree(name: str, what: str, clean: dict[str, Path], tmp_path: Path) -> None:
    root = shutil.copytree(clean[name], tmp_path / "data")
    plant = (REFUSED | OTHERS)[name, what]
    plant(root)
    refusal = refusal_of(name, root)
    assert refusal or (name, what) not in REFUSED
    found = capture(verify_dataset, name, root, SPLITS)
    if isinstance(found, Failure):
        # Where there is nothing to look at.
        assert (found.by_user, found.error) == (True, refusal)
        return
    refusals = [finding.refusal for finding in found.findings if finding.refusal]
    assert (refusal in refusals) if refusal else not refusals
    assert (found.digest is None) == bool(refusal)
    unusable = {finding.subject for finding in found.findings if not KINDS[finding.kind].usable}
    for split in SPLITS if not refusal else ():
        dataset = brushbench.load_dataset(name, root=root, split=split)
        for index, sample in enumerate(dataset.ids):
            try:
                dataset[index]
            except SampleError:
                # Of a full mask of a folder, the other split is an empty one.
                assert sample in unusable or what == "full mask"


@pytest.mark.parametrize("name", BUILT)
def test_opening_reads_no_picture(name: str, clean: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Image, "open", refuse)
    assert len(brushbench.load_dataset(name, root=clean[name]).ids) > 1


def test_a_header_is_read_once_however_often_the_data_set_is_opened(
    clean: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shutil.copytree(clean["brushbench"], tmp_path / "data")
    read: list[Path] = []
    image_size = images.image_size
    monkeypatch.setattr(images, "image_size", lambda path: read.append(path) or image_size(path))
    for split in (*SPLITS, *SPLITS):
        assert brushbench.load_dataset("brushbench", root=root, split=split)[0].id == FIRST
    assert sorted(path.name for path in read) == [f"{name}.png" for name in CAPTIONS]
    file = root / "images" / f"{FIRST}.png"
    Image.new("RGB", (8, 8)).save(file)
    with pytest.raises(SampleError, match="8x8, the data set is 64x64"):
        brushbench.load_dataset("brushbench", root=root)[0]
    assert len(read) == len(CAPTIONS) + 1


def test_a_defect_keeps_its_kind_on_its_way_between_processes() -> None:
    with pytest.raises(DefectError) as error:
        check_id("a/b")
    # As pickle takes it apart and puts it together.
    sent = copy.copy(error.value)
    assert (str(sent), sent.kind, sent.found_in("a/b")) == (str(error.value), "bad-id", error.value.found_in("a/b"))


def test_all_that_is_wrong_with_tables_of_editbench_is_reported(clean: dict[str, Path], tmp_path: Path) -> None:
    root = shutil.copytree(clean["editbench"], tmp_path / "data")
    (root / "annotations_generated.csv").write_text("aos\n")
    line(OF_A, HEADER_A, "1,a cup,,", "1,a cup,,", f"{NFC},a cup,,", f"{NFD},a cup,,")(root)
    found = {(finding.kind, finding.subject) for finding in verify_dataset("editbench", root).findings}
    assert {
        ("unreadable", "annotations_generated.csv"),
        ("duplicate-id", "natural-1"),
        ("names-alike", f"natural-{NFC}"),
    } <= found


def test_a_parquet_file_without_masks_is_one_line(clean: dict[str, Path], brushbench, tmp_path: Path) -> None:
    root = shutil.copytree(clean["parquet"], tmp_path / "data")
    REFUSED["parquet", "no masks"](root)
    assert_one_line(brushbench("data", "verify", "--root", root), "unknown split 'inside'")
