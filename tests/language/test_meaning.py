"""Each statement of the design's section on meaning, by name, on numbers that can be worked out in
one's head. Where a whole module is about a statement, it is named there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

import diagrammar as dg
from diagrammar.grammar.source import Source
from diagrammar.language.spec import read

x = torch.arange(1.0, 5.0)  # 1 2 3 4
m = torch.tensor([[1.0, 2.0], [3.0, 4.0]])


@dataclass(frozen=True)
class Case:
    """A file, what the function of its last definition is given, and what it gives."""

    text: str
    given: dict[str, torch.Tensor]
    gives: Any
    values: dict[str, Any] = field(default_factory=dict)


HOLDS = {
    "a definition is the sum over every wire that is not on its left": Case(
        "tensor M[i, j]\nY[i] = M[i, j]", {"M": m}, [3, 7]
    ),
    "each term is summed over its own wires": Case(
        "tensor X[i]\ntensor V[j]\nY[] = X[i] - V[j]", {"X": x, "V": x[:2]}, 7
    ),
    "a left wire that a term lacks is broadcast": Case(
        "tensor X[i]\ntensor c[]\nY[i] = X[i] + 2 * c[]", {"X": x, "c": x[0]}, [3, 4, 5, 6]
    ),
    "parentheses group scalars": Case(
        "param p = 3\ntensor X[i]\nY[i] = (p - 1)/2 * X[i]", {"X": x}, [1, 2, 3, 4]
    ),
    "parentheses group axes": Case(
        "tensor X[(a b)]\nY[b] = X[(a b)]", {"X": x}, [4, 6], {"a": 2}
    ),
    "* and / bind equally and to the left": Case(
        "tensor X[i]\nY[i] = 6 / 3 * X[i] / 2 * 4", {"X": x}, [4, 8, 12, 16]
    ),
    "|name| is the size of a wire": Case(
        "tensor X[i]\nY[] = 1/| i | * X[i]", {"X": x}, 2.5
    ),
    "a wire at two ends is a contraction": Case(
        "tensor X[i]\ntensor M[i, j]\nY[j] = X[i] * M[i, j]", {"X": x[:2], "M": m}, [7, 10]
    ),
    "at two ends and on the left, a Hadamard pair": Case(
        "tensor X[i]\nY[i] = X[i] * X[i]", {"X": x}, [1, 4, 9, 16]
    ),
    "at three or more, a copy": Case("tensor X[i]\nY[] = X[i] * X[i] * X[i]", {"X": x}, 100),
    "X[i,i] is a diagonal": Case("tensor M[i, j]\nY[i] = M[i, i]", {"M": m}, [1, 4]),
    "X[i,i] is a trace when i is not on the left": Case(
        "tensor M[i, j]\nY[] = M[i, i]", {"M": m}, 5
    ),
    "Y[i,i] embeds on the diagonal": Case(
        "tensor X[i]\nY[i, i] = X[i]", {"X": x[:2]}, [[1, 0], [0, 2]]
    ),
    "a prime makes a different wire of the same size": Case(
        "tensor X[i]\nY[i, i'] = X[i] * X[i']", {"X": x[:2]}, [[1, 2], [2, 4]]
    ),
    "size and param give defaults": Case(
        "size j = 2\nparam p = 3\ntensor X[i]\nY[j] = p * X[i]", {"X": x}, [30, 30]
    ),
    "values at compile time replace them": Case(
        "size j = 2\nparam p = 3\ntensor X[i]\nY[j] = p * X[i]",
        {"X": x}, [10, 10, 10], {"j": 3, "p": 1},
    ),
    "in an axis, one unknown factor is found by exact division": Case(
        "size a = 2\ntensor X[(a b)]\nY[a] = X[(a b)]", {"X": x}, [3, 7]
    ),
    "output padding gives the input size of a strided pattern": Case(
        "tensor X[o]\npattern P[i, o, k] = conv(stride=2, output_padding=1)\nsize k = 1\n"
        "Y[i] = X[o] * P[i, o, k]", {"X": x[:2]}, [1, 0, 2, 0],
    ),
    "wires of a diagram used by name match by position and grouping": Case(
        "tensor M[i, j]\nT[(i j)] = M[i, j]\nY[q, p] = T[(p q)]", {"M": m}, [[1, 3], [2, 4]]
    ),
    "its inner wires are always fresh": Case(
        "tensor X[i]\nS[] = X[i]\nY[i] = S[] * X[i]", {"X": x}, [10, 20, 30, 40]
    ),
    "vjp(Y, W) has W's axes": Case(
        "tensor M[i, j]\ntensor V[j]\nY[i] = M[i, j] * V[j]\nG = vjp(Y, V)",
        {"M": m, "dY": x[:2]}, [7, 10],
    ),
    "jvp(Y, X) has Y's axes": Case(
        "tensor M[i, j]\ntensor V[j]\nY[i] = M[i, j] * V[j]\nG = jvp(Y, V)",
        {"M": m, "tV": x[:2]}, [5, 11],
    ),
    "jacobian(Y, X) has Y's axes, then X's": Case(
        "tensor M[i, j]\ntensor V[j]\nY[i] = M[i, j] * V[j]\nG = jacobian(Y, V)",
        {"M": m}, [[1, 2], [3, 4]],
    ),
    "colliding wires are primed until free": Case(
        "tensor X[i]\nY[i] = X[i]^2\nG = jacobian(Y, X)", {"X": x[:2]}, [[2, 0], [0, 4]]
    ),
    "cotangent and tangent are operands of a name that is given": Case(
        "tensor X[i]\nY[i] = X[i]^2\nG = vjp(Y, X, cotangent=V)", {"X": x, "V": x}, [2, 8, 18, 32]
    ),
    "diagrams never conjugate": Case(
        "tensor X[i]\nY[] = X[i]^2", {"X": torch.tensor([1j, 2j])}, -5
    ),
    "an average over nothing is zero": Case(
        "tensor X[b, i]\nY[i] = 1/|b| * X[b, i]", {"X": torch.ones(0, 2)}, [0, 0]
    ),
}  # fmt: skip


@pytest.mark.parametrize("statement", HOLDS)
def test_what_is_meant(statement: str) -> None:
    case = HOLDS[statement]
    diagram = [*dg.parse(case.text).values()][-1]
    function = diagram.compile(**case.values)
    assert function(**case.given).tolist() == case.gives
    oracle = diagram.compile(**case.values, backend="numpy")
    assert oracle(**{n: v.numpy() for n, v in case.given.items()}).tolist() == case.gives


REFUSED = {
    "parentheses do not group sums": (
        "tensor X[i]\nY[i] = 2 * (X[i] + X[i])",
        "parentheses group scalars, not tensors such as 'X'",
    ),
    "one divides by scalars only": (
        "tensor X[i]\nY[i] = 1 / X[i]",
        "a product cannot be divided by a tensor, here 'X'",
    ),
    "sizes and parameters share one space of keywords": (
        "size s = 1\nparam s = 2\ntensor X[s]\nY[s] = X[s]",
        "'s' is declared twice",
    ),
    "so do compile's own options": (
        "param plan = 2\ntensor X[i]\nY[i] = plan * X[i]",
        "'plan' is an option of compile",
    ),
    "names are ASCII": (
        "tensor größe[i]\nY[i] = größe[i]",
        "names are ASCII letters, digits and '_'",
    ),
    "integers are below 2^63": (
        "tensor X[i]\nY[i] = 9223372036854775808 * X[i]",
        "this integer is too large",
    ),
    "exponents are at most 64": (
        "tensor X[i]\nY[i] = X[i]^65",
        "this exponent is too large",
    ),
    "the directions of derivatives clash with other operands": (
        "tensor X[i]\ntensor V[i]\nY[i] = X[i] * V[i]\nG = vjp(Y, X, cotangent=V)",
        "the cotangent 'V' is already an operand",
    ),
}


@pytest.mark.parametrize("statement", REFUSED)
def test_what_is_refused(statement: str) -> None:
    text, message = REFUSED[statement]
    with pytest.raises(dg.DiagramError) as caught:
        dg.parse(text)
    assert message in caught.value.errors[0].message


def failure(text: str, *given: torch.Tensor, **values: Any) -> str:
    with pytest.raises(dg.DiagramError) as caught:
        [*dg.parse(text).values()][-1].compile(**values)(*given)
    return str(caught.value)


def test_operands_that_disagree_with_a_fixed_size_are_an_error_naming_both_places() -> None:
    said = failure("size i = 3\ntensor X[i]\nY[] = X[i]", x)
    assert "operand 'X', axis 0 (i), has size 4, but 3 is needed" in said
    assert "--> <text>:1:6" in said
    assert "--> <text>:2:10" in said


def test_two_unknown_factors_are_an_error_that_says_how_to_give_one() -> None:
    said = failure("tensor X[(a b)]\nY[a] = X[(a b)]", x)
    assert "the size of wire 'a' cannot be inferred" in said
    assert "compile(a=…)" in said


def test_a_factor_that_does_not_divide_is_an_error() -> None:
    assert "no size of 'b'" in failure("size a = 3\ntensor X[(a b)]\nY[a] = X[(a b)]", x)


def test_the_input_size_of_a_strided_pattern_must_be_given() -> None:
    text = "tensor X[o]\ntensor W[k]\npattern P[i, o, k] = conv(stride=2)\n"
    text += "Y[i] = X[o] * P[i, o, k] * W[k]"
    assert "the size of wire 'i' cannot be inferred" in failure(text, x, x[:1])


def test_operands_of_a_vjp_are_those_that_remain_in_order_then_the_cotangent() -> None:
    text = "tensor A[i]\ntensor B[i]\ntensor C[i]\nY[] = C[i] * B[i] * A[i]\nG = vjp(Y, B)"
    assert [o.name for o in dg.parse(text)["G"].operands] == ["A", "C", "dY"]


def test_a_derivative_by_an_operand_that_does_not_occur_is_zero_with_a_warning() -> None:
    text = "tensor X[i]\ntensor Z[i]\nY[i] = X[i]\nG = vjp(Y, Z)"
    spec = dg.parse(text)
    assert all(term.scalar == 0 for term in spec["G"].terms)
    assert spec["G"].compile()(dY=x).tolist() == [0, 0, 0, 0]
    (warning,) = read(Source(text))[1]
    assert warning.severity == "warning"
    assert (warning.message, warning.label) == (
        "'Y' does not depend on 'Z'",
        "this derivative is zero",
    )
