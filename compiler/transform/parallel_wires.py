"""Wires that run side by side: to a contraction they are one.

    X[b, c, i1, i2]·W[d, c] :   i1 and i2 have the same ends, in the same order, so (i1 i2) is one

Emitted code flattens them before a product and splits them afterwards; the axes of operands stay
what they were declared to be. What a view makes of an operand counts as that operand. The rule that
tells a reader is in `rules.parallel`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from diagrammar.ir.diagram import Network, Operand
from diagrammar.ir.relation import Relation


@dataclass(frozen=True)
class Factor:
    """A tensor of a contraction by its wires: an operand with the views through which it is read,
    or a relation, of which wires stay apart, as it tells them from one another."""

    name: str
    wires: tuple[str, ...]
    operand: bool


def factors(network: Network, open_wires: Iterable[str]) -> tuple[Factor, ...]:
    """The tensors of a network, each operand with the views through which alone it is read."""
    opened = set(open_wires)
    read = {at: list(tensor.wires) for at, tensor in enumerate(network.tensors)}
    views = [at for at, r in network.relations() if r.view is not None and r.view not in opened]
    changed = True
    while changed:
        changed = False
        for at in views:
            view = network.tensors[at]
            if at not in read or not isinstance(view, Relation) or view.view is None:
                continue
            ends = [n for n, wires in read.items() if n != at and view.view in wires]
            if len(ends) != 1 or len(network.ends(view.view)) != 2:
                continue
            if isinstance(network.tensors[ends[0]], Operand):
                wires = read[ends[0]]
                place = wires.index(view.view)
                wires[place : place + 1] = [w for w in view.wires if w != view.view]
                del read[at]
                changed = True
    tensors = network.tensors
    return tuple(
        Factor(tensors[at].name, tuple(wires), isinstance(tensors[at], Operand))
        for at, wires in read.items()
    )


def parallel(network: Network, open_wires: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """The wires of a network in groups that have all their ends in common, each in one order.

    Wires at relations stay alone. Open wires are in a group with open ones only.
    """
    found = factors(network, open_wires)
    opened = set(open_wires)
    ends: dict[str, list[int]] = {}
    for number, factor in enumerate(found):
        for wire in factor.wires:
            ends.setdefault(wire, []).append(number)
    groups: dict[object, list[list[str]]] = {}
    for wire in dict.fromkeys((*ends, *network.sizes)):
        if wire not in ends and wire not in opened:
            continue  # read by a view
        at = ends.get(wire, [])
        alone = not at or len(set(at)) < len(at) or not all(found[n].operand for n in at)
        key: object = (wire,) if alone else (tuple(at), wire in opened)
        chains = groups.setdefault(key, [])
        for chain in chains:
            if all(_before(found[n], chain[-1], wire) for n in at):
                chain.append(wire)
                break
        else:
            chains.append([wire])
    return tuple(tuple(chain) for chains in groups.values() for chain in chains)


def _before(factor: Factor, first: str, second: str) -> bool:
    return factor.wires.index(first) < factor.wires.index(second)


def bundles(network: Network, open_wires: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """The groups of two wires or more, those of size one left out, where tensors are contracted."""
    if sum(isinstance(t, Operand) for t in network.tensors) < 2:
        return ()
    wide = (
        tuple(w for w in group if network.sizes[w] != 1) for group in parallel(network, open_wires)
    )
    return tuple(group for group in wide if len(group) > 1)
