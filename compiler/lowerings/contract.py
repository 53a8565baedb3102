"""Contractions of two results: where the scalar goes, which axes the result has, and what is copied
first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sympy

from diagrammar import program as ops
from diagrammar.ir.diagram import product
from diagrammar.ir.estimate import estimate
from diagrammar.ir.tree import Apply
from diagrammar.lowerings.registry import lowering as registered
from diagrammar.program.writer import Value

if TYPE_CHECKING:
    from diagrammar.lowerings.lower import Lowering


@registered(
    law="Σ over the wires that nothing else has of left·right",
    example="""
    size n := 2, i := 3, j := 4
    tensor X[n, i]
    tensor W[i, j]
    Y[n, j] = X[n, i] * W[i, j]
""",
)
def contraction(lowering: Lowering, tree: Apply, factor: Any) -> Value:
    """A product of two results, summed over what nothing else needs."""
    left, right = ready(lowering, tree)
    order = order_of(lowering, left, right, lowering.needed(tree))
    value = contracted(lowering, left, right, order)
    return lowering.writer.scale(value, factor)


def scaled_early(
    lowering: Lowering, left: Value, right: Value, order: Sequence[str], factor: Any
) -> tuple[Value, Value, Any]:
    """The scalar goes to the smallest of the two factors and the result; of a Gram product its root
    goes to both factors, so that sums become means before they are squared."""
    if factor == 1:
        return left, right, factor
    result = product(estimate(s) for s in lowering.writer.shape(order))
    elements = [lowering.elements(left), lowering.elements(right), result]
    if left.step == right.step and elements[0] <= result:
        root, factor = rooted(factor)
        left = lowering.writer.scale(left, root)
        right = Value(left.step, right.wires)
        if factor == 1:
            return left, right, factor
    if left.step == right.step and 8 * elements[0] > result:
        return left, right, factor  # scaling one side of a Gram product would make a second copy
    smallest = min(range(3), key=lambda n: (elements[n], -n))
    if smallest == 0:
        return lowering.writer.scale(left, factor), right, 1
    if smallest == 1:
        return left, lowering.writer.scale(right, factor), 1
    return left, right, factor


def rooted(factor: Any) -> tuple[Any, Any]:
    """r and s with r²·s = factor, r as small as it can be: 1/(b·o²) is (1/o)²·1/b. Of prime factors
    of numbers those below 2¹⁶ count, which are found at once."""
    number, rest = sympy.fraction(sympy.sympify(factor))[1].as_coeff_Mul()
    powers = {**sympy.factorint(number, limit=2**16), **rest.as_powers_dict()}
    halves = {base: sympy.floor(power / sympy.Integer(2)) for base, power in powers.items()}
    root = sympy.Integer(1) / sympy.prod(
        base**half for base, half in halves.items() if half.is_Integer
    )
    return root, factor / root**2


def contracted(lowering: Lowering, left: Value, right: Value, out: Sequence[str]) -> Value:
    """A contraction; where both sides are summed over their first axis and their last ones, the
    first becomes a batch that is summed afterwards, so that neither side is copied."""
    first = left.wires[0] if left.wires else ""
    if (
        first in out
        or not right.wires
        or right.wires[0] != first
        or not all(_summed_behind(v, out) for v in (left, right))
    ):
        return lowering.writer.einsum(left, right, out)
    results = product(estimate(lowering.writer.sizes[w]) for w in (first, *out))
    if 2 * results > lowering.elements(left) + lowering.elements(right):
        return lowering.writer.einsum(left, right, out)
    each = lowering.writer.einsum(left, right, [first, *out])
    return lowering.writer.sum(each, set(out))


def _summed_behind(value: Value, out: Sequence[str]) -> bool:
    """Whether the axes after the first are some that stay, then some that are summed."""
    stays = [w in out for w in value.wires[1:]]
    return True in stays and False in stays and stays == sorted(stays, reverse=True)


def ready(lowering: Lowering, tree: Apply) -> tuple[Value, Value]:
    """The two sides of a contraction; those of a Gram product of windows are copied once, as
    a matrix."""
    left, right = (lowering.value(part) for part in tree.parts)
    if left.step != right.step or not _is_scattered(lowering, left.step):
        return left, right
    needed = lowering.needed(tree)
    same = [a == b for a, b in zip(left.wires, right.wires, strict=True)]
    batch = [n for n, alike in enumerate(same) if alike and left.wires[n] in needed]
    rows = [n for n, alike in enumerate(same) if not alike]
    summed = [n for n, alike in enumerate(same) if alike and left.wires[n] not in needed]
    if not summed or set(left.wires) & {right.wires[n] for n in rows}:
        return left, right
    order = [*batch, *rows, *summed]
    return copied(lowering, left, order), copied(lowering, right, order)


def _is_scattered(lowering: Lowering, value: int) -> bool:
    """Whether a value is windows, or an operand with its axes split: its rows lie apart."""
    operation = lowering.writer.steps[value].operation
    if isinstance(operation, ops.Reshape):
        return isinstance(lowering.writer.steps[operation.x].operation, ops.Operand)
    return isinstance(operation, ops.Window)


def copied(lowering: Lowering, value: Value, order: Sequence[int]) -> Value:
    """A view written out with its axes in this order."""
    wires = [value.wires[n] for n in order]
    moved = lowering.writer.permute(value, wires)
    return lowering.writer.value(ops.Contiguous(moved.step), wires)


def order_of(lowering: Lowering, left: Value, right: Value, needed: set[str]) -> list[str]:
    """The axes of a contraction: those of the larger side, the new ones where the summed
    ones stood."""
    large, small = left, right
    if lowering.elements(right) > lowering.elements(left):
        large, small = right, left
    new = [w for w in small.wires if w not in large.wires and w in needed]
    gone = [n for n, w in enumerate(large.wires) if w not in needed]
    at = gone[0] if gone else len(large.wires)
    before = [w for w in large.wires[:at] if w in needed]
    return before + new + [w for w in large.wires[at:] if w in needed]
