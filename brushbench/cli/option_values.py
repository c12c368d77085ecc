"""Read options of a command from a table of TOML, by their names without the dashes."""

from collections.abc import Collection, Mapping

import click

from brushbench.core.errors import UserError, one_line, unknown

Pairs = dict[str, list[str]]


def options_of(command: click.Command, without: Collection[str] = ()) -> dict[str, click.Option]:
    """Return the options of a command that a file may set, by name, except those `without`."""
    return {
        name.removeprefix("--"): option
        for option in command.params
        if isinstance(option, click.Option) and option.expose_value
        for name in option.opts
        if name.startswith("--") and name.removeprefix("--") not in without
    }


def value_of(place: str, option: click.Option, value: object) -> object:
    """Check the kind of a value, and return it as the option takes it. Raises `UserError` for any other kind."""
    if option.is_flag:
        if not isinstance(value, bool):
            raise UserError(one_line(f"{place}: must be true or false"))
        return value
    each = value if isinstance(value, list) and option.multiple else [value]
    kinds = str | int | float if option.type == click.FLOAT or isinstance(value, dict) else str | int
    if option.multiple and isinstance(value, dict):
        each = [f"{name}={one}" for name, one in value.items()]
    if not all(isinstance(one, kinds) and not isinstance(one, bool) for one in each):
        raise UserError(
            one_line(f"{place}: must be a text or a number{', or a list of them' if option.multiple else ''}")
        )
    texts = [str(one) for one in each]
    if isinstance(option.type, click.Choice) and texts[0] not in option.type.choices:
        raise unknown(f"value for {place}", texts[0], map(str, option.type.choices))
    try:
        for text in texts:
            option.type.convert(text, option, None)
    except click.BadParameter as error:
        raise UserError(one_line(f"{place}: {error.message}")) from error
    return texts if option.multiple else texts[0]


def mapping_of(place: str, value: object) -> Pairs:
    """Return the texts by name; a name may have one as plain text and one as LaTeX."""
    if not isinstance(value, dict):
        raise UserError(one_line(f"{place}: must be a table of names and texts"))
    found = {str(name): [text] if isinstance(text, str) else text for name, text in value.items()}
    for name, texts in found.items():
        if not (isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
            raise UserError(one_line(f"{place}.{name}: must be a text, or a list of texts"))
    return found


def option_values(
    options: Mapping[str, click.Option], content: Mapping[str, object], place: str, mappings: Collection[str] = ()
) -> tuple[dict[str, object], dict[str, Pairs]]:
    """Return the values by the parameter of the command, and those of the `mappings` by key.

    `place` says where the content is from. Raises `UserError` for an unknown key and for a value of the wrong kind.
    """
    found: dict[str, object] = {}
    shared: dict[str, Pairs] = {}
    for key, value in content.items():
        if key not in options:
            raise unknown(f"key in {place}", key, options)
        if key in mappings:
            shared[key] = mapping_of(f"{place}: {key}", value)
        else:
            found[str(options[key].name)] = value_of(f"{place}: {key}", options[key], value)
    return found, shared
