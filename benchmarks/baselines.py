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
