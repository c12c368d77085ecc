"""Render scenes as layers of paper with soft shadows, drawn four times too large and then reduced."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from brushbench.baselines.papercut.world.objects import FIXED, OBJECTS, Piece, Point
from brushbench.baselines.papercut.world.scene import COLOURS, Scene

SIDE = 128
SUPERSAMPLING = 4
LARGE = SIDE * SUPERSAMPLING
SHADOW = 0.34
"""Darkness of the papers' shadows."""
SHADE = (30, 24, 40)
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Backdrop:
    """The sheets of paper that make up a place."""

    sky: tuple[Colour, Colour]
    """The sky's colours at the top and at the horizon."""
    ground: tuple[Colour, ...]
    """The ground's colours from the horizon to the front."""
    horizon: float
    """Position of the horizon from the top, as a share of the picture's height."""
    wave: float
    """Height of the ground's waves, as a share of the picture's height."""
    light: Colour | None = None
    """Colour of the sun or moon."""
    hills: Colour | None = None
    stars: bool = False
    clouds: bool = False


SETTINGS = {
    "meadow": Backdrop(
        ((126, 190, 232), (214, 236, 244)),
        ((150, 196, 106), (118, 172, 82), (94, 148, 70)),
        0.62,
        0.05,
        (255, 226, 120),
        (164, 204, 160),
        clouds=True,
    ),
    "beach": Backdrop(
        ((120, 200, 228), (222, 242, 240)),
        ((84, 168, 196), (242, 220, 168), (230, 202, 144)),
        0.55,
        0.025,
        (255, 232, 140),
        clouds=True,
    ),
    "desert": Backdrop(
        ((240, 196, 130), (252, 230, 186)),
        ((226, 170, 104), (208, 146, 84), (190, 124, 70)),
        0.58,
        0.07,
        (255, 244, 200),
    ),
    "night": Backdrop(
        ((22, 26, 64), (62, 66, 120)),
        ((44, 52, 88), (32, 40, 70), (24, 30, 54)),
        0.68,
        0.05,
        (246, 240, 208),
        (52, 58, 104),
        stars=True,
    ),
    "snow": Backdrop(
        ((168, 196, 220), (226, 236, 244)),
        ((232, 240, 248), (214, 228, 240), (196, 214, 232)),
        0.6,
        0.06,
        None,
        (198, 214, 230),
        stars=True,
    ),
    "sea": Backdrop(
        ((134, 186, 216), (230, 240, 240)),
        ((66, 136, 176), (48, 114, 158), (36, 94, 138)),
        0.5,
        0.03,
        (255, 238, 170),
        clouds=True,
    ),
    "sunset": Backdrop(
        ((96, 70, 130), (252, 158, 92)),
        ((122, 74, 104), (94, 56, 92), (70, 42, 78)),
        0.64,
        0.05,
        (255, 206, 110),
        (172, 96, 112),
    ),
    "mountains": Backdrop(
        ((150, 196, 224), (226, 238, 240)),
        ((122, 158, 130), (98, 136, 112), (76, 112, 96)),
        0.7,
        0.04,
        None,
        (140, 156, 182),
        clouds=True,
    ),
}


def render_scene(scene: Scene, *, empty: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The picture, uint8 [128, 128, 3], and the object's mask, bool [128, 128].

    `empty` leaves out the object and its shadow; the mask still shows where the object would be.
    """
    draw = np.random.default_rng([scene.seed, 1])
    picture = _background(scene, draw)
    layer = _object_layer(scene)
    if not empty:
        picture = _laid_on(picture, layer, blur=7, offset=6)
    small = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX))
    mask = np.asarray(layer.getchannel("A").resize((SIDE, SIDE), Image.Resampling.BOX)) > 127
    return (_painted(small, draw) if scene.style == "painted" else small.copy()), mask


def _background(scene: Scene, draw: np.random.Generator) -> Image.Image:
    setting = SETTINGS[scene.place]
    picture = _sky(setting)
    if setting.light:
        picture = _sun(picture, setting, draw)
    if setting.stars:
        _sprinkle(picture, setting, draw)
    if setting.clouds:
        picture = _clouds(picture, draw)
    if setting.hills:
        picture = _peaks(picture, setting, draw) if scene.place == "mountains" else _hills(picture, setting, draw)
    for depth, colour in enumerate(setting.ground):
        level = setting.horizon + (1 - setting.horizon) * depth / len(setting.ground) + float(draw.uniform(-0.02, 0.02))
        picture = _laid_on(picture, _wavy_sheet(colour, level, setting.wave, draw), blur=6, offset=-4)
    return picture


def _sky(setting: Backdrop) -> Image.Image:
    weight = np.clip(np.linspace(0, 1 / setting.horizon, LARGE), 0, 1)[:, None, None]
    top, bottom = (np.array(colour, dtype=float) for colour in setting.sky)
    column = top * (1 - weight) + bottom * weight
    return Image.fromarray(np.broadcast_to(column, (LARGE, LARGE, 3)).round().astype(np.uint8))


def _sun(picture: Image.Image, setting: Backdrop, draw: np.random.Generator) -> Image.Image:
    layer = _empty()
    x, y = float(draw.uniform(0.15, 0.85)), float(draw.uniform(0.12, setting.horizon - 0.08))
    radius = float(draw.uniform(0.06, 0.1))
    if setting.light:
        ImageDraw.Draw(layer).ellipse(_around(x, y, radius, radius), fill=(*setting.light, 255))
    return _laid_on(picture, layer, blur=14, offset=0)


def _sprinkle(picture: Image.Image, setting: Backdrop, draw: np.random.Generator) -> None:
    brush = ImageDraw.Draw(picture)
    for _ in range(int(draw.integers(22, 40))):
        x, y = draw.uniform(0, 1), draw.uniform(0, setting.horizon)
        radius = float(draw.uniform(0.004, 0.009))
        brush.ellipse(_around(float(x), float(y), radius, radius), fill=(252, 250, 238))


def _clouds(picture: Image.Image, draw: np.random.Generator) -> Image.Image:
    for _ in range(int(draw.integers(1, 4))):
        layer = _empty()
        brush = ImageDraw.Draw(layer)
        x, y, size = float(draw.uniform(0, 1)), float(draw.uniform(0.08, 0.32)), float(draw.uniform(0.05, 0.09))
        for shift, scale in ((-1.1, 0.7), (0, 1), (1.1, 0.75)):
            brush.ellipse(
                _around(x + shift * size, y, 1.1 * scale * size, 0.62 * scale * size), fill=(250, 250, 248, 255)
            )
        picture = _laid_on(picture, layer, blur=5, offset=4)
    return picture


def _hills(picture: Image.Image, setting: Backdrop, draw: np.random.Generator) -> Image.Image:
    if setting.hills is None:
        return picture
    return _laid_on(picture, _wavy_sheet(setting.hills, setting.horizon - 0.1, 0.09, draw), blur=6, offset=-3)


def _peaks(picture: Image.Image, setting: Backdrop, draw: np.random.Generator) -> Image.Image:
    for shade in (1.12, 0.94):
        layer = _empty()
        brush = ImageDraw.Draw(layer)
        for _ in range(3):
            x, height, half = float(draw.uniform(0, 1)), float(draw.uniform(0.24, 0.42)), float(draw.uniform(0.2, 0.3))
            base = setting.horizon + 0.05
            colour = _toned(setting.hills or (150, 150, 150), shade)
            brush.polygon(_large([(x - half, base), (x, base - height), (x + half, base)]), fill=(*colour, 255))
            tip = 0.3
            cap = [
                (x - half * tip, base - height * (1 - tip)),
                (x, base - height),
                (x + half * tip, base - height * (1 - tip)),
                (x, base - height * (1 - 0.7 * tip)),
            ]
            brush.polygon(_large(cap), fill=(246, 248, 250, 255))
        picture = _laid_on(picture, layer, blur=6, offset=3)
    return picture


def _wavy_sheet(colour: Colour, level: float, wave: float, draw: np.random.Generator) -> Image.Image:
    across = np.linspace(0, 1, 65)
    phases, lengths = draw.uniform(0, 2 * math.pi, 2), draw.uniform(0.7, 2.2, 2)
    edge = level + wave * 0.6 * np.sin(2 * math.pi * lengths[0] * across + phases[0])
    edge += wave * 0.4 * np.sin(2 * math.pi * 2 * lengths[1] * across + phases[1])
    layer = _empty()
    outline = [(float(x), float(y)) for x, y in zip(across, edge, strict=True)]
    ImageDraw.Draw(layer).polygon(_large([(0, 1.1), *outline, (1, 1.1)]), fill=(*colour, 255))
    return layer


def _object_layer(scene: Scene) -> Image.Image:
    pieces = OBJECTS[scene.thing]()
    outlines = [_large([_placed(point, scene) for point in piece.outline]) for piece in pieces]
    # Only the object's surroundings are drawn piece by piece, which takes most of a scene's time.
    corners = [
        function(point[k] for outline in outlines for point in outline) for function in (min, max) for k in (0, 1)
    ]
    left, top, right, bottom = (round(corner) + margin for corner, margin in zip(corners, (-9, -9, 9, 9), strict=True))
    layer = Image.new("RGBA", (right - left, bottom - top))
    for piece, outline in zip(pieces, outlines, strict=True):
        part = Image.new("RGBA", layer.size)
        shifted = [(x - left, y - top) for x, y in outline]
        ImageDraw.Draw(part).polygon(shifted, fill=(*_colour_of(piece, scene), 255))
        layer = Image.alpha_composite(_shaded(layer, part), part)
    whole = _empty()
    whole.paste(layer, (left, top))
    return whole


def _shaded(layer: Image.Image, part: Image.Image) -> Image.Image:
    """The pieces so far, with the next piece's shadow on them."""
    shadow = part.getchannel("A").filter(ImageFilter.GaussianBlur(4)).point(lambda value: int(value * SHADOW * 0.7))
    dark = Image.composite(Image.new("RGB", layer.size, SHADE), layer.convert("RGB"), shadow)
    return Image.merge("RGBA", (*dark.split(), layer.getchannel("A")))


def _laid_on(picture: Image.Image, layer: Image.Image, *, blur: int, offset: int) -> Image.Image:
    """The picture with another sheet of paper and its shadow on top."""
    alpha = layer.getchannel("A")
    shifted = Image.new("L", alpha.size)
    shifted.paste(alpha, (offset, abs(offset)) if offset >= 0 else (0, offset))
    shadow = shifted.filter(ImageFilter.GaussianBlur(blur)).point(lambda value: int(value * SHADOW))
    shaded = Image.composite(Image.new("RGB", picture.size, SHADE), picture, shadow)
    return Image.composite(layer.convert("RGB"), shaded, alpha)


def _painted(image: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """The image as if painted by hand, with uneven colour and the grain of paper."""
    uneven = np.sum([_noise(draw, cells) * weight for cells, weight in ((5, 0.07), (14, 0.06), (40, 0.05))], axis=0)
    grain = draw.normal(0, 0.018, image.shape[:2])
    tint = np.stack([_noise(draw, 6) * 5 for _ in range(3)], axis=-1)
    painted = image * (1 + uneven + grain)[..., None] + tint
    return np.asarray(np.clip(painted, 0, 255).round(), dtype=np.uint8)


def _noise(draw: np.random.Generator, cells: int) -> np.ndarray:
    """Smooth noise from about -1 to 1."""
    coarse = Image.fromarray(draw.uniform(-1, 1, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)).astype(float)


def _colour_of(piece: Piece, scene: Scene) -> Colour:
    main = COLOURS[scene.colour]
    tones = {"main": main, "dark": _toned(main, 0.74), "light": _toned(main, 1.22)}
    return tones[piece.tone] if piece.tone in tones else FIXED[piece.tone]


def _toned(colour: Colour, factor: float) -> Colour:
    """A darker tone by multiplication, or a lighter one by mixing in white."""
    if factor <= 1:
        red, green, blue = (round(value * factor) for value in colour)
    else:
        red, green, blue = (round(value + (255 - value) * (factor - 1) * 1.6) for value in colour)
    return red, green, blue


def _placed(point: Point, scene: Scene) -> Point:
    """A point in the object's coordinates converted to the picture's, from 0 to 1."""
    turn = math.radians(scene.tilt)
    x = scene.half_height * (point[0] * math.cos(turn) - point[1] * math.sin(turn)) + scene.centre[0]
    y = scene.half_height * (point[0] * math.sin(turn) + point[1] * math.cos(turn)) + scene.centre[1]
    return (x + 1) / 2, (y + 1) / 2


def _empty() -> Image.Image:
    return Image.new("RGBA", (LARGE, LARGE))


def _large(points: list[Point]) -> list[Point]:
    return [(x * LARGE, y * LARGE) for x, y in points]


def _around(x: float, y: float, rx: float, ry: float) -> tuple[float, float, float, float]:
    return (x - rx) * LARGE, (y - ry) * LARGE, (x + rx) * LARGE, (y + ry) * LARGE
