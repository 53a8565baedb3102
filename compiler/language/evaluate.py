"""Scalars of the syntax tree as sympy expressions and linear forms; nothing is ever passed to
Python's eval."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar

import sympy

from diagrammar.grammar import syntax
from diagrammar.grammar.errors import Place, Problem
from diagrammar.grammar.source import Source, Span
from diagrammar.ir.diagram import Requirement
from diagrammar.ir.relation import Equation, Linear, Piece, wire
from diagrammar.ir.scalar import (
    MAX_MONOMIALS,
    Dim,
    FloorDiv,
    empty_only,
    expand,
    fraction,
    integral,
    monomials,
    plain,
    text,
)

Lookup = Callable[[syntax.Name | syntax.SizeOf], Dim | None]
Demand = Callable[[Requirement], None]
"""Takes what must hold of the values of symbols, once they are known."""

_Result = TypeVar("_Result")

MAX_BITS = 4096
"""The longest numerator or denominator of a number in a file."""


def no_demand(_: Requirement) -> None:
    """Lets demands go: what is evaluated is not kept."""


class Mistake(Exception):
    """Problems found while evaluating; caught by the build, which collects them."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(problems[0].message)
        self.problems = problems


class Broken(Exception):
    """A definition that cannot be built; its problems are already collected."""


class Attempts:
    """Steps that are all carried out, so that each reports its own mistakes.

    `problems` are what they found; `broken` says that a step met something whose problems are
    collected elsewhere, so that its own result is missing, too.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.broken = False

    def __call__(self, step: Callable[..., _Result], *arguments: Any) -> _Result | None:
        """The result of a step; None where it failed."""
        try:
            return step(*arguments)
        except Mistake as error:
            self.problems += error.problems
        except Broken:
            self.broken = True
        return None

    def done(self, name: str = "") -> None:
        """Raises what the steps found: Mistake with all problems, else Broken with the name."""
        if self.problems:
            raise Mistake(*self.problems)
        if self.broken:
            raise Broken(name)


def mistake(source: Source, span: Span, message: str, label: str = "", help: str = "") -> Mistake:
    """A Mistake with its place."""
    return Mistake(Problem(message, span, source, label, help))


def scalar(value: syntax.Value, lookup: Lookup, source: Source, demand: Demand = no_demand) -> Dim:
    """The value of a scalar; `lookup` gives names and sizes (and raises Mistake for unknown
    ones). What `demand` gets are divisors that must not be zero."""
    match value:
        case syntax.Number():
            return value.value if isinstance(value.value, int) else plain(_rational(value))
        case syntax.Name() | syntax.SizeOf():
            found = lookup(value)
            assert found is not None
            return found
        case syntax.Negative():
            return plain(-scalar(value.value, lookup, source, demand))
        case syntax.Binary():
            attempts = Attempts()
            left = attempts(scalar, value.left, lookup, source, demand)
            right = attempts(scalar, value.right, lookup, source, demand)
            attempts.done()
            assert left is not None
            assert right is not None
            return _binary(value, left, right, source, demand)
    raise mistake(source, value.span, "a number is needed here", "not a number")


def whole(
    value: syntax.Scalar, number: Dim, what: str, source: Source, demand: Demand = no_demand
) -> Dim:
    """The number of a scalar, which must be an integer: a Mistake if it never is, a demand where
    that depends on sizes and parameters. `what` it is, for the message."""
    if isinstance(number, int) or number.is_integer:
        return number
    help = "'//' divides and rounds down, as in (|k| - 1)//2"
    message = f"{what} must be an integer"
    if number.is_number or number.is_integer is False:
        raise mistake(source, value.span, message, f"is {shown(number)}", help)
    _, divisor = fraction(number)
    if not isinstance(divisor, int) and not divisor.is_positive:
        demand(_nonzero(divisor, value.span, source))
    place = Place(value.span, "not always one", source)
    message += f", and {shown(number)} is {{value}}"
    demand(Requirement(number, 0, message, help, rule="whole", place=place))
    return number


def divides(number: Dim, span: Span, source: Source, demand: Demand) -> None:
    """A divisor must not be zero, except for a count of entries where there are none: an average
    over nothing, 1/|b| where b is empty, is zero."""
    if number == 0:
        raise mistake(source, span, "division by zero", "this is zero")
    if not isinstance(number, int) and not number.is_number and not empty_only(number):
        demand(_nonzero(number, span, source))


def _nonzero(number: Dim, span: Span, source: Source) -> Requirement:
    message = f"division by zero: {shown(number)} is {{value}}"
    place = Place(span, "divides", source)
    return Requirement(number, 0, message, rule="nonzero", place=place, implied=True)


def shown(number: Dim) -> str:
    """A value in the words of a file: sizes between bars, fractions as one."""

    def name(symbol: sympy.Symbol) -> str:
        return f"|{symbol}|" if symbol.is_positive else str(symbol)

    above, below = fraction(number)
    if below == 1 or not isinstance(below, int) or isinstance(above, int):
        return text(number, name)
    written = text(above, name)
    return f"({written})/{below}" if " " in written else f"{written}/{below}"


def _rational(number: syntax.Number) -> sympy.Expr:
    fraction = Fraction(number.value)
    return sympy.Rational(fraction.numerator, fraction.denominator)


def _binary(node: syntax.Binary, left: Dim, right: Dim, source: Source, demand: Demand) -> Dim:
    a, b = sympy.sympify(left), sympy.sympify(right)
    match node.operator:
        case "+":
            return plain(a + b)
        case "-":
            return plain(a - b)
        case "*":
            return _short(plain(a * b), node, source)
        case "/":
            divides(right, node.right.span, source, demand)
            return plain(a / b)
        case "//":
            divides(right, node.right.span, source, demand)
            if not b.is_number and empty_only(right):
                demand(_nonzero(right, node.right.span, source))
            return plain(FloorDiv(a, b))
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
            if a.is_Rational and max(a.p.bit_length(), a.q.bit_length()) * abs(int(b)) > MAX_BITS:
                help = f"numbers have at most {MAX_BITS} bits"
                raise mistake(source, node.span, "this number is too large", "a power", help)
            return _short(plain(a ** int(b)), node, source)


def _short(value: Dim, node: syntax.Binary, source: Source) -> Dim:
    """The value, unless it is a sum of too many products when it is written out."""
    if isinstance(value, int) or monomials(value) <= MAX_MONOMIALS:
        return value
    message = f"this is a sum of more than {MAX_MONOMIALS} products"
    help = "give a part of it a name with 'size' or 'param'"
    raise mistake(source, node.span, message, "when it is written out", help)


# -- linear forms, for the brackets of patterns ----------------------------------------------------


@dataclass(frozen=True)
class Forms:
    """Reads the scalars of a pattern that are linear in its `wires`; numbers in them must be
    integers."""

    wires: frozenset[str]
    lookup: Lookup
    source: Source
    demand: Demand = no_demand

    def linear(self, value: syntax.Scalar) -> Linear:
        """A scalar as a form, with integers for coefficients and constant."""
        form = self._form(value)
        for name, coefficient in form.terms:
            whole(value, coefficient, f"the factor of wire '{name}'", self.source, self.demand)
        what = "a number beside wires" if form.terms else "a number in a pattern"
        whole(value, form.constant, what, self.source, self.demand)
        return Linear.of({w: integral(c) for w, c in form.terms}, integral(form.constant))

    def _form(self, value: syntax.Scalar) -> Linear:
        match value:
            case syntax.Name() if value.name in self.wires:
                return wire(value.name)
            case syntax.Negative():
                return -self._form(value.value)
            case syntax.Binary(operator="+" | "-" | "*"):
                return self._combined(value)
            case syntax.Binary() if _speaks_of(value, self.wires):
                raise mistake(
                    self.source,
                    value.span,
                    f"'{value.operator}' of a wire is not linear",
                    "a pattern must be linear in its wires",
                    "use a congruence, as in [i = k mod 2], or a bound",
                )
        return Linear((), expand(scalar(value, self.lookup, self.source, self.demand)))

    def _combined(self, value: syntax.Binary) -> Linear:
        """The sum, difference or product of two forms."""
        attempts = Attempts()
        left, right = attempts(self._form, value.left), attempts(self._form, value.right)
        attempts.done()
        assert left is not None
        assert right is not None
        if value.operator == "+":
            return left + right
        if value.operator == "-":
            return left - right
        if left.terms and right.terms:
            raise mistake(
                self.source,
                value.span,
                "a pattern must be linear in its wires",
                "a product of wires",
                "multiply wires by numbers, parameters and sizes only",
            )
        return left * right.constant if left.terms else right * left.constant

    def _parts(self, node: syntax.Condition) -> tuple[list[Linear], Dim | None]:
        """The sides of a condition and its modulus."""
        attempts = Attempts()
        forms = [attempts(self.linear, operand) for operand in node.operands]
        modulus = None if node.modulus is None else attempts(self._modulus, node.modulus)
        attempts.done()
        return [form for form in forms if form is not None], modulus

    def bracket(self, node: syntax.Bracket) -> Piece:
        """A bracket's conditions as equations and bounds."""
        attempts = Attempts()
        parts = [attempts(self._parts, condition) for condition in node.conditions]
        attempts.done()
        equations: list[Equation] = []
        bounds: list[Linear] = []
        for condition, (forms, modulus) in zip(node.conditions, filter(None, parts), strict=True):
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

    def _modulus(self, value: syntax.Scalar) -> Dim:
        number = scalar(value, self.lookup, self.source, self.demand)
        number = whole(value, number, "a modulus", self.source, self.demand)
        if isinstance(number, int) and number < 1:
            raise mistake(self.source, value.span, "a modulus must be positive", "not positive")
        if not isinstance(number, int):
            message = f"a modulus must be positive, and {shown(number)} is {{value}}"
            place = Place(value.span, "a modulus", self.source)
            self.demand(Requirement(number, 0, message, place=place, implied=True))
        return integral(number)


def _speaks_of(value: syntax.Scalar, wires: Container[str]) -> bool:
    match value:
        case syntax.Name():
            return value.name in wires
        case syntax.Negative():
            return _speaks_of(value.value, wires)
        case syntax.Binary():
            return _speaks_of(value.left, wires) or _speaks_of(value.right, wires)
    return False
