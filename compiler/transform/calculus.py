"""Differentiation: cut a node out, open its wires, once per occurrence.

A network is multilinear in its tensors, so its derivative by an operand is the sum over the
operand's occurrences of the network without that node (Dangel 2024, sec. 3.1). A Jacobian leaves
the cut wires open, a VJP glues a cotangent onto the diagram's open wires, a JVP puts a tangent into
the hole. Higher derivatives repeat it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import sympy

from diagrammar.ir.diagram import Axes, Declared, Diagram, Network, Operand, Requirement, Tensor
from diagrammar.ir.names import fresh_wire
from diagrammar.ir.relation import Equation, Piece, Relation, delta, flat
from diagrammar.ir.scalar import Dim, parameter
from diagrammar.ir.sizes import base, own_symbols
from diagrammar.ir.symbols import names_of
from diagrammar.transform.merge import merged

Kind = Literal["vjp", "jvp", "jacobian"]


def derivative(
    diagram: Diagram, by: Declared, kind: Kind, name: str, direction: str, doc: str = ""
) -> Diagram:
    """The derivative of a diagram by an operand.

    `vjp` has the operand's axes and a new operand `direction` with the diagram's; `jvp` has the
    diagram's axes and a new operand with the operand's; `jacobian` has the diagram's axes, then the
    operand's.
    """
    by = next((o for o in diagram.operands if o.name == by.name), by)
    cuts = {"vjp": _vjp, "jvp": _jvp, "jacobian": _jacobian}[kind](diagram, by, direction)
    axes, terms, extra = cuts
    terms = terms or [_zero(diagram, axes, extra, by)]
    remaining = {t.name for term in terms for t in term.tensors if isinstance(t, Operand)}
    operands = [o for o in diagram.operands if o.name in remaining and o.name != direction]
    operands += [extra] if extra is not None and extra.name in remaining else []
    operands.sort(key=lambda o: o.keep is not None)  # what may be drawn comes last
    sizes = {w: s for term in terms for w, s in term.sizes.items()}
    sizes = {**_open_sizes(axes, diagram, by), **sizes}
    result = replace(
        diagram,
        name=name,
        axes=axes,
        terms=tuple(terms),
        operands=tuple(operands),
        sizes=sizes,
        defaults=_defaults(diagram, sizes, operands, terms),
        doc=doc,
    )
    made = merged(own_symbols(result))
    known = names_of(made)
    defaults = {k: v for k, v in made.defaults.items() if k in known}
    return replace(made, defaults=defaults, requirements=_requirements(made))


def _zero(diagram: Diagram, axes: Axes, extra: Declared | None, by: Declared) -> Network:
    """The zero term of a derivative by an operand that does not occur; it keeps a signature."""
    kept = (Operand(extra.name, extra.axes),) if extra else ()
    tensors: tuple[Tensor, ...] = kept or tuple(
        t for term in diagram.terms[:1] for t in term.tensors if isinstance(t, Operand)
    )
    known = {**by.sizes, **diagram.sizes}
    wires = [w for t in tensors for w in t.wires] + [w for axis in axes for w in axis]
    sizes = {w: known.get(w, known.get(base(w), 1)) for w in wires}
    return Network(sympy.Integer(0), tensors, sizes)


def _requirements(diagram: Diagram) -> tuple[Requirement, ...]:
    """Requirements of sizes that are left."""
    extents = [*diagram.sizes.values(), *(s for o in diagram.operands for s in o.sizes.values())]
    known = {s for e in extents for s in sympy.sympify(e).free_symbols}
    known |= {parameter(p) for p in diagram.parameters}
    return tuple(
        r
        for r in diagram.requirements
        if sympy.sympify(r.value).free_symbols | sympy.sympify(r.least).free_symbols <= known
    )


def _open_sizes(axes: Axes, diagram: Diagram, by: Declared) -> dict[str, Dim]:
    known = {**by.sizes, **diagram.sizes}
    return {w: known.get(w, known.get(base(w), 1)) for axis in axes for w in axis}


def _defaults(
    diagram: Diagram, sizes: Mapping[str, Dim], operands: list[Declared], terms: list[Network]
) -> dict[str, Any]:
    """Defaults of names that are left."""
    wires = {base(w) for w in sizes} | {w for o in operands for w in o.sizes}
    wires |= {str(s) for term in terms for s in sympy.sympify(term.scalar).free_symbols}
    return {k: v for k, v in diagram.defaults.items() if k in wires or k in diagram.parameters}


def occurrences(term: Network, name: str) -> list[int]:
    """Positions of an operand's tensors."""
    return [at for at, t in enumerate(term.tensors) if isinstance(t, Operand) and t.name == name]


def _hole(term: Network, at: int) -> tuple[Operand, tuple[Tensor, ...]]:
    tensor = term.tensors[at]
    assert isinstance(tensor, Operand)
    return tensor, term.tensors[:at] + term.tensors[at + 1 :]


def _jvp(diagram: Diagram, by: Declared, direction: str) -> tuple[Axes, list[Network], Declared]:
    """Σ over occurrences: the tangent in the operand's place."""
    tangent = Declared(direction, by.axes, by.sizes)
    terms = []
    for term in diagram.terms:
        for at in occurrences(term, by.name):
            cut = term.tensors[at]
            assert isinstance(cut, Operand)
            put = Operand(direction, cut.axes)
            tensors = (*term.tensors[:at], put, *term.tensors[at + 1 :])
            terms.append(replace(term, tensors=tensors))
    return diagram.axes, terms, tangent


def _jacobian(diagram: Diagram, by: Declared, _: str) -> tuple[Axes, list[Network], None]:
    """Σ over occurrences: the hole's wires open, primed where the diagram has them already."""
    names: dict[str, str] = {}
    taken: dict[str, Dim] = {w: diagram.sizes[w] for w in diagram.open}
    for wire in (w for axis in by.axes for w in axis):
        names[wire] = fresh_wire(wire, by.sizes[wire], taken)
        taken[names[wire]] = by.sizes[wire]
    cut_axes = tuple(tuple(names[w] for w in axis) for axis in by.axes)
    extents = {names[w]: s for w, s in by.sizes.items()}
    terms = [
        _open(*_hole(term, at), term, cut_axes, extents, keep=frozenset(diagram.open))
        for term in diagram.terms
        for at in occurrences(term, by.name)
    ]
    return diagram.axes + cut_axes, terms, None


def _vjp(diagram: Diagram, by: Declared, direction: str) -> tuple[Axes, list[Network], Declared]:
    """Σ over occurrences: the cotangent glued to the diagram's open wires, the hole's wires
    open."""
    sizes = {w: diagram.sizes[w] for w in diagram.open}
    cotangent = Declared(direction, diagram.axes, sizes)
    glue = Operand(direction, diagram.axes)
    terms = []
    for term in diagram.terms:
        for at in occurrences(term, by.name):
            cut, rest = _hole(term, at)
            terms.append(_open(cut, (*rest, glue), term, by.axes, by.sizes, keep=frozenset()))
    return by.axes, terms, cotangent


def _open(
    cut: Operand,
    rest: tuple[Tensor, ...],
    term: Network,
    axes: Axes,
    extents: Mapping[str, Dim],
    keep: frozenset[str],
) -> Network:
    """A term with a node cut out: its wires become the open wires `axes`, the others stay clear of
    them.

    A wire that is open already (in `keep`), or that the node has twice, is joined by a delta
    instead; an axis that is grouped in another way than declared by the relation of the two
    positions.
    """
    renaming: dict[str, str] = {}
    joins: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    for used, own in zip(cut.axes, axes, strict=True):
        if len(used) != len(own):
            joins.append((used, own))
            continue
        for wire, new in zip(used, own, strict=True):
            if wire in keep or wire in renaming:
                joins.append(((wire,), (new,)))
            else:
                renaming[wire] = new
    taken: dict[str, Dim] = dict(extents)
    taken.update({w: term.sizes[w] for w in keep})
    for wire, extent in term.sizes.items():
        if wire not in renaming and wire not in keep:
            renaming[wire] = fresh_wire(wire, extent, taken)
            taken[renaming[wire]] = extent
    network = Network(term.scalar, rest, term.sizes).rename(renaming)
    sizes = {**network.sizes, **extents}
    tensors = list(network.tensors)
    for used, own in joins:
        tensors.append(_join(tuple(renaming.get(w, w) for w in used), own, sizes))
    return Network(network.scalar, tuple(tensors), sizes)


def _join(used: tuple[str, ...], own: tuple[str, ...], sizes: Mapping[str, Dim]) -> Relation:
    if len(used) == len(own) == 1:
        return delta(own[0], used[0])
    form = flat(own, sizes) - flat(used, sizes)
    return Relation("δ", own + used, (Piece((Equation(form),)),))
