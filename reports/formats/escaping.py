"""Escape the text of strangers in tables: names of methods, data sets, tags and samples may contain anything."""

import html
import re
from collections.abc import Callable

from brushbench.core.errors import one_line

LONGEST = 300
"""Most characters of a name; a longer one is cut."""
_MARKDOWN = re.compile(r"[\\`*_\[\]|~#$!@]")
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedblright{}",
    "`": r"\`{}",
    "-": "{-}",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "×": r"$\times$",
    "−": r"$-$",
    "†": r"$\dagger$",
    "–": "--",
    "—": "---",
    "…": r"\dots{}",
}
"""Special characters, and some that pdflatex does not know. Hyphens are kept from becoming dashes, and brackets and
stars from being read as options of a line's end."""
_LETTERS = re.compile("[ -~À-ÏÑ-ÖØ-Ýß-ïñ-öø-ýÿĂăĆćČčĎďĚěĞğİıĹĺĽľŁłŃńŇňŐőŒœŔŕŘřŚśŞşŠšŢţŤťŮůŰűŸŹźŻżŽž]")
"""Letters that LaTeX's usual fonts have, or compose of a letter and an accent."""


def plain(text: str) -> str:
    """Return one line without control characters (hence terminal escapes), invisible ones and direction marks.

    >>> plain("a\\x1b[31mb\\nc")
    'a [31mb c'
    """
    return one_line(text, LONGEST)


def words(text: str) -> str:
    """Return a sentence without control characters, however long it is."""
    return each_word(plain, text)


def each_word(escape: Callable[[str], str], text: str) -> str:
    """Escape `text` word by word, so that a sentence is never cut."""
    return " ".join(filter(None, (escape(word) for word in text.split(" "))))


def markdown(text: str) -> str:
    """Escape what GitHub's Markdown would interpret, also in tables, by a backslash, and HTML by entities."""
    escaped = _MARKDOWN.sub(lambda found: f"\\{found[0]}", html.escape(plain(text), quote=False))
    return escaped.replace("://", r"\://")


def latex(text: str) -> str:
    """Escape text for pdflatex with any fonts; a character that it may lack becomes its number, such as `U+4E2D`."""
    return "".join(_latex(character) for character in plain(text))


def spreadsheet(text: str) -> str:
    """Add a leading apostrophe to text that a spreadsheet would evaluate (OWASP, CSV injection)."""
    line = plain(text)
    return f"'{line}" if line.startswith(_FORMULA) else line


def _latex(character: str) -> str:
    if character in _LATEX:
        return _LATEX[character]
    return character if _LETTERS.fullmatch(character) else f"U+{ord(character):04X}"
