"""What a step allocates on the side while it runs, beyond what it reads and returns.

torch brings the sides of a contraction into the form [batch, kept, summed] and copies a side whose
axes cannot be merged so; a library convolution reorders its operands into blocks, or, in float64,
unfolds the input. These are upper bounds on the CPU for operands that come row-major.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from diagrammar import program as ops
from diagrammar.ir.estimate import estimate
from diagrammar.program.operations.placed import Placed, reshaped

BLOCK = 16
"""Channels in a block of a library's format; fewer are filled up with zeros."""
WORKSPACE = 2**15
"""Entries of a library call's own workspace, whatever its operands are."""
TALL = 7
"""Rows of a kernel up to which a weight gradient does not pad its input itself."""
SMALL = 20480
"""Entries of a single image up to which PyTorch has no library call for it, but unfolds it."""
FEW = 4
"""The least number of channels that are put into blocks."""

Native = ops.Convolution | ops.TransposedConvolution | ops.WeightGradient


def scratch(step: ops.Step, shape: Sequence[int], places: Sequence[Placed], itemsize: int) -> int:
    """The entries that a step needs for itself."""
    op = step.operation
    if isinstance(op, ops.Einsum) and len(op.values) == 2:
        return contraction(op, places)
    if isinstance(op, Native):
        return _library(op, shape, places, itemsize)
    if isinstance(op, ops.Gram):
        return prod(shape)
    if isinstance(op, ops.WindowGram):  # a weight gradient of the operand by itself
        x = places[op.x].shape
        reach = [n + d * (k - 1) for n, d, k in zip(x[2:], op.dilation, op.kernel, strict=True)]
        return WORKSPACE + _blocked(x) + _blocked((*x[:2], *reach))
    if isinstance(op, ops.Fold):  # padded sums, cut to size
        return prod(shape) + prod(places[op.x].shape)
    if isinstance(op, ops.Scatter):
        return prod(shape)
    if isinstance(op, ops.Add) and len(op.values) > 2:
        return prod(shape)
    return 0


def contraction(op: ops.Einsum, places: Sequence[Placed]) -> int:
    """The entries of the sides that are copied."""
    summed = _summed(op, places)
    if not summed:
        return 0
    return sum(
        prod(places[v].shape)
        for side, v in enumerate(op.values)
        if not is_matrix(op, side, places, summed)
    )


def _summed(op: ops.Einsum, places: Sequence[Placed]) -> tuple[int, ...]:
    """The summed labels in the order of the larger side, which emitted code keeps."""
    shared = {n for n in op.terms[0] if n in op.terms[1] and n not in op.out}
    larger = max((0, 1), key=lambda side: (prod(places[op.values[side]].shape), -side))
    return tuple(n for n in op.terms[larger] if n in shared)


def is_matrix(
    op: ops.Einsum, side: int, places: Sequence[Placed], summed: Sequence[int] | None = None
) -> bool:
    """Whether a side is [batch, kept, summed] as it lies, for a call that multiplies matrices."""
    summed = _summed(op, places) if summed is None else summed
    term, other = op.terms[side], op.terms[1 - side]
    place = places[op.values[side]]
    batch = [n for n in op.out if n in term and n in other]
    kept = [n for n in op.out if n in term and n not in other]
    if {*batch, *kept, *summed} != {*term}:
        return False  # something is summed before
    order = [term.index(n) for n in (*batch, *kept, *summed)]
    shape = tuple(place.shape[n] for n in order)
    strides = tuple(place.strides[n] for n in order)
    b, k = len(batch), len(kept)
    new = (prod(shape[:b]), prod(shape[b : b + k]), prod(shape[b + k :]))
    merged = reshaped(shape, strides, new)
    if merged is None:
        return False
    rows, columns = ((n, s) for n, s in zip(new[1:], merged[1:], strict=True))
    ones = [n == 1 or s == 1 for n, s in (rows, columns)]
    wide = rows[1] >= columns[0] or columns[1] >= rows[0] or 1 in (rows[0], columns[0])
    return any(ones) and wide


def _library(op: Native, shape: Sequence[int], places: Sequence[Placed], itemsize: int) -> int:
    x = places[op.x]
    other = places[op.cotangent if isinstance(op, ops.WeightGradient) else op.weight]
    copies = sum(prod(p.shape) for p in (x, other) if not p.contiguous)
    small = x.shape[0] == 1 and prod(x.shape) <= SMALL and estimate(op.groups) == 1
    unfolded = _unfolded(op, shape, x.shape, other.shape) if itemsize > 4 or small else 0
    if itemsize > 4:
        return WORKSPACE + copies + unfolded
    blocks = _blocked(x.shape) + _blocked(other.shape)
    filled = _blocked(shape) - prod(shape)
    if isinstance(op, ops.WeightGradient):
        padded = [n + 2 * estimate(p) for n, p in zip(x.shape[2:], op.padding, strict=True)]
        tall = any(k > TALL for k in shape[2:-1]) or itemsize < 4  # bfloat16, perhaps
        copies += (tall + 2 * op.narrow) * prod((*x.shape[:2], *padded))
        copies += op.narrow * (prod(other.shape) + 2 * prod(shape))  # planes, and all parts
        blocks += _blocked(shape) + prod(shape)
    elif isinstance(op, ops.TransposedConvolution) and (
        estimate(op.groups) > 1 or any(estimate(s) > 1 for s in op.stride)
    ):
        # what was made in blocks is put in order, up to twice; an operand is there for its shape
        blocks += filled + prod(shape) * (3 if op.backward else 2)
    else:  # those of operands are let go before what was made is put in order
        blocks = max(blocks + filled, _blocked(shape))
    return WORKSPACE + copies + max(blocks, unfolded)


def _unfolded(op: Native, shape: Sequence[int], x: Sequence[int], other: Sequence[int]) -> int:
    """The input, or a result that is summed afterwards, as matrices: where there are no blocks."""
    kernel = shape[2:] if isinstance(op, ops.WeightGradient) else other[2:]
    positions = {
        ops.Convolution: shape,
        ops.TransposedConvolution: x,
        ops.WeightGradient: other,
    }[type(op)][2:]
    channels = {
        ops.Convolution: x[1],
        ops.TransposedConvolution: other[1] * estimate(op.groups),
        ops.WeightGradient: x[1],
    }[type(op)]
    return x[0] * channels * prod(kernel) * prod(positions)


def _blocked(shape: Sequence[int]) -> int:
    """The entries of an operand in blocks of channels; a few channels stay as they are."""
    channels = shape[1]
    if channels >= FEW:
        channels = -(-channels // BLOCK) * BLOCK
    return shape[0] * channels * prod(shape[2:])
