"""Text of strangers in tables: names of methods, data sets, tags and samples may hold anything."""

import html
import re
from collections.abc import Callable

from brushbench.core.errors import one_line

LONGEST = 300
"""Characters of a name; what is longer is cut."""
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
"""Special characters, and some that pdflatex doesn't know as such. Hyphens are kept from joining, and
brackets and stars from being options of the end of a line."""
_LETTERS = re.compile("[ -~À-ÏÑ-ÖØ-Ýß-ïñ-öø-ýÿĂăĆćČčĎďĚěĞğİıĹĺĽľŁłŃńŇňŐőŒœŔŕŘřŚśŞşŠšŢţŤťŮůŰűŸŹźŻżŽž]")
"""What LaTeX's usual fonts have, or make of a letter and an accent."""


def plain(text: str) -> str:
    """One line without control characters (so without terminal escapes), invisible ones and writing from right to left.

    >>> plain("a\\x1b[31mb\\nc")
    'a [31mb c'
    """
    return one_line(text, LONGEST)


def words(text: str) -> str:
    """A sentence without control characters, however long it is."""
    return each_word(plain, text)


def each_word(escape: Callable[[str], str], text: str) -> str:
    """`text` escaped word by word, so that a sentence is never cut."""
    return " ".join(filter(None, (escape(word) for word in text.split(" "))))


def markdown(text: str) -> str:
    """What has a meaning for GitHub's Markdown, also in tables, behind a backslash; what has one for HTML as entity."""
    escaped = _MARKDOWN.sub(lambda found: f"\\{found[0]}", html.escape(plain(text), quote=False))
    return escaped.replace("://", r"\://")


def latex(text: str) -> str:
    """For pdflatex with any fonts; a character that it may lack is its number, as in `U+4E2D`."""
    return "".join(_latex(character) for character in plain(text))


def spreadsheet(text: str) -> str:
    """A leading apostrophe where a spreadsheet would compute the text (OWASP, CSV injection)."""
    line = plain(text)
    return f"'{line}" if line.startswith(_FORMULA) else line


def _latex(character: str) -> str:
    if character in _LATEX:
        return _LATEX[character]
    return character if _LETTERS.fullmatch(character) else f"U+{ord(character):04X}"
