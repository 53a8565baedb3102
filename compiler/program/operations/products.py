"""Contractions: plain, masked, and of a value with itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from diagrammar.program.operations.base import Base, Role, Shape, Sizes, operation
from diagrammar.program.operations.matrices import contracted, sizes_of
from diagrammar.program.operations.nan import Known, Reach, of_product, unless
from diagrammar.program.operations.placed import Numbers, Placed, reshaped, row_major
from diagrammar.program.operations.sharing import Overlap, part
from diagrammar.program.operations.unary import Unary
from diagrammar.program.operations.work import (
    Library,
    Work,
    copied,
    moved,
    multiplied,
    times,
    total,
)

CHOOSING = 5
"""Calls that choose entries where a pattern is not zero: a comparison, views, a choice."""
MARKING = 15
"""Calls beside the products of the emitted helper that marks what is not finite."""


@operation(
    [(2, 3, 4), (2, 4, 5)], (2, 3, 5), values=(0, 1), terms=((0, 1, 2), (0, 2, 3)), out=(0, 1, 3)
)
@operation([(4, 3), (4, 5, 2)], (2, 3, 5), values=(0, 1), terms=((0, 1), (0, 2, 3)), out=(3, 1, 2))
@dataclass(frozen=True, slots=True)
class Einsum(Base):
    """A contraction. `terms[n]` labels the axes of input n, `out` those of the result.

    Labels are small integers; no label stands twice in one term, every label of `out` stands in
    some term. Compiled programs have one or two inputs; the dense oracle has one step with all of
    them.
    """

    words: ClassVar[str] = "contract"
    role: ClassVar[Role] = Role.PRODUCT

    values: tuple[int, ...]
    terms: tuple[tuple[int, ...], ...]
    out: tuple[int, ...]

    @property
    def inputs(self) -> tuple[int, ...]:
        """The values that are contracted."""
        return self.values

    def multiplications(self, inputs: Sequence[Sizes], result: Sizes) -> int:
        """One for each combination of all labels."""
        return prod(sizes_of(self.terms, inputs).values())

    @property
    def title(self) -> str:
        """Whether it is with itself."""
        again = len(set(self.values)) < len(self.values)
        return f"{self.words} with itself" if again else self.words

    def work(self, inputs: Sequence[Placed], result: Placed, library: Library) -> Work:
        """That of a batch of products of matrices."""
        return contracted(self.terms, self.out, inputs, result.entries, library)

    def scratch(self, inputs: Sequence[Placed], result: Sizes, itemsize: int) -> int:
        """The sides that are copied, of two that have labels to sum."""
        summed = self._summed(inputs) if len(self.values) == 2 else ()
        if not summed:
            return 0
        sides = enumerate(inputs)
        return sum(prod(x.shape) for n, x in sides if not self._is_matrix(n, x, summed))

    def _summed(self, inputs: Sequence[Placed]) -> tuple[int, ...]:
        """The summed labels in the order of the larger side, which emitted code keeps."""
        shared = {n for n in self.terms[0] if n in self.terms[1] and n not in self.out}
        larger = max((0, 1), key=lambda side: (prod(inputs[side].shape), -side))
        return tuple(n for n in self.terms[larger] if n in shared)

    def _is_matrix(self, side: int, x: Placed, summed: Sequence[int]) -> bool:
        """Whether a side is [batch, kept, summed] as it lies, for a call that multiplies
        matrices."""
        term, other = self.terms[side], self.terms[1 - side]
        batch = [n for n in self.out if n in term and n in other]
        kept = [n for n in self.out if n in term and n not in other]
        if {*batch, *kept, *summed} != {*term}:
            return False  # something is summed before
        order = [term.index(n) for n in (*batch, *kept, *summed)]
        shape = tuple(x.shape[n] for n in order)
        strides = tuple(x.strides[n] for n in order)
        b, k = len(batch), len(kept)
        new = (prod(shape[:b]), prod(shape[b : b + k]), prod(shape[b + k :]))
        merged = reshaped(shape, strides, new)
        if merged is None:
            return False
        rows, columns = ((n, s) for n, s in zip(new[1:], merged[1:], strict=True))
        ones = [n == 1 or s == 1 for n, s in (rows, columns)]
        wide = rows[1] >= columns[0] or columns[1] >= rows[0] or 1 in (rows[0], columns[0])
        return any(ones) and wide

    def written(self, result: Numbers) -> Numbers:
        """A product of matrices comes as [batch, of the left side, of the right side], and the
        axes are moved without a copy."""
        if len(self.values) != 2:
            return row_major(result)
        left, right = self.terms
        if not any(n in right and n not in self.out for n in left):
            return row_major(result)
        sides = [0 if n in left and n in right else 1 if n in left else 2 for n in self.out]
        exchanged = sides == sorted(sides, key=lambda s: -s if s else 3)
        if max(map(sides.count, (1, 2))) < 2 and exchanged:
            return row_major(result)  # written with the sides exchanged
        order = sorted(range(len(result)), key=lambda n: (sides[n], n))
        strides = row_major(tuple(result[n] for n in order))
        return tuple(strides[order.index(n)] for n in range(len(result)))

    def shares(self, overlap: Overlap, inputs: Sequence[Shape], result: Shape) -> Overlap | None:
        """Perhaps the one value."""
        return part(overlap) if len(self.values) == 1 else None

    def reach(self, inputs: Sequence[Known], shapes: Sequence[Shape], result: Shape) -> Reach:
        """As far as zeros of one side meet the other."""
        return of_product(inputs)


@operation([(2, 3), (4, 3)], (4, 2), values=(0, 1), terms=((1, 0), (2, 0)), out=(2, 1), counts=True)
@operation(
    [(2, 3), (4, 3)],
    (4, 2),
    values=(0, 1),
    terms=((1, 0), (2, 0)),
    out=(2, 1),
    counts=True,
    whole=False,
)
@dataclass(frozen=True, slots=True)
class Masked(Base):
    """A contraction of a pattern, the first of `values`, with another value, where zeros of the
    pattern leave out what they meet: a NaN there does not reach the result. `counts`: whether
    entries of the pattern may be other than 0 and 1. `whole`: all products are written, then
    summed, and the axes of both values stand in the order of `every`.

    Labels are those of `Einsum`.
    """

    law: ClassVar[str] = (
        "mask: what a relation leaves out is not multiplied by zero, so a NaN stays behind"
    )

    words: ClassVar[str] = "mask"
    role: ClassVar[Role] = Role.PRODUCT

    values: tuple[int, int]
    terms: tuple[tuple[int, ...], tuple[int, ...]]
    out: tuple[int, ...]
    counts: bool = False
    whole: bool = True

    @property
    def inputs(self) -> tuple[int, ...]:
        """The pattern, and what it is contracted with."""
        return self.values

    @property
    def every(self) -> tuple[int, ...]:
        """All labels, those that are summed last."""
        return tuple(dict.fromkeys((*self.out, *self.terms[1], *self.terms[0])))

    def multiplications(self, inputs: Sequence[Sizes], result: Sizes) -> int:
        """Those of the contraction; none where entries are chosen and added."""
        return 0 if self.whole else prod(sizes_of(self.terms, inputs).values())

    def workspace(self, inputs: Sequence[Sizes], result: Sizes) -> int:
        """All products at once; or what is finite, and marks of the rest with either sign."""
        if not self.whole:
            return 3 * prod(inputs[1]) + 2 * prod(result)
        swept = prod(sizes_of(self.terms, inputs).values())
        return swept * (1 + self.counts) - prod(result) * (len(self.every) == len(self.out))

    def zeros(self, inputs: Sequence[Known], shapes: Sequence[Shape], result: Shape) -> Reach:
        """Those of the other value, and sums that the pattern leaves without a term."""
        summed = [axis for axis, n in enumerate(self.terms[0]) if n not in self.out]
        covers = inputs[0].covers
        return max(inputs[1].zeros, unless(covers is not None and covers(summed)))

    def work(self, inputs: Sequence[Placed], result: Placed, library: Library) -> Work:
        """All products, then their sum; or the contraction of what is finite, and of marks of the
        rest with either sign."""
        if not self.whole:
            product = contracted(self.terms, self.out, inputs, result.entries, library)
            x, y = inputs[1].entries, result.entries
            copies = moved(6 * x + 3 * y, 4 * x + 3 * y, library, scattered=False)
            return total((times(product, 3), copies, Work(calls=MARKING)))
        swept = prod(sizes_of(self.terms, [x.shape for x in inputs]).values())
        products = moved(sum(x.entries for x in inputs), swept, library, scattered=False)
        products = products._replace(calls=CHOOSING)
        if len(self.every) == len(self.out):
            return products
        return total((products, moved(swept, result.entries, library, scattered=False)))


@operation([(2, 5, 3)], (2, 5, 5), x=0, block=2)
@dataclass(frozen=True, slots=True)
class Gram(Unary):
    """x·xᵀ over the last axis of x [*batch, rows, depth] → [*batch, rows, rows]: symmetric, so that
    a product is made for each block of `block` rows up to the diagonal, and mirrored."""

    law: ClassVar[str] = (
        "Gram matrix: a value with itself is symmetric, half of the blocks are multiplied"
    )

    words: ClassVar[str] = "Gram matrix"
    role: ClassVar[Role] = Role.PRODUCT

    block: int

    def multiplications(self, inputs: Sequence[Sizes], result: Sizes) -> int:
        """Those of the blocks up to the diagonal."""
        *batch, rows, depth = inputs[0]
        stops = [min(start + self.block, rows) for start in range(0, rows, self.block)]
        starts = [0, *stops[:-1]]
        blocks = sum((stop - start) * stop for start, stop in zip(starts, stops, strict=True))
        return prod(batch) * blocks * depth

    def work(self, inputs: Sequence[Placed], result: Placed, library: Library) -> Work:
        """Blocks up to the diagonal, then two copies of each."""
        *batch, rows, depth = inputs[0].shape
        blocks = -(-rows // self.block)
        swept = self.multiplications([inputs[0].shape], result.shape)
        read = prod(batch) * rows * depth * (blocks + 3) // 2
        product = multiplied(swept, read + result.entries, 0, library, batch=prod(batch) * blocks)
        return total((product, copied(result.entries, library), Work(calls=10 * blocks)))

    def workspace(self, inputs: Sequence[Sizes], result: Sizes) -> int:
        """One stripe of blocks."""
        return prod(result) * self.block // max(result[-1], 1)

    def scratch(self, inputs: Sequence[Placed], result: Sizes, itemsize: int) -> int:
        """All blocks, before they are joined."""
        return prod(result)

    def reach(self, inputs: Sequence[Known], shapes: Sequence[Shape], result: Shape) -> Reach:
        """As far as its own zeros meet it."""
        return of_product((*inputs, *inputs))
