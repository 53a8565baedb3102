"""`dg.curvature` against Gauss–Newton matrices from torch.func, and its result as a value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import diagrammar as dg

LOSSES = {
    "squared": nn.MSELoss(),
    "summed": nn.MSELoss(reduction="sum"),
    "classes": nn.CrossEntropyLoss(),
    "binary": nn.BCEWithLogitsLoss(),
}


def network() -> nn.Module:
    """Groups, strides, a transposed layer, padding modes, activations in place, a linear layer."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular"),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 4, 2, stride=2, groups=2, bias=False),
        nn.Tanh(),
        nn.ConvTranspose2d(4, 2, 2, groups=2),
        nn.Flatten(),
        nn.Linear(18, 3),
    ).double()


def batches(kind: str = "squared") -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(1)
    x = torch.randn(5, 2, 4, 4, dtype=torch.float64)
    y = torch.randn(5, 3, dtype=torch.float64)
    if kind == "classes":
        y = torch.randint(0, 3, (5,))
    if kind == "binary":
        y = (y > 0).double()
    return [(x[:2], y[:2]), (x[2:], y[2:])]


def gradients(model: nn.Module, vectors: Any, name: str) -> Tensor:
    """The gradients of ⟨f(x_n), v⟩ by a parameter, for all examples n and vectors v: [v, n, *p]."""
    params = {n: p.detach() for n, p in model.named_parameters()}
    found = []
    for x, y in batches_of(vectors):
        f = model(x).detach()

        def output(w: Tensor, one: Tensor) -> Tensor:
            return torch.func.functional_call(model, {**params, name: w}, (one[None],))[0]

        def pulled(one: Tensor, v: Tensor) -> Tensor:
            return torch.func.vjp(lambda w: output(w, one), params[name])[1](v)[0]

        rows = [torch.func.vmap(pulled)(x, v) for v in vectors(f, y)]
        found.append(torch.stack(rows))
    return torch.cat(found, 1)


def batches_of(vectors: Any) -> list[tuple[Tensor, Tensor]]:
    return vectors.data


class Roots:
    """Vectors of a loss from its Hessian by autograd, for outputs [b, c]: no code in common with
    ours."""

    def __init__(self, loss: nn.Module, data: Any) -> None:
        self.loss, self.data = loss, data

    def __call__(self, f: Tensor, y: Tensor) -> Tensor:
        def one(f: Tensor, y: Tensor) -> Tensor:
            return self.loss(f[None], y[None])

        hessian = torch.func.vmap(torch.func.hessian(one))(f, y)
        values, basis = torch.linalg.eigh(hessian)
        return (basis * values.clamp(min=0).sqrt()[:, None]).permute(2, 0, 1)


@pytest.mark.parametrize("name", LOSSES)
class TestAgainstTorchFunc:
    def test_diagonal(self, name: str):
        model, data = network(), batches(name)
        made = dg.curvature(model, data, LOSSES[name], "diag_ggn")
        for layer in made.layers:
            for part, value in zip(("weight", "bias"), made.diagonal(layer), strict=True):
                if value is not None:
                    g = gradients(model, Roots(LOSSES[name], data), f"{layer}.{part}")
                    assert torch.allclose(value, g.square().sum((0, 1)) / 5, rtol=1e-9, atol=1e-12)

    def test_gram(self, name: str):
        model, data = network(), batches(name)
        made = dg.curvature(model, data, LOSSES[name], "gram", bias=False, layers=["2", "6"])
        for layer in ("2", "6"):
            g = gradients(model, Roots(LOSSES[name], data), f"{layer}.weight").flatten(2)
            gram = torch.einsum("vnp,wmp->vnwm", g, g).reshape(15, 15)
            ours = made.gram(layer).reshape(15, 15)
            # other roots of the Hessian: the same matrix up to a rotation of vectors
            expected = torch.linalg.eigvalsh(gram)
            assert torch.allclose(torch.linalg.eigvalsh(ours), expected, rtol=1e-9, atol=1e-10)
        assert torch.equal(made.gram(), made.gram("2") + made.gram("6"))


def test_factors_are_the_layers():
    model, data = network(), batches()
    x, y = (torch.cat(parts) for parts in zip(*data, strict=True))
    whole = dg.curvature(model, (x, y), LOSSES["squared"], ("kfac_expand", "kfac_reduce"))
    parts = dg.curvature(model, data, LOSSES["squared"], ("kfac_expand", "kfac_reduce"))
    assert whole.layers == parts.layers == ("0", "2", "4", "6")
    conv, linear = dg.layers.Conv.of(model[0]), dg.layers.Conv.of(model[6])
    A = conv.kfac_expand(x, bias=True)
    assert torch.allclose(parts.factors("0")[0], A, rtol=1e-12)
    S = torch.eye(3).double()[:, None].expand(-1, 5, -1) * (2 / 3) ** 0.5
    assert torch.allclose(parts.factors("6", "kfac_reduce")[1], linear.kfac_reduce_grad(S))
    for kind in ("kfac_expand", "kfac_reduce"):
        for layer in whole.layers:
            pairs = zip(whole.factors(layer, kind), parts.factors(layer, kind), strict=True)
            assert all(torch.allclose(a, b, rtol=1e-10, atol=1e-14) for a, b in pairs)


def test_the_product_is_the_ggn_of_a_linear_model():
    torch.manual_seed(0)
    model, x = nn.Linear(3, 2).double(), torch.randn(7, 3).double()
    loss = nn.MSELoss(reduction="sum")
    made = dg.curvature(model, (x, torch.zeros(7, 2).double()), loss)
    A, B = (factor[0] for factor in made.factors(""))
    rows = torch.cat([x, torch.ones(7, 1).double()], 1)
    assert torch.allclose(torch.kron(B, A), torch.kron(2 * torch.eye(2), rows.T @ rows / 7))


@pytest.mark.parametrize("name", ["squared", "classes", "binary"])
def test_drawn_vectors_are_right_on_average(name: str):
    model, data = network(), batches(name)
    exact = dg.curvature(model, data, LOSSES[name], layers=["6"]).factors("6")[1]
    drawn = dg.curvature(
        model, data, LOSSES[name], vectors="mc", samples=400, layers=["6"],
        generator=torch.Generator().manual_seed(0),
    ).factors("6")[1]  # fmt: skip
    assert (drawn - exact).norm() < 0.15 * exact.norm()


@pytest.mark.parametrize("name", LOSSES)
def test_empirical_vectors_are_gradients(name: str):
    model, data = network(), batches(name)
    made = dg.curvature(model, data, LOSSES[name], "diag_ggn", vectors="empirical", layers=["6"])
    expected = torch.zeros(3, 18, dtype=torch.float64)
    for x, y in data:
        for n in range(len(x)):
            loss = LOSSES[name](model(x[n : n + 1]), y[n : n + 1])
            expected += torch.autograd.grad(loss, model[6].weight)[0].square() / 5
    assert torch.allclose(made.diagonal("6")[0], expected, rtol=1e-10)


def test_classes_at_positions():
    torch.manual_seed(0)
    model, x = nn.Conv1d(2, 3, 1).double(), torch.randn(4, 2, 5).double()
    y, loss = torch.randint(0, 3, (4, 5)), nn.CrossEntropyLoss()
    made = dg.curvature(model, (x, y), loss, "diag_ggn").diagonal("")[0]

    def total(w: Tensor) -> Tensor:
        return loss(nn.functional.conv1d(x, w, model.bias.detach()), y)

    hessian = torch.func.hessian(total)(model.weight.detach())  # of a linear model: the GGN
    assert torch.allclose(made.flatten(), hessian.reshape(6, 6).diagonal(), rtol=1e-9)


def test_own_vectors_and_nothing_is_left_behind():
    model, data = network(), batches()
    model[2].weight.requires_grad_(False)
    made = dg.curvature(model, data, lambda f, y: torch.ones_like(f)[None], "diag_ggn")
    ones = dg.curvature(model, data, lambda f, y: [torch.ones_like(f)], "diag_ggn")
    assert all(
        torch.equal(a, b) for a, b in zip(made.diagonal("6"), ones.diagonal("6"), strict=True)
    )
    assert [p.requires_grad for p in model.parameters()] == [True] * 2 + [False] + [True] * 4
    assert all(p.grad is None for p in model.parameters())
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())


def test_gradients_by_parameters_are_computed_for_the_check_alone():
    model, seen = network(), []
    for p in model.parameters():
        p.register_hook(seen.append)
    made = dg.curvature(model, batches(), LOSSES["squared"], check="off")
    assert not seen
    dg.curvature(model, batches(), LOSSES["squared"])  # a gradient each, of the first batch
    assert len(seen) == 7
    for p in model.parameters():
        p.requires_grad_(False)
    frozen = dg.curvature(model, batches(), LOSSES["squared"], layers=made.layers)
    assert not any(p.requires_grad for p in model.parameters())
    for layer in made.layers:
        for a, b in zip(made.factors(layer), frozen.factors(layer), strict=True):
            assert torch.equal(a, b)


class Branches(nn.Module):
    """Layers side by side, outputs that are views and are overwritten, two dtypes."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(2, 3), nn.Linear(2, 3)
        self.last = nn.Linear(3, 2, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        one = self.one(x.unflatten(1, (-1, 2)))  # with positions
        two = self.two(x[:, :2]).relu_()
        return self.last((one.relu_().sum(1) * two).double())


def test_layers_side_by_side():
    model, x = Branches(), torch.randn(4, 6)
    target = torch.zeros(4, 2, dtype=torch.float64)  # as the outputs, which torch 2.4 needs
    made = dg.curvature(model, (x, target), nn.MSELoss(reduction="sum"))
    outputs: list[Tensor] = []
    handle = model.two.register_forward_hook(lambda m, i, out: outputs.append(out.clone()))
    y = model(x)
    handle.remove()
    one = model.one(x.unflatten(1, (-1, 2))).relu().sum(1)
    expected = torch.zeros(3, 3)
    for c in range(2):  # y = W (one · relu(two)) + b
        grad = one * (outputs[0] > 0) * model.last.weight[c].float()
        expected += 2 * grad.T @ grad / len(y)
    assert torch.allclose(made.factors("two")[1][0], expected, rtol=1e-5)


def test_a_layer_that_the_output_does_not_depend_on():
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.one(x) + self.two(x).detach()

    with pytest.raises(RuntimeError, match=r"0 of 2 gradients came back to layer 'two'"):
        dg.curvature(Idle(), (torch.randn(3, 2), torch.zeros(3, 2)), nn.MSELoss())


class TestResult:
    def test_it_is_saved_and_loaded(self, tmp_path: Path):
        pytest.importorskip("safetensors", reason="pip install 'diagrammar[save]'")
        what = ("kfac_expand", "diag_ggn", "gram")
        made = dg.curvature(network(), batches(), LOSSES["squared"], what)
        made.save(tmp_path / "curvature.safetensors")
        found = dg.Curvature.load(tmp_path / "curvature.safetensors")
        assert (
            repr(found)
            == repr(made)
            == ("<Curvature kfac_expand, diag_ggn, gram: 4 layers, 5 examples>")
        )
        assert found.layers == made.layers
        assert found.options == made.options
        for layer in made.layers:
            for a, b in zip(found.factors(layer), made.factors(layer), strict=True):
                assert torch.equal(a, b)
            assert torch.equal(found.gram(layer), made.gram(layer))

    def test_parts_are_added(self):
        model, data = network(), batches()
        whole = dg.curvature(model, data, LOSSES["squared"], "diag_ggn")
        one, two = (dg.curvature(model, [b], LOSSES["squared"], "diag_ggn") for b in data)
        assert torch.allclose((one + two).diagonal("0")[0], whole.diagonal("0")[0], rtol=1e-12)
        other = dg.curvature(model, data, LOSSES["squared"], "diag_ggn", vectors="empirical")
        with pytest.raises(ValueError, match=r"vectors is 'exact' in one and 'empirical' in the"):
            one + other
        gram = dg.curvature(model, data, LOSSES["squared"], "gram")
        with pytest.raises(ValueError, match="cannot be merged"):
            gram + gram

    def test_what_was_not_computed(self):
        made = dg.curvature(network(), batches(), LOSSES["squared"], "diag_ggn")
        with pytest.raises(KeyError, match="kfac_expand was not computed for '0'"):
            made.factors("0")
        with pytest.raises(KeyError, match="no layer 'conv'; there are 0, 2, 4, 6"):
            made.diagonal("conv")
        with pytest.raises(KeyError, match="gram was not computed"):
            made.gram()


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.layer(x))


class Odd(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class TestErrors:
    def run(self, model: nn.Module, **options: Any) -> Any:
        x = torch.randn(3, 2)
        return dg.curvature(model, (x, torch.zeros(3, 2)), nn.MSELoss(), **options)

    def test_other_layers(self):
        model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.BatchNorm1d(2)).eval()
        with pytest.raises(
            TypeError, match=r"^4 parameters, first '1.weight', are in modules that"
        ):
            self.run(model)
        assert self.run(model, skip_others=True).layers == ("0",)
        with pytest.raises(TypeError, match="'1' is a LayerNorm; there are Conv1d"):
            self.run(model, layers=["1"])
        with pytest.raises(TypeError, match=r"\(Odd, whose forward is its own\)"):
            self.run(nn.Sequential(nn.Linear(2, 2), Odd(2, 2)))
        with pytest.raises(ValueError, match="no module 'x'"):
            self.run(model, layers=["x"])
        with pytest.raises(ValueError, match="no convolution and no linear layer"):
            self.run(nn.Sequential(nn.Tanh()))

    def test_examples_that_depend_on_each_other(self):
        with pytest.raises(ValueError, match="'1' normalises over the batch in training mode"):
            self.run(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, affine=False)))

    def test_layers_that_are_called_twice_or_never_or_tied(self):
        with pytest.raises(
            NotImplementedError, match="'layer' is called more than once in one forward"
        ):
            self.run(Twice())
        idle = nn.Sequential(nn.Linear(2, 2))
        idle[0].idle = nn.Linear(2, 2)
        with pytest.raises(RuntimeError, match=r"layer '0.idle' was not called"):
            self.run(idle)
        tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        tied[1].weight = tied[0].weight
        with pytest.raises(NotImplementedError, match="layers '0' and '1' share a weight"):
            self.run(tied)

    def test_options(self):
        model = nn.Linear(2, 2)
        with pytest.raises(ValueError, match="what must be among kfac_expand, kfac_reduce, ekfac"):
            self.run(model, what="hessian")
        with pytest.raises(ValueError, match="vectors must be one of exact, mc, empirical"):
            self.run(model, vectors="all")
        given = model, (torch.randn(3, 2), torch.zeros(3).long())
        with pytest.raises(ValueError, match="L1Loss failed on outputs of shape"):
            dg.curvature(*given, nn.L1Loss())
        with pytest.raises(ValueError, match="terms='separate' is for vectors='empirical'"):
            dg.curvature(*given, nn.CrossEntropyLoss(), terms="separate")


def test_progress(capfd: pytest.CaptureFixture[str]):
    dg.curvature(network(), batches(), LOSSES["squared"], "diag_ggn", progress=True)
    assert "curvature" in capfd.readouterr().out
