"""Random programs that add and multiply, and that put values together."""

from __future__ import annotations

import sympy
from hand_programs import Builder
from random_cases import Case, Draw, operand

from diagrammar import program as ops
from diagrammar.ir import scalar
from diagrammar.ir.autocorrelation import GramForm
from diagrammar.ir.relation import Relation
from diagrammar.lowerings import by_region as correlation

SUMS: dict[str, Case] = {}


def case(write: Case) -> Case:
    SUMS[write.__name__] = write
    return write


@case
def summed(draw: Draw, b: Builder) -> int:
    x = operand(draw, b, rank=5)
    x = b.sum(x, *sorted(draw.order(5)[: draw.number(0, 3)]))
    rank = len(b.shape(x))
    return b.sum(x, *sorted(draw.order(rank)[: draw.number(0, rank)]))


@case
def scaled(draw: Draw, b: Builder) -> int:
    x = operand(draw, b)
    n, c, i = map(sympy.sympify, b.shape(x))
    denominators = [1, 3, -7, n * c, n * scalar.FloorDiv(i + 1, 2), 10**20]
    numerators = [1, -1, 4, c, 10**20]
    factor = numerators[draw.number(0, 4)] / sympy.sympify(denominators[draw.number(0, 5)])
    return b.scale(b.scale(x, factor), -1)


@case
def cast(draw: Draw, b: Builder) -> int:
    x = operand(draw, b)
    return b.cast(b.cast(x, "float64"), like=x)


@case
def added(draw: Draw, b: Builder) -> int:
    x = operand(draw, b)
    n, _, i = b.shape(x)
    y = b.operand("Y", "n i", n, i)
    y = b.reshape(y, (n, 1, i))
    return b.add(b.scale(x, -1), y, b.scale(x, sympy.Rational(1, 3)), b.scale(y, -2))


MATMULS = """
ab,bc->ac ab,cb->ac ba,bc->ca ba,cb->ac xab,xbc->xac xab,bc->xac ab,xbc->xac xyab,xybc->xyac
a,a-> ab,b->a b,bc->c abc,cd->bd abx,abx->x abcd,ce->abed xab,yab->xy abc,dbe->acde a,xab->xb
xab,b->xa xab,xb->xa axb,xbc->xac xkab,kb->xa a,xba->xb xab,xcb->xca
xkab,kl->xlab lk,xkab->xlab xab,xcd->abcd abx,yx->aby xab,abc->xc xyab,xybac->xyc kabc,kl->labc
"""
PRODUCTS = "a,b->ab a,b->ba ab,ab->ab ab,b->ab b,ab->ab ab,a->ab abc,b->abc ab,->ab ,-> ab,ab->ba"
OTHERS = "xa,xb->abx xa,xb->xab abc-> abc->ca abc->cab"
EQUATIONS = f"{MATMULS} {PRODUCTS} {OTHERS}".split()


@case
def contracted(draw: Draw, b: Builder) -> int:
    left, right = EQUATIONS[draw.number(0, len(EQUATIONS) - 1)].split("->")
    size = {c: draw.size(c, 1, 4) for c in sorted({*left} - {","})}
    values = [
        b.operand(f"X{n}", " ".join(term), *(size[c] for c in term))
        for n, term in enumerate(left.split(","))
    ]
    return b.einsum(f"{left}->{right}", *values)


@case
def contracted_with_itself(draw: Draw, b: Builder) -> int:
    x = operand(draw, b)
    n, c, i = b.shape(x)
    y = b.reshape(x, (n, c * i))
    return b.einsum(["nc,nd->cd", "nc,mc->nm", "nc,nc->n", "nc,nc->nc"][draw.number(0, 3)], y, y)


def convolution_sizes(draw: Draw) -> dict[str, list[int]]:
    rank = draw.number(1, 3)
    k, s, p, d = ([draw.number(low, 3 - low) for _ in range(rank)] for low in (1, 1, 0, 1))
    o = [draw.number(1, 3) for _ in range(rank)]
    left = [draw.number(0, n - 1) for n in s]
    sizes = zip(o, s, d, k, p, left, strict=True)
    i = [s * (o - 1) + d * (k - 1) + 1 + r - 2 * p for o, s, d, k, p, r in sizes]
    short = [max(1 - n, 0) for n in i]  # at least one input
    o = [n + e for n, e in zip(o, short, strict=True)]
    i = [n + e * t for n, e, t in zip(i, short, s, strict=True)]
    left = [(n + 2 * q - e * (m - 1) - 1) % t for n, q, e, m, t in zip(i, p, d, k, s, strict=True)]
    return {"k": k, "s": s, "p": p, "d": d, "o": o, "i": i, "left": left}


@case
def native(draw: Draw, b: Builder) -> int:
    """The three native calls."""
    sizes = convolution_sizes(draw)
    n, g, ci, co = (
        draw.size("n", 1, 3),
        draw.size("g", 1, 3),
        draw.size("ci", 1, 3),
        draw.size("co", 1, 3),
    )
    b.operand("G", "g ci co", g, ci, co)
    i, o, k = sizes["i"], sizes["o"], sizes["k"]
    rank = len(k)
    x, w, v = (n, g * ci, *i), (g * co, ci, *k), (n, g * co, *o)
    options = (tuple(sizes["s"]), tuple(sizes["p"]), tuple(sizes["d"]), g)
    s, p, d, g = options
    axes = " ".join(f"s{m}" for m in range(rank))
    kind = draw.number(0, 2)
    if kind == 0:
        inputs = (b.operand("X", f"n g-ci {axes}", *x), b.operand("W", f"g-co ci {axes}", *w))
        bias = b.operand("bias", "g-co", g * co) if draw.number(0, 1) else None
        return b.put(ops.Convolution(*inputs, *options, bias), v)
    if kind == 1:
        inputs = (b.operand("V", f"n g-co {axes}", *v), b.operand("W", f"g-co ci {axes}", *w))
        more = (tuple(sizes["left"]), d, g, bool(draw.number(0, 1)))
        return b.put(ops.TransposedConvolution(*inputs, s, p, *more), x)
    inputs = (b.operand("X", f"n g-ci {axes}", *x), b.operand("V", f"n g-co {axes}", *v))
    return b.put(ops.WeightGradient(*inputs, *options), w)


def stretches(draw: Draw, size: int, kernel: int, stride: int) -> ops.Stretches:
    """Runs of rows that some kernel positions have; runs of one position do not overlap."""
    found = []
    for k in range(kernel):
        start = draw.number(0, size - 1)
        count = draw.number(0, (size - 1 - start) // stride + 1)
        if count:
            found.append((start, start + stride * (count - 1) + 1, (k,)))
    return tuple(found)


@case
def sums_of_rows(draw: Draw, b: Builder) -> int:
    """Sums of rows along one axis or two; a position may have no rows."""
    shape = [draw.number(1, 3), draw.number(1, 6), draw.number(1, 6)]
    x = b.operand("X", "b i1 i2", *shape)
    axes = (1, 2)[: draw.number(1, 2)]
    kernel, stride = ([draw.number(1, 3) for _ in axes] for _ in range(2))
    runs = tuple(
        stretches(draw, shape[a], k, s) for a, k, s in zip(axes, kernel, stride, strict=True)
    )
    for axis, k in zip(axes, kernel, strict=True):
        shape[axis] = k
    return b.put(ops.WindowSums(x, axes, runs, tuple(stride)), shape)


@case
def marks(draw: Draw, b: Builder) -> int:
    """Of finite operands no entry is marked, and some are present."""
    x = operand(draw, b)
    made = [b.put(op, b.shape(x)) for op in (ops.Finite(x), ops.Marked(x), ops.Marked(x, True))]
    return b.put(ops.Spoiled((b.add(*made), made[1])), b.shape(x))


@case
def window_gram(draw: Draw, b: Builder) -> int:
    """Windows with padding, stride, dilation and groups; symmetric as only whole windows are."""
    rank, n, g, c = (draw.number(1, high) for high in (3, 2, 2, 2))
    high = 6 if rank < 3 else 3
    size, kernel, stride, dilation = (
        tuple(draw.number(low, top) for _ in range(rank))
        for low, top in ((1, high), (1, 3), (1, 3), (1, 2))
    )
    x = b.operand("X", " ".join(["b", "g-c", *(f"i{m}" for m in range(rank))]), n, g * c, *size)
    runs = []
    for i, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        form = GramForm(
            Relation("P", ("i",), ()), "i", "k", "i2", "k2", s, d, draw.number(0, 2), i,
            draw.number(1, 3), k,
        )  # fmt: skip
        runs.append(correlation.stretches(form))
    shape = (g, c, *kernel, c, *kernel)
    scale = [1, sympy.Rational(1, 3)][draw.number(0, 1)]
    operation = ops.WindowGram(x, kernel, tuple(runs), stride, dilation, g, scale)
    return b.put(operation, shape)


@case
def gram(draw: Draw, b: Builder) -> int:
    """Blocks that divide the rows or not."""
    shape = (draw.number(1, 2), draw.number(1, 7), draw.number(1, 3))
    x = b.operand("X", "b i k", *shape)
    return b.put(ops.Gram(x, draw.number(1, 8)), (*shape[:2], shape[1]))


@case
def concat(draw: Draw, b: Builder) -> int:
    """Two values along any axis, of which they may have different sizes."""
    x = operand(draw, b)
    axis = draw.number(0, 2)
    shape = list(b.shape(x))
    shape[axis] = draw.size("more", 0, 4)
    y = b.operand("Y", "a b c", *shape)
    shape[axis] = shape[axis] + b.shape(x)[axis]
    return b.put(ops.Concat((x, y), axis), shape)


@case
def stack(draw: Draw, b: Builder) -> int:
    """Up to three values along a new axis; a value may stand twice."""
    x = operand(draw, b)
    y = b.permute(b.permute(x, 2, 1, 0), 2, 1, 0)
    values = (x, y, x)[: draw.number(1, 3)]
    axis, shape = draw.number(0, 3), list(b.shape(x))
    shape.insert(axis, len(values))
    return b.put(ops.Stack(values, axis), shape)


@case
def blocks(draw: Draw, b: Builder) -> int:
    """Grids of any size, some values twice, the axes anywhere."""
    x = operand(draw, b)
    y = b.permute(b.permute(x, 2, 1, 0), 2, 1, 0)
    rows, columns = draw.number(1, 3), draw.number(1, 3)
    values = tuple((x, y)[draw.number(0, 1)] for _ in range(rows * columns))
    first = draw.number(0, 4)
    second = (first + draw.number(1, 4)) % 5
    shape = list(b.shape(x))
    for axis, size in sorted(((first, rows), (second, columns))):
        shape.insert(axis, size)
    return b.put(ops.Blocks(values, columns, (first, second)), shape)
