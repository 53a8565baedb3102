"""`S = sample(Y, ci, keep=q)`, Bernoulli column–row sampling, and operands that are drawn.

Every entry of the wire is kept with probability q and scaled by 1/q then: each term that has the
wire is multiplied by a mask of mean one, the same in all terms and at all values of the other
wires. A term is linear in its mask, so the mean of S is Y (Adelman et al. 2021; Dangel 2024, sec.
5.3). A mask is an operand, `tensor M[ci] = bernoulli(keep=q)`, that is drawn by the compiled
function unless it is given; how is in `draws`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sympy

from diagrammar.grammar import syntax
from diagrammar.grammar.comments import documentation
from diagrammar.grammar.errors import near
from diagrammar.grammar.source import Span
from diagrammar.ir.diagram import Declared, Diagram, Network, Operand
from diagrammar.ir.numbers import unfit_probability
from diagrammar.ir.scalar import Dim
from diagrammar.ir.sizes import base
from diagrammar.language.derivatives import known_diagram
from diagrammar.language.evaluate import Attempts, Demand, divides, mistake, no_demand, scalar
from diagrammar.language.gathered import Gathered
from diagrammar.language.scope import Scope, mask_name

if TYPE_CHECKING:
    from diagrammar.language.build import Builder

Lookup = Callable[[syntax.Name | syntax.SizeOf], Dim]


def sampled(builder: Builder, node: syntax.Sample) -> Diagram:
    """The diagram of a `sample`: a mask at the wire in every term that has it."""
    attempts = Attempts()
    of = attempts(known_diagram, builder, node.of, node.of_span)
    places = attempts(_places, builder.scope, node, of) if of is not None else None
    masks = attempts(_Masks, builder, node, of)
    attempts.done(node.name)
    assert of is not None
    assert places is not None
    assert masks is not None
    count = max(map(len, places))
    made = [masks.declared(number) for number in range(count)]
    terms = []
    for term, wires in zip(of.terms, places, strict=True):
        put = tuple(Operand(m.name, ((w,),)) for m, w in zip(made, wires, strict=False))
        scale = masks.scale ** len(wires)
        terms.append(replace(term, scalar=term.scalar * scale, tensors=term.tensors + put))
    parameters = dict.fromkeys([*of.parameters, *masks.gathered.parameters])
    return replace(
        of,
        name=node.name,
        terms=tuple(terms),
        operands=(*of.operands, *made),
        parameters=tuple(parameters),
        defaults={**masks.defaults(), **of.defaults},
        requirements=(*of.requirements, *masks.gathered.requirements),
        doc=documentation(node),
    )


def _places(scope: Scope, node: syntax.Sample, of: Diagram) -> list[list[str]]:
    """For each term the wires to sample: the one so called, or all summed ones of its base name."""
    found = []
    for term in of.terms:
        if node.wire in of.open or node.wire != base(node.wire):
            wires = [node.wire] if node.wire in term.sizes else []
        else:
            wires = [w for w in term.inner(of.open) if base(w) == node.wire]
        independent = any(option.name == "copies" for option in node.options)
        if len(wires) > 1 and not independent:
            raise mistake(
                scope.source,
                node.wire_span,
                f"wire '{node.wire}' is summed {len(wires)} times in one term of '{node.of}': "
                f"as {', '.join(wires)}",
                "one mask for all of them would be biased",
                "write copies=independent for a mask each, or name one of them",
            )
        found.append(wires)
    if not any(found):
        known = dict.fromkeys(w for term in of.terms for w in term.sizes)
        raise mistake(
            scope.source,
            node.wire_span,
            f"'{node.of}' has no wire '{node.wire}'",
            "unknown",
            near(node.wire, known) or f"it has {', '.join(known)}",
        )
    return found


class _Masks:
    """The masks of one `sample`: new ones that are drawn, or a declared operand."""

    def __init__(self, builder: Builder, node: syntax.Sample, of: Diagram | None) -> None:
        self.builder, self.node = builder, node
        self.terms = of.terms if of is not None else ()
        self.operands = frozenset(o.name for o in of.operands) if of is not None else frozenset()
        self.scope = builder.scope
        self.gathered = Gathered(self.scope, frozenset())
        options = {option.name: option.value for option in node.options}
        self.keep_value, mask = options.get("keep"), options.get("mask")
        self.given = mask.name if isinstance(mask, syntax.Name) else None
        self.span = node.name_span if mask is None else mask.span
        self.existing = self.given if self.given in self.scope.tensors else None
        self.keep: Dim | str | None = None
        if self.keep_value is not None:
            gathered = self.gathered
            self.keep = probability(self.scope, self.keep_value, gathered.lookup, gathered.demand)
        self.scale: Any = sympy.Integer(1)
        if self.existing is not None:
            self._check_existing()

    def defaults(self) -> dict[str, Any]:
        """The file's defaults of parameters that only the mask speaks of."""
        entries = (self.scope.params[name] for name in self.gathered.parameters)
        found = {}
        for entry in entries:
            if entry.value is not None and not isinstance(entry.value, syntax.Text | syntax.Pair):
                found[entry.name] = self.gathered.value(entry.value)
        return found

    def _check_existing(self) -> None:
        assert self.existing is not None
        node = self.scope.tensors[self.existing]
        drawn = node.drawn is not None
        if drawn and self.keep is not None:
            raise self._mistake("the mask has its own probability", "leave out keep=…")
        if isinstance(self.keep, str):
            raise self._mistake(
                "a given mask has one probability", "divide it by its own before the call"
            )
        axes = self.builder.declared(self.existing).axes
        if len(axes) != 1 or len(axes[0]) != 1:
            raise self._mistake("a mask has one axis, the wire", f"tensor M[{self.node.wire}]")
        if self.existing in self.operands:
            raise self._mistake(
                f"'{self.existing}' is already an operand of '{self.node.of}'",
                "a mask is another one",
            )
        if self.keep is not None and self.keep_value is not None:
            divides(self.keep, self.keep_value.span, self.scope.source, self.gathered.demand)
            self.scale = 1 / sympy.sympify(self.keep)

    def _mistake(self, message: str, help: str) -> Exception:
        return mistake(self.scope.source, self.span, message, "", help)

    def declared(self, number: int) -> Declared:
        """The operand of a mask; those of copies are counted."""
        wire = self.node.wire
        size = next(t.sizes[w] for t in self.terms for w in t.sizes if base(w) == base(wire))
        if self.existing is not None:
            if number:
                raise self._mistake("one mask cannot serve copies", "leave out mask=…")
            own = self.builder.declared(self.existing)
            gathered = self.gathered
            keep = keep_of(self.scope, own.name, gathered.lookup, gathered.demand)
            return replace(own, sizes={own.axes[0][0]: size}, keep=keep)
        name = self.given or mask_name(wire)
        name = f"{name}_{number + 1}" if number else name
        if name in self.scope.definitions or name in self.operands:
            raise mistake(
                self.scope.source,
                self.span,
                f"the mask '{name}' has the name of another operand or definition",
                "needs a fresh operand",
                "name another one, as in mask=M",
            )
        own_wire = base(wire)
        return Declared(name, ((own_wire,),), {own_wire: size}, keep=self.keep)


def keep_of(
    scope: Scope, name: str, lookup: Lookup, demand: Demand = no_demand
) -> Dim | str | None:
    """The probability with which a declared operand's entries are kept, if it is drawn."""
    drawn = scope.tensors[name].drawn
    if drawn is None:
        return None
    keep = probability(scope, drawn.options[0].value, lookup, demand)
    if isinstance(keep, str):
        own, other = scope.tensors[name], scope.tensors[keep]
        if _shape(own) != _shape(other) or other.drawn:
            raise mistake(
                scope.source,
                drawn.options[0].span,
                f"'{keep}' does not have the axes of '{name}'",
                "a probability for each entry",
                f"declare it as tensor {keep}[{', '.join(_shape(own))}]",
            )
    return keep


def _shape(node: syntax.Tensor) -> list[str]:
    return [
        f"({' '.join(i.name for i in axis.items)})" if isinstance(axis, syntax.Group) else axis.name
        for axis in node.axes
    ]


def probability(
    scope: Scope, value: syntax.Value, lookup: Lookup, demand: Demand = no_demand
) -> Dim | str:
    """A number above 0 and at most 1, or the name of an operand that has them."""
    if isinstance(value, syntax.Name) and value.name in scope.tensors:
        return value.name
    if isinstance(value, syntax.SizeOf) or _sizes(value):
        message = "a probability is made of numbers and parameters, not of sizes"
        raise mistake(scope.source, value.span, message, "", "for example 'keep=1/4'")
    found = scalar(value, lookup, scope.source, demand)
    problem = unfit_probability(found)
    if problem:
        raise mistake(scope.source, value.span, problem, f"is {found}", "for example 'keep=1/4'")
    return found


def _sizes(value: syntax.Value) -> bool:
    match value:
        case syntax.SizeOf():
            return True
        case syntax.Negative():
            return _sizes(value.value)
        case syntax.Binary():
            return _sizes(value.left) or _sizes(value.right)
    return False


def twice(operands: Iterable[Declared], terms: Iterable[Network]) -> str:
    """A mask that stands more than once in one term, so that the mean is not that of the term."""
    drawn = {o.name for o in operands if o.keep is not None}
    for term in terms:
        seen: set[str] = set()
        for tensor in term.tensors:
            if isinstance(tensor, Operand) and tensor.name in drawn:
                if tensor.name in seen:
                    return tensor.name
                seen.add(tensor.name)
    return ""


def once(scope: Scope, span: Span, operands: Iterable[Declared], terms: Iterable[Network]) -> None:
    """A Mistake where a mask stands twice in one term."""
    name = twice(operands, terms)
    if name:
        raise mistake(
            scope.source,
            span,
            f"mask '{name}' stands more than once in one term",
            "its powers do not have mean one, so the result would be biased",
            "sample the product itself with copies=independent, or declare the mask as a plain "
            "tensor and give it",
        )
