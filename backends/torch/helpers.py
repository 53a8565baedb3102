"""The helper functions of emitted modules, as source; a module holds the ones that it uses."""

from __future__ import annotations

from string import Template

from diagrammar.backends.torch.masked import MASKED

CHECK_AXES = '''
def _check_axes(x: Tensor, name: str, axes: tuple[str, ...]) -> None:
    """Raise ValueError unless x has as many axes."""
    if x.ndim != len(axes):
        expected = f"{len(axes)} ({', '.join(axes)})" if axes else "none"
        raise ValueError(f"{name}: has {x.ndim} axes, expected {expected}")
'''

CHECK = '''
def _check(x: Tensor, name: str, axes: tuple[str, ...], sizes: tuple[int | None, ...]) -> None:
    """Raise ValueError unless the axes of x have these sizes (None: any)."""
    _check_axes(x, name, axes)
    for axis, (wires, expected) in enumerate(zip(axes, sizes, strict=True)):
        if expected is not None and x.shape[axis] != expected:
            where = f"{name}: axis {axis} ({wires})"
            raise ValueError(f"{where} has size {x.shape[axis]}, expected {expected}")
'''

INDICATOR = '''
def _indicator(
    sizes: tuple[int, ...],
    holds: Callable[..., Tensor],
    device: torch.device | None = None,
) -> Tensor:
    """The 0/1 tensor of the indices for which `holds` is true."""
    ranges = [torch.arange(size, device=device) for size in sizes]
    return holds(*torch.meshgrid(*ranges, indexing="ij")).float()
'''

FOLD = '''
def _fold(u: Tensor, size: int, stride: int, dilation: int, padding: int) -> Tensor:
    """Windows u[..., o, k] summed into [..., i], where i = stride*o + dilation*k - padding."""
    count, entries = u.shape[-2:]
    reach = stride * (count - 1) + 1
    padded = u.new_zeros(*u.shape[:-2], max(reach + dilation * (entries - 1), padding + size))
    for k in range(entries):
        padded[..., dilation * k : dilation * k + reach : stride] += u[..., k]
    return padded[..., padding : padding + size]
'''

PLACE = '''
def _place(
    x: Tensor, size: tuple[int, ...], step: tuple[int, ...], start: tuple[int, ...]
) -> Tensor:
    """Zeros with x at every step-th index from start, along each axis."""
    out = x.new_zeros(size)
    at = zip(start, step, x.shape, strict=True)
    out[tuple(slice(a, a + max(s * (n - 1) + 1, 0), s) for a, s, n in at)] = x
    return out
'''

PICK = '''
def _pick(x: Tensor, axis: int, runs: tuple[tuple[int, int, int], ...]) -> Tensor:
    """Entries along an axis: for each run, `length` of them from `start` in steps of `step`."""
    parts = []
    for start, length, step in runs:
        if length == 0:
            continue
        first = min(start, start + step * (length - 1))
        part = x.narrow(axis, first, abs(step) * (length - 1) + 1)
        if step == 0:
            part = part.expand(*x.shape[:axis], length, *x.shape[axis + 1 :])
        elif abs(step) > 1:
            part = part.unfold(axis, 1, abs(step)).squeeze(-1)
        parts.append(part.flip(axis) if step < 0 else part)
    return parts[0] if len(parts) == 1 else torch.cat(parts, axis)
'''

RETURN = '''
def _return(x: Tensor, axis: int, size: int, runs: tuple[tuple[int, int, int], ...]) -> Tensor:
    """The transpose of picking: every entry is added to the one, of `size`, it was picked from."""
    index = torch.cat(
        [start + step * torch.arange(length, device=x.device) for start, length, step in runs]
    )
    zeros = x.new_zeros(*x.shape[:axis], size, *x.shape[axis + 1 :])
    return zeros.index_add(axis, index, x)
'''

BLOCKS = '''
def _blocks(grid: list[list[Tensor]], axes: tuple[int, int]) -> Tensor:
    """Tensors of one shape as rows and columns: two new axes, each tensor copied once."""
    first, shape = grid[0][0], list(grid[0][0].shape)
    for axis, size in sorted(zip(axes, (len(grid), len(grid[0])), strict=True)):
        shape.insert(axis, size)
    out = first.new_empty(shape)
    for n, row in enumerate(grid):
        for m, x in enumerate(row):
            at: list[int | slice] = [slice(None)] * len(shape)
            at[axes[0]], at[axes[1]] = n, m
            out[tuple(at)] = x
    return out
'''

GRAM = '''
def _gram(x: Tensor, block: int) -> Tensor:
    """x @ x.mT, which is symmetric: blocks of rows up to the diagonal, and those mirrored."""
    rows = x.shape[-2]
    out = x.new_empty(*x.shape[:-1], rows)
    for start in range(0, rows, block):
        stop = min(start + block, rows)
        part = x[..., start:stop, :] @ x[..., :stop, :].mT
        out[..., start:stop, :stop] = part
        out[..., :start, start:stop] = part[..., :start].mT
    return out
'''

WINDOW_SUMS = '''
def _window_sums(
    x: Tensor,
    axis: int,
    size: int,
    stretches: tuple[tuple[int, int, tuple[int, ...]], ...],
    step: int = 1,
) -> Tensor:
    """Sums along an axis over rows: entry k has the stretches (start, stop, those k) with k."""
    found: dict[int, Tensor] = {}
    for start, stop, inside in stretches:
        rows = x[(slice(None),) * axis + (slice(start, stop, step),)]
        part = rows.sum(axis) if stop - start > step else rows.select(axis, 0)
        for k in inside:
            found[k] = found[k] + part if k in found else part
    zero = x.new_zeros(x.shape[:axis] + x.shape[axis + 1 :]) if len(found) < size else x
    return torch.stack([found.get(k, zero) for k in range(size)], axis)
'''

WINDOW_GRAM = '''
def _window_gram(
    x: Tensor,
    kernel: tuple[int, ...],
    stretches: tuple[tuple[tuple[int, int, tuple[int, ...]], ...], ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int = 1,
    scale: float = 1,
    gradient: Callable[..., Tensor] = _weight_gradient,
) -> Tensor:
    """Gram matrices [g, c, *k, c, *k] of the windows of x [b, g*c, *i].

    The entry of k and l depends on the rows in the windows' column k and on the distance l - k.
    Rows come in stretches (start, stop, those k); the weight gradient of x by rows of itself has
    all distances of a stretch at once. What lies below the diagonal in the longest k is mirrored.
    """
    n, c = len(kernel), x.shape[1] // groups
    half = n - 1 - kernel[::-1].index(max(kernel))  # the longest, the last of some
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    before = [0 if m == half else r for m, r in enumerate(reach)]
    pads = [p for pair in zip(before[::-1], reach[::-1], strict=True) for p in pair]
    padded = torch.nn.functional.pad(x, pads)

    def product(
        rows: tuple[slice, ...], near: tuple[slice, ...], taps: tuple[int, ...]
    ) -> Tensor:
        v, data = (scale * x[(..., *rows)]).contiguous(), padded[(..., *near)].contiguous()
        size = (groups * c, c, *taps)
        return gradient(data, v, size, stride, (0,) * n, dilation, groups)

    sums = _window_products(product, kernel, stretches, stride, dilation, before, half)
    out = x.new_zeros(groups, c, *kernel, c, *kernel)
    every = (slice(None),) * half
    for k, part in sums.items():
        block = part.unflatten(0, (groups, c))
        out[(slice(None), slice(None), *k, slice(None), *every, slice(k[half], None))] = block
        later = block.narrow(3 + half, 1, block.shape[3 + half] - 1)
        later = later.permute(0, 2, *range(3, n + 3), 1)
        out[(slice(None), slice(None), *every, slice(k[half] + 1, None), ..., *k)] = later
    return out


def _window_products(
    product: Callable[..., Tensor],
    kernel: tuple[int, ...],
    stretches: tuple[tuple[tuple[int, int, tuple[int, ...]], ...], ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    before: list[int],
    half: int,
    rows: tuple[slice, ...] = (),
    near: tuple[slice, ...] = (),
    taps: tuple[int, ...] = (),
) -> dict[tuple[int, ...], Tensor]:
    """For each k of the dimensions after these rows, the sum of products of the stretches that
    have it, by distance; the rows of a product's second factor are `near`, its distances `taps`."""
    m = len(rows)
    if m == len(kernel):
        return {(): product(rows, near, taps)}
    found: dict[tuple[int, ...], Tensor] = {}
    for start, stop, inside in stretches[m]:
        low, high = (0 if m == half else -max(inside)), kernel[m] - 1 - min(inside)
        first, end = before[m] + dilation[m] * low, before[m] + dilation[m] * high
        shifted = slice(start + first, stop - stride[m] + 1 + end)
        own = slice(start, stop, stride[m])
        parts = _window_products(
            product, kernel, stretches, stride, dilation, before, half,
            (*rows, own), (*near, shifted), (*taps, high - low + 1),
        )
        for k in inside:
            first, count = (0, kernel[m] - k) if m == half else (-k - low, kernel[m])
            for rest, part in parts.items():
                at, some = (k, *rest), part.narrow(2 + m, first, count)
                found[at] = found[at] + some if at in found else some
    return found
'''

TOTAL = '''
def _total(part: Tensor, size: tuple[int, ...]) -> Tensor:
    """Zeros for a sum of parts; of float16 and bfloat16 it is in float32."""
    half = part.dtype in (torch.float16, torch.bfloat16)
    return part.new_zeros(size, dtype=torch.float32 if half else part.dtype)
'''

ROUNDED = '''
def _rounded(total: Tensor, like: Tensor) -> Tensor:
    """A sum of parts in the dtype of an operand; an average of integers stays what it is."""
    numbers = like.is_floating_point() or like.is_complex()
    return total.to(like.dtype) if numbers else total
'''

JOINED = '''
def _joined(parts: Iterator[Tensor], size: tuple[int, ...], dim: int = 0) -> Tensor:
    """Parts side by side, axes lying as in a part. Each is put into its place before the next is
    made, unless gradients are recorded: those of a copy into a place are as large as the whole."""
    part = next(parts)
    if part.requires_grad:
        return torch.cat([part, *parts], dim)
    shape, strides, entries, axes = part.shape, part.stride(), part.shape[dim], range(part.ndim)
    order = sorted(axes, key=lambda n: (shape[n] > 1, -strides[n]))
    total = part.new_empty([size[n] for n in order]).permute([order.index(n) for n in axes])
    total.narrow(dim, 0, entries).copy_(part)
    del part
    for start in range(entries, size[dim], entries):
        total.narrow(dim, start, entries).copy_(next(parts))
    return total
'''

ONE_TAP = '''
def _one_tap(x: Tensor, weight: Tensor, bias: Tensor | None = None, groups: int = 1) -> Tensor:
    """The convolution with a kernel of size one.

    A dilation changes nothing about it, but with one PyTorch takes oneDNN's code for fewer than 16
    images, too, on one thread.
    """
    convolve = getattr(torch.nn.functional, f"conv{x.ndim - 2}d")
    dilation = 2 if x.is_cpu and x.dtype == torch.float32 else 1
    made: Tensor = convolve(x, weight, bias, dilation=dilation, groups=groups)
    return made
'''

CAST = '''
def _cast(x: Tensor, dtype: torch.dtype) -> Tensor:
    """x in this dtype; a complex x in the complex dtype of this precision."""
    return x.to(dtype.to_complex() if x.is_complex() else dtype)
'''

_GRADIENT = '''
def $name(
    $first: Tensor,
    $second: Tensor,
    size: tuple[int, ...],
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Tensor:
    """$doc"""
    if $first.is_complex():  # bilinear, never conjugated
        parts = [
            $name(a, b, size, stride, padding, dilation, groups)
            for a in ($first.real, $first.imag)
            for b in ($second.real, $second.imag)
        ]
        return torch.complex(parts[0] - parts[3], parts[1] + parts[2])
    stride, padding, dilation = (
        n if isinstance(n, tuple) else (n,) * (v.ndim - 2) for n in (stride, padding, dilation)
    )
$guard    $other = v.new_empty(size)  # only its shape is read; one that is expanded would be copied
    if v.is_cpu and v.dtype == torch.float32 and all(k == 1 for k in weight.shape[2:]):
        dilation = (2,) * len(dilation)  # of one tap: the same, but oneDNN takes small batches too
    gradients: list[Tensor] = torch.ops.aten.convolution_backward(
        v, x, weight, None, stride, padding, dilation, False, (0,), groups, $wanted
    )
    return gradients[$at]
'''
"""A part of the backward pass of a convolution of x with weight, for the cotangent v."""


_GUARD = """\
    tall = any(k > 7 and p for k, p in zip(size[2:-1], padding[:-1], strict=True))
    if v.is_cpu and (tall or (any(padding) and v.dtype == torch.bfloat16)):
        # oneDNN 3.12 is wrong about, or crashes at, padding of tall kernels and of bfloat16
        x = torch.nn.functional.pad(x, [p for n in reversed(padding) for p in (n, n)])
        padding = (0,) * len(padding)
"""


def _gradient(
    name: str, first: str, second: str, other: str, at: int, doc: str, guard: str = ""
) -> str:
    """The helper for the gradient of `other`, which is number `at` of the backward pass."""
    wanted = tuple(n == at for n in range(3))
    return Template(_GRADIENT).substitute(
        name=name, first=first, second=second, other=other, doc=doc, wanted=wanted, at=at,
        guard=guard,
    )  # fmt: skip


WEIGHT_GRADIENT = _gradient(
    "_weight_gradient",
    "x",
    "v",
    "weight",
    1,
    "The gradient, for a weight of this size, of convolving x with it; v is the cotangent.",
    _GUARD,
)
INPUT_GRADIENT = _gradient(
    "_input_gradient",
    "v",
    "weight",
    "x",
    0,
    "The gradient, for an input of this size, of convolving it with weight; v is the cotangent.",
)

DEPTHWISE_GRADIENT = '''
def _depthwise_gradient(
    x: Tensor,
    v: Tensor,
    size: tuple[int, ...],
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Tensor:
    """The weight gradient of a convolution with one channel a group.

    On the CPU, oneDNN has fast code for kernels of up to three columns, so that wider ones are cut;
    a kernel of one dimension stands upright, one of three is computed plane by plane.
    """
    n = v.ndim - 2
    stride, padding, dilation = (
        p if isinstance(p, tuple) else (p,) * n for p in (stride, padding, dilation)
    )
    if not x.is_cpu or x.dtype != torch.float32 or any(d > 1 for d in dilation):
        return _weight_gradient(x, v, size, stride, padding, dilation, groups)
    if n == 1:
        upright = (*size, 1), (*stride, 1), (*padding, 0)
        return _weight_gradient(x[..., None], v[..., None], *upright, 1, groups)[..., 0]
    if n == 3:
        around = (0, 0, 0, 0, 0, 0, padding[0], padding[0])
        x = torch.nn.functional.pad(x.transpose(1, 2), around)
        stop, v = stride[0] * (v.shape[2] - 1) + 1, v.transpose(1, 2).flatten(0, 1)
        flat = (*size[:2], *size[3:]), stride[1:], padding[1:], 1, groups
        planes = [x[:, k : k + stop : stride[0]].flatten(0, 1) for k in range(size[2])]
        return torch.stack([_depthwise_gradient(plane, v, *flat) for plane in planes], 2)
    if size[3] <= 3:
        return _weight_gradient(x, v, size, stride, padding, 1, groups)
    x = torch.nn.functional.pad(x, (padding[1], padding[1]))
    stop, parts = stride[1] * (v.shape[3] - 1), []
    for k in range(0, size[3], 3):
        few = (*size[:3], min(3, size[3] - k))
        part = x[..., k : k + stop + few[3]]
        parts.append(_weight_gradient(part, v, few, stride, (padding[0], 0), 1, groups))
    return torch.cat(parts, 3)
'''

HELPERS = {
    "_check_axes": CHECK_AXES,
    "_check": CHECK,
    "_indicator": INDICATOR,
    "_fold": FOLD,
    "_place": PLACE,
    "_pick": PICK,
    "_return": RETURN,
    "_blocks": BLOCKS,
    "_gram": GRAM,
    "_masked": MASKED,
    "_window_sums": WINDOW_SUMS,
    "_total": TOTAL,
    "_rounded": ROUNDED,
    "_joined": JOINED,
    "_cast": CAST,
    "_one_tap": ONE_TAP,
    "_input_gradient": INPUT_GRADIENT,
    "_weight_gradient": WEIGHT_GRADIENT,
    "_depthwise_gradient": DEPTHWISE_GRADIENT,
    "_window_gram": WINDOW_GRAM,
}
