"""Kinds of networks that a sum over rows would be silently wrong on: each number of `dg.curvature`
is right, by explicit Jacobians of one example at a time, or the layer is refused by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

import diagrammar as dg
from benchmarks.zoo.judge import Expected, verdicts
from benchmarks.zoo.network import Problem
from tests.networks.made import LAYERS, apply, coupled, flat, pooled, positions, problem, rows, uses

Make = Callable[[], Problem]


def named(made: Any) -> Any:
    return pytest.mark.parametrize("make", [pytest.param(m, id=name) for name, m in made])


def judge(given: Problem) -> None:
    bad = [v for v in verdicts(given, None) if not v.good]
    assert not bad, "; ".join(f"{v.quantity}: {v.failure}" for v in bad)


@named(rows())
def test_rows_are_given_to_their_examples(make: Make):
    judge(make())


@named((n, m) for n, m in rows() if "flat" not in n and "first" not in n)
def test_batches_of_any_size_give_the_same(make: Make):
    """The layout that the first batch shows holds for the others, also for a last one of one."""
    given = make()
    x, y = given.data
    what = ("kfac_expand", "kfac_reduce", "diag_ggn")
    options = {"skip_others": True, **given.options}
    whole = dg.curvature(given.model, (x, y), given.loss, what, **options)
    for parts in ([slice(0, 2), slice(2, 3)], [slice(0, 1), slice(1, 3)]):
        made = dg.curvature(given.model, [(x[p], y[p]) for p in parts], given.loss, what, **options)
        assert made.examples == whole.examples == 3
        for layer, sums in whole.sums.items():
            for name, value in sums.items():
                assert torch.allclose(made.sums[layer][name], value, rtol=1e-9, atol=1e-12), name


@named(uses())
@pytest.mark.parametrize("what", ["kfac_expand", "diag_ggn"])
def test_weights_that_are_used_elsewhere_are_refused(make: Make, what: str):
    given = make()
    with pytest.raises(NotImplementedError, match=r"layers? '(layer|other)'.*exclude=\[") as caught:
        dg.curvature(given.model, given.data, given.loss, what)
    assert "share" in str(caught.value) or "used elsewhere" in str(caught.value)


@named((n, m) for n, m in uses() if "module" not in n)
def test_without_the_layer_the_others_are_right(make: Make):
    given = make()
    right = Expected(
        Problem(given.model, given.data, given.loss, options={"layers": ["head"]})
    ).layers()
    made = dg.curvature(given.model, given.data, given.loss, "diag_ggn", exclude="layer")
    assert made.layers == ("head",)
    assert torch.allclose(made.diagonal("head")[0], right["head"].diagonal()[0], rtol=1e-9)


@named(coupled())
def test_coupled_examples_are_refused(make: Make):
    given = make()
    with pytest.raises((ValueError, NotImplementedError), match=r"examples"):
        dg.curvature(given.model, given.data, given.loss, "diag_ggn", skip_others=True)


def test_an_output_with_rows_by_word_is_that_with_rows_by_example():
    """f [t·b, c], of which the reference knows nothing, beside f [b·t, c], which it has judged."""
    what = ("kfac_expand", "kfac_reduce", "diag_ggn", "gram")
    made, right = (
        dg.curvature(given.model, given.data, given.loss, what)
        for given in (flat(strided=True), flat(strided=False))
    )
    assert made.examples == right.examples == 3
    for layer, sums in right.sums.items():
        for name, value in sums.items():
            assert torch.allclose(made.sums[layer][name], value, rtol=1e-12)
        assert torch.allclose(made.gram(layer), right.gram(layer), rtol=1e-12)


# -- layers that do more than torch's forward ------------------------------------------------------


class One(nn.Module):
    def __init__(self, kind: str, change: Callable[[nn.Module], Any]) -> None:
        super().__init__()
        self.layer, self.head = LAYERS[kind](), nn.Linear(4, 3)
        change(self.layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(pooled(apply(self.layer, x, x.ndim - 2).tanh()))


HOOKS: dict[str, Callable[[nn.Module], Any]] = {
    "scales the output": lambda m: m.register_forward_hook(lambda m, i, o: 2 * o),
    "overwrites the output": lambda m: m.register_forward_hook(lambda m, i, o: o.mul_(3)),
    "adds a residual": lambda m: m.register_forward_hook(lambda m, i, o: o + i[0]),
    "scales the input": lambda m: m.register_forward_pre_hook(lambda m, i: (3 * i[0],)),
    "scales the gradient": lambda m: m.register_full_backward_hook(lambda m, i, o: (2 * i[0],)),
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("name", [n for n in HOOKS if "gradient" not in n])
def test_hooks_of_the_users_own(kind: str, name: str):
    judge(problem(One(kind, HOOKS[name]), (3, 4, *positions(kind))))


def replaced(module: nn.Module) -> None:
    inner = module.forward
    module.forward = lambda x: inner(2 * x)  # type: ignore[method-assign]


@pytest.mark.parametrize("kind", LAYERS)
def test_a_replaced_forward_is_refused(kind: str):
    given = problem(One(kind, replaced), (3, 4, *positions(kind)))
    with pytest.raises(TypeError, match="whose forward was replaced"):
        dg.curvature(given.model, given.data, given.loss, "diag_ggn")
    with pytest.raises(TypeError, match=r"'layer' is a .* whose forward was replaced"):
        dg.curvature(given.model, given.data, given.loss, "diag_ggn", layers="layer")


def test_what_computes_something_else_is_found_by_the_check():
    """A global hook, of which no module knows."""
    given = problem(One("linear", lambda m: None), (3, 4))

    def double(module: nn.Module, inputs: Any, output: Any) -> Any:
        return 2 * output if isinstance(module, nn.Linear) and module.out_features == 4 else None

    handle = nn.modules.module.register_module_forward_hook(double)
    try:
        with pytest.raises(NotImplementedError, match="layer 'layer': the network's gradient by"):
            dg.curvature(given.model, given.data, given.loss, "diag_ggn")
        dg.curvature(given.model, given.data, given.loss, "diag_ggn", check="off")
    finally:
        handle.remove()


# -- parametrised and pruned layers ----------------------------------------------------------------


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("how", ["weight_norm", "spectral_norm"])
def test_parametrised_layers_are_by_the_weight_that_they_use(kind: str, how: str):
    parametrised = getattr(nn.utils.parametrizations, how)
    net = problem(One(kind, lambda m: None), (3, 4, *positions(kind))).model
    parametrised(net.layer)
    given = problem(nn.Sequential(net), (3, 4, *positions(kind)))
    plain = problem(nn.Sequential(One(kind, lambda m: None)), (3, 4, *positions(kind))).model
    with torch.no_grad():
        plain[0].layer.weight.copy_(given.model[0].layer.weight)
        plain[0].head.load_state_dict(given.model[0].head.state_dict())
        if plain[0].layer.bias is not None:
            plain[0].layer.bias.copy_(given.model[0].layer.bias)
    what = ("kfac_expand", "kfac_reduce", "diag_ggn")
    made, right = (dg.curvature(m, given.data, given.loss, what) for m in (given.model, plain))
    for layer, sums in right.sums.items():
        for name, value in sums.items():
            assert torch.allclose(made.sums[layer][name], value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", LAYERS)
def test_pruned_layers_are_by_their_parameter(kind: str):
    def pruned(module: nn.Module) -> None:
        prune.random_unstructured(module, "weight", 0.4)
        if module.bias is not None:
            prune.random_unstructured(module, "bias", 0.5)

    given = problem(One(kind, pruned), (3, 4, *positions(kind)))
    made = dg.curvature(given.model, given.data, given.loss, ("diag_ggn", "gram"))
    layer = given.model.layer
    by_weight, by_bias = made.diagonal("layer")
    assert bool((by_weight[layer.weight_mask == 0] == 0).all())
    if by_bias is not None:
        assert bool((by_bias[layer.bias_mask == 0] == 0).all())
    trace = made.gram("layer").flatten(2).flatten(0, 1).diagonal().sum() / 3
    parts = [p.sum() for p in (by_weight, by_bias) if p is not None]
    assert torch.allclose(trace, sum(parts), rtol=1e-9)


def test_the_message_names_what_shares_a_parameter():
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.emb, self.mid, self.head = nn.Embedding(7, 6), nn.Linear(6, 6), nn.Linear(6, 7)
            self.head.weight = self.emb.weight

        def forward(self, i: Tensor) -> Tensor:
            return self.head(self.mid(self.emb(i)).tanh()).transpose(1, 2)

    i = torch.randint(7, (4, 5))
    words = r"layers 'head' and 'emb' share a weight \(emb.weight\).* exclude=\['head'\]"
    with pytest.raises(NotImplementedError, match=words):
        dg.curvature(Words(), (i, i), nn.CrossEntropyLoss(), "diag_ggn")
    made = dg.curvature(
        Words(), (i, i), nn.CrossEntropyLoss(), "diag_ggn", exclude="head", skip_others=True
    )
    assert made.layers == ("mid",)
    assert re.match(r"<Curvature diag_ggn: 1 layers, 4 examples>", repr(made))


def test_an_expert_that_is_called_with_no_rows():
    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            k = x[:, 0] > 0
            out = x.new_zeros(len(x), 3)
            out[k], out[~k] = self.one(x[k]), self.two(x[~k])
            return out

    torch.manual_seed(0)
    model, y = Experts().double(), torch.randn(4, 3).double()
    x = torch.randn(4, 4).double()
    x[:, 0] = torch.tensor([1.0, 1, -1, -1])
    what = ("kfac_expand", "kfac_reduce", "diag_ggn")
    whole = dg.curvature(model, (x, y), nn.MSELoss(), what)
    parts = dg.curvature(model, [(x[:2], y[:2]), (x[2:], y[2:])], nn.MSELoss(), what)
    for layer, sums in whole.sums.items():
        for name, value in sums.items():
            assert torch.allclose(parts.sums[layer][name], value, rtol=1e-9), name
