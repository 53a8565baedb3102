"""Parallel wires: several that a contraction takes for one."""

from __future__ import annotations

from diagrammar.ir.diagram import Network
from diagrammar.rewrite.rule import Edit, Match, Miss, Place, rule
from diagrammar.transform.parallel_wires import bundles, factors


@rule(
    law="T[…a…b…]·U[…a…b…] = T[…(a b)…]·U[…(a b)…]   a and b have the same ends, in one order",
    example="""
tensor X[b, c, i1, i2]
tensor W[d, c]
Y[b, d, i1, i2] = X[b, c, i1, i2] * W[d, c]
""",
    near_miss="""
tensor X[n, a, b]
tensor W[m, b, a]
Y[n, m] = X[n, a, b] * W[m, b, a]
""",
    reason="a and b do not come in one order in X and W",
    source="einconv leaves the spatial wires of a 1×1 convolution apart",
    boundary="any",
    on="wires",
)
def parallel_wires(place: Place) -> Match | Miss:
    """Wires side by side count as one: the law of a contraction, not a rewrite of its operands,
    whose axes stay what they were declared to be."""
    network, opened = place.network, sorted(place.open)
    groups = [g for g in bundles(network, opened) if g not in network.bundles]
    if not groups:
        return Miss(_apart(place))
    because = "; ".join(_alongside(network, group) for group in groups)
    found = tuple(f"({' '.join(group)})" for group in groups)
    because += f"; so the product is {_contraction(network, groups, opened)}"
    return Match(Edit(bundles=tuple(groups)), because, at=found)


def _alongside(network: Network, group: tuple[str, ...]) -> str:
    names = [network.tensors[at].name for at in network.ends(group[0])]
    first = ", ".join(group[:-1])
    return f"{first} and {group[-1]} run side by side at {' and '.join(dict.fromkeys(names))}"


def _apart(place: Place) -> str:
    """Why no wires are parallel: the first two that differ in their order alone, if any do."""
    network = place.network
    if network.bundles:
        return "they are told already"
    found = [f for f in factors(network, place.open) if f.operand]
    wires = list(dict.fromkeys(w for f in found for w in f.wires))
    for number, a in enumerate(wires):
        for b in wires[number + 1 :]:
            at = [f for f in found if a in f.wires or b in f.wires]
            if len(at) > 1 and all(a in f.wires and b in f.wires for f in at):
                names = " and ".join(dict.fromkeys(f.name for f in at))
                return f"{a} and {b} do not come in one order in {names}"
    return "no two wires have all their ends in common"


def _contraction(network: Network, groups: list[tuple[str, ...]], opened: list[str]) -> str:
    """The product with each group as one wire: X[(b o1 o2), ci]·W[co, ci]."""
    heads = {group[0]: group for group in groups}
    inside = {w for group in groups for w in group[1:]}
    written = []
    for factor in factors(network, opened):
        wires = [
            f"({' '.join(heads[w])})" if w in heads else w
            for w in factor.wires
            if w not in inside and network.sizes[w] != 1
        ]
        written.append(f"{factor.name}[{', '.join(wires)}]")
    return "·".join(written)
