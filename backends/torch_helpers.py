"""The helper functions of emitted modules, as source; a module holds the ones that it uses."""

from __future__ import annotations

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

CAST = '''
def _cast(x: Tensor, dtype: torch.dtype) -> Tensor:
    """x in this dtype; a complex x in the complex dtype of this precision."""
    return x.to(dtype.to_complex() if x.is_complex() else dtype)
'''

WEIGHT_GRADIENT = '''
def _weight_gradient(
    x: Tensor,
    v: Tensor,
    size: tuple[int, ...],
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Tensor:
    """The gradient, for a weight of this size, of convolving x with it; v is the cotangent."""
    if x.is_complex():  # bilinear, never conjugated
        parts = [
            _weight_gradient(a, c, size, stride, padding, dilation, groups)
            for a in (x.real, x.imag)
            for c in (v.real, v.imag)
        ]
        return torch.complex(parts[0] - parts[3], parts[1] + parts[2])
    stride, padding, dilation = (
        n if isinstance(n, tuple) else (n,) * (x.ndim - 2) for n in (stride, padding, dilation)
    )
    weight = v.new_empty(1).expand(size)  # only its shape is read
    gradients: list[Tensor] = torch.ops.aten.convolution_backward(
        v, x, weight, None, stride, padding, dilation, False, (0,), groups, (False, True, False)
    )
    return gradients[1]
'''

HELPERS = {
    "_check_axes": CHECK_AXES,
    "_check": CHECK,
    "_indicator": INDICATOR,
    "_fold": FOLD,
    "_place": PLACE,
    "_pick": PICK,
    "_return": RETURN,
    "_cast": CAST,
    "_weight_gradient": WEIGHT_GRADIENT,
}
