"""Other shapes of the same entries."""

from __future__ import annotations

from dataclasses import dataclass

from diagrammar.program.operations.unary import Unary


@dataclass(frozen=True, slots=True)
class Reshape(Unary):
    """Same elements in row-major order, new shape (the step's)."""


@dataclass(frozen=True, slots=True)
class Contiguous(Unary):
    """The same entries, laid out in row-major order."""


@dataclass(frozen=True, slots=True)
class Copy(Unary):
    """The same entries in memory of their own; `ordered`: in row-major order, else as x has them
    where it has each once."""

    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Permute(Unary):
    """Axis n of the result is axis `order[n]` of x."""

    order: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Diagonal(Unary):
    """Axes `first` and `second` (same size) become one new last axis."""

    first: int
    second: int


@dataclass(frozen=True, slots=True)
class Flip(Unary):
    """Reversed order along `axis`."""

    axis: int


@dataclass(frozen=True, slots=True)
class Expand(Unary):
    """Axes of size one (and missing leading axes) repeated to the step's shape, as a view."""
