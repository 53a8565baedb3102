"""The algebra of index relations against enumeration, with small bounds and integer arithmetic."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from hypothesis import given
from hypothesis import strategies as st

from diagrammar.ir.algebra import conjunction, marginal
from diagrammar.ir.elimination import eliminate
from diagrammar.ir.points import is_empty
from diagrammar.ir.relation import Equation, Linear, Piece, Relation, conv, conv_form, delta, tidy

WIRES = ("a", "b", "c")

numbers = st.integers(-3, 3)
forms = st.builds(
    lambda cs, constant: Linear.of(dict(zip(WIRES, cs, strict=True)), constant),
    st.tuples(numbers, numbers, numbers),
    st.integers(-5, 5),
)
equations = st.builds(Equation, forms, st.one_of(st.none(), st.integers(1, 4)))
pieces = st.builds(
    Piece,
    st.lists(equations, max_size=2).map(tuple),
    st.lists(forms, max_size=2).map(tuple),
)
sizes_of = st.fixed_dictionaries({w: st.integers(1, 5) for w in WIRES})


def points(sizes: Mapping[str, int], wires: tuple[str, ...]) -> Iterator[dict[str, int]]:
    for values in itertools.product(*(range(sizes[w]) for w in wires)):
        yield dict(zip(wires, values, strict=True))


def at(form: Linear, point: Mapping[str, int]) -> int:
    return sum(c * point[w] for w, c in form.terms) + form.constant


def holds(piece: Piece, point: Mapping[str, int]) -> bool:
    return all(
        at(e.form, point) == 0 if e.modulus is None else at(e.form, point) % e.modulus == 0
        for e in piece.equations
    ) and all(at(b, point) >= 0 for b in piece.bounds)


def count(relation: Relation, point: Mapping[str, int]) -> int:
    return sum(holds(piece, point) for piece in relation.pieces)


@given(pieces, sizes_of)
def test_tidy_keeps_the_set(piece, sizes):
    tidied = tidy(piece, sizes)
    assert all(holds(piece, p) == holds(tidied, p) for p in points(sizes, WIRES))


@given(pieces, sizes_of)
def test_empty_means_that_nothing_holds(piece, sizes):
    if is_empty(piece, sizes):
        assert not any(holds(piece, p) for p in points(sizes, WIRES))


@given(pieces, sizes_of, st.sampled_from(WIRES))
def test_eliminating_a_wire_is_the_sum_over_it(piece, sizes, wire):
    without = eliminate(piece, wire, sizes)
    if without is None:
        return
    rest = tuple(w for w in WIRES if w != wire)
    for point in points(sizes, rest):
        total = sum(holds(piece, {**point, wire: n}) for n in range(sizes[wire]))
        assert total == holds(without, point)


@given(pieces, pieces, sizes_of)
def test_conjunction_is_the_product(first, second, sizes):
    both = conjunction(Relation("P", WIRES, (first,)), Relation("Q", WIRES, (second,)), sizes, "PQ")
    for point in points(sizes, WIRES):
        assert count(both, point) == holds(first, point) * holds(second, point)


@given(
    st.integers(1, 7), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(0, 3)
)
def test_a_convolution_and_its_marginals(i, k, stride, dilation, padding):
    o = (i + 2 * padding - dilation * (k - 1) - 1) // stride + 1
    if o < 1:
        return
    sizes = {"i": i, "o": o, "k": k}
    relation = conv("P", "i", "o", "k", stride=stride, dilation=dilation, padding=padding)
    for point in points(sizes, ("i", "o", "k")):
        expected = point["i"] == stride * point["o"] + dilation * point["k"] - padding
        assert count(relation, point) == expected
    for wire in relation.wires:
        made = marginal(relation, wire, sizes)
        assert made is not None
        rest = tuple(w for w in relation.wires if w != wire)
        assert made.wires == rest
        for point in points(sizes, rest):
            total = sum(count(relation, {**point, wire: n}) for n in range(sizes[wire]))
            assert count(made, point) == total


def test_the_convolution_form_is_read_back():
    relation = conv("P", "i", "o", "k", stride=2, dilation=3, padding=1)
    form = conv_form(relation, {"i": 9, "o": 3, "k": 2})
    assert form is not None
    assert (form.S, form.D, form.P, form.I, form.O, form.K) == (2, 3, 1, 9, 3, 2)
    assert form.right == 2 * 2 + 3 * 1 - 1 - 8


def test_what_is_no_convolution():
    sizes = {"i": 5, "o": 5, "k": 3}
    circular = Relation(
        "P", ("i", "o", "k"), (Piece((Equation(Linear.of({"i": 1, "o": -1, "k": -1}), 5),)),)
    )
    flipped = Relation("P", ("i", "o"), (Piece((Equation(Linear.of({"i": 1, "o": 1}, -4)),)),))
    assert conv_form(circular, sizes) is None
    assert conv_form(flipped, sizes) is None
    assert conv_form(delta("i", "o"), sizes) is not None
