"""Commands whose help lists the options in sections, as a long list is hard to read."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import click

# Any: a command's function, or the command that click makes of it.
Decorated = TypeVar("Decorated", bound=Callable[..., Any])
FIRST = ("Picture", "Method", "Data", "Metrics", "Computing", "Output")
"""The sections that several commands share, in their order; sections of one command follow as they occur."""
REST = "Other options"
"""The section of the options that have no section, the help option among them."""


class SectionedOption(click.Option):
    """An option that names the section of the help in which it stands."""

    # Any: what click takes for an option.
    def __init__(self, *arguments: Any, section: str = REST, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.section = section


class SectionedCommand(click.Command):
    """A command with options in sections, those of `FIRST` first and `REST` last.

    `sections` gives the options of a section by name, for options that don't name their section themselves.
    """

    # Any: what click takes for a command.
    def __init__(self, *arguments: Any, sections: Mapping[str, Sequence[str]] | None = None, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._sections = {name: title for title, names in (sections or {}).items() for name in names}

    def section_of(self, option: click.Parameter) -> str:
        """The section of an option."""
        own = option.section if isinstance(option, SectionedOption) else REST
        return self._sections.get(str(option.name), own)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for option in self.get_params(ctx):
            if isinstance(option, click.Option) and (record := option.get_help_record(ctx)) is not None:
                sections.setdefault(self.section_of(option), []).append(record)
        rest = sections.pop(REST, [])
        shared = {title: sections.pop(title) for title in FIRST if title in sections}
        for title, records in [*shared.items(), *sections.items(), (REST, rest)]:
            # A command with few options has no sections.
            with formatter.section(title if shared or sections else "Options"):
                formatter.write_dl(records)


command = partial(click.command, cls=SectionedCommand)
"""`click.command` for a command whose options stand in sections."""


def option_in(section: str) -> Callable[..., Callable[[Decorated], Decorated]]:
    """Return `click.option` for the options of one section."""
    return partial(click.option, cls=SectionedOption, section=section)


def choices(names: Sequence[str]) -> str:
    """Return valid values as help shows them, for an option that checks its value itself."""
    return f"[{'|'.join(names)}]"
