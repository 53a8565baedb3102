"""What a program costs: seconds for each step, from sizes, strides and the machine's rates."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import prod

from diagrammar import program as ops
from diagrammar.cost.cost import Machine
from diagrammar.ir.diagram import product
from diagrammar.ir.estimate import estimate
from diagrammar.program.operations.placed import Placed, reshaped
from diagrammar.program.passes.flip_kernel import FEW
from diagrammar.program.passes.matmul_as_conv import IMAGES
from diagrammar.program.passes.split_kernel import columns, is_wide
from diagrammar.program.strides import placed

Library = ops.Convolution | ops.TransposedConvolution | ops.WeightGradient


def price(program: ops.Program, machine: Machine) -> float:
    """The seconds of a call."""
    seconds = program.turns * sum(prices(program, machine))
    if program.cuts:
        seconds += program.turns * machine.part
    for n in range(len(program.results) if program.cuts else 0):  # parts are put into place
        written = int(product(estimate(s) for s in program.result_shape(n)))
        added = program.turns // prod(c.turns for c in program.cuts if c.results[n] is not None)
        read = (2 if program.adds(n) else 1) * written * added
        seconds += machine.moved(read, written * added, scattered=False)
        seconds += program.turns * machine.view()
    return seconds


WIDEST = 14
"""Columns of a kernel up to which oneDNN has fast code for one channel a group."""
INPUT_GRADIENT = 1.8
"""How many times longer than a convolution an input gradient takes with few channels on both
sides."""
DEPTHWISE_INPUT_GRADIENT = 1.2
"""The same with one channel a group, in two dimensions, where there is fast code for both."""
BACKWARD = 0.2
"""How many times the multiplications of a transposed convolution, with stride and groups, its
backward pass takes."""


def prices(program: ops.Program, machine: Machine) -> list[float]:
    """The seconds of each step; with an empty batch, those of the calls."""
    if any(0 in step.shape for step in program.steps):
        return [machine.view() for _ in program.steps]
    places = placed(program)
    return [_seconds(step, at, places, machine) for at, step in enumerate(program.steps)]


def _seconds(step: ops.Step, at: int, places: Sequence[Placed], machine: Machine) -> float:
    op = step.operation
    shape = places[at].shape
    written = int(product(shape))
    match op:
        case ops.Operand():
            return 0.0
        case ops.Indicator():
            return machine.view()
        case ops.Einsum():
            return _contraction(op, places, written, machine)
        case ops.Masked():
            return _masked(op, places, written, machine)
        case ops.Gram():
            return _gram(op, places[op.x].shape, machine)
        case ops.Convolution() | ops.TransposedConvolution() | ops.WeightGradient():
            return _native(op, shape, places, machine)
        case ops.WindowSums():
            return _sums(op, places[op.x].shape, shape, machine)
        case ops.WindowGram():
            return _windows(op, places[op.x].shape, shape, machine)
    if not places[at].copied:
        return machine.view()
    read = sum(int(product(places[v].shape)) for v in op.inputs)
    if isinstance(op, ops.Stack | ops.Blocks):
        read = written
    if isinstance(op, ops.Fold):
        read *= 2  # each entry of the kernel is added to what is there
    scattered = isinstance(op, ops.Reshape | ops.Fold) or any(
        not places[v].contiguous for v in op.inputs
    )
    return machine.moved(read, written, scattered=scattered)


def _contraction(
    op: ops.Einsum | ops.Masked, places: Sequence[Placed], written: int, machine: Machine
) -> float:
    sizes = {
        n: s
        for v, t in zip(op.values, op.terms, strict=True)
        for n, s in zip(t, places[v].shape, strict=True)
    }
    read = sum(int(product(places[v].shape)) for v in op.values)
    shared = [n for n in op.terms[0] if len(op.terms) > 1 and n in op.terms[1]]
    summed = [n for n in shared if n not in op.out]
    if not summed:
        return machine.moved(read, written, scattered=False)
    batch = int(product(sizes[n] for n in shared if n in op.out))
    if batch == 1:  # one side alone may have axes in front that stay: a batch with shared weights
        joined = [term for term in op.terms if set(summed) & set(term)]
        batch = max(_in_front(term, summed, sizes) for term in joined)
    last = next((n for n in reversed(op.out) if n not in shared), None)
    side = next((t for t in op.terms if last in t), ())
    columns = int(product(sizes[n] for n in side if n not in shared))
    swept = int(product(sizes.values())) * max(columns, machine.narrow) // columns
    seconds = machine.matmul(swept, read + written, written, batch)
    for value, term in zip(op.values, op.terms, strict=True):
        place = places[value]
        if not _is_matrix(place, [n in summed for n in term], [n in shared for n in term]):
            seconds += _copied(int(product(place.shape)), machine)
    return seconds


def _masked(op: ops.Masked, places: Sequence[Placed], written: int, machine: Machine) -> float:
    """All products, then their sum; or the contraction of what is finite, and of where it is not
    with either sign."""
    if not op.whole:
        x, calls = int(product(places[op.values[1]].shape)), 15
        copies = machine.moved(6 * x + 3 * written, 4 * x + 3 * written, scattered=False)
        return 3 * _contraction(op, places, written, machine) + copies + calls * machine.launch
    sizes = {
        n: s
        for v, t in zip(op.values, op.terms, strict=True)
        for n, s in zip(t, places[v].shape, strict=True)
    }
    swept = int(product(sizes.values()))
    read = sum(int(product(places[v].shape)) for v in op.values)
    seconds = machine.moved(read, swept, scattered=False)
    if len(op.every) > len(op.out):
        seconds += machine.moved(swept, written, scattered=False)
    return seconds


def _in_front(term: Sequence[int], summed: Sequence[int], sizes: dict[int, int]) -> int:
    """The entries of the axes before the summed ones, where others stand behind."""
    first = min(n for n, label in enumerate(term) if label in summed)
    behind = any(label not in summed for label in term[first:])
    return int(product(sizes[n] for n in term[:first])) if behind else 1


def _is_matrix(value: Placed, summed: Sequence[bool], shared: Sequence[bool]) -> bool:
    """Whether the summed axes lie together, and so do those that stay."""
    kinds = [0 if s else 2 if both else 1 for s, both in zip(summed, shared, strict=True)]
    for kind in (0, 1):
        at = [n for n, k in enumerate(kinds) if k == kind]
        shape = tuple(value.shape[n] for n in at)
        strides = tuple(value.strides[n] for n in at)
        if kind == 0 and reshaped(shape, strides, (int(product(shape)),)) is None:
            return False
    steps = [
        s for s, n, k in zip(value.strides, value.shape, kinds, strict=True) if k < 2 and n > 1
    ]
    return not steps or min(steps) <= 1


def _gram(op: ops.Gram, shape: Sequence[int], machine: Machine) -> float:
    """Blocks up to the diagonal, then two copies of each."""
    *batch, rows, depth = shape
    many, blocks = int(product(batch)), -(-rows // op.block)
    swept = many * rows * rows * depth * (blocks + 1) // (2 * blocks)
    read = many * rows * depth * (blocks + 3) // 2
    written = many * rows * rows
    seconds = machine.matmul(swept, read + written, 0, many * blocks)
    copies = _copied(written, machine)
    return seconds + copies + 5 * blocks * machine.launch


def _native(op: Library, shape: Sequence[int], places: Sequence[Placed], machine: Machine) -> float:
    x = places[op.x].shape
    other = places[op.cotangent if isinstance(op, ops.WeightGradient) else op.weight].shape
    groups = estimate(op.groups)
    if isinstance(op, ops.WeightGradient):
        dilated = any(estimate(d) > 1 for d in op.dilation)
        return _weight_gradient(x, other, shape, groups, machine, dilated=dilated, narrow=op.narrow)
    written = int(product(shape))
    read = [int(product(x)), int(product(other))]
    if isinstance(op, ops.Convolution):
        swept = written * int(product(other[1:]))
        inner, outer = other[1], other[0] // groups
    else:
        swept = int(product(x)) * int(product(other[1:]))
        inner, outer = other[0] // groups, other[1]
        if any(estimate(s) > 1 for s in op.stride):
            swept = int(swept * machine.strided * (BACKWARD if op.backward else 1))
            read.append(written)  # it is written twice
        elif groups == 1 and max(inner, outer) < FEW:
            swept = int(swept * INPUT_GRADIENT)
    if x[0] < IMAGES and _is_product(op, other):  # PyTorch makes a product of matrices of it
        swept = int(swept * max(machine.product / machine.convolution, 1))
    scattered = [places[v] for v in (op.x, op.weight) if not places[v].contiguous]
    copies = sum(_copied(int(product(at.shape)), machine) for at in scattered)
    if groups > 1 and inner == outer == 1:
        slow, fast = other[-1] > WIDEST, 1.0
        if isinstance(op, ops.TransposedConvolution):
            slow = len(op.stride) > 2 or any(estimate(d) > 1 for d in op.dilation)
            fast = DEPTHWISE_INPUT_GRADIENT if len(op.stride) == 2 else 1.0
        swept = int(swept * (machine.slow if slow else fast))
        return copies + machine.depthwise_call(swept, read, written)
    channels = outer if groups == 1 else max(outer // 4, 1)
    return copies + machine.convolved(swept, channels, read, written, x[0])


def _copied(entries: int, machine: Machine) -> float:
    """So many entries written in another order than they lie in."""
    return machine.moved(entries, entries, scattered=True)


def _is_product(op: ops.Convolution | ops.TransposedConvolution, weight: Sequence[int]) -> bool:
    """Whether a convolution has one tap, and neither stride nor dilation."""
    return product(weight[2:]) == 1 and all(estimate(s) == 1 for s in (*op.stride, *op.dilation))


def _weight_gradient(
    x: Sequence[int],
    v: Sequence[int],
    shape: Sequence[int],
    groups: int,
    machine: Machine,
    *,
    dilated: bool,
    narrow: bool,
) -> float:
    """Input [b, g·ci, *i] and cotangent [b, g·co, *o] to [g·co, ci, *k]."""
    written = int(product(shape))
    swept = written * v[0] * int(product(v[2:]))
    read = int(product(x)), int(product(v))
    if len(v) > 2:
        swept = swept * (v[-1] + 2) // v[-1]  # short rows
    if groups > 1 and shape[1] == 1 and shape[0] == groups:
        return _depthwise_weights(swept, read, shape[2:], machine, dilated=dilated, narrow=narrow)
    positions = int(product(v[2:])) if product(shape[2:]) == 1 else 0
    channels = shape[0] // groups
    if channels < FEW:  # few on both sides
        swept = int(swept * (shape[1] + machine.outer) / shape[1])
    channels = channels if groups == 1 else max(channels // 4, 1)
    return machine.weighed(swept, channels, read, written, positions)


def _depthwise_weights(
    swept: int,
    read: tuple[int, int],
    kernel: Sequence[int],
    machine: Machine,
    *,
    dilated: bool,
    narrow: bool,
) -> float:
    """A weight gradient with one channel a group, by calls for a few columns of the kernel each."""
    cut = narrow and is_wide(kernel)
    fast = not dilated and (cut or not is_wide(kernel))
    calls = columns(kernel) if cut else 1
    seconds = calls * machine.depthwise_weights(0, read)
    if cut and len(kernel) > 1:  # padded, and a part for each call
        seconds += (calls + 1) * machine.moved(read[0], read[0], scattered=False)
    return seconds + swept * machine.depthwise_weight * (1 if fast else machine.wide)


def _sums(op: ops.WindowSums, x: Sequence[int], shape: Sequence[int], machine: Machine) -> float:
    """Each axis in turn: all rows are read once, each k is a sum of a few stretches of them."""
    sizes, seconds = list(x), 0.0
    for axis, stretches in zip(op.axes, op.stretches, strict=True):
        read = int(product(sizes))
        parts = sum(len(has) for _, _, has in stretches)
        sizes[axis] = shape[axis]
        written = int(product(sizes))
        calls = 3 * len(stretches) + parts + 3
        moved = read + written * 3 * parts // sizes[axis]
        seconds += machine.moved(moved, 0, scattered=False) + calls * machine.launch
    return seconds


def _windows(op: ops.WindowGram, x: Sequence[int], shape: Sequence[int], machine: Machine) -> float:
    """A weight gradient for each combination of stretches, and the sums that are made of them."""
    channels = x[1] // op.groups
    pads = [d * (k - 1) for d, k in zip(op.dilation, op.kernel, strict=True)]
    padded = int(product(n + 2 * p for n, p in zip(x[2:], pads, strict=True))) * x[0] * x[1]
    seconds = machine.moved(int(product(x)), padded, scattered=False)
    dilated = any(d > 1 for d in op.dilation)
    for region in itertools.product(*op.stretches):
        rows, near, taps = [], [], []
        sums = 1
        for at, (start, stop, has) in enumerate(region):
            low, high = (0 if at == op.mirrored else -max(has)), op.kernel[at] - 1 - min(has)
            rows.append(len(range(start, stop, op.stride[at])))
            near.append(op.stride[at] * (rows[-1] - 1) + 1 + op.dilation[at] * (high - low))
            taps.append(high - low + 1)
            sums *= len(has)
        v, data = (*x[:2], *rows), (*x[:2], *near)
        made = (x[1], channels, *taps)
        seconds += _weight_gradient(
            data, v, made, op.groups, machine, dilated=dilated, narrow=not dilated
        )
        sizes = [int(product(s)) for s in (v, data)]
        seconds += sum(_copied(n, machine) for n in sizes)  # short rows
        seconds += 2 * sums * machine.launch
        seconds += machine.moved(2 * int(product(made)), int(product(made)), scattered=True)
    written = int(product(shape))
    return seconds + _copied(written, machine)
