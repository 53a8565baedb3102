"""The linear program of target operations: what a plan becomes and all that a backend sees.

A program is a list of steps in single-assignment form. Step n computes value n from earlier values.
Sizes are integers or, in a shape-generic program, sympy expressions over the symbols that
`Program.sizes` binds; numpy's conventions hold throughout (axes count from zero, no negative axes).
Nothing here knows diagrams, and no operation here is specific to one backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import prod
from typing import TYPE_CHECKING, Any, Literal, Union

if TYPE_CHECKING:
    import sympy

Dim = Union[int, "sympy.Expr"]

CONSTANT = 2**29
"""Bytes of the largest indicator that a function keeps between calls."""


@dataclass(frozen=True, slots=True)
class Operand:
    """The operand `name`, as given."""

    name: str

    @property
    def inputs(self) -> tuple[int, ...]:
        """No earlier values."""
        return ()


@dataclass(frozen=True, slots=True)
class LinearCondition:
    """Σ coefficients[a]·index[a] + constant is zero (mod `modulus`, if given), or non-negative."""

    coefficients: tuple[Dim, ...]
    constant: Dim
    modulus: Dim | None = None
    nonnegative: bool = False


@dataclass(frozen=True, slots=True)
class Indicator:
    """A dense tensor of counts over index ranges: the sum over `pieces` of where all their
    conditions hold. Known at compile time when its sizes are integers. dtype and device are
    those of value `like`, the backend's defaults if that is None (a program without operands)."""

    pieces: tuple[tuple[LinearCondition, ...], ...]
    like: int | None

    def numbers(self) -> list[Dim]:
        """The numbers of all conditions."""
        conditions = [c for piece in self.pieces for c in piece]
        given = [n for c in conditions for n in (*c.coefficients, c.constant, c.modulus)]
        return [n for n in given if n is not None]

    @property
    def inputs(self) -> tuple[int, ...]:
        """The value whose dtype and device it takes."""
        return () if self.like is None else (self.like,)


@dataclass(frozen=True, slots=True)
class _Unary:
    x: int

    @property
    def inputs(self) -> tuple[int, ...]:
        """The one value it works on."""
        return (self.x,)


@dataclass(frozen=True, slots=True)
class Reshape(_Unary):
    """Same elements in row-major order, new shape (the step's)."""


@dataclass(frozen=True, slots=True)
class Contiguous(_Unary):
    """The same entries, laid out in row-major order."""


@dataclass(frozen=True, slots=True)
class Copy(_Unary):
    """The same entries in memory of their own; `ordered`: in row-major order, else as x has them
    where it has each once."""

    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Permute(_Unary):
    """Axis n of the result is axis `order[n]` of x."""

    order: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slice(_Unary):
    """Along `axis`: `length` entries from `start` in steps of `step`."""

    axis: int
    start: Dim
    length: Dim
    step: Dim = 1


@dataclass(frozen=True, slots=True)
class Pad(_Unary):
    """Zeros before and after, a pair an axis; a negative number cuts off. They are rows of a padded
    operand, or with `gaps` places to which a relation leads nothing."""

    padding: tuple[tuple[Dim, Dim], ...]
    gaps: bool = False


@dataclass(frozen=True, slots=True)
class Window(_Unary):
    """Sliding windows along `axis`: result[…, o, …, k] = x[…, stride·o + dilation·k, …].

    `axis` becomes o, with `count` windows; a new last axis k has `size` entries. A view where the
    backend has them. The last entry touched must exist: stride·(count−1) + dilation·(size−1) <
    x.shape[axis].
    """

    axis: int
    count: Dim
    size: Dim
    stride: Dim = 1
    dilation: Dim = 1


@dataclass(frozen=True, slots=True)
class Fold(_Unary):
    """The transpose of padding and windows: result[…, i] = Σ x[…, o, k] over i = stride·o +
    dilation·k − padding.

    Axes `windows` (o) and `entries` (k) go, a new last axis i of `size` comes; what falls outside
    is dropped.
    """

    windows: int
    entries: int
    size: Dim
    stride: Dim = 1
    dilation: Dim = 1
    padding: Dim = 0


@dataclass(frozen=True, slots=True)
class Diagonal(_Unary):
    """Axes `first` and `second` (same size) become one new last axis."""

    first: int
    second: int


@dataclass(frozen=True, slots=True)
class Flip(_Unary):
    """Reversed order along `axis`."""

    axis: int


@dataclass(frozen=True, slots=True)
class Dilate(_Unary):
    """`step` − 1 zeros between neighbours along `axis`: result[step·n] = x[n], size step·(n−1) +
    1."""

    axis: int
    step: Dim


@dataclass(frozen=True, slots=True)
class Place(_Unary):
    """Zeros of the step's shape with x at every `step`-th index from `start`, a number an axis
    each.

    The transpose of slicing; all of x must fit.
    """

    start: tuple[Dim, ...]
    step: tuple[Dim, ...]


@dataclass(frozen=True, slots=True)
class Gather(_Unary):
    """Entries of `axis`, picked by runs one after the other: `length` of them from `start` in steps
    of `step`, which may be negative or zero."""

    axis: int
    runs: tuple[tuple[Dim, Dim, Dim], ...]


@dataclass(frozen=True, slots=True)
class Scatter(_Unary):
    """The transpose of `Gather`: entries of `axis` are added to those, of `size` in all, that each
    was picked from."""

    axis: int
    size: Dim
    runs: tuple[tuple[Dim, Dim, Dim], ...]


@dataclass(frozen=True, slots=True)
class Expand(_Unary):
    """Axes of size one (and missing leading axes) repeated to the step's shape, as a view."""


@dataclass(frozen=True, slots=True)
class Sum(_Unary):
    """Summed over `axes`, which go."""

    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Scale(_Unary):
    """Multiplied by a scalar: a rational number, or an expression over bound sizes."""

    factor: Dim


@dataclass(frozen=True, slots=True)
class Cast(_Unary):
    """To a named dtype (`"float32"`), or to that of value `like`."""

    dtype: str | None = None
    like: int | None = None

    @property
    def inputs(self) -> tuple[int, ...]:
        """x, and the value whose dtype it takes."""
        return (self.x,) if self.like is None else (self.x, self.like)


@dataclass(frozen=True, slots=True)
class Add:
    """The sum of values whose shapes broadcast (equal rank, sizes equal or one)."""

    values: tuple[int, ...]

    @property
    def inputs(self) -> tuple[int, ...]:
        """The values that are added."""
        return self.values


@dataclass(frozen=True, slots=True)
class Concat:
    """Values one after the other along `axis`."""

    values: tuple[int, ...]
    axis: int

    @property
    def inputs(self) -> tuple[int, ...]:
        """The values that are joined."""
        return self.values


@dataclass(frozen=True, slots=True)
class Stack:
    """Values of one shape side by side along a new axis, which becomes axis `axis`."""

    values: tuple[int, ...]
    axis: int

    @property
    def inputs(self) -> tuple[int, ...]:
        """The values that are stacked."""
        return self.values


@dataclass(frozen=True, slots=True)
class Blocks:
    """Values of one shape as a grid, row after row with `columns` values each: two new axes, which
    become axes `axes` (of rows, of columns) of the result."""

    values: tuple[int, ...]
    columns: int
    axes: tuple[int, int]

    @property
    def inputs(self) -> tuple[int, ...]:
        """The values of the grid."""
        return self.values


@dataclass(frozen=True, slots=True)
class Einsum:
    """A contraction. `terms[n]` labels the axes of input n, `out` those of the result.

    Labels are small integers; no label stands twice in one term, every label of `out` stands in
    some term. Compiled programs have one or two inputs; the dense oracle has one step with all of
    them.
    """

    values: tuple[int, ...]
    terms: tuple[tuple[int, ...], ...]
    out: tuple[int, ...]

    @property
    def inputs(self) -> tuple[int, ...]:
        """The values that are contracted."""
        return self.values


@dataclass(frozen=True, slots=True)
class Masked:
    """A contraction of a pattern, the first of `values`, with another value, where zeros of the
    pattern leave out what they meet: a NaN there does not reach the result. `counts`: whether
    entries of the pattern may be other than 0 and 1. `whole`: all products are written, then
    summed, and the axes of both values stand in the order of `every`.

    Labels are those of `Einsum`.
    """

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


@dataclass(frozen=True, slots=True)
class Finite(_Unary):
    """The same entries, and zero where one is NaN or infinite."""


@dataclass(frozen=True, slots=True)
class Marked(_Unary):
    """One where an entry is NaN or infinite, or with `present` where it is more than one half, and
    zero elsewhere."""

    present: bool = False


@dataclass(frozen=True, slots=True)
class Spoiled:
    """The first of two values of one shape, and NaN where the second is more than one half."""

    values: tuple[int, int]

    @property
    def inputs(self) -> tuple[int, ...]:
        """The value, and the counts that say where it is NaN."""
        return self.values


@dataclass(frozen=True, slots=True)
class Gram(_Unary):
    """x·xᵀ over the last axis of x [*batch, rows, depth] → [*batch, rows, rows]: symmetric, so that
    a product is made for each block of `block` rows up to the diagonal, and mirrored."""

    block: int


Stretches = tuple[tuple[int, int, tuple[int, ...]], ...]
"""Runs of rows: start, stop, and the kernel positions k whose windows have them in their column."""


@dataclass(frozen=True, slots=True)
class WindowSums(_Unary):
    """Sums over rows: along each of `axes`, entry k of the result is the sum of x over the
    stretches that have k, in steps of the axis' stride."""

    axes: tuple[int, ...]
    stretches: tuple[Stretches, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WindowGram(_Unary):
    """The Gram matrix of the windows of x [b, g·c, *i] for each group, times `scale`:
    [g, c, *k, c, *k].

    `stretches` has the runs of rows of each dimension, in steps of the stride. The entry of k and l
    is the sum of x[i]·x[i + dilation·(l − k)] over the rows of k; outside, x is zero. What lies
    below the diagonal in dimension `mirrored` is not computed again.
    """

    kernel: tuple[int, ...]
    stretches: tuple[Stretches, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    scale: Dim = 1

    @property
    def mirrored(self) -> int:
        """The dimension with the longest kernel, the last of several."""
        return max(range(len(self.kernel)), key=lambda n: (self.kernel[n], n))


@dataclass(frozen=True, slots=True)
class Convolution:
    """Native convolution: x [b, g·ci, *i], weight [g·co, ci, *k] → [b, g·co, *o]; symmetric zero
    padding; plus `bias` [g·co], if given."""

    x: int
    weight: int
    stride: tuple[Dim, ...]
    padding: tuple[Dim, ...]
    dilation: tuple[Dim, ...]
    groups: Dim = 1
    bias: int | None = None

    @property
    def inputs(self) -> tuple[int, ...]:
        """Input and weight, and the bias."""
        return (self.x, self.weight) if self.bias is None else (self.x, self.weight, self.bias)


@dataclass(frozen=True, slots=True)
class TransposedConvolution:
    """Native input gradient: v [b, g·co, *o], weight [g·co, ci, *k] → [b, g·ci, *i].

    `backward`: by the library's backward pass of the convolution, which may be other code than its
    transposed convolution, and faster or slower.
    """

    x: int
    weight: int
    stride: tuple[Dim, ...]
    padding: tuple[Dim, ...]
    output_padding: tuple[Dim, ...]
    dilation: tuple[Dim, ...]
    groups: Dim = 1
    backward: bool = False

    @property
    def inputs(self) -> tuple[int, ...]:
        """Cotangent and weight."""
        return (self.x, self.weight)


@dataclass(frozen=True, slots=True)
class WeightGradient:
    """Native weight gradient: x [b, g·ci, *i], v [b, g·co, *o] → [g·co, ci, *k], the step's
    shape; `narrow` if a few columns of the kernel are computed at a time."""

    x: int
    cotangent: int
    stride: tuple[Dim, ...]
    padding: tuple[Dim, ...]
    dilation: tuple[Dim, ...]
    groups: Dim = 1
    narrow: bool = False

    @property
    def inputs(self) -> tuple[int, ...]:
        """Input and cotangent."""
        return (self.x, self.cotangent)


Operation = (
    Operand
    | Indicator
    | Reshape
    | Contiguous
    | Copy
    | Permute
    | Slice
    | Pad
    | Window
    | Fold
    | Diagonal
    | Flip
    | Dilate
    | Place
    | Gather
    | Scatter
    | Expand
    | Sum
    | Scale
    | Cast
    | Add
    | Concat
    | Stack
    | Blocks
    | Einsum
    | Masked
    | Finite
    | Marked
    | Spoiled
    | Gram
    | WindowSums
    | WindowGram
    | Convolution
    | TransposedConvolution
    | WeightGradient
)


Origin = tuple[int, int, int]
"""A tensor of the planned diagrams: number of the diagram, of the term, place in the term."""


@dataclass(frozen=True, slots=True)
class Step:
    """One value: the operation, its shape, a name for each axis (`"o1"`, `"(ci k1 k2)"`) and a
    remark.

    `origins` are the tensors that the step brings in; a contraction of earlier values brings in
    none. They say nothing of what is computed, so two steps may be equal with other ones.
    """

    operation: Operation
    shape: tuple[Dim, ...]
    axes: tuple[str, ...]
    remark: str = ""
    origins: frozenset[Origin] = field(default=frozenset(), compare=False)

    @property
    def is_constant(self) -> bool:
        """Whether the value is made once, before all calls: an indicator whose numbers are known,
        of at most `CONSTANT` bytes in float32. Larger ones are made in each call."""
        if not isinstance(self.operation, Indicator):
            return False
        numbers = self.operation.numbers()
        known = all(isinstance(n, int) for n in (*self.shape, *numbers))
        return known and 4 * prod(map(int, self.shape)) <= CONSTANT


@dataclass(frozen=True, slots=True)
class Parameter:
    """An operand in the function's signature: its name, axes and sizes."""

    name: str
    axes: tuple[str, ...]
    shape: tuple[Dim, ...]


@dataclass(frozen=True, slots=True)
class SizeBinding:
    """In a shape-generic program: size symbol `name` is (size of `operand`'s `axis` − `offset`)
    / `divisor`."""

    name: str
    operand: str
    axis: int
    divisor: Dim = 1
    offset: Dim = 0


@dataclass(frozen=True, slots=True)
class SizeCheck:
    """Axis `axis` of `operand` must have size `expected`; `wires` is how messages call the axis."""

    operand: str
    axis: int
    expected: Dim
    wires: str


@dataclass(frozen=True, slots=True)
class SizeLimit:
    """In a shape-generic program: `value` must be above `least`, unequal to it, or a multiple of
    it, or `message` is the error."""

    value: Dim
    least: Dim
    message: str
    rule: Literal["above", "unequal", "multiple"] = "above"

    def holds(self, value: int, least: int) -> bool:
        """Whether two numbers obey it."""
        if self.rule == "multiple":
            return value % least == 0
        return value > least if self.rule == "above" else value != least


@dataclass(frozen=True, slots=True)
class Cut:
    """A program runs in parts along one wire: `turns` parts, each with some entries of it.

    operands: by name, the axis that is cut and its entries in one part; operands that are not here
    go whole into every part. results: the same for each result, whose parts stand side by side;
    None for a result whose parts are added up.
    """

    wire: str
    turns: int
    operands: Mapping[str, tuple[int, int]]
    results: tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """A function of operands: its steps, and which values are returned.

    `result_axes` names the axes of each result in full, where its step has lost some of their
    wires. With `cuts`, the steps are those of one part, and parameters are as they are given; the
    first cut is the outermost loop. With `frees`, values are let go as soon as nothing reads them
    any more (a backend may otherwise keep them until the end).
    """

    name: str
    parameters: tuple[Parameter, ...]
    steps: tuple[Step, ...]
    results: tuple[int, ...]
    result_names: tuple[str, ...]
    doc: str = ""
    sizes: tuple[SizeBinding, ...] = ()
    checks: tuple[SizeCheck, ...] = ()
    limits: tuple[SizeLimit, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    result_axes: tuple[tuple[str, ...], ...] = ()
    cuts: tuple[Cut, ...] = ()
    frees: bool = False

    @property
    def turns(self) -> int:
        """How often the steps run."""
        return prod(cut.turns for cut in self.cuts)

    @property
    def part(self) -> Program:
        """The program of one part: of the program itself, if it is not cut."""
        if not self.cuts:
            return self
        parameters = []
        for p in self.parameters:
            shape = list(p.shape)
            for cut in self.cuts:
                if p.name in cut.operands:
                    axis, entries = cut.operands[p.name]
                    shape[axis] = entries
            parameters.append(replace(p, shape=tuple(shape)))
        return replace(self, name=f"_{self.name}_part", parameters=tuple(parameters), cuts=())

    def result_shape(self, number: int) -> tuple[Dim, ...]:
        """The shape of a result, all parts together."""
        shape = list(self.steps[self.results[number]].shape)
        for cut in reversed(self.cuts):  # of two along one axis, the outer one has all of it
            along = cut.results[number]
            if along is not None:
                shape[along[0]] = along[1] * cut.turns
        return tuple(shape)

    def adds(self, number: int) -> bool:
        """Whether parts of a result are added, and not only put side by side."""
        return any(cut.results[number] is None for cut in self.cuts)

    @property
    def constants(self) -> int:
        """The bytes of the indicators that a function keeps between calls, in float32."""
        kept = {s for s in self.steps if s.is_constant}
        return sum(4 * prod(int(n) for n in step.shape) for step in kept)

    def within(self) -> tuple[frozenset[Origin], ...]:
        """The tensors that each step has in it: its own, and those of all that it is made from."""
        found: list[frozenset[Origin]] = []
        for step in self.steps:
            made_from = () if isinstance(step.operation, Indicator) else step.operation.inputs
            found.append(step.origins.union(*(found[n] for n in made_from)))
        return tuple(found)

    def last_use(self) -> tuple[int, ...]:
        """For each value, the step that reads it last (its own if none; past the end for
        results)."""
        last = list(range(len(self.steps)))
        for at, step in enumerate(self.steps):
            for value in step.operation.inputs:
                last[value] = at
        for value in self.results:
            last[value] = len(self.steps)
        return tuple(last)


def reread(operation: Any, value: Mapping[int, int]) -> Any:
    """The operation reading other values: each of its inputs looked up."""
    changed: dict[str, Any] = {}
    for item in fields(operation):
        old = getattr(operation, item.name)
        if item.name in ("x", "like", "weight", "cotangent", "bias") and old is not None:
            changed[item.name] = value[old]
        elif item.name == "values":
            changed[item.name] = tuple(value[v] for v in old)
    return replace(operation, **changed)
