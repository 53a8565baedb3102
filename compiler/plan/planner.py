"""From simplified diagrams to a program: a tree for each term, then one list of steps for all of
them."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

import sympy

from diagrammar import program as ops
from diagrammar.ir.autocorrelation import gram_form, unpaired
from diagrammar.ir.diagram import Declared, Diagram, Network, Operand, Requirement
from diagrammar.ir.relation import Relation
from diagrammar.ir.scalar import Dim, equal, expand, fraction, is_number, nonnegative, text
from diagrammar.ir.symbols import readings
from diagrammar.ir.tree import Tree
from diagrammar.lowerings.dense_pattern import indicator
from diagrammar.lowerings.lower import Lowering
from diagrammar.program.writer import Value, Writer
from diagrammar.search.search import Options, Search
from diagrammar.transform.unit_wires import places, without_units

Shortcut = Callable[[Network, Sequence[str]], Tree | None]
"""The tree for a term, known without a search; None where it is not."""


@dataclass(frozen=True)
class Planned:
    """A program, and the contraction tree of each term that it came from."""

    program: ops.Program
    trees: tuple[tuple[str, Tree], ...]


def plan(
    name: str,
    diagrams: Sequence[Diagram],
    operands: Sequence[Declared],
    options: Options,
    *,
    doc: str = "",
    accumulate: str | None = None,
    shortcut: Shortcut | None = None,
    trees: Sequence[Tree] | None = None,
) -> Planned:
    """The cheapest program that the cost model finds for some diagrams together.

    A `shortcut` knows the tree of some terms; only the others are searched. With `trees`, those of
    a plan of the same diagrams with other sizes, none is.
    """
    writer = _Casting(accumulate) if accumulate else Writer()
    known = iter(trees or ())
    used: list[tuple[str, Tree]] = []
    results = []
    for at, whole in enumerate(diagrams):
        diagram = without_units(whole)
        values: list[Value] = []
        for number, squeezed in _nonzero(diagram):
            term, kept = squeezed, places(whole.terms[number])
            tree = shortcut(term, diagram.open) if shortcut else None
            if tree is None:
                term, kept = _windowed(squeezed, kept, options.paired)
            if _tensors(term):
                tree = next(known, None) or tree or Search(term, diagram.open, options).best().tree
                used.append((diagram.name, tree))
                origins = [(at, number, place) for place in kept]
                values.append(Lowering(writer, term, diagram.open, origins).term(tree))
            else:
                values.append(_constant(writer, diagram, term, operands))
        result = _combined(writer, diagram, values, operands, axis_names(whole.axes))
        results.append(writer.uncast(result) if isinstance(writer, _Casting) else result)
    assert next(known, None) is None, "a tree for each term that has operands"
    made = _program(name, diagrams, operands, writer, results, doc)
    return Planned(made, tuple(used))


def dense(name: str, diagrams: Sequence[Diagram], operands: Sequence[Declared]) -> ops.Program:
    """The oracle's program: every relation dense, one n-ary contraction a term. Nothing clever."""
    writer = Writer()
    results = []
    for diagram in diagrams:
        values = [
            _contracted(writer, diagram, term)
            if _tensors(term)
            else _constant(writer, diagram, term, operands)
            for _, term in _nonzero(diagram)
        ]
        names = axis_names(diagram.axes)
        results.append(_combined(writer, diagram, values, operands, names))
    return _program(name, diagrams, operands, writer, results, "")


def _nonzero(diagram: Diagram) -> list[tuple[int, Network]]:
    """The terms that say something, numbered; an average over nothing (a scalar 1/0) is zero."""
    return [
        (n, t)
        for n, t in enumerate(diagram.terms)
        if t.scalar not in (0, sympy.nan) and t.scalar.is_finite is not False
    ]


def _windowed(
    term: Network, kept: tuple[int, ...], stays: int | None
) -> tuple[Network, tuple[int, ...]]:
    """The term with every paired relation (`ir.autocorrelation`) but number `stays` as two patterns
    again, and where each tensor comes from."""
    found = [at for at, r in term.relations() if gram_form(r, term.sizes) is not None]
    for number, at in enumerate(found):
        if number != stays:
            term, kept = unpaired(term, at), (*kept, kept[at])
    return term, kept


def _tensors(term: Network) -> bool:
    return any(isinstance(t, Operand) for t in term.tensors)


def _contracted(writer: Writer, diagram: Diagram, term: Network) -> Value:
    lowering = Lowering(writer, term, diagram.open)
    values: list[Value] = []
    for at, tensor in enumerate(term.tensors):
        if isinstance(tensor, Relation):
            like = lowering.like()
            values.append(writer.value(indicator(tensor, like), tensor.wires))
        else:
            values.append(lowering.operand(at))
    labels = {w: n for n, w in enumerate(dict.fromkeys(w for v in values for w in v.wires))}
    out = [w for w in diagram.open if w in labels]
    operation = ops.Einsum(
        tuple(v.step for v in values),
        tuple(tuple(labels[w] for w in v.wires) for v in values),
        tuple(labels[w] for w in out),
    )
    return writer.scale(writer.value(operation, out), term.scalar)


def _constant(
    writer: Writer, diagram: Diagram, term: Network, operands: Sequence[Declared]
) -> Value:
    """A term without operands: its relations times a number, with the first operand's dtype, or
    the default."""
    writer.sizes = dict(term.sizes)
    like = _operand_step(writer, operands[0]) if operands else None
    relations = [t for t in term.tensors if isinstance(t, Relation)]
    if not relations:
        return writer.scale(writer.value(ops.Indicator(((),), like), ()), term.scalar)
    first, *rest = (writer.value(indicator(r, like), r.wires) for r in relations)
    value = writer.sum(first, {*diagram.open, *(w for r in rest for w in r.wires)})
    for number, other in enumerate(rest, start=1):
        needed = {*diagram.open, *(w for r in rest[number:] for w in r.wires)}
        both = dict.fromkeys(value.wires + other.wires)
        value = writer.einsum(value, other, [w for w in both if w in needed])
    return writer.scale(value, term.scalar)


def _operand_step(writer: Writer, operand: Declared) -> int:
    return writer.step(ops.Operand(operand.name), operand.shape(), axis_names(operand.axes))


def axis_names(axes: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """How axes are called: a wire's name, or a group in parentheses."""
    return tuple(a[0] if len(a) == 1 else f"({' '.join(a)})" for a in axes)


def _combined(
    writer: Writer,
    diagram: Diagram,
    values: Sequence[Value],
    operands: Sequence[Declared],
    names: Sequence[str],
) -> int:
    """Terms broadcast to the open wires, added, and their axes grouped."""
    wires, sizes = diagram.open, {w: diagram.sizes[w] for w in diagram.open}
    writer.sizes = {**sizes}
    shape = tuple(sizes[w] for w in wires)
    if not values:
        like = _operand_step(writer, operands[0]) if operands else None
        zero = ops.Indicator((), like)
        return writer.group(Value(writer.step(zero, shape, wires), wires), diagram.axes, names)
    aligned = [_aligned(writer, v, wires, sizes) for v in values]
    if len(aligned) == 1:
        total = aligned[0]
    else:
        shapes = [writer.steps[v].shape for v in aligned]
        added = [next((s[n] for s in shapes if not equal(s[n], 1)), 1) for n in range(len(wires))]
        total = writer.step(ops.Add(tuple(aligned)), added, wires)
    if not all(map(equal, writer.steps[total].shape, shape)):
        total = writer.step(ops.Expand(total), shape, wires)
    return writer.group(Value(total, wires), diagram.axes, names)


def _aligned(writer: Writer, value: Value, wires: Sequence[str], sizes: dict[str, Dim]) -> int:
    """The value with an axis of size one for each wire that it lacks."""
    ordered = writer.permute(value, [w for w in wires if w in value.wires])
    if len(ordered.wires) == len(wires):
        return ordered.step
    shape = [sizes[w] if w in value.wires else 1 for w in wires]
    return writer.step(ops.Reshape(ordered.step), shape, wires)


class _Casting(Writer):
    """A writer whose operands are cast to an accumulation dtype, and results back."""

    def __init__(self, dtype: str) -> None:
        super().__init__()
        self.dtype = dtype
        self._origin: int | None = None

    def step(
        self,
        operation: ops.Operation,
        shape: Sequence[Dim],
        axes: Sequence[str],
        remark: str = "",
    ) -> int:
        """Operands come cast."""
        made = super().step(operation, shape, axes, remark)
        if not isinstance(operation, ops.Operand):
            return made
        self._origin = made if self._origin is None else self._origin
        return super().step(ops.Cast(made, self.dtype), shape, axes)

    def uncast(self, step: int) -> int:
        """A result in the operands' dtype."""
        assert self._origin is not None
        made = self.steps[step]
        return super().step(ops.Cast(step, like=self._origin), made.shape, made.axes)


# -- the program -----------------------------------------------------------------------------------


def _program(
    name: str,
    diagrams: Sequence[Diagram],
    operands: Sequence[Declared],
    writer: Writer,
    results: Sequence[int],
    doc: str,
) -> ops.Program:
    sizes = tuple(ops.SizeBinding(*reading) for reading in readings(diagrams, operands))
    return ops.Program(
        name=name,
        parameters=tuple(ops.Parameter(o.name, axis_names(o.axes), o.shape()) for o in operands),
        steps=tuple(writer.steps),
        results=tuple(results),
        result_names=tuple(d.name for d in diagrams),
        result_axes=tuple(axis_names(d.axes) for d in diagrams),
        doc=doc,
        sizes=sizes,
        checks=_checks(operands, sizes),
        limits=_limits(diagrams, {s.name for s in sizes}),
    )


def _limits(diagrams: Sequence[Diagram], bound: Container[str]) -> tuple[ops.SizeLimit, ...]:
    """What must hold of sizes that are known only when the function is called, those that are
    `bound` there. A requirement of other symbols, of a default that nothing uses, is not asked."""
    found: dict[ops.SizeLimit, None] = {}
    for required in (r for d in diagrams for r in d.requirements):
        symbols = sympy.sympify(required.value - required.least).free_symbols
        if any(s.name not in bound for s in symbols):
            continue
        if required.rule != "above":
            if not is_number(required.value):
                found[_exact(required)] = None
            continue
        value, least = _cleared(required)
        if not nonnegative(expand(value - least - 1)):
            known = {"value": text(required.value), "least": text(required.least)}
            message, help = required.message.format(**known), required.help.format(**known)
            said = f"{message}: {help}" if help else message
            found[ops.SizeLimit(value, least, said)] = None
    return tuple(found)


def _cleared(required: Requirement) -> tuple[Dim, Dim]:
    """The two sides of value > least as integers: fractions multiplied by their divisor."""
    value, least = required.value, required.least
    _, divisor = fraction(value - least)
    if isinstance(divisor, int) and divisor != 1:
        value, least = expand(value * divisor), expand(least * divisor)
    return value, expand(least + required.slack)


def _exact(required: Requirement) -> ops.SizeLimit:
    """The limit that says that a value is an integer, or not zero."""
    if required.rule == "nonzero":
        message = required.message.format(value=0, least=0)
        return ops.SizeLimit(required.value, 0, message, "unequal")
    message = required.message.format(value="none", least=0)
    return ops.SizeLimit(*fraction(required.value), message, "multiple")


def _checks(
    operands: Sequence[Declared], sizes: Sequence[ops.SizeBinding]
) -> tuple[ops.SizeCheck, ...]:
    """Every axis that no plain binding reads must have the size that the others imply."""
    read = {(b.operand, b.axis) for b in sizes if equal(b.divisor, 1)}
    return tuple(
        ops.SizeCheck(o.name, axis, extent, names)
        for o in operands
        for axis, (extent, names) in enumerate(zip(o.shape(), axis_names(o.axes), strict=True))
        if (o.name, axis) not in read
    )
