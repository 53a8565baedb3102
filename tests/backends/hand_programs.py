"""Programs written by hand: a builder that works out shapes, and the examples of golden files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sympy

from diagrammar import program as ops
from diagrammar.ir import scalar
from diagrammar.program import Dim, Parameter, Program, SizeBinding, SizeCheck, Step


class Builder:
    """Appends steps; every method returns the number of its value."""

    def __init__(self, name: str, doc: str = "") -> None:
        self.name, self.doc = name, doc
        self.steps: list[Step] = []
        self.parameters: list[Parameter] = []

    def put(
        self, operation: ops.Operation, shape: Sequence[Dim], axes: str = "", remark: str = ""
    ) -> int:
        named = tuple(name.replace("~", " ") for name in axes.split())
        names = named or tuple(f"a{n}" for n in range(len(shape)))
        assert len(names) == len(shape), (names, shape)
        self.steps.append(Step(operation, tuple(map(scalar.plain, shape)), names, remark))
        return len(self.steps) - 1

    def shape(self, x: int) -> tuple[Dim, ...]:
        return self.steps[x].shape

    def operand(self, name: str, axes: str, *shape: Dim) -> int:
        """An operand; `g-ci` among the axes is read as (g ci)."""
        names = tuple(f"({a.replace('-', ' ')})" if "-" in a else a for a in axes.split())
        self.parameters.append(Parameter(name, names, shape))
        self.steps.append(Step(ops.Operand(name), shape, names))
        return len(self.steps) - 1

    def indicator(self, like: int, shape: Sequence[Dim], pieces: object, axes: str = "") -> int:
        return self.put(ops.Indicator(pieces, like), shape, axes)  # type: ignore[arg-type]

    def reshape(self, x: int, shape: Sequence[Dim], axes: str = "") -> int:
        return self.put(ops.Reshape(x), shape, axes)

    def permute(self, x: int, *order: int) -> int:
        axes = self.axes(x).split()
        names = " ".join(axes[n] for n in order)
        return self.put(ops.Permute(x, order), [self.shape(x)[n] for n in order], names)

    def slice(self, x: int, axis: int, start: Dim, length: Dim, step: Dim = 1) -> int:
        shape = list(self.shape(x))
        shape[axis] = length
        return self.put(ops.Slice(x, axis, start, length, step), shape, self.axes(x))

    def pad(self, x: int, *padding: tuple[Dim, Dim], remark: str = "") -> int:
        shape = [n + p + q for n, (p, q) in zip(self.shape(x), padding, strict=True)]
        return self.put(ops.Pad(x, padding), shape, self.axes(x), remark)

    def window(
        self,
        x: int,
        axis: int,
        count: Dim,
        size: Dim,
        stride: Dim = 1,
        dilation: Dim = 1,
        axes: str = "",
    ) -> int:
        shape = [*self.shape(x), size]
        shape[axis] = count
        return self.put(ops.Window(x, axis, count, size, stride, dilation), shape, axes)

    def fold(
        self,
        x: int,
        windows: int,
        entries: int,
        size: Dim,
        stride: Dim = 1,
        dilation: Dim = 1,
        padding: Dim = 0,
        axes: str = "",
    ) -> int:
        rest = [n for axis, n in enumerate(self.shape(x)) if axis not in (windows, entries)]
        operation = ops.Fold(x, windows, entries, size, stride, dilation, padding)
        return self.put(operation, [*rest, size], axes)

    def diagonal(self, x: int, first: int, second: int) -> int:
        rest = [n for axis, n in enumerate(self.shape(x)) if axis not in (first, second)]
        return self.put(ops.Diagonal(x, first, second), [*rest, self.shape(x)[first]])

    def flip(self, x: int, axis: int) -> int:
        return self.put(ops.Flip(x, axis), self.shape(x), self.axes(x))

    def dilate(self, x: int, axis: int, step: Dim) -> int:
        shape = list(self.shape(x))
        shape[axis] = step * (shape[axis] - 1) + 1
        return self.put(ops.Dilate(x, axis, step), shape)

    def expand(self, x: int, *shape: Dim) -> int:
        return self.put(ops.Expand(x), shape)

    def sum(self, x: int, *axes: int) -> int:
        kept = [n for n in range(len(self.shape(x))) if n not in axes]
        names = " ".join(self.axes(x).split()[n] for n in kept)
        return self.put(ops.Sum(x, axes), [self.shape(x)[n] for n in kept], names)

    def scale(self, x: int, factor: Dim) -> int:
        return self.put(ops.Scale(x, factor), self.shape(x), self.axes(x))

    def cast(self, x: int, dtype: str | None = None, like: int | None = None) -> int:
        return self.put(ops.Cast(x, dtype, like), self.shape(x), self.axes(x))

    def add(self, *values: int) -> int:
        sizes = zip(*(self.shape(v) for v in values), strict=True)
        shape = [next((n for n in group if n != 1), 1) for group in sizes]
        return self.put(ops.Add(values), shape, self.axes(values[0]))

    def einsum(self, equation: str, *values: int, axes: str = "", remark: str = "") -> int:
        """Letters become labels."""
        left, right = equation.split("->")
        terms = tuple(tuple(map(ord, term)) for term in left.split(","))
        out = tuple(map(ord, right))
        size: dict[int, Dim] = {}
        name: dict[int, str] = {}
        for value, term in zip(values, terms, strict=True):
            size |= dict(zip(term, self.shape(value), strict=True))
            name |= dict(zip(term, self.axes(value).split(), strict=True))
        names = axes or " ".join(name[label] for label in out)
        shape = [size[label] for label in out]
        return self.put(ops.Einsum(values, terms, out), shape, names, remark)

    def axes(self, x: int) -> str:
        """The axes of a value, as the other methods take them."""
        return " ".join(name.replace(" ", "~") for name in self.steps[x].axes)

    def program(
        self,
        *results: int,
        names: Sequence[str] = (),
        sizes: Sequence[SizeBinding] = (),
        checks: Sequence[SizeCheck] = (),
    ) -> Program:
        named = tuple(names) or tuple(f"{self.name}_{n}" for n in range(len(results)))
        if len(results) == 1 and not names:
            named = (self.name,)
        return Program(
            self.name,
            tuple(self.parameters),
            tuple(self.steps),
            results,
            named,
            self.doc,
            tuple(sizes),
            tuple(checks),
        )


def condition(
    *coefficients: Dim, constant: Dim = 0, modulus: Dim | None = None, nonnegative: bool = False
) -> ops.LinearCondition:
    return ops.LinearCondition(coefficients, constant, modulus, nonnegative)


def window_matrix(
    i: Dim, o: Dim, k: Dim, stride: Dim, padding: Dim
) -> tuple[ops.LinearCondition, ...]:
    """Σ_o [i = S·o + k − P]: i + P − k is a multiple of S, between 0 and S·(O − 1)."""
    return (
        condition(1, -1, constant=padding, nonnegative=True),
        condition(-1, 1, constant=stride * (o - 1) - padding, nonnegative=True),
        *([] if stride == 1 else [condition(1, -1, constant=padding, modulus=stride)]),
    )


def kfac_reduce(n: int = 8, ci: int = 64, i: int = 56) -> Program:
    """A 3×3 convolution with padding 1."""
    doc = "KFAC-reduce: the Gram matrix of averaged patches.\n\nΣ_o Π[i,o,k] is a window matrix."
    b = Builder("A_reduce", doc)
    x = b.operand("X", "b g-ci i1 i2", n, ci, i, i)
    x4 = b.reshape(x, (n, 1, ci, i, i), "b g ci i1 i2")
    w1 = b.indicator(x, (i, 3), (window_matrix(i, i, 3, 1, 1),), "i1 k1")
    w2 = b.indicator(x, (i, 3), (window_matrix(i, i, 3, 1, 1),), "i2 k2")
    rows = b.einsum("bgcij,jl->bgcil", x4, w2)
    both = b.einsum("bgcil,ik->bgckl", rows, w1)
    flat = b.reshape(both, (n, 1, ci * 9), "b g (ci~k1~k2)")
    mean = b.scale(flat, sympy.Rational(1, i * i))
    gram = b.einsum("bgp,bgq->gpq", mean, mean, axes="g (ci~k1~k2) (ci'~k1'~k2')")
    return b.program(b.scale(gram, sympy.Rational(1, n)))


def unfold_matmul(n: int = 8, i: int = 32) -> Program:
    """A 3×3 convolution of stride 2 and padding 1, channels last before the matmul."""
    b = Builder("Y", "A convolution as unfold and matmul.")
    x = b.operand("X", "b ci i1 i2", n, 3, i, i)
    w = b.operand("W", "co ci k1 k2", 16, 3, 3, 3)
    p = b.pad(x, (0, 0), (0, 0), (1, 1), (1, 1), remark="zero padding of both dimensions")
    u = b.window(p, 2, i // 2, 3, 2, axes="b ci o1 i2 k1")
    u = b.window(u, 3, i // 2, 3, 2, axes="b ci o1 o2 k1 k2")
    u = b.permute(u, 0, 2, 3, 1, 4, 5)
    u = b.reshape(u, (n, i // 2, i // 2, 27), "b o1 o2 (ci~k1~k2)")
    v = b.reshape(w, (16, 27), "co (ci~k1~k2)")
    y = b.einsum("bopc,dc->bopd", u, v)
    return b.program(b.permute(y, 0, 3, 1, 2))


def disjoint_fold() -> Program:
    """Windows of two entries, three apart."""
    b = Builder("dX", "The input gradient of windows that do not meet.")
    v = b.operand("dY", "b o co", 4, 7, 6)
    w = b.operand("W", "co k", 6, 2)
    u = b.einsum("boc,ck->bok", v, w)
    return b.program(b.fold(u, 1, 2, 20, stride=3, padding=1, axes="b i"))


def overlapping_fold() -> Program:
    """Windows of three dilated entries; two results, one of them in between."""
    b = Builder("dX_and_U", "The unfolded gradient, and folded.")
    v = b.operand("dY", "b o co", 2, 3, 2)
    w = b.operand("W", "co k", 2, 3)
    u = b.einsum("boc,ck->bko", v, w)
    folded = b.fold(u, 2, 1, 8, stride=2, dilation=2, padding=1, axes="b i")
    return b.program(folded, u, names=("dX", "U"))


def potpourri() -> Program:
    """One of nearly everything else."""
    b = Builder("mixture", "No operation that anybody needs.")
    x = b.operand("x", "b i j", 2, 3, 3)
    bias = b.operand("bias", "i", 3)
    even = b.indicator(x, (3, 3), ((condition(1, 1, modulus=2),),), "i j")
    x = b.einsum("bij,ij->bij", x, even)
    x = b.flip(b.dilate(x, 1, 2), 1)
    x = b.slice(b.pad(x, (0, 0), (1, 0), (-1, 1)), 1, 0, 3, 2)
    d = b.diagonal(x, 1, 2)
    d = b.add(b.scale(d, sympy.Rational(2, 3)), b.expand(b.reshape(bias, (1, 3)), 2, 3))
    d = b.permute(b.expand(d, 4, 2, 3), 2, 1, 0)
    d = b.sum(b.put(ops.Contiguous(d), b.shape(d), b.axes(d)), 2)
    return b.program(b.einsum("ib,ic->bc", d, d))


def native(kind: str) -> Program:
    """A call of torch's own: 2 groups, stride 2, padding 1, dilation (1, 2)."""
    b = Builder(kind)
    x = ("X", "b g-ci i1 i2", 2, 4, 5, 6)
    w = ("W", "g-co ci k1 k2", 2, 2, 2, 2)
    v = ("dY", "b g-co o1 o2", 2, 2, 3, 3)
    options = ((2, 2), (1, 1), (1, 2))
    if kind == "convolution":
        inputs = (b.operand(*x), b.operand(*w))
        return b.program(b.put(ops.Convolution(*inputs, *options, 2), v[2:]))
    if kind in ("transposed_convolution", "input_gradient"):
        inputs = (b.operand(*v), b.operand(*w))
        backward = kind == "input_gradient"
        more = ((1, 1), (1, 2), 2, backward)
        transposed = ops.TransposedConvolution(*inputs, (2, 2), (1, 1), *more)
        return b.program(b.put(transposed, x[2:]))
    inputs = (b.operand(*x), b.operand(*v))
    return b.program(b.put(ops.WeightGradient(*inputs, *options, 2), w[2:]))


def side_by_side(axis: int) -> Program:
    """A convolution of two channels a group for each image or each group in turn."""
    b = Builder("side_by_side")
    x, w = [3, 4, 5, 6], [2, 2, 2, 2]
    entries = (1, 2)[axis]
    cut = {"X": (axis, entries)} | ({"W": (0, 1)} if axis else {})
    made, parts = [3, 2, 4, 5], (3, 2)[axis]
    shapes = {"X": x, "W": w, "Y": made}
    axes = {"X": "b g-ci i1 i2", "W": "g-co ci k1 k2"}
    part = {n: list(s) for n, s in shapes.items()}
    for name, (at, count) in (cut | {"Y": (axis, 1)}).items():
        part[name][at] = count
    given = [b.operand(n, axes[n], *part[n]) for n in axes]
    options = (1, 1), (0, 0), (1, 1)
    convolved = b.put(ops.Convolution(given[0], given[1], *options, 1 if axis else 2), part["Y"])
    program = b.program(convolved)
    whole = tuple(replace(p, shape=tuple(shapes[p.name])) for p in program.parameters)
    return replace(program, parameters=whole, cuts=(ops.Cut("bg"[axis], parts, cut, ((axis, 1),)),))


def gram(kind: str) -> Program:
    """Gram matrices: of rows by blocks, of windows by stretches, and of sums of windows."""
    b = Builder(kind)
    x = b.operand("X", "b g-ci i1 i2", 2, 4, 4, 3)
    runs = ((0, 1, (0, 1)), (1, 3, (0, 1, 2)), (3, 4, (1, 2))), ((0, 3, (0,)),)
    if kind == "window_gram":
        made = ops.WindowGram(x, (3, 1), runs, (1, 1), (1, 1), 2, sympy.Rational(1, 2))
        return b.program(b.put(made, (2, 2, 3, 1, 2, 3, 1)))
    if kind == "window_sums":
        sums = b.put(ops.WindowSums(x, (2, 3), runs, (1, 1)), (2, 4, 3, 1))
        return b.program(sums)
    return b.program(b.put(ops.Gram(b.reshape(x, (8, 12)), 3), (8, 8)))


def symbolic() -> Program:
    """Shape-generic: stride 2, padding 1."""
    n, g, ci, i, k = map(scalar.size, ("b", "g", "ci", "i", "k"))
    b = Builder("U", "Unfolded input.")
    x = b.operand("X", "b g-ci i", n, g * ci, i)
    w = b.operand("W", "g k", g, k)
    x = b.reshape(x, (n, g, ci, i), "b g ci i")
    x = b.pad(x, (0, 0), (0, 0), (0, 0), (1, 1))
    o = scalar.floor_div(i + 2 - k, 2) + 1
    u = b.window(x, 3, o, k, 2, axes="b g ci o k")
    u = b.einsum("bgcok,gk->bgco", u, w)
    u = b.scale(u, 1 / (n * o))
    sizes = [
        SizeBinding("b", "X", 0),
        SizeBinding("i", "X", 2),
        SizeBinding("g", "W", 0),
        SizeBinding("k", "W", 1),
        SizeBinding("ci", "X", 1, g),
    ]
    return b.program(u, sizes=sizes, checks=[SizeCheck("X", 1, g * ci, "(g ci)")])
