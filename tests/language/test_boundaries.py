"""Paddings and boundaries, held against PyTorch's `pad` and operators, by both backends."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

import diagrammar as dg
from diagrammar import program as ops

FILE = """
param s = 1, l = 0, r = 0, d = 1
tensor X[b, ci, i]
tensor W[co, ci, k]
pattern P[i, o, k] = conv(stride=s, padding=(l, r), dilation=d, boundary=MODE)
Y[b, co, o] = X[b, ci, i] * P[i, o, k] * W[co, ci, k]
dX = vjp(Y, X)
dW = vjp(Y, W)
JX = jacobian(Y, X)
tY = jvp(Y, X)
U[b, (ci k), o] = X[b, ci, i] * P[i, o, k]
A_expand[(ci k), (ci' k')] = 1/|b| * U[b, (ci k), o] * U[b, (ci' k'), o]
A_reduce[(ci k), (ci' k')] = 1/(|b| * |o|^2) * U[b, (ci k), o] * U[b, (ci' k'), o']
"""
MODES = ("circular", "reflect", "replicate")
HYPER = (
    {"s": 1, "l": 1, "r": 1, "d": 1},
    {"s": 2, "l": 0, "r": 3, "d": 1},
    {"s": 1, "l": 2, "r": 1, "d": 2},
    {"s": 3, "l": 4, "r": 2, "d": 1},  # the windows tile the padded input: a reshape
    {"s": 2, "l": 1, "r": 2, "d": 2},  # stride and dilation have a common factor
    {"s": 1, "l": 0, "r": 0, "d": 1},
)


def random(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def forward(x: Any, w: Any, mode: str, h: dict[str, int]) -> torch.Tensor:
    x = functional.pad(x, (h["l"], h["r"]), mode=mode)
    return functional.conv1d(x, w, stride=h["s"], dilation=h["d"])


def reference(name: str, mode: str, h: dict[str, int], x: Any, w: Any, v: Any) -> Any:
    """What PyTorch says of each definition of the file."""
    x, w = x.requires_grad_(), w.requires_grad_()
    y = forward(x, w, mode, h)
    match name:
        case "Y" | "tY":
            return y.detach()
        case "dX":
            return torch.autograd.grad(y, x, v)[0]
        case "dW":
            return torch.autograd.grad(y, w, v)[0]
        case "JX":
            return torch.func.jacrev(lambda t: forward(t, w, mode, h))(x).detach()
    padded = functional.pad(x, (h["l"], h["r"]), mode=mode)[:, :, None]
    rows = functional.unfold(padded, (1, w.shape[2]), h["d"], 0, h["s"]).detach()
    if name == "A_expand":
        return torch.einsum("bco,bdo->cd", rows, rows) / len(x)
    means = rows.mean(-1)
    return means.T @ means / len(x)


@pytest.mark.parametrize("backend", ["torch", "numpy"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("h", HYPER, ids=str)
@pytest.mark.parametrize("name", ["Y", "dX", "dW", "JX", "tY", "A_expand", "A_reduce"])
def test_every_boundary(name: str, h: dict[str, int], mode: str, backend: str) -> None:
    x, w = random(2, 3, 6), random(4, 3, 3)
    v = random(*forward(x, w, mode, h).shape)
    given = {"X": x, "W": w, "dY": v, "tX": x}
    f = dg.parse(FILE.replace("MODE", mode))[name].compile(**h, b=2, i=6, k=3, backend=backend)
    operands = {o.name: given[o.name] for o in f.operands}
    result = torch.as_tensor(f(**operands))
    expected = reference(name, mode, h, x.clone(), w.clone(), v)
    torch.testing.assert_close(result, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["Y", "dX", "dW", "tY", "A_expand", "A_reduce"])
@pytest.mark.parametrize("h", HYPER, ids=str)
def test_no_boundary_is_ever_a_dense_array(h: dict[str, int], name: str, mode: str) -> None:
    """Entries are picked by position; what is left dense has two axes: a window matrix."""
    f = dg.parse(FILE.replace("MODE", mode))[name].compile(**h, i=12, k=3)
    special = f.specialise(**{o.name: _shape(o.name, h) for o in f.operands})
    for step in special.program.steps:
        if isinstance(step.operation, ops.Indicator):
            assert len(step.shape) <= 2
            assert not any("pad" in axis for axis in step.axes) or name == "A_reduce"
    if name == "Y" and h["s"] < 3:
        programs = [c.planned.program for c in special.candidates]
        calls = [s for p in programs for s in p.steps if isinstance(s.operation, ops.Convolution)]
        assert calls, "behind an index map, the unpadded convolution may be the library's"


def _shape(name: str, h: dict[str, int]) -> tuple[int, ...]:
    o = (12 + h["l"] + h["r"] - 2 * h["d"] - 1) // h["s"] + 1
    return {"X": (2, 3, 12), "tX": (2, 3, 12), "W": (4, 3, 3), "dY": (2, 4, o)}[name]


@pytest.mark.parametrize("mode", MODES)
def test_nan_stays_where_it_is(mode: str) -> None:
    x = random(1, 1, 8)
    x[0, 0, 4] = float("nan")
    f = dg.parse(FILE.replace("MODE", mode))["Y"].compile(l=1, r=1, k=3)
    found = f(x, torch.ones(1, 1, 3, dtype=torch.float64)).isnan()[0, 0]
    assert found.nonzero().flatten().tolist() == [3, 4, 5]


@pytest.mark.parametrize("mode", MODES)
def test_emitted_functions_have_derivatives_and_transforms(mode: str) -> None:
    spec = dg.parse(FILE.replace("MODE", mode))
    f = spec["Y"].compile(l=2, r=1, k=3)
    x, w = random(2, 3, 6).requires_grad_(), random(4, 3, 3)
    assert torch.autograd.gradcheck(lambda t: f(t, w), x)
    assert torch.autograd.gradgradcheck(lambda t: f(t, w) ** 2, x)
    stack = random(5, 2, 3, 6)
    each = torch.stack([f(t, w) for t in stack])
    torch.testing.assert_close(torch.func.vmap(lambda t: f(t, w))(stack), each)
    back = spec["dX"].compile(l=2, r=1, k=3, i=6)
    v = random(5, 2, 4, 7)
    each = torch.stack([back(w, t) for t in v])
    torch.testing.assert_close(torch.func.vmap(lambda t: back(w, t))(v), each)


@pytest.mark.parametrize("mode", MODES)
def test_two_dimensions_and_groups(mode: str) -> None:
    text = """
param s... = 1, p... = 0, d... = 1
tensor X[b, (g ci), i...]
tensor W[(g co), ci, k...]
pattern P[i, o, k]... = conv(stride=s..., padding=p..., dilation=d..., boundary=MODE)
Y[b, (g co), o...] = X[b, (g ci), i...] * P[i, o, k]... * W[(g co), ci, k...]
dW = vjp(Y, W)
"""
    spec = dg.parse(text.replace("MODE", mode))
    x, w = random(2, 4, 6, 5), random(6, 2, 3, 2).requires_grad_()
    padded = functional.pad(x, (1, 1, 2, 2), mode=mode)
    y = functional.conv2d(padded, w, stride=(2, 1), groups=2)
    v = random(*y.shape)
    (expected,) = torch.autograd.grad(y, w, v)
    options = {"s": (2, 1), "p": (2, 1), "g": 2, "k": (3, 2)}
    result = spec["Y"].compile(**options, rank=2)(X=x, W=w.detach())
    torch.testing.assert_close(result, y.detach(), rtol=1e-10, atol=1e-10)
    result = spec["dW"].compile(**options, rank=2)(X=x, dY=v)
    torch.testing.assert_close(result, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_same_padding_of_even_kernels_too(kernel: int, dilation: int, backend: str) -> None:
    text = """
param d = 1
tensor X[b, i]
tensor W[k]
pattern P[i, o, k] = conv(padding='same', dilation=d)
Y[b, o] = X[b, i] * P[i, o, k] * W[k]
"""
    x, w = random(2, 9), random(kernel)
    expected = functional.conv1d(x[:, None], w[None, None], padding="same", dilation=dilation)[:, 0]
    f = dg.parse(text)["Y"].compile(d=dilation, backend=backend)
    torch.testing.assert_close(torch.as_tensor(f(x, w)), expected, rtol=1e-10, atol=1e-10)


def problem(name: str, **values: Any) -> str:
    spec = dg.parse(FILE.replace("MODE", name))
    with pytest.raises(dg.DiagramError) as caught:
        spec["Y"].compile(**values)(random(1, 1, 4), random(1, 1, 2))
    return str(caught.value)


def test_the_limits_of_a_boundary_are_pytorchs() -> None:
    assert problem("circular", l=5) == (
        "error: pattern 'P' pads wire 'i', of size 4, by 5\n"
        "  = help: with boundary=circular, a padding is at most the size"
    )
    assert problem("reflect", r=4) == (
        "error: pattern 'P' pads wire 'i', of size 4, by 4\n"
        "  = help: with boundary=reflect, a padding is smaller than the size"
    )
    expected = forward(
        random(1, 1, 4), random(1, 1, 2), "circular", {"s": 1, "l": 4, "r": 4, "d": 1}
    )
    f = dg.parse(FILE.replace("MODE", "circular"))["Y"].compile(l=4, r=4)
    torch.testing.assert_close(f(random(1, 1, 4), random(1, 1, 2)), expected)


def test_strides_and_dilations_are_at_least_one() -> None:
    assert problem("zeros", s=0) == (
        "error: the stride of pattern 'P' is 0\n  = help: a stride is at least 1"
    )
    assert problem("zeros", d=0) == (
        "error: the dilation of pattern 'P' is 0\n  = help: a dilation is at least 1"
    )


@pytest.mark.parametrize("mode", MODES)
def test_what_is_printed_is_the_same_diagram(mode: str) -> None:
    spec = dg.parse(FILE.replace("MODE", mode))
    for name in spec:
        assert dg.parse(str(spec[name]))[name] == spec[name]
        d = spec[name].simplify(l=1, r=2, i=6, k=3, b=2, ci=2, s=1).diagram
        assert dg.parse(str(d))[name] == d
