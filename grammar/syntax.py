"""The syntax tree of a `.tn` file: plain values, no behaviour.

Spans never take part in comparison, so two texts that say the same are equal trees. What a tree
*means* is the business of `diagrammar.language.build`; how it is written is that of
`diagrammar.grammar.formatter`.
"""

# ruff: noqa: RUF009  # _span() is dataclasses.field with its arguments filled in

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from diagrammar.grammar.source import NOWHERE, Span


def _span() -> Span:
    """A span that is not compared."""
    return field(default=NOWHERE, compare=False, repr=False)


# -- scalars: expressions of numbers, parameters, sizes and (inside brackets) wires --------------


@dataclass(frozen=True, slots=True)
class Number:
    """`3` or `0.5`; integers are below 2⁶³."""

    value: int | Decimal
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Name:
    """A parameter, or a wire inside the brackets of a pattern. `pack` for `s...`."""

    name: str
    pack: bool = False
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class SizeOf:
    """`|b|`, the size of a wire; `|i...|` is the product over a pack."""

    wire: str
    pack: bool = False
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Negative:
    """`-a`."""

    value: Scalar
    span: Span = _span()


Operator = Literal["+", "-", "*", "/", "//", "^"]


@dataclass(frozen=True, slots=True)
class Binary:
    """`a + b`, `a - b`, `a * b`, `a / b` (exact), `a // b` (floor) or `a ^ b` (b an integer)."""

    operator: Operator
    left: Scalar
    right: Scalar
    span: Span = _span()


Scalar = Number | Name | SizeOf | Negative | Binary


@dataclass(frozen=True, slots=True)
class Text:
    """`'same'`, a quoted word as the value of a parameter or option."""

    value: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Pair:
    """`(left, right)`."""

    left: Scalar
    right: Scalar
    span: Span = _span()


Value = Number | Name | SizeOf | Negative | Binary | Text | Pair


# -- axes ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Index:
    """A wire: `i1`, `ci'`, `i.0` (a member of a pack), or the pack `i...` itself.

    `name` includes primes and the member, not the dots of a pack.
    """

    name: str
    pack: bool = False
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Group:
    """`(g ci)`: one axis, several wires, the first slowest. `()` is an axis of size one."""

    items: tuple[Index, ...]
    span: Span = _span()


Axis = Index | Group


# -- sums of products ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reference:
    """`X[b, (g ci), i1]`, also `layer.U[…]`, `delta[i, j]`, `ones[i]`; `pack`: `P[i, o, k]...`."""

    name: str
    axes: tuple[Axis, ...]
    pack: bool = False
    power: int = 1
    name_span: Span = _span()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Factor:
    """One factor of a product; `divides` when a `/` stands before it."""

    value: Scalar | Reference
    divides: bool = False
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Product:
    """A term of a sum with its sign."""

    factors: tuple[Factor, ...]
    negative: bool = False
    span: Span = _span()


# -- the right-hand sides of patterns ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Option:
    """`stride=s` in a call."""

    name: str
    value: Value
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Call:
    """`conv(stride=s, padding=p)` and the other named patterns."""

    name: str
    options: tuple[Option, ...]
    name_span: Span = _span()
    span: Span = _span()


Comparison = Literal["=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Condition:
    """`i = 2*o + k - 1`, `0 <= o + k < 5` (a chain), or `i + 1 = k mod 3` (with a modulus)."""

    operands: tuple[Scalar, ...]
    comparisons: tuple[Comparison, ...]
    modulus: Scalar | None = None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Bracket:
    """`[i = 2*o + k - 1, o + k >= 1]`: one where all hold, else zero (Iverson's bracket)."""

    conditions: tuple[Condition, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class View:
    """`view(i = 2*o + k)`: a bracket whose left wire is a total function of the others."""

    wire: str
    value: Scalar
    wire_span: Span = _span()
    span: Span = _span()


# -- statements ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Assignment:
    """`k1 = 3` (a default), `k1` (none) or, for sizes, `o1 := (|i1| - 1)//2 + 1` (definite)."""

    name: str
    value: Value | None = None
    definite: bool = False
    pack: bool = False
    name_span: Span = _span()
    span: Span = _span()


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What all statements have.

    `doc` is the comment block that touches it from above, a string a line, as `comments` holds it;
    `trailing` are the comments beside and inside it, as one.
    """

    doc: tuple[str, ...] = ()
    trailing: str | None = None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Sizes(Statement):
    """`size k1 = 3, g = 1`."""

    entries: tuple[Assignment, ...]


@dataclass(frozen=True, slots=True)
class Params(Statement):
    """`param s = 1, p... = 0`."""

    entries: tuple[Assignment, ...]


@dataclass(frozen=True, slots=True)
class Rank(Statement):
    """`rank 2`: the number of members of every pack of the file."""

    rank: int


@dataclass(frozen=True, slots=True)
class Require(Statement):
    """`require |i| > p, s >= 1`: what must hold of sizes and parameters."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Use(Statement):
    """`use "conv2d.tn" as layer`."""

    path: str
    alias: str
    alias_span: Span = _span()


@dataclass(frozen=True, slots=True)
class Tensor(Statement):
    """`tensor X[b, (g ci), i1]`, an operand; `constant C[u, h]` when `constant`.

    `kind` is what is declared of a constant: `constant Q[u, h] = orthogonal`.
    `drawn`: `tensor M[ci] = bernoulli(keep=1/4)`, an operand that is drawn where it is not given.
    """

    name: str
    axes: tuple[Axis, ...]
    constant: bool = False
    kind: str = ""
    drawn: Call | None = None
    name_span: Span = _span()


@dataclass(frozen=True, slots=True)
class Pattern(Statement):
    """`pattern P[i, o, k] = conv(…)`, `= view(…)`, or a sum of disjoint brackets."""

    name: str
    axes: tuple[Index, ...]
    value: Call | View | tuple[Bracket, ...]
    pack: bool = False
    name_span: Span = _span()


@dataclass(frozen=True, slots=True)
class Definition(Statement):
    """`Y[b, o] = X[b, i] * W[o, i] + …`."""

    name: str
    axes: tuple[Axis, ...]
    terms: tuple[Product, ...]
    name_span: Span = _span()


DerivativeKind = Literal["vjp", "jvp", "jacobian"]


@dataclass(frozen=True, slots=True)
class Derivative(Statement):
    """`dW = vjp(Y, W, cotangent=V)`; `direction` names the cotangent or tangent, if given."""

    name: str
    kind: DerivativeKind
    of: str
    by: str
    direction: str | None = None
    name_span: Span = _span()
    of_span: Span = _span()
    by_span: Span = _span()
    direction_span: Span = _span()


@dataclass(frozen=True, slots=True)
class Sample(Statement):
    """`S = sample(Y, ci, keep=q)`: diagram Y with the wire ci sampled."""

    name: str
    of: str
    wire: str
    options: tuple[Option, ...]
    name_span: Span = _span()
    of_span: Span = _span()
    wire_span: Span = _span()


@dataclass(frozen=True, slots=True)
class Comment(Statement):
    """A comment block that touches no statement: its lines in `doc`."""


AnyStatement = (
    Sizes
    | Params
    | Rank
    | Require
    | Use
    | Tensor
    | Pattern
    | Definition
    | Derivative
    | Sample
    | Comment
)


@dataclass(frozen=True, slots=True)
class File:
    """A whole file. `gaps` are the positions of statements that a blank line stands before."""

    statements: tuple[AnyStatement, ...]
    gaps: frozenset[int] = field(default=frozenset(), compare=False)
