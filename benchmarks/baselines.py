"""PyTorch's own way of each operation, as it is timed: the paper's protocol.

The operator for what is linear in one operand; autograd's backward pass alone (the graph is built
once) for the VJPs; factors from `unfold`. Where there are several ways, the fastest counts.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from benchmarks.operations import Given
from tests import reference
from tests.reference import Hyper

Way = Callable[[], Tensor]


def ways(name: str, h: Hyper, given: Given) -> dict[str, Way]:
    """PyTorch's ways of an operation, by what they are called in tables."""
    return _WAYS[name](h, given)


def best_known(name: str, h: Hyper, given: Given) -> dict[str, Way]:
    """The ways of the paper's protocol, and faster ones known for the job: products without
    unfolding for kernels of size one, means of padded slices for averaged patches."""
    known = ways(name, h, given)
    if name == "KFAC-reduce":
        known["means of slices"] = lambda: _from_slices(h, given["X"])
    plain = set(h.kernel_size) == {1} and not any(h.padding) and h.groups == 1
    if plain and name == "KFAC-expand":
        known["product"] = lambda: _pointwise_factor(h, given["X"])
    if plain and set(h.stride) == {1}:
        x, w, v = (
            given[n].flatten(2) if n != "W" else given[n].flatten(1) for n in ("X", "W", "dY")
        )
        products: dict[str, Way] = {
            "forward": lambda: given["bias"][:, None] + w @ x,
            "input VJP": lambda: w.mT @ v,
            "weight VJP": lambda: (v @ x.mT).sum(0),
        }
        if name in products:
            known["product"] = products[name]
    return known


def floor(h: Hyper, x: Tensor) -> Way:
    """What KFAC-reduce cannot do without: reading the input once, and the product of its rows."""
    columns = x.shape[1] // h.groups * h.kernel_size[0] * h.kernel_size[1]
    rows = torch.rand(h.groups, len(x), columns, dtype=x.dtype, device=x.device)

    def least() -> Tensor:
        x.sum((2, 3))
        return rows.mT @ rows

    return least


def peers(name: str, h: Hyper, given: Given) -> dict[str, Way]:
    """The same job by einconv and curvlinops, where they are installed and take the layer.

    What does not depend on the data is made beforehand: einconv's equation and patterns.
    """
    found: dict[str, Way] = {}
    if find_spec("einconv"):
        found |= _einconv(name, h, given)
    if find_spec("curvlinops") and name == "KFAC-reduce" and h.groups == 1:
        from curvlinops import kfac_utils

        x, options = given["X"], (h.kernel_size, h.stride, h.padding, h.dilation, h.groups)

        def averaged() -> Tensor:
            rows = kfac_utils.extract_averaged_patches(x, *options).flatten(1)
            return (rows.mT @ rows / len(x))[None]

        found["curvlinops"] = averaged
    return found


_EINCONV = {
    "forward": "forward",
    "weight VJP": "weight_vjp",
    "input VJP": "input_vjp",
    "KFAC-expand": "kfc",
    "KFAC-reduce": "kfac_reduce",
}


def _einconv(name: str, h: Hyper, given: Given) -> dict[str, Way]:
    """einconv's simplified einsum, contracted in opt_einsum's order."""
    from importlib import import_module

    import opt_einsum

    module = import_module(f"einconv.expressions.convNd_{_EINCONV[name]}")
    x, w, v = given["X"], given["W"], given["dY"]
    first: dict[str, tuple[Any, ...]] = {
        "forward": (x, w),
        "weight VJP": (x, v, h.kernel_size),
        "input VJP": (w, v, tuple(x.shape[2:])),
        "KFAC-expand": (x, h.kernel_size),
        "KFAC-reduce": (x, h.kernel_size),
    }
    words = {"stride": h.stride, "padding": h.padding, "dilation": h.dilation, "groups": h.groups}
    equation, operands, shape = module.einsum_expression(*first[name], **words)
    ordered = opt_einsum.contract_expression(equation, *(t.shape for t in operands))
    bias = given["bias"][:, None, None] if name == "forward" else None

    def contracted() -> Tensor:
        made: Tensor = ordered(*operands).reshape(shape)
        return made if bias is None else made + bias

    return {"einconv": contracted}


def _pointwise_factor(h: Hyper, x: Tensor) -> Tensor:
    rows = x[..., :: h.stride[0], :: h.stride[1]].flatten(2)
    return (rows @ rows.mT).sum(0) / len(x)


def _from_slices(h: Hyper, x: Tensor) -> Tensor:
    """KFAC-reduce from the mean of each padded, shifted and strided slice."""
    (k1, k2), (s1, s2), (p1, p2), (d1, d2) = h.kernel_size, h.stride, h.padding, h.dilation
    x = torch.nn.functional.pad(x, (p2, p2, p1, p1))
    o1, o2 = (
        (n - d * (k - 1) - 1) // s + 1
        for n, d, k, s in zip(x.shape[2:], h.dilation, h.kernel_size, h.stride, strict=True)
    )
    means = [
        x[
            :, :, d1 * a : d1 * a + s1 * (o1 - 1) + 1 : s1, d2 * c : d2 * c + s2 * (o2 - 1) + 1 : s2
        ].mean((2, 3))
        for a in range(k1)
        for c in range(k2)
    ]
    rows = torch.stack(means, -1).unflatten(1, (h.groups, -1)).flatten(2)
    return torch.einsum("bgi,bgj->gij", rows, rows) / len(x)


def _forward(h: Hyper, t: Given) -> dict[str, Way]:
    return {"conv2d": lambda: reference.forward(h, t["X"], t["W"], t["bias"])}


def _input_jvp(h: Hyper, t: Given) -> dict[str, Way]:
    return {"conv2d": lambda: reference.forward(h, t["tX"], t["W"])}


def _weight_jvp(h: Hyper, t: Given) -> dict[str, Way]:
    return {"conv2d": lambda: reference.forward(h, t["X"], t["tW"])}


def _weight_vjp(h: Hyper, t: Given) -> dict[str, Way]:
    weight = t["W"].detach().clone().requires_grad_()
    return {"autograd": _backward(reference.forward(h, t["X"], weight), weight, t["dY"])}


def _input_vjp(h: Hyper, t: Given) -> dict[str, Way]:
    x = t["X"].detach().clone().requires_grad_()
    return {"autograd": _backward(reference.forward(h, x, t["W"]), x, t["dY"])}


def _backward(y: Tensor, variable: Tensor, v: Tensor) -> Way:
    return lambda: torch.autograd.grad(y, variable, v, retain_graph=True)[0]


def _kfac_expand(h: Hyper, t: Given) -> dict[str, Way]:
    x = t["X"]
    return {
        "unfold + matmul": lambda: reference.kfac_expand(h, x),
        "unfold + addmm": lambda: _accumulated(h, x),
    }


def _accumulated(h: Hyper, x: Tensor) -> Tensor:
    """KFAC-expand with one product an example, which spares a copy of the unfolded input."""
    rows = reference.unfolded(h, x)
    factor = rows[0] @ rows[0].mT
    for example in rows[1:]:
        factor.baddbmm_(example, example.mT)
    return factor.div_(len(x))


def _kfac_reduce(h: Hyper, t: Given) -> dict[str, Way]:
    return {"unfold + mean + matmul": lambda: reference.kfac_reduce(h, t["X"])}


_WAYS: dict[str, Callable[[Hyper, Given], dict[str, Way]]] = {
    "forward": _forward,
    "weight VJP": _weight_vjp,
    "input VJP": _input_vjp,
    "input JVP": _input_jvp,
    "weight JVP": _weight_jvp,
    "KFAC-expand": _kfac_expand,
    "KFAC-reduce": _kfac_reduce,
}
