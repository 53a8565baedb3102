"""Relations as dense 0/1 arrays: a window matrix, a mask, a delta between open wires."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diagrammar import program as ops
from diagrammar.ir.relation import Linear, Relation
from diagrammar.ir.scalar import Dim
from diagrammar.ir.tree import Apply
from diagrammar.lowerings.registry import lowering as registered
from diagrammar.program.writer import Value

if TYPE_CHECKING:
    from diagrammar.lowerings.lower import Lowering


@registered(
    law="Π[i,o,k] as an array of zeros and ones",
    example="""
    size n := 2, i := 4, j := 4
    tensor X[n, i]
    pattern P[i, j] = [j <= i]
    Y[n, i, j] = X[n, i] * P[i, j]
""",
)
def dense_pattern(lowering: Lowering, tree: Apply, factor: Any) -> Value:
    """The 0/1 array of a relation, with dtype and device of the first operand."""
    relation = lowering.network.tensors[tree.at]
    assert isinstance(relation, Relation)
    value = lowering.writer.value(indicator(relation, lowering.like()), relation.wires)
    return lowering.writer.scale(value, factor)


def indicator(relation: Relation, like: int | None) -> ops.Indicator:
    """The dense array of a relation over its wires."""

    def condition(form: Linear, modulus: Dim | None, nonnegative: bool) -> ops.LinearCondition:
        coefficients = tuple(form.coefficients.get(w, 0) for w in relation.wires)
        return ops.LinearCondition(coefficients, form.constant, modulus, nonnegative)

    pieces = tuple(
        tuple(condition(e.form, e.modulus, nonnegative=False) for e in piece.equations)
        + tuple(condition(b, None, nonnegative=True) for b in piece.bounds)
        for piece in relation.pieces
    )
    return ops.Indicator(pieces, like)
