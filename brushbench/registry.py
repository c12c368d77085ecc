"""Names of methods, metrics and data sets, each a `module:Class` that is imported only when it is asked for.

Other distributions add theirs with the entry-point groups `brushbench.methods`, `brushbench.metrics` and
`brushbench.datasets`; each can also be a file: `path/to/file.py:Class`.
"""

import importlib
import inspect
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, cast, get_args

from brushbench.errors import UserError, one_line, unknown
from brushbench.plugins.files import SUFFIX, check_file, file_of, module_of, public_names
from brushbench.work import plugged

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
    """The version of a method: another one makes other images. docs/methods.md has a dated line for each."""


BUILTIN: dict[Kind, tuple[Registered, ...]] = {
    "method": (
        Registered(
            "autoencoder",
            "brushbench.baselines.autoencoder:Autoencoder",
            "the source after its VAE's round trip: the ceiling of latent methods that don't blend",
            "reference",
        ),
        Registered(
            "biharmonic",
            "brushbench.baselines.classical:Biharmonic",
            "biharmonic interpolation (scikit-image)",
            "floor",
        ),
        Registered(
            "blended-latent",
            "brushbench.baselines.blended_latent:BlendedLatent",
            "Blended Latent Diffusion, arXiv:2206.02779",
        ),
        Registered("brushnet", "brushbench.baselines.brushnet:BrushNet", "BrushNet, arXiv:2403.06976"),
        Registered(
            "controlnet",
            "brushbench.baselines.controlnet_inpainting:ControlNetInpainting",
            "inpainting ControlNet, arXiv:2302.05543",
        ),
        Registered(
            "copy",
            "brushbench.baselines.classical:Copy",
            "the source image itself: what a perfect method would score",
            "reference",
        ),
        Registered(
            "diffusers",
            "brushbench.baselines.diffusers_pipeline:DiffusersPipeline",
            "any inpainting pipeline of diffusers: -o model=FOLDER or a hub id",
        ),
        Registered("hd-painter", "brushbench.baselines.hd_painter:HDPainter", "HD-Painter, arXiv:2312.14091"),
        Registered(
            "mean-fill", "brushbench.baselines.classical:MeanFill", "the mean colour of the known pixels", "floor"
        ),
        Registered(
            "navier-stokes", "brushbench.baselines.classical:NavierStokes", "Bertalmio et al. 2001 (OpenCV)", "floor"
        ),
        Registered(
            "powerpaint", "brushbench.baselines.powerpaint:PowerPaint", "PowerPaint, arXiv:2312.03594, versions 1 and 2"
        ),
        Registered(
            "sd-inpainting",
            "brushbench.baselines.sd_inpainting:StableDiffusionInpainting",
            "Stable Diffusion Inpainting",
        ),
        Registered("telea", "brushbench.baselines.classical:Telea", "fast marching, Telea 2004 (OpenCV)", "floor"),
    ),
    "metric": (
        Registered(
            "aesthetic", "brushbench.metrics.aesthetic:Aesthetic", "LAION's aesthetic predictor on CLIP ViT-L/14"
        ),
        Registered("clip", "brushbench.metrics.alignment:CLIPSimilarity", "image and caption by CLIP ViT-L/14"),
        Registered("hps", "brushbench.metrics.preference:HPS", "Human Preference Score v2.1"),
        Registered("image-reward", "brushbench.metrics.preference:ImageReward", "ImageReward v1.0"),
        Registered("lpips", "brushbench.metrics.perceptual:LPIPS", "learned perceptual distance to the source"),
        Registered("mse", "brushbench.metrics.pixel:MSE", "mean squared error on [0, 1]"),
        Registered(
            "papercut-clip",
            "brushbench.metrics.alignment:PaperCutCLIP",
            "image and caption by PaperCut's own CLIP, on it only",
        ),
        Registered("psnr", "brushbench.metrics.pixel:PSNR", "peak signal-to-noise ratio, dB"),
        Registered("seam", "brushbench.metrics.seam:Seam", "how visible the border of the mask is"),
        Registered("ssim", "brushbench.metrics.pixel:SSIM", "structural similarity, Wang et al. 2004"),
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
        point.name: Registered(point.name, f"{point.module}:{point.attr}", f"plug-in {point.value}")
        for point in entry_points(group=f"brushbench.{kind}s")
    }
    entries = plugins | {entry.name: entry for entry in BUILTIN[kind]}
    return dict(sorted(entries.items()))


def check_name(kind: Kind, name: str) -> None:
    """Raise `UserError`, with the nearest valid name, unless `name` is registered or a file that exists."""
    if file := file_of(name):
        check_file(name, file)
        if is_built_in(kind, own := short_name(name)):
            raise UserError(one_line(f"{name}: {own!r} is the name of a {kind} of the suite; valid is any other name"))
    elif name.endswith(SUFFIX) and Path(name).is_file():
        raise UserError(one_line(f"{kind} {name!r} names no class or function of the file; valid is {name}:NAME"))
    elif name not in registered(kind):
        raise unknown(kind, name, registered(kind))


def short_name(name: str) -> str:
    """What a plug-in is called in folders and tables: a registered one by its name, a file by the class in it."""
    return name.rpartition(":")[2] if file_of(name) else name


def is_built_in(kind: Kind, name: str) -> bool:
    """Whether it is the suite's own."""
    return any(entry.name == name for entry in BUILTIN[kind])


# Any: the caller checks what the class is.
def resolve(kind: Kind, name: str) -> Any:
    """Import and return the class, or a method's function, behind a name.

    Raises `UserError` if there is none or it can't be imported.
    """
    check_name(kind, name)
    if file := file_of(name):
        return _named(module_of(file), name, str(file))
    target = registered(kind)[name].target
    path = target.partition(":")[0]
    module = plugged(f"{kind} {name!r} can't be imported", importlib.import_module, path)
    return _named(module, target, path)


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
    """The version of one of the suite's own methods; of any other 1, as its code is told apart by digests."""
    return next((entry.version for entry in BUILTIN["method"] if entry.name == name), 1)


def distribution_of(name: str) -> Distribution | None:
    """Which installed distribution a method of that name comes from; None for the suite's own, and for a file."""
    if built_in_role(name):
        return None
    points = entry_points(group="brushbench.methods", name=name)
    return next((point.dist for point in points if point.dist), None)


def built_in_role(name: str) -> Role | None:
    """What one of the suite's own methods is for, None for any other."""
    return next((entry.role for entry in BUILTIN["method"] if entry.name == name), None)


# Any: the caller checks what the class is.
def _named(module: ModuleType, target: str, place: str) -> Any:
    name = target.rpartition(":")[2]
    if name not in vars(module):
        raise unknown(f"class or function of {place}", name, public_names(module))
    found = vars(module)[name]
    if not (inspect.isclass(found) or inspect.isroutine(found)):
        valid = ", ".join(public_names(module)) or "none"
        raise UserError(
            one_line(f"{name} of {place} is of type {type(found).__name__}, and no class or function; valid: {valid}")
        )
    return found
