"""Contraction trees: how the tensors of one network are brought together.

A tree says *what* is done in which order; `lowerings.lower` writes it as program operations,
`search.search` chooses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Leaf:
    """An operand as given: its position in the network."""

    at: int


@dataclass(frozen=True, slots=True)
class Apply:
    """A lowering (`lowerings.registry`), by name, of some results and of relations by position.
    `details` are what else it is told, such as the wire that it reads along."""

    lowering: str
    parts: tuple[Tree, ...] = ()
    relations: tuple[int, ...] = ()
    details: tuple[str, ...] = ()

    @property
    def at(self) -> int:
        """The position of its one relation."""
        (at,) = self.relations
        return at


Tree = Leaf | Apply


def children(tree: Tree) -> tuple[Tree, ...]:
    """The results that a node starts from."""
    return tree.parts if isinstance(tree, Apply) else ()


def positions(tree: Tree) -> tuple[int, ...]:
    """The tensors that a node brings in."""
    return tree.relations if isinstance(tree, Apply) else (tree.at,)


def walk(tree: Tree) -> Iterator[Tree]:
    """All nodes, children first."""
    for child in children(tree):
        yield from walk(child)
    yield tree


def applies(tree: Tree, *lowerings: str) -> bool:
    """Whether a node applies one of some lowerings."""
    return isinstance(tree, Apply) and tree.lowering in lowerings
