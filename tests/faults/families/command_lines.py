"""Hostile words on the command line of `beam`: mistyped options, values of every kind."""

import random
from dataclasses import fields
from importlib import import_module
from pathlib import Path

from pipelines.cli import main
from pipelines.commands.names import COMMANDS
from tests.faults.family import Family, Outcome, holds, of_command

SECRET = "pl4nted-s3cret"
BASES: dict[str, tuple[str, ...]] = {
    "run features": ("--dataset", "folder", "--media", "{folder}/none"),
    "run download": ("--dataset", "folder", "--source", "{folder}/none", "--media", "{folder}/m"),
    "run pack": ("--out", "{folder}/none"),
    "run everything": ("--dataset", "folder", "--source", "{folder}/none", "--media", "{folder}/m"),
    "plan": ("--dataset", "folder", "--annotations", "{folder}/none"),
    "validate": ("{folder}/none",),
    "recipes": ("{folder}/none",),
    "export": ("{folder}/none", "--to", "npy", "--out", "{folder}/data"),
    "import": ("{folder}/none", "--out", "{folder}/data"),
    "import-npy": ("--annotations", "{folder}/none", "--npy", "{folder}/none"),
    "compare": ("{folder}/none", "--npy", "{folder}/none"),
}
"""Commands that end with a sentence whatever is added: they ask for what is not there."""
LEFT_OUT = frozenset({
    "dataset", "annotations", "source", "media", "out", "npy", "runner", "vggish", "resnet152",
    "r2plus1d", "state",
})  # fmt: skip
"""Options that would make a command work, or write elsewhere."""
VALUES = (
    "", " ", "0", "-1", "nan", "-inf", "1e400", "9" * 400, "1_000", "\u0663", "true", "None", "--",
    "-", "--out", "--media=", "a\nb", "\x00", "\ud800", "\x1b[31m", "\u202e", "[red]x[/red]",
    "%s", "{x}", "{0}", "$\\frac$", "'", '"', "../..", "x" * 5000, "\U0001f3b5", "a,b,,c", "*",
    f"http://user:{SECRET}@host/x?token={SECRET}", f"socks5://u:{SECRET}@h:1",
)  # fmt: skip
WORDS = ("--hlep", "-x", "--unit", "--no-repair", "--project", "--streaming=maybe", "--job_name")


def make(dice: random.Random) -> tuple[str, ...]:
    """Draw a command that cannot work, with up to four more words."""
    command = dice.choice([*BASES])
    options = import_module(COMMANDS[command].module).Options
    names = [field.name for field in fields(options) if field.name not in LEFT_OUT]
    words = [*command.split(), *BASES[command]]
    for _ in range(dice.randrange(5)):
        option = "--" + dice.choice(names or ["help"]).replace("_", dice.choice("_-"))
        if dice.random() < 0.3:
            start = dice.randrange(2, len(option))
            option = option[:start] + dice.choice("abcxyz-_=") + option[start + 1 :]
        value = dice.choice(VALUES)
        words += dice.choice(
            ([option, value], [f"{option}={value}"], [value], [dice.choice(WORDS)], [option])
        )
    return tuple(words)


def run(words: tuple[str, ...], folder: Path) -> Outcome:
    """Run the command in this process; nothing is made of it but a sentence or a help page."""
    outcome = of_command(main, [word.replace("{folder}", str(folder)) for word in words])
    return Outcome.LEAK if holds(SECRET, folder) else outcome


FAMILIES = (Family("command_lines", make, run, sample=20, time_limit_s=60.0, memory_mb=4096),)
