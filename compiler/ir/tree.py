"""Contraction trees: how the tensors of one network are brought together.

A tree says *what* is done in which order; `lowerings.lower` writes it as program operations,
`search.search` chooses it. `at` is always the position of a tensor in the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Leaf:
    """An operand as given."""

    at: int


@dataclass(frozen=True, slots=True)
class Dense:
    """A relation as a dense 0/1 array: a window matrix, a mask, a delta between open wires."""

    at: int


@dataclass(frozen=True, slots=True)
class Join:
    """A contraction of two results."""

    left: Tree
    right: Tree


@dataclass(frozen=True, slots=True)
class Read:
    """A relation read from i to (o, k): pad and windows, or a step."""

    child: Tree
    at: int


@dataclass(frozen=True, slots=True)
class Fold:
    """A relation read from (o, k) to i, summing: col2im."""

    child: Tree
    at: int


@dataclass(frozen=True, slots=True)
class Spread:
    """A relation read from one of o, k (`along`) to i and the other: a Toeplitz or transposed
    window."""

    child: Tree
    at: int
    along: str


@dataclass(frozen=True, slots=True)
class Pick:
    """An index map read from its source to the wires along it: entries picked by position."""

    child: Tree
    at: int


@dataclass(frozen=True, slots=True)
class Return:
    """An index map read the other way: entries added to where they were picked from."""

    child: Tree
    at: int


NativeKind = Literal["convolution", "transposed", "weight gradient"]


@dataclass(frozen=True, slots=True)
class Native:
    """Two results and the relations between them as one library call."""

    kind: NativeKind
    left: Tree
    right: Tree
    relations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Paired:
    """Two results and the paired relation between them (`ir.autocorrelation`): one product for each
    distance of rows. `batched` keeps the first summed wire in front and calls the library's weight
    gradient; else all rows of all examples lie side by side for one matmul."""

    left: Tree
    right: Tree
    at: int
    batched: bool


@dataclass(frozen=True, slots=True)
class Correlated:
    """A result with itself and all paired relations between its two uses (`ir.autocorrelation`):
    the weight gradient of each stretch of rows has all distances at once."""

    left: Tree
    right: Tree
    relations: tuple[int, ...]


Tree = Leaf | Dense | Join | Read | Fold | Spread | Pick | Return | Native | Paired | Correlated


def children(tree: Tree) -> tuple[Tree, ...]:
    """The results that a node starts from."""
    match tree:
        case Join() | Native() | Paired() | Correlated():
            return (tree.left, tree.right)
        case Read() | Fold() | Spread() | Pick() | Return():
            return (tree.child,)
    return ()


def walk(tree: Tree) -> Iterator[Tree]:
    """All nodes, children first."""
    for child in children(tree):
        yield from walk(child)
    yield tree
