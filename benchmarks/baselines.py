"""PyTorch's own way of each operation, as it is timed: the paper's protocol.

The operator for what is linear in one operand; autograd's backward pass alone (the graph is built
once) for the VJPs; factors from `unfold`. Where there are several ways, the fastest counts.
"""

from __future__ import annotations

from collections.abc import Callable

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
