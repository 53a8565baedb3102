"""What must be an integer is one, or is refused with its place: wherever the value is computed, at
check, at compile and at the call, for fixed shapes and for all."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
import torch

import diagrammar as dg
from diagrammar.ir.numbers import exact, integer

CONV = "tensor X[i]\ntensor W[k]\npattern P[i, o, k] = conv(%s)\nY[o] = X[i] * P[i, o, k] * W[k]"
BRACKET = "tensor X[i]\ntensor W[k]\nsize o = 3\npattern P[i, o] = [%s]\n"
BRACKET += "Y[o] = X[i] * P[i, o] * W[k]"
SIZE = "tensor X[i]\ntensor W[k]\nsize o := %s\nY[o] = X[i] * W[k] * ones[o]"

PLACES: Mapping[str, tuple[str, str]] = {
    "stride": (CONV, "stride=%s + 1"),
    "dilation": (CONV, "dilation=%s + 1"),
    "padding": (CONV, "padding=%s"),
    "left": (CONV, "padding=(%s, 1)"),
    "right": (CONV, "padding=(1, %s)"),
    "circular": (CONV, "padding=%s, boundary=circular"),
    "reflect": (CONV, "padding=%s, boundary=reflect"),
    "replicate": (CONV, "padding=%s, boundary=replicate"),
    "output padding": (CONV, "stride=3, output_padding=%s"),
    "constant": (BRACKET, "i = o + %s"),
    "factor": (BRACKET, "i = (%s + 1)*o"),
    "bound": (BRACKET, "i <= o + %s"),
    "modulus": (BRACKET, "i = o mod %s + 1"),
    "definite size": (SIZE, "%s + 1"),
}
"""Where an integer is needed."""

SCALARS: Mapping[str, Callable[[int], Fraction]] = {
    "|k|/2": lambda k: Fraction(k, 2),
    "(|k| - 1)/2": lambda k: Fraction(k - 1, 2),
    "|k|/3 + |k|/6": lambda k: Fraction(k, 2),
    "(|k|^2 - 1)/8": lambda k: Fraction(k * k - 1, 8),
    "2*(|k|//2)/3": lambda k: Fraction(2 * (k // 2), 3),
}
"""Scalars of |k| that are integers for some k only, and their values."""

CASES = [(place, scalar) for place in PLACES for scalar in SCALARS]


def text_of(place: str, scalar: str) -> str:
    """A file that needs the scalar to be an integer in a place."""
    text, option = PLACES[place]
    return text % (option % scalar)


def outcome(call: Callable[[], Any]) -> Any:
    """What a call gives, as lists; the error, where it is refused."""
    try:
        return call().tolist()
    except ValueError as error:  # a DiagramError, or that of an emitted function
        return error


def operands(k: int) -> dict[str, torch.Tensor]:
    """X of 9 entries and a kernel of k."""
    return {"X": torch.arange(1.0, 10.0), "W": torch.arange(1.0, k + 1.0)}


@pytest.mark.parametrize(("place", "scalar"), CASES)
def test_a_fraction_is_refused_and_an_integer_is_taken(place: str, scalar: str) -> None:
    """For each k the routes agree: refused with the place exactly where the scalar is a fraction,
    else the numbers of the same file with the integer itself."""
    text = text_of(place, scalar)
    function, oracle = dg.parse(text)["Y"].compile(), dg.parse(text)["Y"].compile(backend="numpy")
    for k in (1, 2, 3):
        value = SCALARS[scalar](k)
        given = operands(k)
        if place == "output padding":
            given["X"] = torch.arange(1.0, 10.0)[: 3 * 2 + k + int(value)]
        got = outcome(lambda: function(**given))  # noqa: B023  # called at once
        arrays = {n: x.numpy() for n, x in given.items()}
        dense = outcome(lambda: oracle(**arrays))  # noqa: B023
        if value.denominator > 1:
            assert isinstance(got, dg.DiagramError)
            assert "integer" in str(got)
            assert str(value + (1 if " + 1" in PLACES[place][1] else 0)) in str(got)
            assert got.errors[0].line in (3, 4)  # where the scalar stands
            assert isinstance(dense, dg.DiagramError)
            continue
        plain = dg.parse(text_of(place, str(value)))["Y"].compile()
        expected = outcome(lambda: plain(**given))  # noqa: B023
        if isinstance(expected, ValueError):
            assert isinstance(got, dg.DiagramError)
            assert isinstance(dense, dg.DiagramError)
        else:
            assert got == expected == dense


@pytest.mark.parametrize(("place", "scalar"), CASES)
def test_functions_for_all_shapes_check_too(place: str, scalar: str) -> None:
    """A function for all shapes raises for a fraction, and agrees with the others elsewhere."""
    text = text_of(place, scalar)
    function = dg.parse(text)["Y"].compile()
    try:
        generic = function.generic()
    except dg.DiagramError as error:
        assert "cannot be inferred" in str(error)  # noqa: PT017  # the input of output padding
        return
    for k in (1, 2, 3):
        given = operands(k)
        fixed = outcome(lambda: function(**given))  # noqa: B023
        order = [given[o.name] for o in function.operands]
        got = outcome(lambda: generic(*order))  # noqa: B023
        if SCALARS[scalar](k).denominator > 1:
            assert "integer" in str(got)
        if isinstance(fixed, ValueError):
            assert isinstance(got, ValueError)
        else:
            assert got == fixed


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fraction", ["1/2", "0.5", "3/2 + 1", "|k| + 1/2", "(2*|k| + 1)/2"])
def test_what_is_a_fraction_for_all_sizes_is_refused_by_check(place: str, fraction: str) -> None:
    with pytest.raises(dg.DiagramError) as caught:
        dg.parse(text_of(place, fraction))
    assert "must be an integer" in str(caught.value)
    assert caught.value.errors[0].line


@pytest.mark.parametrize("place", PLACES)
def test_a_size_fixed_by_the_file_or_compile_is_refused_before_the_call(place: str) -> None:
    text = text_of(place, "|k|/2")
    for refused in (
        lambda: dg.parse(f"size k = 3\n{text}")["Y"].compile().generic(),
        lambda: dg.parse(text)["Y"].compile(k=3).generic(),
        lambda: dg.parse(text)["Y"].simplify(k=3),
    ):
        with pytest.raises(dg.DiagramError, match="integer"):
            refused()


@pytest.mark.parametrize("place", PLACES)
def test_derivatives_and_uses_have_the_same_checks(place: str) -> None:
    text = text_of(place, "|k|/2")
    text += "\nU[o] = 2 * Y[o]\nG = vjp(Y, W)\nT = jvp(U, X)"
    spec = dg.parse(text)
    for name in ("U", "G", "T"):
        with pytest.raises(dg.DiagramError, match="integer"):
            spec[name].simplify(k=3)


@pytest.mark.parametrize("seed", range(40))
def test_floors_of_fractions_are_exact(seed: int) -> None:
    """`//` rounds down whatever its sides are; by Python's fractions."""
    chance = random.Random(seed)
    a, b, c, d = (chance.randint(1, 9) for _ in range(4))
    sides = [f"(|k|*{a}/{b})", f"({c}/{d})"]
    text = f"tensor W[k]\nY[] = ({sides[0]}//{sides[1]}) * ones[] * W[k]"
    function = dg.parse(text)["Y"].compile()
    for k in range(1, 8):
        expected = float(operator.floordiv(Fraction(k * a, b), Fraction(c, d)) * k)
        x = torch.ones(k, dtype=torch.float64)
        assert function(x).item() == expected
        assert function.generic()(x).item() == expected


GIVEN: list[tuple[Any, Any]] = [
    (3, 3),
    (3.0, 3),
    (np.int64(3), 3),
    (np.uint8(3), 3),
    (np.float32(3), 3),
    (np.array(3), 3),
    (torch.tensor(3), 3),
    (torch.tensor(3.0), 3),
    (Fraction(3), 3),
    (Decimal("3.0"), 3),
    (sympy.Integer(3), 3),
    (sympy.Float(3), 3),
    (2.5, Fraction(5, 2)),
    (np.float32(0.1), Fraction(1, 10)),
    (Decimal("0.25"), Fraction(1, 4)),
    (sympy.Rational(1, 3), Fraction(1, 3)),
    *(
        (value, None)
        for value in (
            True, np.True_, torch.tensor(True), float("inf"), float("nan"), -float("inf"),
            np.float64("nan"), Decimal("NaN"), Decimal("-Infinity"), Decimal("1e-9999999"),
            sympy.oo, sympy.zoo, sympy.nan, sympy.pi, sympy.Symbol("x"), 3 + 0j, "3", b"3",
            None, {3}, np.array([3]), torch.tensor([3]), object(), int,
            10**400 + Fraction(1, 3),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("given", "value"), GIVEN, ids=lambda v: f"{type(v).__name__}")
def test_numbers_of_every_type_have_one_rule(given: Any, value: Fraction | None) -> None:
    """The exact value, or none; as a size, as a parameter of patterns, and as a factor."""
    found = exact(given)
    assert (None if found is None else Fraction(str(found))) == value
    assert integer(given) == (value if value is not None and value == int(value) else None)
    padded = dg.parse("param p = 0\n" + CONV % "padding=p")["Y"]
    scaled = dg.parse("param q = 1\ntensor X[i]\nY[i] = q * X[i]")["Y"]
    w = torch.ones(3, dtype=torch.float64)
    if integer(given) is None and not isinstance(given, str):  # a text may be a padding
        for refused in (
            lambda: padded.compile(p=given).generic(),
            lambda: padded.simplify(k=given),
        ):
            with pytest.raises(dg.DiagramError, match="must be an integer"):
                refused()
    if value == 3:
        assert tuple(padded.compile(p=given)(torch.ones(4, dtype=torch.float64), w).shape) == (8,)
        padded.compile(k=given)(torch.ones(4, dtype=torch.float64), w)
    if value is None:
        with pytest.raises(dg.DiagramError):
            scaled.compile(q=given)(w)
    else:
        assert scaled.compile(q=given)(w).tolist() == pytest.approx([float(value)] * 3, rel=1e-12)
