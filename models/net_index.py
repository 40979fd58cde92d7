"""What lists, help and complaints need of every net, read without torch from `net_index.json`.

python -m models.net_index     (make index) writes that file anew

A net's file says it all, but importing it takes torch and seconds. So the index keeps a copy of
each net's options and experiments, with the sha256 of the files that they come from. Where one of
these has changed, or a net is not in the index, the net's own file is imported instead: the index
may make an answer slow, never wrong.
"""

import hashlib
import inspect
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from models import registry
from models.contract.card import Experiment, PaperRow
from schemas.messages import unknown
from schemas.settings.help import Option, options_of, shown

INDEX = Path(__file__).with_name("net_index.json")
_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class NetEntry:
    """A net as lists and help show it."""

    name: str
    """Name in the registry."""
    task: str
    """Name of its task."""
    columns: Mapping[str, str]
    """Scores that papers print for the task, each with the head of its column."""
    description: str
    """What its settings are for."""
    options: tuple[Option, ...]
    """Settings as options, with the defaults of the paper."""
    experiments: tuple[Experiment, ...]
    """Rows of the papers' tables that it runs."""

    def options_for(self, experiment: Experiment) -> list[Option]:
        """Return the options with the settings of an experiment as defaults."""
        settings = {
            f"--{name.replace('_', '-')}": value for name, value in experiment.settings.items()
        }
        return [
            replace(option, default=shown(settings[option.name]))
            if option.name in settings
            else option
            for option in self.options
        ]


def entry(name: str) -> NetEntry:
    """Return a net's entry; LookupError with a suggestion for one that does not exist."""
    if name not in registry.MODELS:
        raise LookupError(unknown("model", name, registry.MODELS))
    data = _index().get(name)
    if data is None or any(_digest(path) != sha256 for path, sha256 in data["sources"].items()):
        data = make_entry(name)
    experiments = tuple(
        Experiment(
            name=experiment["name"],
            settings=experiment["settings"],
            rows=tuple(PaperRow(**row) for row in experiment["rows"]),
        )
        for experiment in data["experiments"]
    )
    options = tuple(map(Option.from_json, data["options"]))
    kept = {key: data[key] for key in ("task", "columns", "description")}
    return NetEntry(name=name, options=options, experiments=experiments, **kept)


def find(name: str) -> tuple[NetEntry, Experiment]:
    """Return the net and the experiment of a name; a net's own name means its defaults.

    LookupError with a suggestion when it is neither.
    """
    if name in registry.MODELS:
        net = entry(name)
        return net, net.experiments[0]
    known = {}
    for net in map(entry, registry.MODELS):
        for experiment in net.experiments:
            if experiment.name == name:
                return net, experiment
            known[experiment.name] = net
    raise LookupError(unknown("model or experiment", name, [*registry.MODELS, *known]))


def make_entry(name: str) -> dict[str, Any]:
    """Return what the index holds of a net, from the net's own file: this imports torch."""
    method = registry.load(name)
    card, module = method.card, sys.modules[registry.MODELS[name]]
    sources = {_source(thing) for thing in (module, *method.config.__mro__[:-1])}
    return {
        "sources": {path: _digest(path) for path in sorted(sources)},
        "task": card.task.name,
        "columns": dict(card.task.columns),
        "description": inspect.getdoc(method.config) or "",
        "options": [option.to_json() for option in options_of(method.config, group="the net")],
        "experiments": [
            {
                "name": experiment.name,
                "settings": dict(experiment.settings),
                "rows": [
                    {
                        "paper": row.paper,
                        "table": row.table,
                        "row": row.row,
                        "numbers": dict(row.numbers),
                    }
                    for row in experiment.rows
                ],
            }
            for experiment in card.experiments
        ],
    }


@cache
def _index() -> dict[str, Any]:
    """Return the index; empty where its file is missing or damaged."""
    try:
        nets: dict[str, Any] = json.loads(INDEX.read_text())
    except (OSError, ValueError):
        return {}
    return nets


def _source(thing: Any) -> str:
    path = Path(inspect.getfile(thing)).resolve()
    return path.relative_to(_ROOT).as_posix() if path.is_relative_to(_ROOT) else str(path)


@cache
def _digest(path: str) -> str:
    try:
        return hashlib.sha256((_ROOT / path).read_bytes()).hexdigest()
    except OSError:
        return ""


def main() -> None:
    """Write the index."""
    nets = {name: make_entry(name) for name in registry.MODELS}
    INDEX.write_text(json.dumps(nets, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
