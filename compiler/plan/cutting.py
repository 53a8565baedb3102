"""Cutting a wire: the diagrams of one part, and their program run part after part.

Law: Σ_b f(…b…) is the sum of f over parts of b, and an open b gives its parts side by side. A wire
may be cut if no relation ends in it, every use of an operand has it at the same axis or nowhere,
and every term has it (or it is open).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from diagrammar import program as ops
from diagrammar.ir.diagram import Declared, Diagram, Network, Operand
from diagrammar.ir.relation import Relation, Sizes
from diagrammar.plan.planner import Planned


def wires(diagrams: Sequence[Diagram]) -> Iterator[str]:
    """The wires that may be cut, in order."""
    names = dict.fromkeys(w for d in diagrams for t in d.terms for w in t.sizes)
    for wire in names:
        sizes = {t.sizes[wire] for d in diagrams for t in d.terms if wire in t.sizes}
        if len(sizes) == 1 and next(iter(sizes)) != 1 and _may_be_cut(diagrams, wire):
            yield wire


def size_of(diagrams: Sequence[Diagram], wire: str) -> int:
    """The size of a wire."""
    return next(int(t.sizes[wire]) for d in diagrams for t in d.terms if wire in t.sizes)


def _may_be_cut(diagrams: Sequence[Diagram], wire: str) -> bool:
    uses: dict[str, set[tuple[int, int] | None]] = {}
    for diagram in diagrams:
        is_open = wire in diagram.open
        if not diagram.terms or (is_open and _place(diagram.axes, wire, diagram.sizes) is None):
            return False
        for term in diagram.terms:
            ends = [t for t in term.tensors if wire in t.wires]
            if any(isinstance(t, Relation) for t in ends) or not (ends or is_open):
                return False
            for tensor in term.tensors:
                if isinstance(tensor, Operand):
                    if tensor.wires.count(wire) > 1:
                        return False
                    place = _place(tensor.axes, wire, term.sizes)
                    if wire in tensor.wires and place is None:
                        return False
                    uses.setdefault(tensor.name, set()).add(place)
    return all(len(places) == 1 for places in uses.values())


def _place(axes: Sequence[Sequence[str]], wire: str, sizes: Sizes) -> tuple[int, int] | None:
    """The axis that a wire leads, and how many entries of the axis one of the wire is; None if it
    leads none."""
    for number, axis in enumerate(axes):
        if wire in axis:
            at = list(axis).index(wire)
            if any(sizes[w] != 1 for w in axis[:at]):
                return None
            inner = 1
            for w in axis[at + 1 :]:
                inner *= int(sizes[w])
            return number, inner
    return None


def cut(
    diagrams: Sequence[Diagram], wire: str, entries: int
) -> tuple[ops.Cut, tuple[Diagram, ...]]:
    """The cut of a wire into parts of so many entries, and the diagrams of one part."""
    operands: dict[str, tuple[int, int]] = {}
    results: list[tuple[int, int] | None] = []
    for diagram in diagrams:
        place = _place(diagram.axes, wire, diagram.sizes) if wire in diagram.open else None
        results.append(None if place is None else (place[0], place[1] * entries))
        for term in diagram.terms:
            for tensor in term.tensors:
                if isinstance(tensor, Operand) and wire in tensor.wires:
                    found = _place(tensor.axes, wire, term.sizes)
                    assert found is not None
                    operands[tensor.name] = found[0], found[1] * entries
    turns = size_of(diagrams, wire) // entries
    made = ops.Cut(wire, turns, operands, tuple(results))
    return made, tuple(_part(d, wire, entries, made) for d in diagrams)


def _part(diagram: Diagram, wire: str, entries: int, cut: ops.Cut) -> Diagram:
    """The diagram with fewer entries of a wire."""
    terms = tuple(_fewer(t, wire, entries) for t in diagram.terms)
    operands = []
    for operand in diagram.operands:
        if operand.name in cut.operands:
            operand = _cut(operand, diagram, wire, entries, cut.operands[operand.name][0])
        operands.append(operand)
    sizes = {**diagram.sizes, wire: entries} if wire in diagram.sizes else dict(diagram.sizes)
    return replace(
        diagram, terms=terms, operands=tuple(operands), sizes=sizes, equalities=(), requirements=()
    )


def _cut(operand: Declared, diagram: Diagram, wire: str, entries: int, axis: int) -> Declared:
    """An operand with fewer entries of a wire. The declaration has other names for it than a term,
    which may read one axis as several, or as fewer."""
    for term in diagram.terms:
        for tensor in term.tensors:
            if isinstance(tensor, Operand) and tensor.name == operand.name:
                own = tensor.axes[axis]
                if wire not in own:
                    continue
                sizes = {**operand.sizes, **{w: term.sizes[w] for w in own}, wire: entries}
                axes = (*operand.axes[:axis], own, *operand.axes[axis + 1 :])
                if len(own) == len(operand.axes[axis]):
                    axes, name = operand.axes, operand.axes[axis][own.index(wire)]
                    sizes = {**operand.sizes, name: entries}
                return replace(operand, axes=axes, sizes=sizes)
    return operand


def _fewer(term: Network, wire: str, entries: int) -> Network:
    if wire not in term.sizes:
        return term
    return replace(term, sizes={**term.sizes, wire: entries})


def in_parts(planned: Planned, whole: Sequence[Diagram], cuts: tuple[ops.Cut, ...]) -> Planned:
    """The program of one part, run for one part of some diagrams after another."""
    program = planned.program
    shapes = {o.name: o.shape() for d in whole for o in d.operands}
    program = replace(
        program,
        parameters=tuple(replace(p, shape=shapes.get(p.name, p.shape)) for p in program.parameters),
        checks=(),
        cuts=cuts,
        frees=True,
        facts={**program.facts, "Memory": f"computed in {told_of(cuts)}."},
    )
    return _uncast(replace(planned, program=program))


def _uncast(planned: Planned) -> Planned:
    """Parts that are added stay in the dtype that they are accumulated in, since one of them may
    overflow where their sum does not; the sum is cast."""
    steps, results = planned.program.steps, list(planned.program.results)
    gone = set()
    for number, result in enumerate(results):
        made = steps[result].operation
        if isinstance(made, ops.Cast) and planned.program.adds(number):
            gone.add(result)
            results[number] = made.x
    kept = [n for n in range(len(steps)) if n not in gone]
    value = {n: at for at, n in enumerate(kept)}
    left = (replace(steps[n], operation=ops.reread(steps[n].operation, value)) for n in kept)
    program = replace(planned.program, steps=tuple(left), results=tuple(value[n] for n in results))
    return replace(planned, program=program)


def told_of(cuts: Sequence[ops.Cut]) -> str:
    """Cuts in words."""
    return ", ".join(f"{c.turns} parts along {c.wire}" for c in cuts)
