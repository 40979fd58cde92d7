"""What a shell completes: a function for bash, which zsh takes too, written from options."""

import re
import shlex
from collections.abc import Mapping, Sequence

from schemas.failure import UsageError
from schemas.messages import unknown
from schemas.settings.help import Option, names_of

SHELLS = ("bash", "zsh")
_ZSH = "autoload -U +X bashcompinit && bashcompinit\n"


def script(
    shell: str, function: str, words: Mapping[str, str], dispatch: str, programs: Sequence[str]
) -> str:
    """Return what a shell reads to complete some programs; `UsageError` for another shell.

    `words` maps a key to what may be typed there. `dispatch` is the shell code that sets `key`
    from `COMP_WORDS`; a key `COMMAND --option` has the values of an option. Where nothing is
    known, files are completed.
    """
    if shell not in SHELLS:
        raise UsageError(unknown("shell", shell, SHELLS))
    cases = "\n".join(
        f"            {shlex.quote(key)}) known={shlex.quote(typed)} ;;"
        for key, typed in words.items()
    )
    body = f"""{function}() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}"
    local key="" known="" try
{dispatch}
    for try in "$key $previous" "$key"; do
        case "$try" in
{cases}
        esac
        [ -n "$known" ] && break
    done
    COMPREPLY=()
    if [ -n "$known" ] && {{ [[ "$current" == -* ]] || [[ "$known" != -* ]]; }}; then
        COMPREPLY=( $(compgen -W "$known" -- "$current") )
    fi
}}
complete -o bashdefault -o default -F {function} {" ".join(programs)}
"""
    return (_ZSH if shell == "zsh" else "") + body


def words_of(key: str, options: Sequence[Option]) -> dict[str, str]:
    """Return what may be typed behind a command, and behind its options of closed lists.

    >>> words_of("run pack", [Option(name="--keep", value="{a,b}", choices=("a", "b"))])
    {'run pack': '--help --keep', 'run pack --keep': 'a b'}
    """
    lists = {f"{key} {option.name}": " ".join(option.choices) for option in options}
    typed = sorted(name for name in names_of(options) if re.fullmatch(r"--[a-z0-9-]+", name))
    return {key: " ".join(typed), **{name: values for name, values in lists.items() if values}}
