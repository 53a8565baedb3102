"""Layer methods that are called wrong: every method, every operand, every fault of a family.

A right call is changed in one operand at a time. Each must raise, in words: no names of wires, and
no error that Python or torch raised.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import diagrammar as dg

MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "Conv2d": (lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2), (4, 5, 6)),
    "Conv1d": (lambda: nn.Conv1d(2, 3, 2, stride=2), (2, 7)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(2, 4, 3, stride=2, groups=2), (2, 5)),
    "Linear": (lambda: nn.Linear(3, 2), (5, 3)),
}

SIGNATURES: dict[str, tuple[str, ...]] = {
    "forward": ("x", "weight", "bias"), "input_vjp": ("v", "weight", "input_size"),
    "weight_vjp": ("x", "v"), "bias_vjp": ("v",), "input_jvp": ("t_x", "weight"),
    "weight_jvp": ("x", "t_w"), "input_jacobian": ("weight", "input_size"),
    "weight_jacobian": ("x",), "unfold": ("x",), "fold": ("u", "input_size"),
    "averaged_patches": ("x",), "toeplitz": ("weight", "input_size"), "kfac_expand": ("x",),
    "kfac_reduce": ("x",), "kfac_expand_grad": ("S",), "kfac_reduce_grad": ("S",),
    "ekfac_diag": ("x", "S", "Q_A", "Q_B"), "gram": ("x", "S", "x2", "S2"),
    "ggn_product": ("x", "S", "t_w"), "hessian_diag_vjp": ("h", "weight", "input_size"),
    "hessian_diag_weight": ("x", "h"), "kfra_vjp": ("G", "weight", "input_size"),
    "kfra_factor": ("G",),
    "batch_grad": ("x", "v"), "batch_l2": ("x", "v"), "sum_grad_squared": ("x", "v"),
    "grad_variance": ("x", "v"), "diag_ggn": ("x", "S"), "batch_diag_ggn": ("x", "S"),
    "blockdiag_ggn": ("x", "S"),
}  # fmt: skip
"""Operands of all methods of the documentation's table."""

BATCHED = {"x", "v", "S", "h", "x2", "S2", "t_x"}


class Call:
    """A layer and operands of right shapes for its methods."""

    def __init__(self, name: str) -> None:
        torch.manual_seed(0)
        module = MODULES[name][0]()
        self.layer = layer = dg.layers.Conv.of(module)
        self.linear = name == "Linear"
        x = torch.randn(2, *MODULES[name][1])
        with torch.no_grad():
            v = torch.randn_like(module(x))
        weight = module.weight.detach()
        groups = getattr(module, "groups", 1)
        A = layer.kfac_expand(x)
        out = v.shape[-1] if self.linear else v.shape[1]
        entries = v[0].numel()
        self.operands: dict[str, Any] = {
            "x": x, "v": v, "S": v[None], "weight": weight, "bias": module.bias.detach(), "h": v,
            "u": layer.unfold(x), "t_x": x, "t_w": weight, "input_size": x.shape,
            "Q_A": A, "Q_B": torch.randn(groups, out // groups, out // groups),
            "G": torch.randn(entries, entries), "x2": x, "S2": v[None],
        }  # fmt: skip

    def __call__(self, method: str, **changed: Any) -> Any:
        given = {**self.operands, **changed}
        return getattr(self.layer, method)(*(given[n] for n in SIGNATURES[method]))


def grown(x: Tensor, axis: int, by: int = 1) -> Tensor:
    """A tensor with more entries along an axis."""
    more = list(x.shape)
    more[axis] += by
    return torch.randn(more, dtype=x.dtype)


def kinds(x: Tensor) -> Iterator[tuple[str, Any]]:
    """Faults that no operand may have."""
    yield "None", None
    yield "array", x.numpy()
    yield "list", x.tolist()
    yield "whole numbers", x.long()
    yield "truth values", x > 0
    yield "sparse", x.to_sparse()
    yield "no axes", torch.randn(())


def faults(call: Call, name: str, others: set[str]) -> Iterator[tuple[str, Any]]:
    """Faults of an operand beside others, which it may not fit."""
    x = call.operands[name]
    if name == "input_size":
        spatial = tuple(x[1:-1] if call.linear else x[2:])
        yield from (("words", "large"), ("parts", (*spatial[:-1], 1.5)), ("zero", 0))
        yield from (("below zero", (*spatial[:-1], -1)), ("truth", True))
        other = (*x[:-1], x[-1] + 1) if call.linear else (x[0], x[1] + 1, *spatial)
        yield "channels", torch.Size(other)
        if not call.linear:
            yield "axes", (1, 2, 3, *x)
        return
    yield from kinds(x)
    if not (call.linear and name in BATCHED):  # of which it may have any number
        yield "more axes", x[None, None, None]
    if name in ("G", "Q_A", "Q_B"):
        yield "not square", x[..., :-1]
        yield (
            "other size",
            grown(grown(x, -1), -2) if name != "Q_A" else grown(grown(x, -1, 3), -2, 3),
        )
        if name == "G":
            return
        yield "other groups", grown(x, 0)
        return
    channels = {"S": 2, "S2": 2, "bias": 0, "weight": 0, "t_w": 0, "u": 1}.get(name, 1)
    if call.linear and channels in (1, 2) and name != "u":
        channels = -1
    yield "channels", grown(x, channels)
    if name in ("weight", "t_w"):
        yield "other channels", grown(x, 1)
        if not call.linear:
            yield "kernel", grown(x, -1)
    if not others - {"input_size"}:
        return
    if name in BATCHED and others & BATCHED:
        yield "examples", grown(x, 1 if name in ("S", "S2") else 0)
    if name in BATCHED and others & {*BATCHED, "input_size"}:
        yield "positions", grown(x, -2 if call.linear else -1, 4)
    yield "double", x.double()
    yield "complex", x + 0j
    yield "elsewhere", x.to("meta")


def wrong(name: str, method: str) -> Iterator[tuple[str, str, Any]]:
    call = Call(name)
    operands = SIGNATURES[method]
    for operand in operands:
        for fault, value in faults(call, operand, {*operands} - {operand}):
            if operand != "bias" or value is not None:
                yield operand, fault, value


WIRES = re.compile(r"\b[iokpqsd]\.\d|\bc[io]\b|\(g c|operand '|wire")


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("method", SIGNATURES)
def test_wrong_calls(name: str, method: str):
    call = Call(name)
    call(method)  # which is right
    count = 0
    for operand, fault, value in wrong(name, method):
        case = f"{name}.{method} with {operand}: {fault}"
        with pytest.raises((ValueError, TypeError)) as raised:
            pytest.fail(f"{case}: no error, but {call(method, **{operand: value})!r}"[:300])
        last = traceback.extract_tb(raised.value.__traceback__)[-1].filename
        assert "diagrammar" in last, f"{case}: {raised.value!r} from {last}"
        assert not WIRES.search(str(raised.value)), f"{case}: {raised.value}"
        count += 1
    assert count >= 7


def test_there_are_enough():
    found = [case for name in MODULES for method in SIGNATURES for case in wrong(name, method)]
    assert len(found) > 1500


@pytest.mark.parametrize("name", MODULES)
def test_words(name: str):
    """Some of the texts in full."""
    call, linear = Call(name), name == "Linear"
    x, v = call.operands["x"], call.operands["v"]
    three = grown(x, -1 if linear else 1)
    into, out = (t.shape[-1 if linear else 1] for t in (x, v))
    for method, changed, words in (
        ("kfac_expand", {"x": three}, f"x has {into + 1} channels; this layer has {into} input ch"),
        ("weight_vjp", {"v": v[:1]}, "the numbers of examples differ: 2 in x and 1 in v"),
        ("diag_ggn", {"S": v[None].double()}, "must have one dtype: x float32, S float64"),
        ("gram", {"x2": x[:1]}, "the numbers of examples differ: 1 in x2 and 2 in S2"),
        ("bias_vjp", {"v": None}, "v must be a torch.Tensor, not None"),
        ("forward", {"bias": grown(call.operands["bias"], 0)},
         f"output channels differ: {out} by weight and {out + 1} by bias"),
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=re.escape(words)):
            call(method, **changed)
    with pytest.raises(TypeError, match="bias must be True or False, not a Tensor"):
        call.layer.kfac_expand(x, bias=call.operands["bias"])
    with pytest.raises(ValueError, match="channels= has 8 channels; this layer has"):
        call.layer.weight_jacobian(x, channels=8)
    with pytest.raises(ValueError, match="n_data must be at least 0, not -1"):
        call.layer.kfac_expand(x, scale="curvlinops", n_data=-1)


def test_linear_takes_linear_layers():
    assert type(dg.layers.Linear.of(nn.Linear(3, 2))) is dg.layers.Linear
    for module in (nn.Conv2d(1, 1, 1), nn.Unfold(2)):
        with pytest.raises(TypeError, match=r"Linear\.of takes a torch\.nn\.Linear, not"):
            dg.layers.Linear.of(module)


def toeplitz(module: nn.Module, size: tuple[int, ...]) -> Tensor:
    """A linear layer's matrix by autograd, channels before positions."""
    x = torch.zeros(size)
    J = torch.autograd.functional.jacobian(lambda x: module(x) - module(torch.zeros(size)), x)
    out = module(x).reshape(-1, 2)
    J = J.reshape(*out.shape, -1, size[-1])  # [positions, c_out, positions, c_in]
    return J.permute(1, 0, 3, 2).reshape(out.numel(), x.numel())


@pytest.mark.parametrize("axes", [(), (4,), (2, 3), (3, 2), (2, 2, 2)])
def test_input_size_of_a_linear_layer(axes: tuple[int, ...]):
    """The number of positions, their axes or a whole shape: the same, in every method."""
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    layer, weight = dg.layers.Conv.of(module), module.weight.detach()
    x = torch.randn(5, *axes, 3)
    v, count = module(x).detach(), x[0, ..., 0].numel()
    right = toeplitz(module, (*axes, 3))
    G = torch.randn(len(right), len(right))
    sizes: list[Any] = [x.shape, count]
    for size in sizes:
        assert torch.allclose(layer.toeplitz(weight, size), right)
        J = layer.input_jacobian(weight, size)
        assert torch.allclose(J.reshape(right.shape), right)
    sizes += [tuple(x.shape), axes, list(axes), None]
    grad = torch.einsum("...o,oi->...i", v, weight)
    for size in sizes:
        assert torch.allclose(layer.input_vjp(v, weight, size), grad)
        made = layer.hessian_diag_vjp(v, weight, size)
        assert torch.allclose(made, torch.einsum("...o,oi->...i", v, weight**2))
        assert torch.allclose(layer.kfra_vjp(G, weight, size), right.T @ G @ right, atol=1e-5)
        if size is not None:
            assert layer.fold(layer.unfold(x), size).shape == (5, 3, count)
    for size in ((*axes, 7), count + 1, (5, *axes, 4)):
        with pytest.raises(ValueError, match="input_size"):
            layer.input_vjp(v, weight, size)
    if len(axes) > 1 and axes[0] != axes[1]:
        turned = v.transpose(1, 2)
        with pytest.raises(ValueError, match=r"v has positions .*, between examples and channels"):
            layer.weight_vjp(x, turned)


@pytest.mark.parametrize("shape", [(3,), (4, 3), (4, 5, 3), (2, 3, 2, 3)])
def test_weight_jacobian_of_a_linear_layer(shape: tuple[int, ...]):
    torch.manual_seed(0)
    module, x = nn.Linear(3, 2), torch.randn(shape)
    made = dg.layers.Conv.of(module).weight_jacobian(x)
    right = torch.func.jacrev(lambda w: nn.functional.linear(x, w))(module.weight.detach())
    assert made.shape == right.shape
    assert torch.allclose(made, right)


def test_input_size_that_can_be_read_in_two_ways():
    layer, weight = dg.layers.Conv.of(nn.Linear(3, 2)), torch.randn(2, 3)
    for size in ((2, 3), (2, 5, 3), [4, 3]):
        with pytest.raises(ValueError, match="may be axes of positions or a whole shape"):
            layer.toeplitz(weight, size)
    assert layer.toeplitz(weight, torch.Size((2, 5, 3))).shape == (10, 15)
    assert layer.toeplitz(weight, (2, 5)).shape == (20, 30)
