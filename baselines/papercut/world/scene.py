"""What is in a scene, and what its caption says."""

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
"""Half the object's height, in units of half the picture."""
STYLES = ("cut paper", "painted")
WORDINGS = ["{a} {noun} {where}", "{where}, {a} {noun}", "a picture of {a} {noun} {where}"]
HELD_OUT = 5
"""Every fifth combination of object, colour and place is kept from training."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that is chosen about a scene; the rest is drawn from `seed`."""

    thing: str
    colour: str
    place: str
    size: str
    style: str
    centre: tuple[float, float]
    """The centre of the object, -1..1 across and down the picture."""
    half_height: float
    tilt: float
    """Degrees."""
    caption: str
    seed: int


def combinations(*, held_out: bool) -> list[tuple[str, str, str]]:
    """Object, colour and place: those that training never shows, or all the others."""
    every = [(thing, colour, place) for thing in OBJECTS for colour in COLOURS for place in PLACES]
    return [combination for combination in every if _is_held_out(combination) == held_out]


def draw_scene(seed: int, combination: tuple[str, str, str]) -> Scene:
    """A scene with that object, colour and place; everything else depends on the seed alone."""
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
    """One of several wordings; the size is told half of the time, the style a third of it."""
    thing, colour, place = combination
    adjectives = f"{size} {colour}" if size and draw.random() < 0.5 else colour
    where = str(draw.choice(PLACES[place]))
    text = _worded(str(draw.choice(WORDINGS)), f"{adjectives} {thing}", where)
    if draw.random() < 1 / 3:
        text += {"cut paper": ", cut from paper", "painted": ", painted by hand"}[style]
    return text


def plain_captions(combination: tuple[str, str, str]) -> list[str]:
    """Every wording, with neither size nor style."""
    thing, colour, place = combination
    return [_worded(wording, f"{colour} {thing}", where) for wording in WORDINGS for where in PLACES[place]]


def name_object(thing: str) -> str:
    """With its article and nothing else, in training only."""
    return _worded("{a} {noun}", thing, "")


def write_partial_caption(draw: np.random.Generator, combination: tuple[str, str, str]) -> str:
    """The object without its colour, its place or both, in training only."""
    thing, colour, place = combination
    noun = f"{colour} {thing}" if draw.random() < 0.5 else thing
    if noun == thing and draw.random() < 0.5:
        return _worded(str(draw.choice(WORDINGS)), noun, str(draw.choice(PLACES[place])))
    return _worded(str(draw.choice(["{a} {noun}", "a picture of {a} {noun}"])), noun, "")


def write_empty_caption(draw: np.random.Generator, place: str) -> str:
    """What a picture of a place without any object is called, in training only."""
    where = str(draw.choice(PLACES[place]))
    wording = str(
        draw.choice(["an empty scene {where}", "{where}, an empty scene", "a picture of an empty scene {where}"])
    )
    return wording.format(where=where)


def _worded(wording: str, noun: str, where: str) -> str:
    return wording.format(a="an" if noun[0] in "aeiou" else "a", noun=noun, where=where)


def _is_held_out(combination: tuple[str, str, str]) -> bool:
    return hashlib.sha256(" ".join(combination).encode()).digest()[0] % HELD_OUT == 0
