"""A few cases of every family, seeded, in the default tests; `make test-faults` runs many."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.family import Family, all_families
from tests.faults.runner import Child

FAMILIES = all_families()


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    """One process for all families."""
    child = Child()
    yield child
    child.close()


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_sample_ends_well(child: Child, name: str) -> None:
    module, family = FAMILIES[name]
    results = {index: child.run(module, family, 0, index) for index in range(family.sample)}
    unwell = {index: result for index, result in results.items() if not result.outcome.well}
    assert not unwell


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_case_depends_on_its_seed_and_index_alone(name: str) -> None:
    family: Family[Any] = FAMILIES[name][1]
    cases = [[repr(family.make(family.dice(7, index))) for index in range(4)] for _ in range(2)]
    assert cases[0] == cases[1]
    assert len(set(cases[0])) > 1
