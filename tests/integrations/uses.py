"""What can be done with a layer's methods and with compiled functions: a table, each cell tried.

    python -m tests.integrations.uses [--quick]

A cell passes where the result is the plain call's. `test_uses` runs the quick part of it.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend
from torch.export import Dim

import diagrammar as dg
from diagrammar.layers import Conv

Call = Callable[..., Any]


@dataclass(frozen=True)
class Subject:
    """A function of tensors, the tensors, and whether it is differentiated by all of them."""

    name: str
    call: Call
    operands: tuple[Tensor, ...]
    batched: tuple[int, ...] = ()  # operands whose first axis is the batch
    stacked: tuple[int, ...] = ()  # operands whose second axis is

    def batch_axis(self, operand: int) -> int | None:
        """The axis of an operand that is the batch."""
        return 0 if operand in self.batched else 1 if operand in self.stacked else None


def _first(made: Any) -> Tensor:
    """One tensor of a result: the sum of what a pair's parts hold."""
    if isinstance(made, tuple):
        return torch.cat([part.flatten() for part in made])
    found: Tensor = made
    return found


def subjects() -> list[Subject]:
    """Every method of a layer, and definitions compiled by themselves."""
    torch.manual_seed(0)
    conv = Conv((3,), padding=1, groups=2)
    shapes = (3, 4, 5), (6, 2, 3), (3, 6, 5), (6,)
    x, w, v, bias = (torch.randn(shape, dtype=torch.float64) for shape in shapes)
    t, tw, S = torch.randn_like(x), torch.randn_like(w), torch.randn(2, *v.shape).double()
    h, u, G = torch.rand_like(v), torch.randn(3, 12, 5).double(), torch.randn(30, 30).double()
    Q_A, Q_B = torch.randn(2, 6, 6).double(), torch.randn(2, 3, 3).double()
    size = (5,)
    given: list[tuple[Any, ...]] = [
        ("forward", conv.forward, (x, w, bias), (0,)),
        ("input_vjp", lambda v, w: conv.input_vjp(v, w, size), (v, w), (0,)),
        ("weight_vjp", conv.weight_vjp, (x, v), (0, 1)),
        ("bias_vjp", conv.bias_vjp, (v,), (0,)),
        ("input_jvp", conv.input_jvp, (t, w), (0,)),
        ("weight_jvp", conv.weight_jvp, (x, tw), (0,)),
        ("input_jacobian", lambda w: conv.input_jacobian(w, size), (w,), ()),
        ("weight_jacobian", lambda x: conv.weight_jacobian(x, 6), (x,), (0,)),
        ("unfold", conv.unfold, (x,), (0,)),
        ("fold", lambda u: conv.fold(u, size), (u,), (0,)),
        ("averaged_patches", conv.averaged_patches, (x,), (0,)),
        ("toeplitz", lambda w: conv.toeplitz(w, size), (w,), ()),
        ("kfac_expand", lambda x: conv.kfac_expand(x, bias=True), (x,), (0,)),
        ("kfac_reduce", lambda x: conv.kfac_reduce(x, scale="curvlinops"), (x,), (0,)),
        ("kfac_expand_grad", conv.kfac_expand_grad, (S,), (), (0,)),
        ("kfac_reduce_grad", conv.kfac_reduce_grad, (S,), (), (0,)),
        ("ekfac_diag", conv.ekfac_diag, (x, S, Q_A, Q_B), (0,), (1,)),
        ("batch_grad", conv.batch_grad, (x, v), (0, 1)),
        ("batch_l2", conv.batch_l2, (x, v), (0, 1)),
        ("sum_grad_squared", conv.sum_grad_squared, (x, v), (0, 1)),
        ("grad_variance", conv.grad_variance, (x, v), (0, 1)),
        ("diag_ggn", conv.diag_ggn, (x, S), (0,), (1,)),
        ("batch_diag_ggn", conv.batch_diag_ggn, (x, S), (0,), (1,)),
        ("blockdiag_ggn", conv.blockdiag_ggn, (x, S), (0,), (1,)),
        ("gram", conv.gram, (x, S), (0,), (1,)),
        ("ggn_product", conv.ggn_product, (x, S, tw), (0,), (1,)),
        ("hessian_diag_vjp", lambda h, w: conv.hessian_diag_vjp(h, w, size), (h, w), (0,)),
        ("hessian_diag_weight", conv.hessian_diag_weight, (x, h), (0, 1)),
        ("kfra_vjp", lambda G, w: conv.kfra_vjp(G, w, size), (G, w), ()),
        ("kfra_factor", lambda G: conv.kfra_factor(G, channels=6), (G,), ()),
    ]
    found = [Subject(*row) for row in given]
    spec = dg.shipped("conv2d")
    X, W = torch.randn(3, 4, 4, 5).double(), torch.randn(6, 2, 3, 3).double()
    for name, operands in (("U", (X,)), ("A_reduce", (X,)), ("Y", (X, W, bias))):
        made = spec[name].compile(g=2, k1=3, k2=3)
        found.append(Subject(f"compiled {name}", made, operands, (0,)))
    return found


# -- the uses --------------------------------------------------------------------------------------


def _near(a: Any, b: Any, rtol: float = 1e-9) -> None:
    a, b = _first(a), _first(b)
    scale = float(b.abs().max()) if b.numel() else 0.0
    assert a.shape == b.shape, f"shape {tuple(a.shape)}, not {tuple(b.shape)}"
    assert torch.allclose(a.double(), b.double(), rtol=rtol, atol=rtol * (1 + scale))


def autograd(s: Subject) -> None:
    """The gradient against a directional finite difference, and the second against the first's."""
    operands = [x.clone().requires_grad_() for x in s.operands]
    weights = torch.randn_like(_first(s.call(*s.operands)))

    def value(*xs: Tensor) -> Tensor:
        return (_first(s.call(*xs)) * weights).sum()

    first = torch.autograd.grad(value(*operands), operands, create_graph=True)
    along = [torch.randn_like(x) for x in s.operands]
    slope = sum((g * d).sum() for g, d in zip(first, along, strict=True))
    step = 1e-6
    ahead = value(*(x + step * d for x, d in zip(s.operands, along, strict=True)))
    behind = value(*(x - step * d for x, d in zip(s.operands, along, strict=True)))
    _near(slope.detach(), (ahead - behind) / (2 * step), 1e-5)
    if not slope.requires_grad:  # linear: no second derivative
        return
    second = torch.autograd.grad(slope, operands, allow_unused=True)

    def slope_at(*xs: Tensor) -> Tensor:
        here = [x.detach().requires_grad_() for x in xs]
        gs = torch.autograd.grad(value(*here), here)
        return sum(((g * d).sum() for g, d in zip(gs, along, strict=True)), torch.zeros(()))

    ahead = slope_at(*(x + step * d for x, d in zip(s.operands, along, strict=True)))
    behind = slope_at(*(x - step * d for x, d in zip(s.operands, along, strict=True)))
    made = sum(
        ((g * d).sum() for g, d in zip(second, along, strict=True) if g is not None),
        torch.zeros(()),
    )
    _near(made, (ahead - behind) / (2 * step), 1e-4)


def vmap(s: Subject) -> None:
    """Over a new axis of the first operand."""
    first, *rest = s.operands
    stacked = torch.stack([first, 2 * first])
    made = torch.func.vmap(lambda x: _first(s.call(x, *rest)))(stacked)
    _near(made, torch.stack([_first(s.call(x, *rest)) for x in stacked]))


def jvp(s: Subject) -> None:
    """Forward mode against finite differences."""
    along = tuple(torch.randn_like(x) for x in s.operands)
    _, made = torch.func.jvp(lambda *xs: _first(s.call(*xs)), s.operands, along)
    step = 1e-6
    ahead = _first(s.call(*(x + step * d for x, d in zip(s.operands, along, strict=True))))
    behind = _first(s.call(*(x - step * d for x, d in zip(s.operands, along, strict=True))))
    _near(made, (ahead - behind) / (2 * step), 1e-5)


def vjp(s: Subject) -> None:
    """Reverse mode by torch.func against autograd."""
    operands = [x.clone().requires_grad_() for x in s.operands]
    made = _first(s.call(*operands))
    v = torch.randn_like(made)
    expected = torch.autograd.grad(made, operands, v)
    _, back = torch.func.vjp(lambda *xs: _first(s.call(*xs)), *s.operands)
    for a, b in zip(back(v), expected, strict=True):
        _near(a, b)


def vmap_of_grad(s: Subject) -> None:
    """Gradients of several calls at once."""
    first, *rest = s.operands
    stacked = torch.stack([first, 2 * first])

    def value(x: Tensor) -> Tensor:
        return _first(s.call(x, *rest)).square().sum()

    made = torch.func.vmap(torch.func.grad(value))(stacked)
    _near(made, torch.stack([torch.func.grad(value)(x) for x in stacked]))


def compiled(s: Subject) -> None:
    """torch.compile(fullgraph=True), one batch size."""
    torch._dynamo.reset()
    made = torch.compile(s.call, fullgraph=True, backend="aot_eager")(*s.operands)
    _near(made, s.call(*s.operands))


def _batches(s: Subject) -> list[list[Tensor]]:
    """The operands with batches of seven and of nine: no other axis has these sizes, and Dynamo
    takes sizes that are equal at first for one."""
    made = []
    for n in (7, 9):
        operands = list(s.operands)
        for at, x in enumerate(operands):
            axis = s.batch_axis(at)
            if axis is not None:
                operands[at] = torch.cat([x] * 3, axis).narrow(axis, 0, n).clone()
        made.append(operands)
    return made


def compiled_dynamic(s: Subject) -> None:
    """torch.compile(fullgraph=True, dynamic=True): one graph for two batch sizes."""
    expected = [s.call(*operands) for operands in _batches(s)]
    torch._dynamo.reset()
    graphs = CompileCounterWithBackend("aot_eager")
    call = torch.compile(s.call, fullgraph=True, dynamic=True, backend=graphs)
    for operands, plain in zip(_batches(s), expected, strict=True):
        _near(call(*operands), plain)
    assert graphs.frame_count == 1, f"{graphs.frame_count} graphs"


class _Module(torch.nn.Module):
    def __init__(self, call: Call) -> None:
        super().__init__()
        self.call = call

    def forward(self, *operands: Tensor) -> Any:
        return self.call(*operands)


def export(s: Subject) -> None:
    """torch.export of a module that calls it."""
    torch._dynamo.reset()
    program = torch.export.export(_Module(s.call), s.operands)
    _near(program.module()(*s.operands), s.call(*s.operands))


def export_dynamic(s: Subject) -> None:
    """torch.export with the batch left open, called with two batch sizes."""
    torch._dynamo.reset()
    axes = [s.batch_axis(at) for at in range(len(s.operands))]
    dynamic = [None if axis is None else {axis: Dim.DYNAMIC} for axis in axes]
    first, second = map(tuple, _batches(s))
    exported = torch.export.export(_Module(s.call), first, dynamic_shapes=(tuple(dynamic),))
    for operands in (first, second):
        _near(exported.module()(*operands), s.call(*operands))


def autocast(s: Subject) -> None:
    """In bfloat16 by autocast, to what that dtype holds."""
    singles = [x.float() for x in s.operands]
    with torch.autocast("cpu", torch.bfloat16):
        made = _first(s.call(*singles))
    plain = _first(s.call(*s.operands))
    assert (made.double() - plain).norm() <= 0.1 * plain.norm()


def inference(s: Subject) -> None:
    """Under torch.inference_mode, with tensors made in it."""
    with torch.inference_mode():
        made = s.call(*(x.clone() for x in s.operands))
    _near(made, s.call(*s.operands))


def meta(s: Subject) -> None:
    """On meta tensors: shape and dtype."""
    made = _first(s.call(*(x.to("meta") for x in s.operands)))
    plain = _first(s.call(*s.operands))
    assert made.is_meta
    assert (made.shape, made.dtype) == (plain.shape, plain.dtype)


def fake(s: Subject) -> None:
    """On fake tensors: shape and dtype. The mode must take real constants, as it must for any
    function that holds tensors made before it."""
    from torch._subclasses import FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        made = _first(s.call(*(mode.from_tensor(x) for x in s.operands)))
    plain = _first(s.call(*s.operands))
    assert (made.shape, made.dtype) == (plain.shape, plain.dtype)


def freed(s: Subject) -> None:
    """Every tensor of a call is let go of at once: none waits in a cycle for the collector."""
    while gc.collect():  # what other uses left, in several turns
        pass
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        s.call(*s.operands)
        gc.collect()
        held = [tuple(o.shape) for o in gc.garbage if isinstance(o, Tensor)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not held, f"in cycles: tensors of shapes {held}"


USES: dict[str, Callable[[Subject], None]] = {
    "autograd, twice": autograd,
    "vmap": vmap,
    "jvp": jvp,
    "vjp": vjp,
    "vmap of grad": vmap_of_grad,
    "compile": compiled,
    "compile, dynamic": compiled_dynamic,
    "export": export,
    "export, dynamic": export_dynamic,
    "autocast": autocast,
    "inference_mode": inference,
    "meta": meta,
    "fake": fake,
    "freed": freed,
}
QUICK = ("vmap", "vjp", "autocast", "inference_mode", "meta", "fake", "freed")


def tried(use: str, s: Subject) -> str | None:
    """What went wrong in a cell; None where nothing did."""
    try:
        s.call(*s.operands)  # compiled for these shapes
        USES[use](s)
    except Exception as error:  # whatever it is, the table says so
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200]
    return None


def main() -> None:
    """Try every cell and print the table; exit with 1 where one fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only what the tests run")
    names = QUICK if parser.parse_args().quick else tuple(USES)
    table, failures = Table(title="uses"), []
    for column in ("", *names):
        table.add_column(column)
    for s in subjects():
        cells = []
        for use in names:
            wrong = tried(use, s)
            cells.append("ok" if wrong is None else "FAILS")
            if wrong is not None:
                failures.append(f"{use}, {s.name}: {wrong}")
        table.add_row(s.name, *cells)
    console = Console(width=160)
    console.print(table)
    for line in failures:
        console.print(line, markup=False)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
