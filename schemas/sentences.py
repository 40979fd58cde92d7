"""Complaints as one sentence."""


def unboxed(box: str) -> str:
    r"""The first statement in a box that tyro draws round a complaint, without the frame.

    >>> unboxed("╭─ Invalid choice ─╮\n│ 'x' is not one │\n│ of a, b.        │\n│ ─── │")
    "'x' is not one of a, b"
    """
    words: list[str] = []
    for line in box.splitlines()[1:]:
        plain = line.strip("│╭╰╮╯ ─")
        if not plain:  # a rule ends the statement
            break
        words.append(plain)
    return " ".join(words).rstrip(".") or "the options could not be read"
