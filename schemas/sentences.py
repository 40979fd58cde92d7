"""Complaints as one sentence."""


def unboxed(box: str) -> str:
    r"""The first statement in a box that tyro draws round a complaint, without the frame.

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
