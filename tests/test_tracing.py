"""Traces by torch.compile and torch.export: sizes that stay open, and what a first call in a mode
leaves for later ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend
from torch._subclasses import FakeTensorMode
from torch.export import Dim

import diagrammar as dg
from diagrammar.grammar.errors import DiagramError
from diagrammar.layers import Conv, Linear
from diagrammar.runtime import tracing

pytestmark = pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < tracing.LEAST,
    reason="sizes stay open in traces of torch 2.13 and newer: pip install -U torch",
)

Call = Callable[..., Tensor]


def compiled(call: Call, *, dynamic: bool = True) -> tuple[Call, CompileCounterWithBackend]:
    torch._dynamo.reset()
    graphs = CompileCounterWithBackend("aot_eager")
    return torch.compile(call, fullgraph=True, dynamic=dynamic, backend=graphs), graphs


LAYERS: dict[str, Callable[[], Conv]] = {
    "conv": lambda: Conv((3, 2), stride=(2, 1), padding=1, groups=2),
    "circular": lambda: Conv((2, 3), padding=1, padding_mode="circular", groups=2),
    "transposed": lambda: Conv((3, 3), transposed=True, stride=2, output_padding=1, groups=2),
}


@pytest.mark.parametrize("name", LAYERS)
def test_one_graph_for_all_batches_and_no_call_before(name: str):
    x = {n: torch.randn(n, 4, 8, 8, dtype=torch.float64) for n in (5, 7, 11)}
    make = LAYERS[name]
    call, graphs = compiled(make().kfac_expand)
    made = {n: call(given) for n, given in x.items()}
    assert graphs.frame_count == 1
    for n, given in x.items():
        torch.testing.assert_close(made[n], make().kfac_expand(given), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", ["kfac_expand_grad", "kfac_reduce_grad"])
def test_factors_of_gradients_need_no_call_before(method: str):
    """Their groups stand in the file, so the layer gives none."""
    s = {n: torch.randn(2, n, 6, 5, 5, dtype=torch.float64) for n in (3, 7)}
    call, graphs = compiled(getattr(Conv((3, 3)), method))
    made = {n: call(given) for n, given in s.items()}
    assert graphs.frame_count == 1
    for n, given in s.items():
        torch.testing.assert_close(made[n], getattr(Conv((3, 3)), method)(given))


def test_gradients_through_a_graph_with_an_open_batch():
    layer, weight = Conv((3, 3), padding=1), torch.randn(5, 4, 3, 3, dtype=torch.float64)
    call, graphs = compiled(lambda x, w: Conv.forward(layer, x, w).square().sum())
    for n in (6, 9):
        x = torch.randn(n, 4, 8, 8, dtype=torch.float64)
        w = weight.clone().requires_grad_()
        (found,) = torch.autograd.grad(call(x, w), w)
        plain = torch.nn.functional.conv2d(x, w, padding=1).square().sum()
        (expected,) = torch.autograd.grad(plain, w)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    assert graphs.frame_count == 1


def test_only_the_marked_batch_is_open():
    layer = Linear((1,))
    call, graphs = compiled(layer.kfac_expand, dynamic=False)
    for n in (6, 9):
        x = torch.randn(n, 4, dtype=torch.float64)
        torch._dynamo.mark_dynamic(x, 0)
        torch.testing.assert_close(call(x)[0], x.T @ x / n, rtol=1e-12, atol=1e-12)
    assert graphs.frame_count == 1


def test_a_compiled_definition_with_an_open_batch():
    call, graphs = compiled(dg.shipped("conv2d")["U"].compile(g=1, k1=3, k2=3, p=0))
    for n in (6, 9):
        x = torch.randn(n, 4, 8, 8, dtype=torch.float64)
        assert torch.equal(call(x)[:, 0], torch.nn.functional.unfold(x, 3))
    assert graphs.frame_count == 1


def test_export_with_an_open_batch_and_no_call_before():
    layer = Conv((3, 3), padding=1)

    class Module(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return layer.kfac_reduce(x, scale="curvlinops", n_data=100)

    x = torch.randn(6, 4, 8, 8)
    exported = torch.export.export(Module(), (x,), dynamic_shapes=({0: Dim.DYNAMIC},))
    for n in (6, 9):
        x = torch.randn(n, 4, 8, 8)
        expected = layer.kfac_reduce(x, scale="curvlinops", n_data=100)
        torch.testing.assert_close(exported.module()(x), expected)


def test_axes_that_may_stay_open():
    only_the_batch = (True, False, False, False)
    conv2d = dg.shipped("conv2d")
    assert conv2d["U"].compile().open_axes((4,)) == (only_the_batch,)
    assert conv2d["Y"].compile().open_axes((4, 4, 1)) == (only_the_batch, 4 * (False,), (False,))


def test_a_function_with_an_open_batch():
    f = dg.shipped("conv2d")["U"].compile(g=1, k1=3, k2=3, p=0)
    opened = f.opened([(None, 4, 8, 8)])
    assert [str(n) for n in opened.program.parameters[0].shape] == ["b", "4", "8", "8"]
    for n in (1, 3):
        x = torch.randn(n, 4, 8, 8)
        assert torch.equal(opened(x)[:, 0], torch.nn.functional.unfold(x, 3))
    with pytest.raises(ValueError, match=r"axis 2 .* has size 9, expected 8"):
        opened(torch.randn(2, 4, 9, 8))
    with pytest.raises(DiagramError, match="has 3 axes, not 4"):
        f.opened([(None, 4, 8)])


def test_a_budget_that_is_too_small_in_a_trace():
    layer = Conv((3, 3), padding=1, memory="1KiB")
    call, _ = compiled(layer.unfold, dynamic=False)
    with pytest.raises(Exception, match=r"more than the budget of 1\.0 KiB"):
        call(torch.randn(4, 4, 8, 8))


def _exported(f: Call, w: Tensor) -> None:
    class Module(torch.nn.Module):
        def forward(self, w: Tensor) -> Tensor:
            return f(w)

    torch.export.export(Module(), (w,))


def _fake(f: Call, w: Tensor) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        f(mode.from_tensor(w))


def _inference(f: Call, w: Tensor) -> None:
    with torch.inference_mode():
        f(w)


def _on_meta(f: Call, w: Tensor) -> None:
    with torch.device("meta"):
        f(w)


def _compiled(f: Call, w: Tensor) -> None:
    compiled(f)[0](w)


@pytest.mark.parametrize("first", [_exported, _fake, _inference, _on_meta, _compiled])
def test_a_first_call_in_a_mode_leaves_nothing_of_it_for_later_calls(
    first: Callable[[Call, Tensor], None],
):
    """Programs hold constants, here the pattern of a circular layer."""
    weight = torch.randn(6, 4, 2, 2, dtype=torch.float64)
    layers = [Conv((2, 2), padding=1, padding_mode="circular") for _ in range(2)]
    first(lambda w: layers[0].toeplitz(w, (8, 8)), weight)
    w = weight.clone().requires_grad_()
    made, expected = (layer.toeplitz(w, (8, 8)) for layer in layers)
    assert type(made) is torch.Tensor
    assert torch.equal(made, expected)
    (gradient,) = torch.autograd.grad(made.square().sum(), w)
    assert gradient.isfinite().all()
