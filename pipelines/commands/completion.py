"""`beam completion`: what a shell completes on Tab."""

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import tyro

from pipelines.commands.names import COMMANDS
from schemas.manifests import DATASETS
from schemas.recipe import RECIPES
from schemas.settings.completion import script, words_of
from schemas.settings.help import options_of

_NAMES: Mapping[str, tuple[str, ...]] = {"--dataset": tuple(DATASETS), "--recipe": tuple(RECIPES)}
"""Options whose values are names that the product knows."""
_DISPATCH = """\
    case "${COMP_WORDS[1]}" in
        run) key="run ${COMP_WORDS[2]}"; [ "$COMP_CWORD" -eq 2 ] && key="run" ;;
        *) key="${COMP_WORDS[1]}" ;;
    esac
    [ "$COMP_CWORD" -eq 1 ] && key="beam\""""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Print what a shell completes on Tab, for beam and earsight.

    source <(beam completion bash)                        in this shell
    echo 'source <(beam completion bash)' >> ~/.bashrc    in every new one
    echo 'source <(beam completion zsh)' >> ~/.zshrc      zsh

    For the commands of models/: python -m models.completion bash
    """

    shell: tyro.conf.Positional[Literal["bash", "zsh"]] = "bash"
    """Whose language is written."""


def run(options: Options, rest: list[str]) -> int:
    """Print the function."""
    first = dict.fromkeys(name.split()[0] for name in COMMANDS)
    jobs = [name.split()[1] for name in COMMANDS if name.startswith("run ")]
    words = {"beam": " ".join([*first, "--help", "--version"]), "run": " ".join(jobs)}
    for name, command in COMMANDS.items():
        module: Any = importlib.import_module(command.module)
        listed = options_of(module.Options)
        words |= words_of(name, listed)
        for option in listed:
            if option.name in _NAMES:
                words[f"{name} {option.name}"] = " ".join(_NAMES[option.name])
    sys.stdout.write(script(options.shell, "_earsight", words, _DISPATCH, ("beam", "earsight")))
    return 0
