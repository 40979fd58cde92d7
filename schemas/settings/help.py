"""Options of a dataclass as records, and the page of help that lists them.

A page needs the records alone, so it can also be shown for options whose dataclass would have to be
imported with something heavy.
"""

import ast
import inspect
import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from enum import Enum
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_WORDS: dict[Any, str] = {int: "INT", float: "NUMBER", str: "TEXT", Path: "PATH"}
NARROW, WIDE = 60, 100
"""Fewest and most columns of a page."""
_INDENT = 6
_UNBROKEN = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option, or one argument without a name, of a command line."""

    name: str
    """`--epochs`; of an argument without a name that of the field, in capitals."""
    value: str = ""
    """What stands behind it, such as INT; empty for a switch."""
    choices: tuple[str, ...] = ()
    """The values, where they are a closed list."""
    default: str = ""
    """Value when it is left out, as it would be typed; empty for none."""
    text: str = ""
    """What it does."""
    group: str = "options"
    """Heading under which it stands."""

    def to_json(self) -> dict[str, Any]:
        """Return every field, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Option":
        """Return the record back from `to_json`."""
        return cls(**{**data, "choices": tuple(data["choices"])})

    @property
    def words(self) -> tuple[str, ...]:
        """What can be typed for it: `--x`, of a switch `--no-x` too; nothing for an argument."""
        if not self.name.startswith("--"):
            return ()
        return (self.name,) if self.value else (self.name, f"--no-{self.name[2:]}")


def options_of(
    kind: type[Any], values: Any = None, group: str = "options", groups: Mapping[str, str] = {}
) -> list[Option]:
    """Return the options that the fields of a dataclass become, in their order.

    `values` is an instance whose values are the defaults, `groups` maps names of fields to headings
    other than `group`.
    """
    texts = field_texts(kind)
    hints = get_type_hints(kind)  # without what stands beside a type in `Annotated`
    options = []
    for field in fields(kind):
        default = field.default if values is None else getattr(values, field.name)
        hint, positional = hints[field.name], "Positional" in repr(field.type)
        value, choices = _value_of(hint)
        options.append(
            Option(
                name=field.name.upper() if positional else f"--{field.name.replace('_', '-')}",
                value=value,
                choices=choices,
                default="" if positional else shown(default),
                text=texts.get(field.name, ""),
                group="arguments" if positional else groups.get(field.name, group),
            )
        )
    return options


def field_texts(kind: type[Any]) -> dict[str, str]:
    """Return the strings below the fields of a dataclass and its parents, by the field's name."""
    texts: dict[str, str] = {}
    for parent in reversed(kind.__mro__[:-1]):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(parent)))
        except (OSError, TypeError):  # made while the program runs, or of the standard library
            continue
        body = getattr(tree.body[0], "body", [])
        for field, text in pairwise(body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            ):
                texts[field.target.id] = " ".join(str(text.value.value).split())
    return texts


def _value_of(hint: Any) -> tuple[str, tuple[str, ...]]:
    """Return what stands behind an option of a type, and the values of a closed list."""
    if get_origin(hint) in (Union, UnionType):
        return _value_of(next(kind for kind in get_args(hint) if kind is not NoneType))
    if get_origin(hint) is Literal:
        choices = tuple(str(choice) for choice in get_args(hint))
        return "{" + ",".join(choices) + "}", choices
    if get_origin(hint) in (tuple, list):
        return _value_of(get_args(hint)[0])[0] + " ...", ()
    if hint is bool:
        return "", ()
    return _WORDS.get(hint, "TEXT"), ()


def shown(default: Any) -> str:
    """Return a default as it would be typed; nothing where an option is off or left out."""
    if default in (None, False, MISSING, "", ()):
        return ""
    if default is True:
        return "on"
    return str(default.value if isinstance(default, Enum) else default)


def page(program: str, description: str, options: Iterable[Option]) -> str:
    """Return the page of help: how the command is called, what it does, its options by group.

    The lines of the description stay as they are; the texts of options are wrapped.
    """
    width = min(max(shutil.get_terminal_size().columns, NARROW), WIDE)
    groups: dict[str, list[Option]] = {}
    for option in options:
        groups.setdefault(option.group, []).append(option)
    arguments = " ".join(option.name for option in groups.get("arguments", []))
    lines = [f"usage: {program} {f'{arguments} ' if arguments else ''}[options]", ""]
    lines += [*inspect.cleandoc(description).splitlines(), ""]
    for heading, members in groups.items():
        lines.append(f"{heading}:")
        for option in members:
            lines += _entry(option, width)
        lines.append("")
    lines.append("-h, --help shows this page.")
    return "\n".join(lines)


def _entry(option: Option, width: int) -> list[str]:
    said = f"(default: {option.default})"
    if option.default == "on":
        said = f"(on; --no-{option.name[2:]} switches it off)"
    default = " " + said.replace(" ", _UNBROKEN) if option.default else ""
    wrapped = textwrap.wrap(
        option.text + default, width - _INDENT, break_long_words=False, break_on_hyphens=False
    )
    wrapped = [line.replace(_UNBROKEN, " ") for line in wrapped]
    head = f"  {option.name} {option.value}".rstrip()
    return [head, *(" " * _INDENT + line for line in wrapped)]


def names_of(options: Sequence[Option]) -> frozenset[str]:
    """Return everything that can be typed for the options, `--help` too."""
    return frozenset({"--help", *(word for option in options for word in option.words)})
