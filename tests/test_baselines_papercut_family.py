"""PaperCut's shipped models: they are there, small, and as good as their card says; and they can be trained again."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import pytest
import torch
from support import DIFFUSION_METHODS, slow_but
from torch import Tensor, nn

import brushbench
from brushbench.baselines.papercut.inpainting import FOLDER
from brushbench.baselines.papercut.quality import SHIPPED, Quality
from brushbench.baselines.papercut.recipe import PARTS, TrainingContext, shortened
from brushbench.baselines.papercut.training import Part, Training
from brushbench.baselines.stable_diffusion import to_unit
from brushbench.core.progress import silent
from brushbench.core.types import Batch
from brushbench.imaging.sheets import Sheet
from brushbench.weights import families, read_family

SOME = 24
FEW = 12
"""Number of scenes for means that are far from their limits."""
ONCE = pytest.param("brushnet", marks=pytest.mark.xdist_group("papercut's brushnet"))
"""Several tests look at its images."""


@pytest.fixture(scope="module")
def scenes() -> Batch:
    return first_scenes(FEW)


def first_scenes(count: int) -> Batch:
    dataset = brushbench.load_dataset("papercut")
    return Batch.of([dataset[index] for index in range(count)])


@pytest.fixture(scope="module")
def painted(scenes: Batch) -> Callable[[str], Tensor]:
    """The scenes as a method paints them with what the family sets; each method paints once."""

    @cache
    def paint(method: str) -> Tensor:
        return brushbench.load_method(method, weights="papercut", device="cpu", dtype="float32")(scenes, range(FEW))

    return paint


def test_the_family_is_shipped_in_half_precision_and_small() -> None:
    family = read_family(families()["papercut"])
    assert all(Path(component.source).is_dir() for component in family.components.values())
    files = [path for path in SHIPPED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 32e6
    weights = [path for path in files if path.suffix == ".safetensors"]
    assert len(weights) == len(PARTS) + 2
    for path in weights:
        length = int.from_bytes(path.read_bytes()[:8], "little")
        header = json.loads(path.read_bytes()[8 : 8 + length])
        dtypes = {entry["dtype"] for name, entry in header.items() if name != "__metadata__"}
        assert dtypes <= {"F16", "I64"}, path


def test_judge_and_text_encoder_number_tokens_alike() -> None:
    for file in ("vocab.json", "merges.txt"):
        assert (SHIPPED / "clip" / file).read_bytes() == (SHIPPED / "tokenizer" / file).read_bytes()


def test_brushnet_by_its_name_alone(brushbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BRUSHBENCH_DATA", raising=False)
    code, out, err = brushbench("run", "--method", "brushnet", "--limit", "8")
    assert code == 0, err
    assert "BrushBench not found; using the built-in PaperCut data" in err
    assert "weights of brushnet: papercut" in err
    assert "generating brushnet, papercut/inside: 8/8 images" in err
    assert "papercut-clip whole" in out
    assert "scored/requested: 8/8 for each" in out
    assert (tmp_path / "runs" / "papercut-inside" / "brushnet" / "contact_sheet.png").exists()
    record = json.loads((tmp_path / "runs" / "papercut-inside" / "brushnet" / "run.json").read_text())
    assert record["identity"]["method"]["options"]["steps"] == 12


@pytest.mark.slow
def test_every_method_that_has_weights_of_the_family_runs_by_name(brushbench, tmp_path: Path) -> None:
    names = read_family(families()["papercut"]).methods
    code, out, err = brushbench(
        *("run", "--method", ",".join(names), "--dataset", "papercut", "--split", "inside,brush"),
        *("--limit", "1", "--steps", "2", "--output", tmp_path),
    )
    assert code == 0, err
    assert all(f"{name}" in out for name in names)


@pytest.mark.parametrize(("method", "options"), DIFFUSION_METHODS)
def test_known_pixels_can_be_put_back(method: str, options: dict[str, int]) -> None:
    dataset = brushbench.load_dataset("papercut")
    few = Batch.of([dataset[0], dataset[1]])
    plain, pasted = (
        brushbench.load_method(method, weights="papercut", device="cpu", steps=2, blend=blend, **options)(few, [1, 2])
        for blend in ("none", "paste")
    )
    known = ~few.masks.expand_as(few.images)
    assert torch.equal(pasted[known], few.images[known])
    assert not torch.equal(plain[known], few.images[known])
    assert torch.equal(plain[~known], pasted[~known])


@pytest.mark.first
@pytest.mark.parametrize(
    "method",
    [ONCE, *slow_but([], ["sd-inpainting", "hd-painter", "powerpaint"])],
)
def test_each_method_paints_well_with_what_the_family_sets(
    method: str, scenes: Batch, painted: Callable[[str], Tensor]
) -> None:
    """A sampler that fails in so few steps would say something of the method that isn't so."""
    judge = brushbench.load_metric("papercut-clip")
    nothing = torch.where(scenes.masks, torch.zeros_like(scenes.images), scenes.images)
    assert judge(scenes, nothing).mean() < 50
    assert judge(scenes, painted(method)).mean() > 65


def test_another_branch_of_the_family_is_an_option() -> None:
    usual = brushbench.load_method("brushnet", weights="papercut", device="cpu")
    other = brushbench.load_method("brushnet", weights="papercut", device="cpu", brushnet="papercut-brushnet-random")
    weights = [method.branch.conv_in_condition.weight for method in (usual, other)]
    assert not torch.equal(*weights)


@pytest.mark.slow
@pytest.mark.xdist_group("papercut's brushnet")
def test_known_pixels_stay_as_close_as_the_autoencoder_keeps_whole_scenes(
    scenes: Batch, painted: Callable[[str], Tensor]
) -> None:
    method = brushbench.load_method("brushnet", weights="papercut", device="cpu", dtype="float32")
    psnr = brushbench.load_metric("psnr")
    kept = psnr(scenes, painted("brushnet")).mean()
    whole = replace(scenes, masks=torch.zeros_like(scenes.masks))
    rebuilt = psnr(whole, method.sd.decode(method.sd.encode_image(to_unit(scenes.images)))).mean()
    assert kept > rebuilt - 2


@pytest.mark.slow
def test_it_paints_what_the_caption_says() -> None:
    """One hole in one place, captioned once with the object's own colour and once with another."""
    scenes = first_scenes(SOME)
    method = brushbench.load_method("brushnet", weights="papercut", device="cpu", dtype="float32")
    judge = brushbench.load_metric("papercut-clip")
    dataset = brushbench.load_dataset("papercut")
    colours = [dataset[index].tags["colour"] for index in range(SOME)]
    captions = {
        colour: tuple(text.replace(own, colour) for text, own in zip(scenes.captions, colours, strict=True))
        for colour in ("green", "purple")
    }
    batches = {colour: Batch(scenes.ids, scenes.images, scenes.masks, texts) for colour, texts in captions.items()}
    painted = {colour: method(batch, range(SOME)) for colour, batch in batches.items()}
    for asked, other in (("green", "purple"), ("purple", "green")):
        better = judge(batches[asked], painted[asked]) > judge(batches[other], painted[asked])
        assert better.double().mean() >= 0.85


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_card_s_numbers_on_some_scenes() -> None:
    lines = {line.measured: line.cells for line in Quality(SHIPPED, SOME // 2, silent).lines()}
    assert float(lines["autoencoder, whole scenes"]["PSNR, dB"]) > 28
    assert float(lines["real scenes: own caption among 50"]["caption, %"]) >= 85
    first = {name: float(cells["object, %"].split()[0]) for name, cells in lines.items() if "object, %" in cells}
    assert first["real scenes"] >= 85
    assert first["text to image"] >= 75
    assert first["brushnet, inside"] >= 75
    assert float(lines["text to image"]["colour, %"].split()[0]) >= 85
    assert first["brushnet, inside, no caption"] < 50


def workshop_without(part: str, folder: Path) -> Path:
    """The weights that are shipped, without those of one part."""
    output = folder / "weights"
    output.mkdir()
    changed = {"base": ["unet", "text_encoder"], "inpainting": [FOLDER]}.get(part, [part])
    for shipped in SHIPPED.iterdir():
        if shipped.name in ("scheduler", "tokenizer"):
            shutil.copytree(shipped, output / shipped.name)
        elif shipped.name not in changed:
            (output / shipped.name).symlink_to(shipped)
    return output


@dataclass
class OneBatch:
    """A part that learns one batch by heart: what is drawn is the same in every step."""

    part: Part
    losses: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.part.name

    @property
    def trained(self) -> nn.Module:
        return self.part.trained

    def loss(self, batch: int, draw: torch.Generator) -> Tensor:
        loss = self.part.loss(batch, draw.manual_seed(0))
        self.losses.append(loss.item())
        return loss

    def sheet(self) -> Sheet:
        return self.part.sheet()

    def save(self) -> None:
        self.part.save()


@pytest.fixture
def _shipped_as_before() -> Iterator[None]:
    """A part that is saved through a link would change what is shipped."""
    before = {path: path.stat().st_mtime_ns for path in SHIPPED.rglob("*")}
    yield
    assert {path: path.stat().st_mtime_ns for path in SHIPPED.rglob("*")} == before


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for scenes and latents of all parts, so that they are computed once."""
    return tmp_path_factory.mktemp("work")


@pytest.mark.first
@pytest.mark.usefixtures("_shipped_as_before")
@pytest.mark.parametrize(
    ("name", "first", "left"),
    [
        pytest.param("vae", 3.46557, 0.6, marks=pytest.mark.slow),
        ("clip", 4.33871, 0.9),
        ("base", 1.10551, 0.7),
        pytest.param("brushnet", 0.06771, 0.95, marks=pytest.mark.slow),
        pytest.param("inpainting", 0.06771, 0.95, marks=pytest.mark.slow),
        pytest.param("brushnet_random", 0.06771, 0.95, marks=pytest.mark.slow),
        pytest.param("controlnet", 0.06771, 0.98, marks=pytest.mark.slow),
        pytest.param("powerpaint", 0.05134, 0.9999, marks=pytest.mark.slow),
        pytest.param("powerpaint_v2", 0.07001, 0.9, marks=pytest.mark.slow),
    ],
)
def test_a_part_begins_with_a_known_loss_and_learns_one_batch(
    name: str, first: float, left: float, work: Path, tmp_path: Path
) -> None:
    """Training starts from initial weights; parts that it uses are the shipped ones. Losses are a CPU's, in float32.

    Parts made from the base begin with the loss of the base alone, which is low already.
    """
    recipe = replace(shortened(PARTS[name].recipe, 6), batch=4)
    torch.manual_seed(recipe.seed)
    part = OneBatch(PARTS[name].make(TrainingContext(work, workshop_without(name, tmp_path), 24, silent)))
    Training(part, recipe, tmp_path)(silent)
    assert part.losses[0] == pytest.approx(first, rel=1e-3)
    assert part.losses[-1] < left * part.losses[0]
    assert (tmp_path / name / "000006.png").stat().st_size > 0


@pytest.mark.slow
@pytest.mark.usefixtures("_shipped_as_before")
def test_the_documented_command_trains_a_part(tmp_path: Path) -> None:
    output = workshop_without("brushnet", tmp_path)
    command = [sys.executable, "-m", "brushbench.baselines.papercut", "train", "brushnet", "--work", str(tmp_path)]
    done = subprocess.run(
        [*command, "--threads", "1", "--scenes", "8", "--steps", "2"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "brushnet" / "log.jsonl").read_text())["step"] == 2
    assert (output / "brushnet" / "config.json").is_file()
    assert (tmp_path / "brushnet" / "000002.png").exists()
