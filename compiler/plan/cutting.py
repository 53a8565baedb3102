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
    """Whether parts along a wire, put side by side or added, are the whole."""
    places: dict[str, set[tuple[int, int] | None]] = {}
    for diagram in diagrams:
        if not _ends_at_operands(diagram, wire):
            return False
        for operand, sizes in _uses(diagram):
            place = _place(operand.axes, wire, sizes)
            if operand.wires.count(wire) != (place is not None):  # a diagonal, or inside of an axis
                return False
            places.setdefault(operand.name, set()).add(place)
    return all(len(one) == 1 for one in places.values())


def _ends_at_operands(diagram: Diagram, wire: str) -> bool:
    """Whether a wire meets no relation, and every term has it, or it leads an axis of the
    result."""
    is_open = wire in diagram.open
    if not diagram.terms or (is_open and _place(diagram.axes, wire, diagram.sizes) is None):
        return False
    ends = [[t for t in term.tensors if wire in t.wires] for term in diagram.terms]
    if any(isinstance(t, Relation) for tensors in ends for t in tensors):
        return False
    return is_open or all(ends)


def _uses(diagram: Diagram) -> Iterator[tuple[Operand, Sizes]]:
    """Every operand of every term, with the sizes there."""
    for term in diagram.terms:
        yield from ((t, term.sizes) for t in term.tensors if isinstance(t, Operand))


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
        for operand, sizes in _uses(diagram):
            if wire in operand.wires:
                led = _place(operand.axes, wire, sizes)
                assert led is not None
                operands[operand.name] = led[0], led[1] * entries
    turns = size_of(diagrams, wire) // entries
    one = ops.Cut(wire, turns, operands, tuple(results))
    return one, tuple(_part(d, wire, entries, one) for d in diagrams)


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
    for use, known in _uses(diagram):
        if use.name != operand.name or wire not in use.axes[axis]:
            continue
        own, declared = use.axes[axis], operand.axes[axis]
        if len(own) == len(declared):
            name = declared[own.index(wire)]
            return replace(operand, sizes={**operand.sizes, name: entries})
        axes = (*operand.axes[:axis], own, *operand.axes[axis + 1 :])
        sizes = {**operand.sizes, **{w: known[w] for w in own}, wire: entries}
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
    casts = set()
    for number, result in enumerate(results):
        last = steps[result].operation
        if isinstance(last, ops.Cast) and planned.program.adds(number):
            casts.add(result)
            results[number] = last.x
    others = [n for n in range(len(steps)) if n not in casts]
    value = {n: at for at, n in enumerate(others)}
    left = (replace(steps[n], operation=ops.reread(steps[n].operation, value)) for n in others)
    program = replace(planned.program, steps=tuple(left), results=tuple(value[n] for n in results))
    return replace(planned, program=program)


def told_of(cuts: Sequence[ops.Cut]) -> str:
    """Cuts in words."""
    return ", ".join(f"{c.turns} parts along {c.wire}" for c in cuts)
