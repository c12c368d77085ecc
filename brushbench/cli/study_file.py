"""Read a study: one file that says which methods run on which data, and which tables and figures are made of them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import click
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from brushbench.cli.option_values import option_values, options_of
from brushbench.core.errors import UserError, one_line, unknown
from brushbench.core.files import read_toml
from brushbench.core.plugins.files import plugin_file
from brushbench.runs.config import LARGEST_SEED, split_names
from brushbench.storage.places import folder_here
from brushbench.storage.urls import url_in

ON_COMMAND_LINE = ("fresh", "shard", "gallery")
"""Options of `run` for one call: with `fresh` in the file, it would start over each time."""
LISTS = ("method", "split", "metrics")
"""Options that take several names."""
PLURALS = {
    "seeds": "seed",
    "methods": "method",
    "splits": "split",
    "options": "option",
    "metric-options": "metric-option",
}
"""Names that read better for several values."""
Text = Annotated[str, Field(min_length=1)]
Content = dict[str, object]


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, alias_generator=lambda name: name.replace("_", "-")
    )


class MethodRow(_Part):
    """One row of the study: a method with options of its own."""

    method: Text
    name: str = ""
    """The name in tables and figures; empty for that of the method and what sets the row apart."""
    options: dict[str, bool | int | float | str] = {}
    weights: str | None = None


class GalleryPart(_Part):
    """The gallery to build."""

    output: Text = "gallery"
    link: bool = False
    max_size: int | None = None
    seeds: Literal["flip", "columns"] = "flip"
    zip: bool = False


class StudyContent(_Part):
    """The file as it is written."""

    run: Content = {}
    method: list[MethodRow] = []
    style: Content = {}
    """Defaults for every table and figure."""
    table: list[Content] = []
    figure: list[Content] = []
    gallery: GalleryPart | None = None


class StudyFile(_Part):
    """A study as it was read, with paths that are relative to its folder."""

    file: Path
    content: StudyContent
    seeds: tuple[int, ...] = ()
    """Empty if the file names none."""
    # Any: values as click takes them.
    defaults: dict[str, Any] = {}
    """Options of `run`, by the parameter."""

    def beside(self, path: str) -> Path:
        """Return a path in the file as it is meant: relative to the file's folder."""
        if not path.isprintable():
            raise UserError(one_line(f"{self.file}: {path!r} can't be a path; valid: printable characters"))
        own = folder_here(f"{self.file}:", path)
        return self.file.parent / (Path.home() / Path(*own.parts[1:]) if own.parts[:1] == ("~",) else own)

    def methods(self) -> list[str]:
        """Return the methods without options of their own."""
        given = {PLURALS.get(key, key): value for key, value in self.content.run.items()}
        return [self.plugged(name) for name in split_names(str(_plain("method", given.get("method", ""))))]

    def plugged(self, name: str) -> str:
        """Return a name of a method, metric or data set; if it is `FILE.py:CLASS`, the file is beside the study."""
        return f"{self.beside(name.rpartition(':')[0])}:{name.rpartition(':')[2]}" if plugin_file(name) else name

    def found(self, text: str) -> str:
        """Return the value of an option; one that begins with `./` or `../` is a path."""
        return str(self.beside(text)) if text.startswith(("./", "../")) else text

    def weights(self, text: str) -> str:
        """Return weights: a family is named by one word, a file or a folder by a path."""
        return str(self.beside(text)) if "/" in text or text.endswith(".toml") else text


@contextmanager
def naming(place: object) -> Iterator[None]:
    """Say in each error from inside where in a study it is."""
    try:
        yield
    except UserError as error:
        raise UserError(one_line(f"{place}: {error}")) from error


def load_study(context: click.Context, _parameter: click.Parameter, file: str | None) -> StudyFile | None:
    """Read the study that `run` was given, and make its values the defaults of the command."""
    if file is None:
        return None
    study = read_study(Path(file), context.command)
    context.default_map = {**(context.default_map or {}), **study.defaults}
    return study


def read_study(file: Path, command: click.Command) -> StudyFile:
    """Read a study for the command `run`. Raises `UserError` that names the file and the key."""
    try:
        content = StudyContent.model_validate(read_toml(file))
    except ValidationError as error:
        raise _mistake(file, error) from error
    except ValueError as error:
        raise UserError(one_line(f"{file}: not valid TOML: {error}")) from error
    study = StudyFile(file=file, content=content)
    study = study.model_copy(update={"seeds": _seeds(study)})
    return study.model_copy(update={"defaults": _defaults(study, command)})


def _mistake(file: Path, error: ValidationError) -> UserError:
    """Return the first thing that is wrong with the file."""
    first = error.errors()[0]
    places = [f"{part + 1}" if isinstance(part, int) else part for part in first["loc"]]
    where = " ".join(places[:-1])
    if first["type"] == "list_type":
        return UserError(one_line(f"{file}: {' '.join(places)}: each must begin with [[{places[0]}]]"))
    if places[2:3] == ["options"] and first["type"] != "extra_forbidden":
        return UserError(one_line(f"{file}: {' '.join(places[:4])}: must be a text, a number, or true or false"))
    if first["type"] != "extra_forbidden":
        return UserError(one_line(f"{file}: {' '.join(places)}: {first['msg']}"))
    parts: Mapping[str, type[BaseModel]] = {"method": MethodRow, "gallery": GalleryPart}
    fields = parts[places[0]].model_fields if where else StudyContent.model_fields
    kind = f"key in {file}: {where}" if where else f"key in {file}"
    return unknown(kind, places[-1], [name.replace("_", "-") for name in fields])


def _seeds(study: StudyFile) -> tuple[int, ...]:
    given = {key: value for key, value in study.content.run.items() if key in ("seed", "seeds")}
    if "seeds" in given and "samples" in study.content.run:
        raise UserError(one_line(f"{study.file}: run: seeds and samples are both given; give only one of them"))
    for key, value in given.items():
        seeds = value if isinstance(value, list) and key == "seeds" else [value]
        whole = [seed for seed in seeds if isinstance(seed, int) and not isinstance(seed, bool)]
        if not seeds or len(whole) < len(seeds):
            raise UserError(one_line(f"{study.file}: run: {key}: must be a whole number, or for seeds a list of them"))
        if len(set(whole)) < len(whole):
            raise UserError(one_line(f"{study.file}: run: {key}: {seeds} has a seed twice"))
        if wrong := [seed for seed in whole if not 0 <= seed <= LARGEST_SEED]:
            raise UserError(one_line(f"{study.file}: run: {key}: {wrong[0]}; valid: 0 to 2**63 - 1"))
        return tuple(whole)
    return ()


# Any: values as click takes them.
def _defaults(study: StudyFile, command: click.Command) -> dict[str, Any]:
    """Return what the file sets of the command's options; the output folder always, as it is beside the file."""
    place, given = f"{study.file}: run", dict(study.content.run)
    if refused := sorted(given.keys() & set(ON_COMMAND_LINE)):
        raise UserError(one_line(f"{place}: {refused[0]} can't be in a study; give --{refused[0]} beside the file"))
    for plural, name in PLURALS.items():
        if plural in given and name in given:
            raise UserError(one_line(f"{place}: {name} and {plural} are both given; give only one of them"))
    options = options_of(command, ON_COMMAND_LINE)
    known = options | {plural: options[name] for plural, name in PLURALS.items()}
    plain = {key: _plain(key, value) for key, value in given.items() if key not in ("seed", "seeds")}
    found, _ = option_values(known, plain, place)
    found = {key: _placed(study, key, value) for key, value in found.items()}
    names, rows = study.methods(), [study.plugged(row.method) for row in study.content.method]
    if not (names or rows):
        raise UserError(one_line(f"{study.file}: no method; valid: methods in [run], or [[method]]"))
    seed = {"seed": str(study.seeds[0])} if study.seeds else {}
    output = {"output": str(study.beside("runs"))} if "output" not in found else {}
    return found | seed | output | {"method": ",".join(dict.fromkeys([*names, *rows]))}


def _plain(key: str, value: object) -> object:
    """Return a list of names as text with commas, and the options of each metric as `METRIC.KEY`."""
    if isinstance(value, list) and PLURALS.get(key, key) in LISTS and all(isinstance(one, str) for one in value):
        return ",".join(value)
    if isinstance(value, dict):
        nested = {name: inner for name, inner in value.items() if isinstance(inner, dict)}
        flat = {f"{name}.{own}": one for name, inner in nested.items() for own, one in inner.items()}
        return {name: inner for name, inner in value.items() if name not in nested} | flat
    return value


def _placed(study: StudyFile, key: str, value: object) -> object:
    """Return a value of the command with the paths in it relative to the file's folder."""
    if key == "output" and url_in(str(value)):
        return str(value)
    if key in ("root", "output"):
        return str(study.beside(str(value)))
    if key == "weights":
        return study.weights(str(value))
    if key in ("dataset", "metrics"):
        return ",".join(study.plugged(name) for name in split_names(str(value)))
    if isinstance(value, list):
        pairs = [pair.partition("=") for pair in map(str, value)]
        return [f"{name}{sign}{study.found(text)}" for name, sign, text in pairs]
    return value
