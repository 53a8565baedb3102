"""Wires that run side by side: to a contraction they are one.

    X[b, c, i1, i2]·W[d, c] :   i1 and i2 have the same ends, in the same order, so (i1 i2) is one

Emitted code flattens them before a product and splits them afterwards. No rewrite is needed, as the
axes of operands stay what they were declared to be.
"""

from __future__ import annotations

from collections.abc import Iterable

from diagrammar.diagram import Network, Operand


def parallel(network: Network, open_wires: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """The wires of a network in groups that have all their ends in common, each in one order.

    Wires at relations stay alone: a relation tells them apart. Open wires are in a group with open
    ones only.
    """
    opened = set(open_wires)
    groups: list[tuple[str, ...]] = []
    order = dict.fromkeys(w for tensor in network.tensors for w in tensor.wires)
    for wire in dict.fromkeys((*order, *network.sizes)):
        for at, group in enumerate(groups):
            if _alike(network, group[-1], wire, opened):
                groups[at] = (*group, wire)
                break
        else:
            groups.append((wire,))
    return tuple(groups)


def _alike(network: Network, first: str, second: str, opened: set[str]) -> bool:
    ends = network.ends(first)
    if not ends or ends != network.ends(second) or (first in opened) != (second in opened):
        return False
    tensors = [network.tensors[at] for at in ends]
    if not all(isinstance(t, Operand) for t in tensors):
        return False
    orders = [t.wires.index(second) - t.wires.index(first) for t in tensors]
    return all(order > 0 for order in orders)
