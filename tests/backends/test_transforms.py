"""Emitted functions under autograd (twice), torch.func and torch.compile, in every dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from hand_programs import (
    Builder,
    condition,
    disjoint_fold,
    gram,
    kfac_reduce,
    native,
    overlapping_fold,
    potpourri,
    side_by_side,
    symbolic,
    unfold_matmul,
)
from torch import Tensor

from diagrammar.backends.numpy import evaluate
from diagrammar.backends.torch.emit import emit_module, load
from diagrammar.ir import scalar
from diagrammar.program import Einsum, Program, SizeBinding

PROGRAMS: dict[str, Program] = {
    "kfac_reduce": kfac_reduce(2, 2, 3),
    "unfold_matmul": unfold_matmul(2, 4),
    "disjoint_fold": disjoint_fold(),
    "overlapping_fold": overlapping_fold(),
    "mixture": potpourri(),
    "convolution": native("convolution"),
    "transposed_convolution": native("transposed_convolution"),
    "input_gradient": native("input_gradient"),
    "weight_gradient": native("weight_gradient"),
    "images_side_by_side": side_by_side(0),
    "groups_side_by_side": side_by_side(1),
    "gram": gram("gram"),
    "window_sums": gram("window_sums"),
    "window_gram": gram("window_gram"),
}
ONE_RESULT = [name for name in PROGRAMS if name != "overlapping_fold"]


def function(name: str) -> Callable[..., Any]:
    program = PROGRAMS[name]
    return load(emit_module([program], "x"), name)[program.name]


def operands(name: str, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    random = torch.Generator().manual_seed(0)
    shapes = [p.shape for p in PROGRAMS[name].parameters]
    return [torch.randn(shape, generator=random, dtype=dtype) for shape in shapes]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients_of_first_and_second_order(name: str) -> None:
    f = function(name)
    leaves = [x.requires_grad_() for x in operands(name)]
    assert torch.autograd.gradcheck(
        f,
        leaves,
        check_forward_ad=True,
        check_batched_grad=True,
        check_batched_forward_grad=True,
        fast_mode=True,
    )
    assert torch.autograd.gradgradcheck(f, leaves, fast_mode=True, check_fwd_over_rev=True)


@pytest.mark.parametrize("name", ONE_RESULT)
def test_vmap(name: str) -> None:
    f, xs = function(name), operands(name)
    batch = [torch.stack([x, -x, x * x]) for x in xs]
    expected = torch.stack([f(*row) for row in zip(*batch, strict=True)])
    torch.testing.assert_close(torch.func.vmap(f)(*batch), expected)
    for at in range(len(xs)):
        mixed = [batch[n] if n == at else x for n, x in enumerate(xs)]
        dims = tuple(0 if n == at else None for n in range(len(xs)))
        rows = torch.stack([f(*xs[:at], row, *xs[at + 1 :]) for row in batch[at]])
        torch.testing.assert_close(torch.func.vmap(f, dims)(*mixed), rows)


@pytest.mark.parametrize("name", ONE_RESULT)
def test_functional_derivatives(name: str) -> None:
    f, xs = function(name), operands(name)
    tangents = [torch.randn_like(x) for x in xs]
    y, t = torch.func.jvp(f, tuple(xs), tuple(tangents))
    v = torch.randn_like(y)
    gradients = torch.func.vjp(f, *xs)[1](v)
    total = sum((g * s).sum() for g, s in zip(gradients, tangents, strict=True))
    torch.testing.assert_close((v * t).sum(), total)
    by_rows = torch.func.jacrev(f)(*xs)
    torch.testing.assert_close(torch.func.jacfwd(f)(*xs), by_rows)
    loss = lambda x: f(x, *xs[1:]).square().sum()  # noqa: E731
    torch.testing.assert_close(
        torch.func.jacrev(torch.func.jacfwd(loss))(xs[0]), torch.func.hessian(loss)(xs[0])
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_complex_numbers(name: str) -> None:
    xs = operands(name, torch.complex128)
    names = [p.name for p in PROGRAMS[name].parameters]
    arrays = dict(zip(names, (x.numpy() for x in xs), strict=True))
    results = function(name)(*xs)
    expected = evaluate(PROGRAMS[name], arrays)
    for a, b in zip(results if isinstance(results, tuple) else [results], expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_low_precision(name: str, dtype: torch.dtype) -> None:
    f, xs = function(name), operands(name)
    results = f(*(x.to(dtype) for x in xs))
    tolerance = 20 * torch.finfo(dtype).eps
    for a, b in zip(*([r] if isinstance(r, Tensor) else r for r in (results, f(*xs))), strict=True):
        assert a.dtype == dtype
        assert (a.double() - b).abs().max() <= tolerance * b.abs().max()


@pytest.mark.parametrize("name", PROGRAMS)
def test_strided_operands_and_no_change_in_place(name: str) -> None:
    f, xs = function(name), operands(name)
    strided = [torch.stack([x, x], -1)[..., 0].mT.contiguous().mT if x.ndim > 1 else x for x in xs]
    copies = [x.clone() for x in strided]
    torch.testing.assert_close(f(*strided), f(*xs), rtol=1e-12, atol=1e-12)
    assert all(map(torch.equal, strided, copies))


def test_accumulation_in_another_dtype() -> None:
    b = Builder("f")
    x = b.operand("X", "b i", 4, 6)
    wide = b.cast(x, "float32")
    out = b.cast(b.einsum("bi,bj->ij", wide, wide), like=x)
    f = load(emit_module([b.program(out)], "x"), "f")["f"]
    x16 = torch.randn(4, 6).to(torch.bfloat16)
    assert torch.equal(f(x16), (x16.float().mT @ x16.float()).to(torch.bfloat16))
    z = torch.randn(4, 6, dtype=torch.complex128)
    torch.testing.assert_close(f(z), z.mT @ z, rtol=1e-5, atol=1e-5)  # the imaginary part stays


def test_more_labels_than_letters() -> None:
    def side(first: int, name: str, b: Builder) -> tuple[int, tuple[int, ...]]:
        kept = list(range(first, first + 24))
        term = (*kept[:12], 101, 100, *kept[12:], first + 1000)
        size = {101: 2, 100: 3, first: 2, first + 1: 3, first + 1000: 2}
        return b.operand(
            name, " ".join(f"l{n}" for n in term), *(size.get(n, 1) for n in term)
        ), term

    b = Builder("f")
    (x, left), (y, right) = side(0, "X", b), side(30, "Y", b)
    size = dict(zip(left, b.shape(x), strict=True)) | dict(zip(right, b.shape(y), strict=True))
    out = (30, 101, *range(24), *range(31, 54))
    program = b.program(b.put(Einsum((x, y), (left, right), out), [size[n] for n in out]))
    random = np.random.default_rng(0)
    shapes = {p.name: [int(n) for n in p.shape] for p in program.parameters}
    arrays = {name: random.standard_normal(shape) for name, shape in shapes.items()}
    f = load(emit_module([program], "x"), "f")["f"]
    (expected,) = evaluate(program, arrays)
    result = f(**{name: torch.from_numpy(a) for name, a in arrays.items()})
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-12)


def generic_indicator() -> Program:
    """Shape-generic, with a mask that is built when it runs, and a fold."""
    n, k = scalar.size("n"), scalar.size("k")
    b = Builder("generic")
    x = b.operand("X", "n k", n, k)
    y = b.operand("Y", "n m", n, 3)
    mask = b.indicator(x, (n, k), ((condition(1, -1, constant=n - k, nonnegative=True),),), "n k")
    u = b.einsum("nk,nm->mnk", b.einsum("nk,nk->nk", x, mask), y)
    folded = b.fold(u, 1, 2, n + k, stride=2, padding=1)
    eye = b.indicator(x, (n + k, n + k), ((condition(1, -1),),), "i j")
    out = b.scale(b.einsum("mi,ij->mj", folded, eye), sympy.Integer(1) / (n * k))
    return b.program(out, sizes=[SizeBinding("n", "X", 0), SizeBinding("k", "X", 1)])


def test_compiled_in_one_graph() -> None:
    for name in PROGRAMS:
        f, xs = function(name), operands(name, torch.float32)
        compiled = torch.compile(f, fullgraph=True)
        torch.testing.assert_close(compiled(*xs), f(*xs))
    generic = load(emit_module([generic_indicator(), symbolic()], "x"), "generic")

    def composed(x: Tensor, y: Tensor) -> Tensor:
        out = generic["generic"](x, y)
        assert isinstance(out, Tensor)
        return out

    compiled = torch.compile(composed, fullgraph=True, dynamic=True)
    for n, k in ((5, 2), (7, 4), (3, 3)):
        x, y = torch.randn(n, k), torch.randn(n, 3)
        torch.testing.assert_close(compiled(x, y), generic["generic"](x, y))
    unfold = torch.compile(generic["U"], fullgraph=True, dynamic=True)
    for n, g, i in ((2, 3, 9), (4, 2, 12)):
        x, w = torch.randn(n, 2 * g, i), torch.randn(g, 3)
        torch.testing.assert_close(unfold(x, w), generic["U"](x, w))


def test_compiled_gradients() -> None:
    for name in ("overlapping_fold", "weight_gradient"):
        f, xs = function(name), operands(name)
        outcomes = []
        for g in (f, torch.compile(f, fullgraph=True, backend="aot_eager")):
            leaves = [x.clone().requires_grad_() for x in xs]
            results = g(*leaves)
            first = results[0] if isinstance(results, tuple) else results
            outcomes.append(torch.autograd.grad(first.square().sum(), leaves))
        torch.testing.assert_close(outcomes[0], outcomes[1])
