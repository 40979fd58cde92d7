"""Print what a shell completes on Tab, for the commands of models/.

source <(python -m models.completion bash)    in this shell; zsh likewise

It holds for `python models/train.py ...` and for `models/train.py ...`, with every net's options.
"""

if __name__ == "__main__":  # import this checkout; a signal while it loads is no traceback
    import sys
    from os.path import dirname, realpath

    here = dirname(realpath(__file__))
    sys.path[:] = [dirname(here), *(entry for entry in sys.path if entry != here)]
    from models.runtime.interrupts import exit_at_once

    exit_at_once()

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Literal

import tyro

from models import net_index, registry
from models.runtime import command_line as cli
from schemas.settings.completion import script, words_of
from schemas.settings.help import options_of

PROGRAM = "models.completion"
COMMANDS = (
    "train", "evaluate", "predict", "export", "separate", "localise", "mixtures", "analysis",
    "robustness", "papers", "report",
)  # fmt: skip
_DISPATCH = """\
    local at=0
    [[ "${COMP_WORDS[0]}" == *python* ]] && at=1
    case "${COMP_WORDS[at]}" in
        *models/*.py) key="${COMP_WORDS[at]##*models/}"; key="${key%.py}" ;;
    esac
    if [ "$key" = train ] && [ "$COMP_CWORD" -gt $((at + 1)) ]; then
        key="train ${COMP_WORDS[at+1]}"
    fi"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """For which shell."""

    shell: tyro.conf.Positional[Literal["bash", "zsh"]] = "bash"
    """Whose language is written."""


def main(arguments: Sequence[str]) -> None:
    """Run the command; `UsageError` when it is used wrongly."""
    options = cli.read(Options, arguments, PROGRAM, __doc__)
    words: dict[str, str] = {}
    for name in COMMANDS:
        listed = options_of(import_module(f"models.{name}").Options)
        words |= words_of(name, listed)
        if name == "train":
            words["train"] = "--help --list --version"
            for net in map(net_index.entry, registry.MODELS):
                for chosen in dict.fromkeys((net.name, *(one.name for one in net.experiments))):
                    words |= words_of(f"train {chosen}", [*listed, *net.options])
                    words["train"] = f"{chosen} {words['train']}"
    programs = ("python", "python3", *(f"{name}.py" for name in COMMANDS))
    sys.stdout.write(script(options.shell, "_earsight_models", words, _DISPATCH, programs))


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:]))
