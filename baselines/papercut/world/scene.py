"""The content of a scene, and its caption."""

import hashlib
from dataclasses import dataclass

import numpy as np

from brushbench.baselines.papercut.world.objects import OBJECTS

COLOURS = {
    "red": (206, 58, 52),
    "orange": (236, 132, 44),
    "yellow": (244, 204, 66),
    "green": (78, 160, 78),
    "blue": (58, 110, 196),
    "purple": (134, 82, 170),
    "pink": (238, 138, 172),
    "white": (240, 238, 232),
}
PLACES = {
    "beach": ("on a sandy beach", "at the beach"),
    "desert": ("in the desert", "among desert dunes"),
    "meadow": ("over a green meadow", "in a meadow"),
    "mountains": ("in front of mountains", "in the mountains"),
    "night": ("at night", "under a starry sky"),
    "sea": ("by the sea", "above the waves"),
    "snow": ("over a snowy field", "in the snow"),
    "sunset": ("at sunset", "in the evening light"),
}
SIZES = {"small": (0.36, 0.46), "": (0.46, 0.58), "big": (0.58, 0.68)}
"""Ranges of half the object's height, in units of half the picture's height."""
STYLES = ("cut paper", "painted")
WORDINGS = ["{a} {noun} {where}", "{where}, {a} {noun}", "a picture of {a} {noun} {where}"]
HELD_OUT = 5
"""One in this many combinations of object, colour and place is held out of training."""


@dataclass(frozen=True, slots=True)
class Scene:
    """All explicit choices of a scene; details are drawn from `seed`."""

    thing: str
    colour: str
    place: str
    size: str
    style: str
    centre: tuple[float, float]
    """The object's centre, from -1 to 1 across and down the picture."""
    half_height: float
    tilt: float
    """The object's rotation in degrees."""
    caption: str
    seed: int


def combinations(*, held_out: bool) -> list[tuple[str, str, str]]:
    """The combinations of object, colour and place that are held out of training, or all the rest."""
    every = [(thing, colour, place) for thing in OBJECTS for colour in COLOURS for place in PLACES]
    return [combination for combination in every if _is_held_out(combination) == held_out]


def draw_scene(seed: int, combination: tuple[str, str, str]) -> Scene:
    """A scene with the given object, colour and place; everything else depends only on the seed."""
    draw = np.random.default_rng(seed)
    thing, colour, place = combination
    size = str(draw.choice(list(SIZES)))
    style = str(draw.choice(STYLES))
    half_height = float(draw.uniform(*SIZES[size]))
    room = 0.94 - half_height
    centre = (float(draw.uniform(-room, room)), float(draw.uniform(-room, room)))
    tilt = float(draw.uniform(-9, 9))
    caption = write_caption(draw, combination, size, style)
    return Scene(thing, colour, place, size, style, centre, half_height, tilt, caption, seed)


def write_caption(draw: np.random.Generator, combination: tuple[str, str, str], size: str, style: str) -> str:
    """A caption in one of several wordings; half of the captions mention the size, a third the style."""
    thing, colour, place = combination
    adjectives = f"{size} {colour}" if size and draw.random() < 0.5 else colour
    where = str(draw.choice(PLACES[place]))
    text = _worded(str(draw.choice(WORDINGS)), f"{adjectives} {thing}", where)
    if draw.random() < 1 / 3:
        text += {"cut paper": ", cut from paper", "painted": ", painted by hand"}[style]
    return text


def plain_captions(combination: tuple[str, str, str]) -> list[str]:
    """The captions of a combination in every wording, without size or style."""
    thing, colour, place = combination
    return [_worded(wording, f"{colour} {thing}", where) for wording in WORDINGS for where in PLACES[place]]


def name_object(thing: str) -> str:
    """An object with its article and nothing else, for training only."""
    return _worded("{a} {noun}", thing, "")


def write_partial_caption(draw: np.random.Generator, combination: tuple[str, str, str]) -> str:
    """A caption of the object without its colour, its place or both, for training only."""
    thing, colour, place = combination
    noun = f"{colour} {thing}" if draw.random() < 0.5 else thing
    if noun == thing and draw.random() < 0.5:
        return _worded(str(draw.choice(WORDINGS)), noun, str(draw.choice(PLACES[place])))
    return _worded(str(draw.choice(["{a} {noun}", "a picture of {a} {noun}"])), noun, "")


def write_empty_caption(draw: np.random.Generator, place: str) -> str:
    """A caption of a place without an object, for training only."""
    where = str(draw.choice(PLACES[place]))
    wording = str(
        draw.choice(["an empty scene {where}", "{where}, an empty scene", "a picture of an empty scene {where}"])
    )
    return wording.format(where=where)


def _worded(wording: str, noun: str, where: str) -> str:
    return wording.format(a="an" if noun[0] in "aeiou" else "a", noun=noun, where=where)


def _is_held_out(combination: tuple[str, str, str]) -> bool:
    return hashlib.sha256(" ".join(combination).encode()).digest()[0] % HELD_OUT == 0
