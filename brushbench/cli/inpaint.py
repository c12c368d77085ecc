"""The `inpaint` command: inpaint one picture by hand."""

import os
from pathlib import Path
from typing import Any

import click

from brushbench.cli.options import image_options, size_named
from brushbench.cli.results import SOME_FAILED
from brushbench.cli.screen import SCREEN, Verbosity, verbosity_options
from brushbench.cli.sections import command, option_in
from brushbench.core.capture import Failure
from brushbench.core.errors import UserError, one_line

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_picture, _output = option_in("Picture"), option_in("Output")


@command()
@_picture("--image", required=True, metavar="FILE", help="Picture to inpaint: PNG, JPEG or WebP.")
@_picture("--mask", required=True, metavar="FILE", help="Mask of the picture's size; white = inpaint.")
@_picture("--caption", required=True, metavar="TEXT", help="What the inpainted picture shows.")
@option_in("Method")("--method", required=True, metavar="M", help="Name, or FILE.py:CLASS; see `list methods`.")
@image_options
@_picture(
    "--size", metavar="native|N", help="Inpaint a square of N pixels, or of what the method's models were made for."
)
@_output("--output", required=True, metavar="FILE", help="Picture to write: .png, or .jpg, which loses quality.")
@verbosity_options
@_output("--force", is_flag=True, help="Replace an existing file.")
# Any: what click has parsed, by option.
def inpaint_command(image: str, mask: str, caption: str, output: str, force: bool, **asked: Any) -> int:
    """Inpaint one picture with a method.

    \b
    brushbench inpaint --image cat.png --mask hole.png --caption "a cat" --method brushnet --output out.png

    The picture goes through the code of a run: a size that the method doesn't support is padded by reflection and
    cropped again. The seed of the picture follows from --seed and the image's file name without its suffix, so that
    the result equals that of a run with --batch-size 1 whose sample has this name as its id. With --size, the shorter
    side is scaled to the size, and the middle of the longer one is kept.
    """
    target = _checked(Path(output), (Path(image), Path(mask)), force=force)
    from brushbench.cli.progress import showing_progress

    with showing_progress(one_line(f"loading PyTorch, then {asked['method']}", 200)) as display:
        from brushbench.core.options import parse_pairs
        from brushbench.datasets.single import single_sample
        from brushbench.evaluation.inpaint import inpaint
        from brushbench.evaluation.resolve import load_alone, resized_alone
        from brushbench.runs.config import RunConfig

        given = {"options": parse_pairs(asked["options"]), "size": size_named(asked["size"])}
        config = RunConfig(**asked | given)
        sample = resized_alone(single_sample(Path(image), Path(mask), caption), config)
        display.loading(one_line(f"loading {config.method}", 200))
        method = load_alone(config)
        display.loading(one_line(f"inpainting {image} with {config.method}", 200))
        made = inpaint(sample, method, config.seed)
    if isinstance(made, Failure):
        place = f" ({made.place})" if made.place else ""
        click.echo(one_line(f"failed: {config.method}: {made.error}{place}"), err=True)
        return SOME_FAILED
    if method.origin and SCREEN.verbosity != Verbosity.QUIET:
        click.echo(one_line(f"weights of {method.name}: {method.origin}"), err=True)
    for note in made.notes:
        click.echo(one_line(f"note: {note}"), err=True)
    if made.padded:
        height, width = made.padded
        click.echo(f"note: padded by reflection to {width}x{height} for the method, then cropped", err=True)
    from brushbench.core import atomic
    from brushbench.imaging.images import encode_image

    atomic.write(target, encode_image(made.image, FORMATS[target.suffix.lower()]))
    click.echo(one_line(f"image: {target}"))
    return 0


def _checked(target: Path, sources: tuple[Path, ...], *, force: bool) -> Path:
    """Return the file to write. Raises `UserError` if it can't be written, or must not be."""
    if target.suffix.lower() not in FORMATS:
        raise UserError(one_line(f"--output {target}: valid suffixes are {', '.join(FORMATS)}"))
    if not target.parent.is_dir():
        raise UserError(one_line(f"--output {target}: no such folder: {target.parent}"))
    if target.is_dir():
        raise UserError(one_line(f"--output {target} is a folder; valid: a file name"))
    if any(target.resolve() == source.resolve() for source in sources):
        raise UserError(one_line(f"--output {target} is the image or the mask itself; valid: another file"))
    if os.path.lexists(target) and not force:
        raise UserError(one_line(f"--output {target} exists already; use another name, or --force to replace it"))
    return target
