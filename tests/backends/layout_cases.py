"""Random programs that make masks and move entries."""

from __future__ import annotations

from hand_programs import Builder, condition, window_matrix
from random_cases import Case, Draw, operand

from diagrammar.ir import scalar

LAYOUTS: dict[str, Case] = {}


def case(write: Case) -> Case:
    LAYOUTS[write.__name__] = write
    return write


@case
def eye(draw: Draw, b: Builder) -> int:
    x = operand(draw, b)
    n, m = b.shape(x)[:2]
    return b.indicator(x, (n, m), ((condition(1, -1),),), "a b")


@case
def pattern(draw: Draw, b: Builder) -> int:
    x = operand(draw, b)
    i, o, k = b.shape(x)
    s, d, p = draw.number(1, 3), draw.number(1, 3), draw.number(0, 3)
    return b.indicator(x, (i, o, k), ((condition(1, -s, -d, constant=p),),), "i o k'")


@case
def circular(draw: Draw, b: Builder) -> int:
    x = operand(draw, b)
    i, o, k = b.shape(x)
    s, p = draw.number(1, 3), draw.number(0, 3)
    return b.indicator(x, (i, o, k), ((condition(1, -s, -1, constant=p, modulus=i),),), "i.0 o.0 k")


@case
def window_sums(draw: Draw, b: Builder) -> int:
    x = operand(draw, b)
    i, o, k = b.shape(x)
    conditions = window_matrix(i, o, k, draw.number(1, 3), draw.number(0, 2))
    return b.indicator(x, (i, k), (conditions,), "iX k")


@case
def mask_of_pieces(draw: Draw, b: Builder) -> int:
    x = operand(draw, b)
    low = draw.number(0, 3)
    pieces = ((condition(-1, constant=low, nonnegative=True),), (condition(1, constant=-low - 2),))
    return b.indicator(x, b.shape(x)[:1], pieces, "i")


@case
def constant_conditions(draw: Draw, b: Builder) -> int:
    x = operand(draw, b)
    n, c, _ = b.shape(x)
    fits = condition(0, 0, constant=n - draw.number(0, 6), nonnegative=True)
    return b.indicator(x, (n, c), ((fits,), (condition(0, 0, constant=-1),)))


@case
def joined_axes(draw: Draw, b: Builder) -> int:
    x = operand(draw, b, rank=4)
    n, c, i, j = b.shape(x)
    return b.reshape(x, [(n, c * i, j), (n * c, i * j), (n * c * i * j,)][draw.number(0, 2)])


@case
def split_axes(draw: Draw, b: Builder) -> int:
    x = operand(draw, b, rank=4)
    n, c, i, j = b.shape(x)
    x = b.reshape(x, (n * c, i * j))
    x = b.scale(x, 2)
    return b.reshape(x, [(n, c, i * j), (n, c, i, j), (n * c, 1, i, j)][draw.number(0, 2)])


@case
def axes_of_one(draw: Draw, b: Builder) -> int:
    x = b.scale(operand(draw, b), 3)
    n, c, i = b.shape(x)
    x = b.scale(b.reshape(x, (n, c, 1, i)), 3)
    return b.reshape(x, [(n, c, i), (n, 1, c, 1, i), (n, c, i, 1)][draw.number(0, 2)])


@case
def permuted(draw: Draw, b: Builder) -> int:
    x = operand(draw, b, rank=5)
    return b.permute(b.scale(b.permute(x, *draw.order(5)), 5), *draw.order(5))


@case
def permuted_twice(draw: Draw, b: Builder) -> int:
    x = operand(draw, b, rank=4)
    return b.permute(b.permute(x, *draw.order(4)), *draw.order(4))


@case
def sliced(draw: Draw, b: Builder) -> int:
    x = operand(draw, b, low=5)
    for axis in draw.order(3)[: draw.number(1, 3)]:
        start, step = draw.number(0, 2), draw.number(1, 3)
        x = b.slice(x, axis, start, draw.number(0 if step == 1 else 1, 2 if step < 3 else 1), step)
    return x


@case
def sliced_to_the_end(draw: Draw, b: Builder) -> int:
    x = operand(draw, b, low=5)
    start, step, axis = draw.number(0, 2), draw.number(1, 3), draw.number(0, 2)
    n = b.shape(x)[axis]
    return b.slice(x, axis, start, scalar.floor_div(n - start - 1, step) + 1, step)


@case
def padded(draw: Draw, b: Builder) -> int:
    x = operand(draw, b, low=5)
    for _ in range(draw.number(1, 3)):
        x = b.pad(x, *[(draw.number(-1, 2), draw.number(-1, 2)) for _ in range(3)])
        x = b.pad(x, *[(draw.number(0, 1), draw.number(0, 1)) for _ in range(3)])
    return x


@case
def cut(draw: Draw, b: Builder) -> int:
    x = operand(draw, b, low=5)
    return b.pad(x, *[(-draw.number(0, 2), -draw.number(0, 2)) for _ in range(3)])


@case
def windows(draw: Draw, b: Builder) -> int:
    x = operand(draw, b)
    x = b.pad(x, (0, 0), (8, 0), (0, 8))
    for axis in draw.order(3)[:2]:
        x = b.pad(x, *[(4, 3) if n == axis else (0, 0) for n in range(len(b.shape(x)))])
        n = b.shape(x)[axis]
        k, s, d = draw.number(1, 3), draw.number(1, 3), draw.number(1, 3)
        o = scalar.floor_div(n - d * (k - 1) - 1, s) + 1
        x = b.window(x, axis, o - draw.number(0, 1), k, s, d)
    return x


@case
def windows_by_size(draw: Draw, b: Builder) -> int:
    k, s, d = draw.size("k", 1, 3), draw.size("s", 1, 3), draw.size("d", 1, 3)
    b.operand("W", "k s d", k, s, d)
    x = operand(draw, b, rank=2)
    x = b.pad(x, (0, 0), (6, 6))
    o = scalar.floor_div(b.shape(x)[1] - d * (k - 1) - 1, s) + 1
    return b.window(x, 1, o, k, s, d)


@case
def folded(draw: Draw, b: Builder) -> int:
    x = operand(draw, b, rank=4)
    o, k = draw.order(4)[:2]
    size, s, d, p = draw.number(1, 20), draw.number(1, 4), draw.number(1, 3), draw.number(0, 4)
    return b.fold(x, o, k, size, s, d, p)


@case
def folded_apart(draw: Draw, b: Builder) -> int:
    x = operand(draw, b, rank=3)
    k, d = draw.number(1, 3), draw.number(1, 3)
    w = b.operand("W", "k", k)
    x = b.einsum("nci,k->nkci", x, w)
    axis = draw.number(0, 3)
    o = axis if axis != 1 else 2
    size = draw.number(1, 40)
    return b.fold(x, o, 1, size, d * (k - 1) + draw.number(1, 3), d, draw.number(0, 4))


@case
def folded_by_size(draw: Draw, b: Builder) -> int:
    s, d = draw.size("s", 1, 3), draw.size("d", 1, 3)
    b.operand("W", "s d", s, d)
    x = operand(draw, b)
    return b.fold(x, 1, 2, b.shape(x)[0] * s, s, d, d - 1)


@case
def diagonal(draw: Draw, b: Builder) -> int:
    n = draw.size("n", 1, 4)
    axes = draw.order(4)[:2]
    shape = [n if axis in axes else draw.size(f"m{axis}", 1, 4) for axis in range(4)]
    x = b.operand("X", "a b c d", *shape)
    return b.diagonal(x, *axes)


@case
def flipped(draw: Draw, b: Builder) -> int:
    x = operand(draw, b)
    for axis in draw.order(3)[: draw.number(1, 3)]:
        x = b.flip(x, axis)
    return x


@case
def dilated(draw: Draw, b: Builder) -> int:
    x = operand(draw, b)
    return b.dilate(x, draw.number(0, 2), draw.number(1, 3))


@case
def dilated_by_size(draw: Draw, b: Builder) -> int:
    x = operand(draw, b)
    return b.dilate(x, 1, b.shape(x)[0])


@case
def expanded(draw: Draw, b: Builder) -> int:
    x = operand(draw, b)
    n, c, i = b.shape(x)
    x = b.reshape(x, (n, 1, c * i))
    return b.expand(x, *[(n, c, c * i), (2, n, 1, c * i), (i, n, n, c * i)][draw.number(0, 2)])
