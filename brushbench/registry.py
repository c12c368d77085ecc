"""Names of methods, metrics and data sets, each a `module:Class` that is imported only when it is asked for.

Other distributions add theirs with the entry-point groups `brushbench.methods`, `brushbench.metrics` and
`brushbench.datasets`; a method can also be a file: `path/to/file.py:Class`.
"""

import importlib
import importlib.util
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.metadata import Distribution, entry_points
from pathlib import Path
from types import CodeType
from typing import Any, Literal, cast, get_args

from brushbench.errors import UserError, one_line, unknown
from brushbench.work import Failure, attempt

Kind = Literal["method", "metric", "dataset"]
Role = Literal["contender", "reference", "floor"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Registered:
    """A name of the suite, and where the class behind it is."""

    name: str
    target: str
    """`module:Class`."""
    summary: str
    """One line for `brushbench list`."""
    role: Role = "contender"
    """What a method is for: to be compared, or to show what can be reached (`reference`) or had for nothing (`floor`).

    A class of a plug-in or of a file says it by an attribute `role`."""
    version: int = 1
    """Of a method: another one makes other images. docs/methods.md has a dated line for each."""


BUILTIN: dict[Kind, tuple[Registered, ...]] = {
    "method": (
        Registered(
            "autoencoder",
            "baselines.autoencoder:Autoencoder",
            "the source after its VAE's round trip: the ceiling of latent methods that don't blend",
            "reference",
        ),
        Registered("biharmonic", "baselines.classical:Biharmonic", "biharmonic interpolation (scikit-image)", "floor"),
        Registered(
            "blended-latent", "baselines.blended_latent:BlendedLatent", "Blended Latent Diffusion, arXiv:2206.02779"
        ),
        Registered("brushnet", "baselines.brushnet:BrushNet", "BrushNet, arXiv:2403.06976"),
        Registered(
            "controlnet",
            "baselines.controlnet_inpainting:ControlNetInpainting",
            "inpainting ControlNet, arXiv:2302.05543",
        ),
        Registered(
            "copy",
            "baselines.classical:Copy",
            "the source image itself: what a perfect method would score",
            "reference",
        ),
        Registered(
            "diffusers",
            "baselines.diffusers_pipeline:DiffusersPipeline",
            "any inpainting pipeline of diffusers: -o model=FOLDER or a hub id",
        ),
        Registered("hd-painter", "baselines.hd_painter:HDPainter", "HD-Painter, arXiv:2312.14091"),
        Registered("mean-fill", "baselines.classical:MeanFill", "the mean colour of the known pixels", "floor"),
        Registered("navier-stokes", "baselines.classical:NavierStokes", "Bertalmio et al. 2001 (OpenCV)", "floor"),
        Registered("powerpaint", "baselines.powerpaint:PowerPaint", "PowerPaint, arXiv:2312.03594, versions 1 and 2"),
        Registered("sd-inpainting", "baselines.sd_inpainting:StableDiffusionInpainting", "Stable Diffusion Inpainting"),
        Registered("telea", "baselines.classical:Telea", "fast marching, Telea 2004 (OpenCV)", "floor"),
    ),
    "metric": (
        Registered("aesthetic", "metrics.aesthetic:Aesthetic", "LAION's aesthetic predictor on CLIP ViT-L/14"),
        Registered("clip", "metrics.alignment:CLIPSimilarity", "image and caption by CLIP ViT-L/14"),
        Registered("hps", "metrics.preference:HPS", "Human Preference Score v2.1"),
        Registered("image-reward", "metrics.preference:ImageReward", "ImageReward v1.0"),
        Registered("lpips", "metrics.perceptual:LPIPS", "learned perceptual distance to the source"),
        Registered("mse", "metrics.pixel:MSE", "mean squared error on [0, 1]"),
        Registered(
            "papercut-clip", "metrics.alignment:PaperCutCLIP", "image and caption by PaperCut's own CLIP, on it only"
        ),
        Registered("psnr", "metrics.pixel:PSNR", "peak signal-to-noise ratio, dB"),
        Registered("seam", "metrics.seam:Seam", "how visible the border of the mask is"),
        Registered("ssim", "metrics.pixel:SSIM", "structural similarity, Wang et al. 2004"),
    ),
    "dataset": (
        Registered("brushbench", "brushbench.datasets.brushbench:BrushBench", "BrushBench, or any set in its format"),
        Registered(
            "editbench", "brushbench.datasets.editbench:EditBench", "EditBench, arXiv:2212.06909, in any layout"
        ),
        Registered("folder", "brushbench.datasets.folder:Folder", "images/, masks/ and captions of one's own"),
        Registered(
            "papercut", "brushbench.datasets.papercut:PaperCut", "embedded scenes of cut paper, 128x128, procedural"
        ),
        Registered("parquet", "brushbench.datasets.parquet:Parquet", "a Parquet file of images, masks and captions"),
        Registered("photos", "brushbench.datasets.photos:Photos", "embedded photographs with drawn object masks"),
    ),
}


@cache
def registered(kind: Kind) -> dict[str, Registered]:
    """Every name of that kind. The suite's own names can't be taken by an entry point."""
    plugins = {
        point.name: Registered(point.name, point.value, f"plug-in {point.value}")
        for point in entry_points(group=f"brushbench.{kind}s")
    }
    entries = plugins | {entry.name: entry for entry in BUILTIN[kind]}
    return dict(sorted(entries.items()))


def check_name(kind: Kind, name: str) -> None:
    """Raise `UserError`, with the nearest valid name, unless `name` is registered or (a method) a file that exists."""
    if kind == "method" and (file := method_file(name)):
        if not file.is_file():
            raise UserError(f"method file not found: {file}")
    elif name not in registered(kind):
        raise unknown(kind, name, registered(kind))


def method_file(name: str) -> Path | None:
    """The file of a method given as `path/to/file.py:Class`, None for a registered name."""
    path, separator, _ = name.rpartition(":")
    return Path(path) if separator and path.endswith(".py") else None


# Any: the caller checks what the class is.
def resolve(kind: Kind, name: str) -> Any:
    """Import and return the class behind a name. Raises `UserError` if there is none or it can't be imported."""
    check_name(kind, name)
    if kind == "method" and (file := method_file(name)):
        return _class_of(_module_of(file), name)
    target = registered(kind)[name].target
    try:
        return _class_of(importlib.import_module(target.partition(":")[0]), target)
    except ImportError as error:
        raise UserError(one_line(f"{kind} {name!r} can't be imported: {error}")) from error


# Any: the class of a method.
def role_of_class(name: str, cls: Any) -> Role:
    """What a method is for: the suite's own as registered, any other as its class says, by default a contender.

    Raises `UserError` for another role than those there are.
    """
    if built_in := built_in_role(name):
        return built_in
    role = getattr(cls, "role", "contender")
    if role not in ROLES:
        raise UserError(one_line(f"method {name!r}: role {role!r} is not one of {', '.join(ROLES)}"))
    return cast(Role, role)


def built_in_version(name: str) -> int:
    """Of one of the suite's own methods; of any other 1, as its code is told apart by digests."""
    return next((entry.version for entry in BUILTIN["method"] if entry.name == name), 1)


def distribution_of(name: str) -> Distribution | None:
    """Which installed distribution a method of that name comes from; None for the suite's own, and for a file."""
    if built_in_role(name):
        return None
    points = entry_points(group="brushbench.methods", name=name)
    return next((point.dist for point in points if point.dist), None)


def built_in_role(name: str) -> Role | None:
    """Of one of the suite's own methods, None for any other."""
    return next((entry.role for entry in BUILTIN["method"] if entry.name == name), None)


class _SourceOnly(SourceFileLoader):
    """Compiles the file each time: cached bytecode of an edit of equal size within the same second is the old code."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _module_of(file: Path) -> Any:
    if file.suffix != ".py":
        raise UserError(f"{file} is not a Python file")
    name = f"brushbench_method_{file.stem}"
    loader = _SourceOnly(name, str(file))
    module = importlib.util.module_from_spec(cast(ModuleSpec, importlib.util.spec_from_loader(name, loader)))
    executed = attempt(loader.exec_module, module)
    if isinstance(executed, Failure):
        raise UserError(one_line(f"{file} can't be imported: {executed.error}"))
    return module


def _class_of(module: Any, target: str) -> Any:
    name = target.rpartition(":")[2]
    if name not in vars(module):
        classes = [key for key, value in vars(module).items() if isinstance(value, type)]
        raise unknown(f"class of {module.__name__}", name, classes)
    return vars(module)[name]
