"""How the product speaks to a person: error prefix, quoted values, suggestions, tyro's complaints.

Every sentence stays readable whatever was typed: values are cut, lists of names end in `...`.
"""

import difflib
from collections.abc import Iterable

ERROR_PREFIX = "error: "
"""What stands before the sentence of a `UsageError` or `JobError` on the terminal."""
WARNING_PREFIX = "warning: "
"""What stands before a message about which the command goes on."""

MOST_CHARACTERS = 80
"""Characters of a quoted value."""

MOST_SENTENCE = 2000
"""Characters of a sentence that quotes what others wrote."""

MOST_NAMES = 200
"""Names that a sentence lists."""


def quoted(value: object, most: int = MOST_CHARACTERS) -> str:
    """Return a value as one printable line of bounded length, in quotes where it is text.

    >>> print(quoted("a" * 9, most=8), quoted("it's"))
    'aaaaa...' "it's"
    """
    if isinstance(value, str | bytes) and len(value) > most:
        start = repr(value[: most - 3])
        return f"{start[:-1]}...{start[-1]}"
    text = repr(value)
    return text if len(text) <= most + 2 else text[: most - 1] + "..."


def printable(text: str, most: int = MOST_SENTENCE) -> str:
    r"""Return text of bounded length in which nothing moves the cursor or breaks an encoding.

    Control characters, line ends and bytes outside UTF-8 are written as escapes.

    >>> print(printable("a\nb\x1b[31m"), printable("long name", most=8))
    a\nb\x1b[31m long ...
    """
    cut = text if len(text) <= most else f"{text[: most - 3]}..."
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in cut
    )


def printable_lines(text: str, most: int) -> str:
    """Return `printable` lines of bounded length together; of a longer text the end is kept."""
    safe = "\n".join(printable(line, most) for line in text[-most:].split("\n"))
    return safe if len(safe) <= most else "..." + safe[3 - most :]


def listed(names: Iterable[str], most: int = MOST_NAMES) -> str:
    """Return names separated by commas, the first `most` of many; `none` when there are none.

    >>> listed(["a", "b", "c"], most=2), listed([])
    ('a, b, ...', 'none')
    """
    every = list(names)
    shown = [name if len(name) <= MOST_CHARACTERS else quoted(name) for name in every[:most]]
    return ", ".join([*shown, "..."] if len(every) > most else shown) or "none"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that a mistyped one is closest to, None when nothing is close.

    Capitals, `-` and `_` make no difference.

    >>> nearest("Num_Wokers", ["--runner", "num-workers"])
    'num-workers'
    """
    spelled = {other.replace("_", "-").lower(): other for other in known}
    asked = name[:MOST_CHARACTERS].replace("_", "-").lower()
    close = difflib.get_close_matches(asked, spelled, n=1)
    return spelled[close[0]] if close else None


def suggestion(name: str, known: Iterable[str], see: str = "--help") -> str:
    """Return the second half of a sentence on a mistyped name: what it may have meant, what exists.

    Options are too many to list: where none is close, the sentence refers to `see`.

    >>> suggestion("hun", ["ave", "han"]), suggestion("x", ["ave", "han"])
    ("; did you mean 'han'? Known: ave, han", '; known: ave, han')
    >>> suggestion("--epoch", ["--epochs"]), suggestion("--x", ["--epochs"])
    ('; did you mean --epochs?', '; see --help')
    """
    names = list(dict.fromkeys(map(str, known)))
    near = nearest(name, names)
    if name.startswith("-"):
        return f"; did you mean {near}?" if near else f"; see {see}"
    meant = f" did you mean {quoted(near)}? Known:" if near else " known:"
    return f";{meant} {listed(names)}"


def unknown(kind: str, name: str, known: Iterable[str], see: str = "--help") -> str:
    """Return one sentence: a name does not exist, what it may have meant, what exists.

    >>> unknown("model", "hun", ["ave", "han"])
    "unknown model 'hun'; did you mean 'han'? Known: ave, han"
    """
    shown = name[:MOST_CHARACTERS] if name.startswith("-") else quoted(name)
    return f"unknown {kind} {shown}{suggestion(name, known, see)}"


def unboxed(box: str) -> str:
    r"""Return the first statement in a box that tyro draws round a complaint, without the frame.

    Where the terminal has no box characters, there are lines of `-` alone.

    >>> unboxed("╭─ Invalid choice ─╮\n│ 'x' is not one │\n│ of a, b.        │\n│ ─── │")
    "'x' is not one of a, b"
    >>> unboxed(" Wrong\n --------\n --a is\n missing.\n --------\n See help")
    '--a is missing'
    """
    words: list[str] = []
    for line in box.splitlines()[1:]:
        plain = line.strip("│╭╰╮╯ ─")
        if plain.strip("-"):
            words.append(plain)
        elif words:  # a rule ends the statement
            break
    return " ".join(words).rstrip(".") or "the options could not be read"
