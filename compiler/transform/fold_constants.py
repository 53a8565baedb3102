"""Products of constants as one constant each, worked out before the first call.

In X[b, u]·C[u, h]·D[h, v] with constants C and D, Σ_h C[u, h]·D[h, v] is one constant [u, v]. Which
of the two forms is cheaper depends on the sizes; `bound` asks the planner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import sympy

from diagrammar.ir.diagram import Declared, Diagram, Network, Operand


@dataclass(frozen=True)
class Folded:
    """Diagrams with products of constants as one operand each, and the diagrams of those."""

    diagrams: tuple[Diagram, ...]
    made: Mapping[str, Diagram]


def folded(diagrams: Sequence[Diagram], constants: frozenset[str]) -> Folded | None:
    """The diagrams with every connected product of constants folded; None if there is none."""
    folder = _Folder(diagrams, constants)
    done = tuple(map(folder.diagram, diagrams))
    return Folded(done, folder.made) if folder.made else None


class _Folder:
    def __init__(self, diagrams: Sequence[Diagram], constants: frozenset[str]) -> None:
        self.constants = constants
        self.taken = {o.name for d in diagrams for o in d.operands}
        self.made: dict[str, Diagram] = {}

    def diagram(self, diagram: Diagram) -> Diagram:
        """One diagram with its products of constants folded."""
        operands = {o.name: o for o in diagram.operands}
        terms = []
        for term in diagram.terms:
            while group := _group(term, diagram.open, self.constants):
                value = self._named(_product(diagram, term, group))
                sizes = {w: value.sizes[w] for w in value.open}
                operands[value.name] = Declared(value.name, value.axes, sizes, constant=True)
                put = Operand(value.name, value.axes, constant=True)
                term = _replaced(term, group, put, diagram.open)
            terms.append(term)
        used = {t.name for term in terms for t in term.tensors if isinstance(t, Operand)}
        kept = tuple(o for o in operands.values() if o.name in used)
        return replace(diagram, terms=tuple(terms), operands=kept)

    def _named(self, value: Diagram) -> Diagram:
        """A product under the name of an equal one, or under a new one."""
        for name, known in self.made.items():
            if replace(value, name=name) == known:
                return known
        stem = name = "_".join(dict.fromkeys(t.name for t in value.terms[0].tensors))
        number = 1
        while name in self.taken:
            number += 1
            name = f"{stem}_{number}"
        self.taken.add(name)
        self.made[name] = replace(value, name=name)
        return self.made[name]


def _group(term: Network, open_wires: tuple[str, ...], constants: frozenset[str]) -> list[int]:
    """The places of constants that share wires, where there is something to work out: two of them,
    or one that is summed by itself. None: an empty list."""
    rest = [
        at for at, t in enumerate(term.tensors) if isinstance(t, Operand) and t.name in constants
    ]
    while rest:
        group = [rest.pop(0)]
        wires = set(term.tensors[group[0]].wires)
        while near := [at for at in rest if wires & set(term.tensors[at].wires)]:
            group += near
            wires |= {w for at in near for w in term.tensors[at].wires}
            rest = [at for at in rest if at not in near]
        if len(group) > 1 or set(_kept(term, group, open_wires)) != wires:
            return sorted(group)
    return []


def _kept(term: Network, group: Sequence[int], open_wires: tuple[str, ...]) -> list[str]:
    """The wires of a group that lead out of it."""
    outside = {w for at, t in enumerate(term.tensors) if at not in group for w in t.wires}
    outside |= set(open_wires)
    own = dict.fromkeys(w for at in group for w in term.tensors[at].wires)
    return [w for w in own if w in outside]


def _product(diagram: Diagram, term: Network, group: Sequence[int]) -> Diagram:
    """The product of a group as a diagram, its wires that lead out being open."""
    tensors = tuple(term.tensors[at] for at in group)
    kept = _kept(term, group, diagram.open)
    sizes = {w: term.sizes[w] for t in tensors for w in t.wires}
    names = {t.name for t in tensors}
    return Diagram(
        name="",
        axes=tuple((w,) for w in kept),
        terms=(Network(sympy.Integer(1), tensors, sizes),),
        operands=tuple(o for o in diagram.operands if o.name in names),
        sizes=sizes,
    )


def _replaced(
    term: Network, group: Sequence[int], put: Operand, open_wires: tuple[str, ...]
) -> Network:
    """The term with a group replaced by its product."""
    tensors = [t for at, t in enumerate(term.tensors) if at not in group]
    tensors.insert(group[0], put)
    used = {w for t in tensors for w in t.wires} | set(open_wires)
    return Network(term.scalar, tuple(tensors), {w: s for w, s in term.sizes.items() if w in used})
