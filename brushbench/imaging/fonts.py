"""Find a font for a caption in any script, as matplotlib's own font lacks Chinese, for example."""

import sys
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont
OWN = Path(str(distribution("matplotlib").locate_file("matplotlib/mpl-data/fonts/ttf/DejaVuSans.ttf")))
"""The default font, so that pictures look alike on all machines. It is found without matplotlib's slow import."""
_FOLDERS = {
    "darwin": ("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"),
    "win32": ("C:/Windows/Fonts", "~/AppData/Local/Microsoft/Windows/Fonts"),
}
_ELSEWHERE = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts")
_SUFFIXES = (".ttf", ".otf", ".ttc")
_PLAIN = ("regular", "book", "sans", "unicode")
_SPECIAL = ("bold", "italic", "oblique", "mono", "serif", "black", "light", "condensed", "thin")
_NO_CHARACTER = "\U0010ffff"
"""A character that no font has, for which each font draws its sign for a missing letter."""


@cache
def font_for(text: str, size: int) -> Font:
    """Return the default font if it has every letter, else the font on this machine that has the most."""
    own = _own(size)
    letters = frozenset(text)
    lacking = _lacking(own, letters)
    if not lacking:
        return own
    best, fewest = own, len(lacking)
    for path in _installed():
        font = _load(path, size)
        missing = len(_lacking(font, letters)) if font else fewest
        if font and missing < fewest:
            best, fewest = font, missing
        if not fewest:
            break
    return best


def covered(text: str, size: int) -> bool:
    """Tell whether the font for a text has all its letters."""
    return not _lacking(font_for(text, size), frozenset(text))


@cache
def _own(size: int) -> Font:
    return ImageFont.truetype(OWN, size)


@cache
def _installed() -> tuple[Path, ...]:
    """Return the fonts on this machine, plain ones first."""
    folders = [Path(folder).expanduser() for folder in _FOLDERS.get(sys.platform, _ELSEWHERE)]
    paths = [path for folder in folders if folder.is_dir() for path in folder.rglob("*")]
    return tuple(sorted((path for path in paths if path.suffix.lower() in _SUFFIXES), key=_rank))


def _rank(path: Path) -> tuple[int, int, str]:
    name = path.stem.lower()
    return sum(word in name for word in _SPECIAL), -sum(word in name for word in _PLAIN), name


@cache
def _load(path: Path, size: int) -> Font | None:
    try:
        return ImageFont.truetype(path, size)
    except OSError:
        return None


def _lacking(font: Font, letters: frozenset[str]) -> list[str]:
    return [letter for letter in letters if not letter.isspace() and not _has(font, letter)]


@cache
def _has(font: Font, letter: str) -> bool:
    drawn, nothing = font.getmask(letter), font.getmask(_NO_CHARACTER)
    return drawn.size != nothing.size or bytes(drawn) != bytes(nothing)
