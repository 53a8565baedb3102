"""The algebra of index relations against enumeration: a short part of `tests.algebra_sweep`."""

from __future__ import annotations

import pytest

from tests.algebra_sweep import QUESTIONS, Tally, sweep


@pytest.fixture(scope="module")
def tallies() -> dict[str, Tally]:
    return sweep(cases=300 * len(QUESTIONS), seed=1)


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_algebra_agrees_with_enumeration(question: str, tallies: dict[str, Tally]):
    tally = tallies[question]
    assert tally.cases == 300
    assert tally.wrong == 0
    assert tally.decided >= 150, "it declines too often to be of use"
