"""The work of a contraction of two values, as a batch of products of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from diagrammar.program.operations.placed import Placed, reshaped
from diagrammar.program.operations.work import Library, Work, copied, moved, multiplied, total

Terms = Sequence[Sequence[int]]
"""Labels of the axes of each value."""


def contracted(
    terms: Terms, out: Sequence[int], inputs: Sequence[Placed], written: int, library: Library
) -> Work:
    """The work of a contraction whose result has `written` entries. Values that are no matrices as
    they lie are copied before; without a summed label entries are multiplied in order."""
    sizes = sizes_of(terms, [x.shape for x in inputs])
    read = sum(x.entries for x in inputs)
    shared = [n for n in terms[0] if len(terms) > 1 and n in terms[1]]
    summed = [n for n in shared if n not in out]
    if not summed:
        return moved(read, written, library, scattered=False)
    batch = prod(sizes[n] for n in shared if n in out)
    if batch == 1:  # one side alone may have axes in front that stay: a batch with shared weights
        joined = [term for term in terms if set(summed) & set(term)]
        batch = max(_in_front(term, summed, sizes) for term in joined)
    last = next((n for n in reversed(out) if n not in shared), None)
    side = next((t for t in terms if last in t), ())
    columns = prod(sizes[n] for n in side if n not in shared)
    swept = prod(sizes.values()) * max(columns, library.lanes) // columns
    copies = (
        copied(x.entries, library)
        for x, term in zip(inputs, terms, strict=True)
        if not _is_matrix(x, [n in summed for n in term], [n in shared for n in term])
    )
    return total((multiplied(swept, read, written, library, batch), *copies))


def sizes_of(terms: Terms, shapes: Sequence[Sequence[int]]) -> dict[int, int]:
    """The size of each label."""
    pairs = zip(terms, shapes, strict=True)
    return {label: n for term, shape in pairs for label, n in zip(term, shape, strict=True)}


def _in_front(term: Sequence[int], summed: Sequence[int], sizes: dict[int, int]) -> int:
    """The entries of the axes before the summed ones, where others stand behind."""
    first = min(n for n, label in enumerate(term) if label in summed)
    behind = any(label not in summed for label in term[first:])
    return prod(sizes[n] for n in term[:first]) if behind else 1


def _is_matrix(value: Placed, summed: Sequence[bool], shared: Sequence[bool]) -> bool:
    """Whether the summed axes lie together, and so do those that stay."""
    kinds = [0 if s else 2 if both else 1 for s, both in zip(summed, shared, strict=True)]
    for kind in (0, 1):
        axes = [n for n, k in enumerate(kinds) if k == kind]
        shape = tuple(value.shape[n] for n in axes)
        strides = tuple(value.strides[n] for n in axes)
        if kind == 0 and reshaped(shape, strides, (prod(shape),)) is None:
            return False
    steps = [
        s for s, n, k in zip(value.strides, value.shape, kinds, strict=True) if k < 2 and n > 1
    ]
    return not steps or min(steps) <= 1
