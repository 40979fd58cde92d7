"""The list of experiments: a line per row of a paper's table."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from rich.markup import escape
from rich.table import Table

from models.contract.card import Experiment


class ListedNet(Protocol):
    """What the list shows of a net."""

    @property
    def name(self) -> str:
        """Name in the registry."""

    @property
    def task(self) -> str:
        """Name of its task."""

    @property
    def columns(self) -> Mapping[str, str]:
        """Scores that papers print for the task, each with the head of its column."""

    @property
    def experiments(self) -> tuple[Experiment, ...]:
        """Rows of the papers' tables that it runs."""


def tables(nets: Iterable[ListedNet]) -> list[Table]:
    """Return a list of experiments for each task: a line per row of a paper's table."""
    made: dict[str, Table] = {}
    for net in nets:
        columns = net.columns
        if net.task not in made:
            title = f"Experiments in {net.task}; numbers are the papers', in per cent"
            table = made[net.task] = Table(title=title, title_justify="left")
            for head in ("experiment", "model", "paper", "table", "row"):
                table.add_column(head, overflow="fold")
            for head in columns.values():
                table.add_column(head, justify="right")
        for experiment in net.experiments:
            for row in experiment.rows:
                numbers = [printed(row.numbers.get(name)) for name in columns]
                words = (experiment.name, net.name, row.paper, row.table, row.row)
                made[net.task].add_row(*map(escape, words), *numbers)
    return list(made.values())


def printed(value: float | None) -> str:
    """Return a paper's number with the digits that it is printed with, one or two.

    >>> printed(38.35), printed(38.0), printed(None)
    ('38.35', '38.0', '')
    """
    if value is None:
        return ""
    return f"{value:.1f}" if round(value, 1) == value else f"{value:.2f}"
