"""Scalars of the syntax tree as sympy expressions and linear forms; nothing is ever passed to
Python's eval."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import sympy

from diagrammar.grammar import syntax
from diagrammar.grammar.errors import Problem
from diagrammar.grammar.source import Source, Span
from diagrammar.relation import Equation, Linear, Piece, wire
from diagrammar.scalar import Dim, FloorDiv, expand, plain

Lookup = Callable[[syntax.Name | syntax.SizeOf], Dim | None]


class Mistake(Exception):
    """A problem found while evaluating; caught by the build, which collects it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Broken(Exception):
    """A definition that cannot be built; its problems are already collected."""


def mistake(source: Source, span: Span, message: str, label: str = "", help: str = "") -> Mistake:
    """A Mistake with its place."""
    return Mistake(Problem(message, span, source, label, help))


def scalar(value: syntax.Value, lookup: Lookup, source: Source) -> Dim:
    """The value of a scalar; `lookup` gives names and sizes (and raises Mistake for unknown
    ones)."""
    match value:
        case syntax.Number():
            return value.value if isinstance(value.value, int) else plain(_rational(value))
        case syntax.Name() | syntax.SizeOf():
            found = lookup(value)
            assert found is not None
            return found
        case syntax.Negative():
            return plain(-scalar(value.value, lookup, source))
        case syntax.Binary():
            left = scalar(value.left, lookup, source)
            right = scalar(value.right, lookup, source)
            return _binary(value, left, right, source)
    raise mistake(source, value.span, "a number is needed here", "not a number")


def _rational(number: syntax.Number) -> sympy.Expr:
    fraction = Fraction(number.value)
    return sympy.Rational(fraction.numerator, fraction.denominator)


def _binary(node: syntax.Binary, left: Dim, right: Dim, source: Source) -> Dim:
    a, b = sympy.sympify(left), sympy.sympify(right)
    match node.operator:
        case "+":
            return plain(a + b)
        case "-":
            return plain(a - b)
        case "*":
            return plain(a * b)
        case "/" | "//":
            if b == 0:
                raise mistake(source, node.right.span, "division by zero", "this is zero")
            return plain(a / b if node.operator == "/" else FloorDiv(a, b))
        case "^":
            if not b.is_Integer or abs(int(b)) > 64:
                raise mistake(
                    source,
                    node.right.span,
                    "an exponent must be an integer from -64 to 64",
                    "not such an integer",
                )
            if a == 0 and int(b) < 0:
                raise mistake(source, node.left.span, "division by zero", "this is zero")
            return plain(a ** int(b))


# -- linear forms, for the brackets of patterns ----------------------------------------------------


def linear(value: syntax.Scalar, wires: set[str], lookup: Lookup, source: Source) -> Linear:
    """A scalar that is linear in some wires, as a form."""
    match value:
        case syntax.Name() if value.name in wires:
            return wire(value.name)
        case syntax.Negative():
            return -linear(value.value, wires, lookup, source)
        case syntax.Binary(operator="+"):
            return linear(value.left, wires, lookup, source) + linear(
                value.right, wires, lookup, source
            )
        case syntax.Binary(operator="-"):
            return linear(value.left, wires, lookup, source) - linear(
                value.right, wires, lookup, source
            )
        case syntax.Binary(operator="*"):
            left = linear(value.left, wires, lookup, source)
            right = linear(value.right, wires, lookup, source)
            if left.terms and right.terms:
                raise mistake(
                    source,
                    value.span,
                    "a pattern must be linear in its wires",
                    "a product of wires",
                    "multiply wires by numbers, parameters and sizes only",
                )
            return left * right.constant if left.terms else right * left.constant
        case syntax.Binary() if _speaks_of(value, wires):
            raise mistake(
                source,
                value.span,
                f"'{value.operator}' of a wire is not linear",
                "a pattern must be linear in its wires",
                "use a congruence, as in [i = k mod 2], or a bound",
            )
    return Linear((), expand(scalar(value, lookup, source)))


def _speaks_of(value: syntax.Scalar, wires: set[str]) -> bool:
    match value:
        case syntax.Name():
            return value.name in wires
        case syntax.Negative():
            return _speaks_of(value.value, wires)
        case syntax.Binary():
            return _speaks_of(value.left, wires) or _speaks_of(value.right, wires)
    return False


def bracket(node: syntax.Bracket, wires: set[str], lookup: Lookup, source: Source) -> Piece:
    """A bracket's conditions as equations and bounds."""
    equations: list[Equation] = []
    bounds: list[Linear] = []
    for condition in node.conditions:
        forms = [linear(operand, wires, lookup, source) for operand in condition.operands]
        modulus = None
        if condition.modulus is not None:
            modulus = scalar(condition.modulus, lookup, source)
            if isinstance(modulus, int) and modulus < 1:
                raise mistake(
                    source, condition.modulus.span, "a modulus must be positive", "not positive"
                )
        pairs = zip(forms, forms[1:], condition.comparisons, strict=False)
        for left, right, comparison in pairs:
            match comparison:
                case "=":
                    equations.append(Equation(left - right, modulus))
                case "<=":
                    bounds.append(right - left)
                case "<":
                    bounds.append((right - left).plus(-1))
                case ">=":
                    bounds.append(left - right)
                case ">":
                    bounds.append((left - right).plus(-1))
    told = (e for e in equations if e.form.terms or e.form.constant != 0)  # 0 = 0 says nothing
    return Piece(tuple(told), tuple(bounds))
