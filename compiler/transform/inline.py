"""Putting diagrams into networks: use by name, with fresh inner wires, and products of sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from diagrammar.ir.diagram import Diagram, Network
from diagrammar.ir.names import fresh_wire
from diagrammar.ir.scalar import Dim

MAX_TENSORS: Final = 10_000
"""The most tensors of a definition, in all its terms: a definition that is used stands for all of
its own, so that they can double with every line of a file."""

MAX_FILE_TENSORS: Final = 100_000
"""The most tensors of all definitions of a file together."""


def size_of(terms: Iterable[Network]) -> int:
    """The tensors of some terms; an empty term counts, too."""
    return sum(len(term.tensors) + 1 for term in terms)


def product_size(factors: Sequence[Network], terms: Sequence[Network]) -> int:
    """The tensors of a product of sums, which need not be made for it."""
    return len(terms) * size_of(factors) + len(factors) * size_of(terms)


def times(left: Network, right: Network) -> Network:
    """The product of two networks; wires of the same name are the same wire."""
    return Network(
        left.scalar * right.scalar, left.tensors + right.tensors, {**left.sizes, **right.sizes}
    )


def instance(
    term: Network, names: Mapping[str, str], sizes: Mapping[str, Dim], taken: Mapping[str, Dim]
) -> Network:
    """A copy of a term with open wires renamed by `names` (new sizes in `sizes`) and inner wires
    fresh."""
    renaming = dict(names)
    occupied = {**taken, **sizes}
    for wire in term.sizes:
        if wire not in renaming:
            new = fresh_wire(wire, term.sizes[wire], occupied)
            renaming[wire] = new
            occupied[new] = term.sizes[wire]
    copy = term.rename(renaming)
    return Network(
        copy.scalar, copy.tensors, {**copy.sizes, **{names[w]: sizes[names[w]] for w in names}}
    )


def distribute(factors: Sequence[Network], terms: Sequence[Network]) -> list[Network]:
    """(a + b)·(c + d) = ac + ad + bc + bd."""
    return [times(factor, term) for factor in factors for term in terms]


def inline(
    networks: Sequence[Network],
    diagram: Diagram,
    wires: Sequence[str],
    sizes: Mapping[str, Dim],
    taken: Mapping[str, Dim],
) -> list[Network]:
    """Networks multiplied by a diagram whose open wires become `wires`, position by position."""
    names = dict(zip(diagram.open, wires, strict=True))
    product: list[Network] = []
    for network in networks:
        for term in diagram.terms:
            occupied = {**taken, **network.sizes}
            product.append(times(network, instance(term, names, sizes, occupied)))
    return product
