"""What a notebook shows of an object."""

from collections.abc import Mapping
from html import escape


def html_of(title: str, facts: Mapping[str, str]) -> str:
    """A table of names and values, in which nothing is taken for HTML."""
    rows = "".join(
        f"<tr><th style='text-align: left'>{escape(name)}</th><td style='text-align: left'>{escape(value)}</td></tr>"
        for name, value in facts.items()
    )
    return f"<table><caption>{escape(title)}</caption>{rows}</table>"
