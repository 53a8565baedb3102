"""The algebra of index relations against enumeration: a short part of `tests.algebra_sweep`."""

from __future__ import annotations

import pytest

from diagrammar.ir.algebra import is_indicator
from diagrammar.ir.points import is_empty
from diagrammar.ir.relation import Equation, Linear, Piece, Relation
from diagrammar.ir.scalar import parameter, size
from diagrammar.language.patterns import BORDERS
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


def test_emptiness_is_decided_on_symbols_where_it_can_be():
    i, o, k, p = size("i"), size("o"), size("k"), parameter("p")
    sizes = {"i": i, "o": o, "k": k}

    def piece(*equations: Linear, bounds: tuple[Linear, ...] = ()) -> Piece:
        return Piece(tuple(map(Equation, equations)), bounds)

    odd = Linear.of({"i": 2, "o": -2 * p}, 4 * p + 1)
    assert is_empty(piece(odd), sizes)
    assert not is_empty(piece(odd.plus(1)), sizes)
    far = Linear.of({"i": 1, "o": -1}, -i)  # i = o + |i|
    assert is_empty(piece(far), sizes)
    apart = (Linear.of({"o": 1}, -p - 1), Linear.of({"o": -1}, p))  # o > p and o <= p
    assert is_empty(piece(bounds=apart), sizes)
    assert not is_empty(piece(bounds=(apart[0].plus(1), apart[1])), sizes)
    same = Linear.of({"i": 1, "o": -1})
    above = Linear.of({"i": 1, "o": -1}, -1)
    assert is_empty(piece(same, bounds=(above,)), sizes)
    assert is_empty(Piece((Equation(Linear.of({"i": 6}, 3), 4),)), sizes)


@pytest.mark.parametrize("kind", BORDERS)
def test_boundaries_have_zeros_and_ones_whatever_their_sizes(kind: str):
    extent, left, right = size("i"), parameter("p"), parameter("q")
    pieces = BORDERS[kind]("i", "j", left, extent)
    sizes = {"i": extent, "j": extent + left + right}
    assert is_indicator(Relation(kind, ("i", "j"), pieces), sizes)
