"""Show an object in a notebook."""

from collections.abc import Mapping
from html import escape


def html_of(title: str, facts: Mapping[str, str]) -> str:
    """An HTML table of names and values, with all text escaped."""
    rows = "".join(
        f"<tr><th style='text-align: left'>{escape(name)}</th><td style='text-align: left'>{escape(value)}</td></tr>"
        for name, value in facts.items()
    )
    return f"<table><caption>{escape(title)}</caption>{rows}</table>"
