"""The changes themselves: what is changed, and what is left alone."""

import ast

import pytest

from tests.mutants.client import equivalent_of
from tests.mutants.equivalent import EQUIVALENT, Equivalent
from tests.mutants.known import KNOWN, Known
from tests.mutants.mutations import mutations
from tests.mutants.rooms import ROOMS
from tests.places import ROOT

SOURCE = '''
def f(a: int = 1) -> bool:
    """Say 1 + 1."""
    log.info("less than %d", 3 + 4)
    if not a < 2:
        raise ValueError(f"{a + 5} is wrong")
    return a in (6,) and "é" == b
'''


def test_every_change_parses_and_differs() -> None:
    found = mutations(SOURCE)
    assert len(found) == len({mutation.apply(SOURCE) for mutation in found})
    for mutation in found:
        ast.parse(mutation.apply(SOURCE))


def test_messages_annotations_and_docstrings_are_left_alone() -> None:
    changes = {(mutation.before, mutation.after) for mutation in mutations(SOURCE)}
    assert changes == {
        ("1", "2"),
        ("not a < 2", "False"),
        ("not a < 2", "(a < 2)"),
        ("a < 2", "(a <= 2)"),
        ("2", "3"),
        ('a in (6,) and "é" == b', "None"),
        ('a in (6,) and "é" == b', "(a in (6,) or 'é' == b)"),
        ("a in (6,)", "(a not in (6,))"),
        ("6", "7"),
        ('"é" == b', "('é' != b)"),
    }


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_known_change_still_fits_its_file(known: Known) -> None:
    ast.parse(known.apply((ROOT / known.path).read_text()))
    for test in known.tests:
        assert (ROOT / test).exists()


@pytest.mark.parametrize("same", EQUIVALENT, ids=lambda same: f"{same.path} {same.before}")
def test_equivalent_change_still_fits_its_file(same: Equivalent) -> None:
    path = ROOT / same.path
    assert same in [equivalent_of(path, change) for change in mutations(path.read_text())]


def test_every_room_has_modules_and_every_module_tests() -> None:
    for room in ROOMS.values():
        assert room.modules()
        for module in room.modules():
            tests = room.tests_of(module)
            assert tests, module
            assert all((ROOT / test.partition("::")[0]).exists() for test in tests), module
