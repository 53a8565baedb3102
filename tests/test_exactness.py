"""Where Kronecker factors are exact, and what is computed inside of networks.

For a layer whose output, positions apart (expand) or averaged (reduce), goes into a squared loss,
A ⊗ B at the default scale is the Gauss–Newton matrix of the summed loss over N. Expected numbers
are explicit Jacobians and Hessians by autograd.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import hessian, jacobian
from torch.nn import functional

import diagrammar as dg
from benchmarks.sweep import layer_of
from benchmarks.sweep_cases import Case, case
from tests.reference import relative_error
from tests.reference_layer import Layer, as_matrices

LAYERS = 48


def metric(groups: int, channels: int) -> Tensor:
    """A squared loss ½ fᵀ M f that does not couple groups: M's Cholesky factor [c_out, c_out]."""
    each = channels // groups
    blocks = [
        torch.randn(each, each, dtype=torch.float64) + 3 * torch.eye(each) for _ in range(groups)
    ]
    return torch.block_diag(*(b.tril() for b in blocks))


def gauss_newton(
    c: Case, output: Callable[[Tensor], Tensor], factor: Tensor, bias: bool
) -> list[Tensor]:
    """The blocks of each group of Σ_n Jᵀ M J / N, [c_out/g·d, c_out/g·d], parameters in the order
    (c_out/g, d)."""
    layer, x, weight = c.layer, c.given["x"], c.given["weight"]
    if not len(x):
        return []
    zero = torch.zeros_like(c.given["bias"])
    by_w = jacobian(lambda w: output(layer.forward(x, w)), weight)  # [b, p, c_out, *weight]
    by_w = as_matrices(layer, by_w)  # [b, p, c_out, g, c_out/g, d]
    if bias:
        by_b = jacobian(lambda b: output(layer.forward(x, weight, b)), zero)
        by_b = by_b.unflatten(-1, (layer.groups, -1)).unsqueeze(-1)
        by_w = torch.cat([by_w, by_b], -1)
    rotated = torch.einsum("cm,bpcgod->bpmgod", factor, by_w)
    blocks = []
    for g in range(layer.groups):
        rows = rotated[:, :, :, g].flatten(3).flatten(0, 2)
        blocks.append(rows.T @ rows / len(x))
    # the loss does not couple groups
    crossed = torch.einsum(
        "xgp,xhq->gphq", rotated.flatten(4).flatten(0, 2), rotated.flatten(4).flatten(0, 2)
    )
    for g in range(layer.groups):
        crossed[g, :, g] = 0
    assert crossed.abs().max() < 1e-10
    return blocks


def positions(y: Tensor) -> Tensor:
    """Channels last, positions as they are: [b, p, c_out]."""
    return y.flatten(2).mT


def pooled(y: Tensor) -> Tensor:
    """The global average: [b, 1, c_out]."""
    return y.flatten(2).mean(-1).unsqueeze(1)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("number", range(LAYERS))
def test_kfac_is_exact(number: int, bias: bool) -> None:
    c = case(13, number, "kfac_expand")
    conv, g = layer_of(c), c.layer.groups
    x, y = c.given["x"], c.given["v"]
    factor = metric(g, y.shape[1])
    at = torch.eye(y.shape[2:].numel(), dtype=torch.float64)
    for_each = torch.einsum("cm,pq->mpcq", factor, at).flatten(0, 1)  # a vector for each m and p
    S = for_each.reshape(-1, 1, *y.shape[1:]).expand(-1, len(x), *y.shape[1:])
    A, B = conv.kfac_expand(x, bias=bias), conv.kfac_expand_grad(S)
    for n, block in enumerate(gauss_newton(c, positions, factor, bias)):
        assert relative_error(torch.kron(B[n].contiguous(), A[n].contiguous()), block) < 1e-10
    shared = factor.T.reshape(-1, 1, y.shape[1], *(1,) * conv.geometry.dims) / len(at)
    S = shared.expand(-1, len(x), *y.shape[1:])
    A, B = conv.kfac_reduce(x, bias=bias), conv.kfac_reduce_grad(S)
    for n, block in enumerate(gauss_newton(c, pooled, factor, bias)):
        assert relative_error(torch.kron(B[n].contiguous(), A[n].contiguous()), block) < 1e-10


def test_layers_that_are_tried() -> None:
    layers = [case(13, n, "kfac_expand").layer for n in range(LAYERS)]
    assert {n.transposed for n in layers} == {True, False}
    assert {n.padding_mode for n in layers} == {"zeros", "circular", "reflect", "replicate"}
    assert {n.groups for n in layers} >= {1, 2, 3}
    assert {n.dims for n in layers} >= {1, 2, 3}


# -- inside of networks ----------------------------------------------------------------------------


FIRST = [
    nn.Conv2d(4, 4, 3, padding="same", padding_mode="circular", groups=2),
    nn.Conv2d(4, 3, 2, stride=2, padding=1, dilation=2),
    nn.ConvTranspose2d(4, 2, 2, stride=2, output_padding=1),
    nn.Conv2d(4, 8, (3, 1), groups=4, padding=(1, 0), padding_mode="replicate"),
]


class Network:
    """A layer, tanh, another convolution, a linear layer, cross-entropy; the layer is the first."""

    def __init__(self, module: nn.Module) -> None:
        torch.manual_seed(0)
        self.module = module.double()
        self.conv = dg.layers.Conv.of(module)
        self.x = torch.randn(3, 4, 4, 4, dtype=torch.float64)
        self.y = self.module(self.x).detach()
        size = self.y[0].numel()
        self.rest = nn.Sequential(nn.Tanh(), nn.Flatten(), nn.Linear(size, 5)).double()
        self.labels = torch.tensor([0, 3, 2])

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The logits."""
        given = {"weight": weight, "bias": bias}
        made: Tensor = self.rest(torch.func.functional_call(self.module, given, (x,)))
        return made

    def losses(self, weight: Tensor, bias: Tensor) -> Tensor:
        """The loss of each example."""
        logits = self.forward(self.x, weight, bias)
        return functional.cross_entropy(logits, self.labels, reduction="none")

    def parameters(self) -> tuple[Tensor, Tensor]:
        return self.module.weight.detach(), self.module.bias.detach()

    def curvature(self) -> Tensor:
        """The loss' Hessian by the logits, of each example: [b, 5, 5]."""
        p = self.rest(self.y).softmax(1).detach()
        return torch.diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1)

    def vectors(self) -> Tensor:
        """S at the layer's output: columns of the Hessian's root, through the rest."""
        values, basis = torch.linalg.eigh(self.curvature())
        root = basis * values.clamp(min=0).sqrt().unsqueeze(1)
        y = self.y.clone().requires_grad_()
        logits = self.rest(y)
        columns = [
            torch.autograd.grad(logits, y, root[:, :, n], retain_graph=True)[0] for n in range(5)
        ]
        return torch.stack(columns)

    def gauss_newton(self) -> Tensor:
        """Jᵀ H J of each example, by all parameters: [b, P, P]."""
        by_w, by_b = jacobian(partial(self.forward, self.x), self.parameters())
        rows = torch.cat([by_w.flatten(2), by_b], 2)
        return torch.einsum("bcp,bcd,bdq->bpq", rows, self.curvature(), rows)


@pytest.fixture(params=FIRST, ids=str)
def network(request: pytest.FixtureRequest) -> Network:
    return Network(request.param)


def test_gauss_newton_inside_of_a_network(network: Network) -> None:
    conv, x, S = network.conv, network.x, network.vectors()
    weight, _ = network.parameters()
    exact = network.gauss_newton()
    each = exact.diagonal(dim1=1, dim2=2)
    cut = weight.numel()
    by_w, by_b = conv.batch_diag_ggn(x, S, bias=True)
    assert relative_error(by_w.flatten(1), each[:, :cut]) < 1e-10
    assert relative_error(by_b, each[:, cut:]) < 1e-10
    by_w, by_b = conv.diag_ggn(x, S, bias=True)
    assert relative_error(torch.cat([by_w.flatten(), by_b]), each.sum(0)) < 1e-10
    assert relative_error(conv.blockdiag_ggn(x, S, bias=True), exact.sum(0)) < 1e-10
    t = torch.randn_like(weight)
    product = (exact.sum(0)[:cut, :cut] @ t.flatten()).reshape(t.shape)
    assert relative_error(conv.ggn_product(x, S, t), product) < 1e-10
    # the Gram matrix has the same eigenvalues
    gram = conv.gram(x, S, bias=True).flatten(2).flatten(0, 1)
    values = torch.linalg.eigvalsh(gram).flip(0)[:12]
    expected = torch.linalg.eigvalsh(exact.sum(0)).flip(0)[:12]
    torch.testing.assert_close(values, expected, rtol=1e-9, atol=1e-9)


def test_blocks_of_output_channels(network: Network) -> None:
    conv, x, S = network.conv, network.x, network.vectors()
    weight, _ = network.parameters()
    exact = network.gauss_newton().sum(0)
    names = torch.arange(weight.numel()).reshape(weight.shape)
    of_channel = as_matrices(_as_layer(network.module), names).flatten(0, 1)  # [c_out, d]
    for n, block in enumerate(conv.blockdiag_ggn(x, S, bias=True, per="channel")):
        at = torch.cat([of_channel[n], torch.tensor([weight.numel() + n])])
        assert relative_error(block, exact[at][:, at]) < 1e-10


def _as_layer(module: nn.Module) -> Layer:
    transposed = isinstance(module, nn.ConvTranspose2d)
    return Layer(tuple(module.kernel_size), groups=module.groups, transposed=transposed)


def test_per_example_quantities_inside_of_a_network(network: Network) -> None:
    conv, x = network.conv, network.x
    y = network.y.clone().requires_grad_()
    loss = functional.cross_entropy(network.rest(y), network.labels, reduction="sum")
    (v,) = torch.autograd.grad(loss, y)
    by_w, by_b = jacobian(network.losses, network.parameters())
    made = conv.batch_grad(x, v, bias=True)
    assert relative_error(made[0], by_w) < 1e-10
    assert relative_error(made[1], by_b) < 1e-10
    norms = by_w.flatten(1).square().sum(1) + by_b.square().sum(1)
    assert relative_error(conv.batch_l2(x, v, bias=True), norms) < 1e-10
    for ours, g in zip(conv.sum_grad_squared(x, v, bias=True), (by_w, by_b), strict=True):
        assert relative_error(ours, g.square().sum(0)) < 1e-10
    for ours, g in zip(conv.grad_variance(x, v, bias=True), (by_w, by_b), strict=True):
        assert relative_error(ours, g.var(0, correction=0)) < 1e-10


def test_steps_of_the_hessian_diagonal(network: Network) -> None:
    """Where the loss' Hessian by the layer's output is diagonal, the steps are exact."""
    conv, module = network.conv, network.module
    weight, bias = network.parameters()
    x = network.x[:1]
    scales = torch.rand_like(network.y[:1])

    def loss(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        made = torch.func.functional_call(module, {"weight": weight, "bias": bias}, (x,))
        return (scales * made.square()).sum() / 2

    by_x = hessian(lambda x: loss(x, weight, bias), x).reshape(x.numel(), -1).diagonal()
    by_w = hessian(lambda w: loss(x, w, bias), weight).reshape(weight.numel(), -1).diagonal()
    by_b = hessian(lambda b: loss(x, weight, b), bias).diagonal()
    made = conv.hessian_diag_vjp(scales, weight, x.shape)
    assert relative_error(made.flatten(), by_x) < 1e-10
    made, made_bias = conv.hessian_diag_weight(x, scales, bias=True)
    assert relative_error(made.flatten(), by_w) < 1e-10
    assert relative_error(made_bias, by_b) < 1e-10


def test_ekfac_diagonal_is_that_of_the_gauss_newton_matrix(network: Network) -> None:
    """In the factors' eigenbasis, EKFAC's diagonal is the Gauss–Newton matrix' own."""
    conv, x, S = network.conv, network.x, network.vectors()
    weight, _ = network.parameters()
    Q_A = torch.linalg.eigh(conv.kfac_expand(x)).eigenvectors
    Q_B = torch.linalg.eigh(conv.kfac_expand_grad(S)).eigenvectors
    exact = network.gauss_newton().sum(0)
    names = torch.arange(weight.numel()).reshape(weight.shape)
    of_group = as_matrices(_as_layer(network.module), names)  # [g, c_out/g, d]
    made = conv.ekfac_diag(x, S, Q_A, Q_B)
    for g, at in enumerate(of_group):
        basis = torch.kron(Q_B[g], Q_A[g])
        block = exact[at.flatten()][:, at.flatten()]
        diagonal = (basis.T @ block @ basis).diagonal()
        assert relative_error(made[g].flatten(), diagonal) < 1e-10


def test_hessian_vector_products_by_composition() -> None:
    """The Hessian of a diagram times a vector is the derivative of its gradient along it."""
    text = """
    tensor X[b, c, i]
    tensor W[o, c, k]
    size k := 3
    pattern P[i, j, k] = conv(padding=1)
    Y[b, o, j] = X[b, c, i] * P[i, j, k] * W[o, c, k]
    L[] = Y[b, o, j]^2
    gradient = vjp(L, W, cotangent=one)
    product = jvp(gradient, W, tangent=T)
    mixed = jacobian(gradient, X)
    """
    spec = dg.parse(text)
    x, w = (torch.randn(2, 3, 5, dtype=torch.float64), torch.randn(4, 3, 3, dtype=torch.float64))
    t, one = torch.randn_like(w), torch.ones((), dtype=torch.float64)

    def loss(x: Tensor, w: Tensor) -> Tensor:
        return functional.conv1d(x, w, padding=1).square().sum()

    exact = hessian(lambda w: loss(x, w), w)
    made = spec["product"].compile()(X=x, T=t, one=one)
    assert relative_error(made, torch.tensordot(exact, t, 3)) < 1e-10
    mixed = jacobian(lambda x: torch.func.grad(lambda w: loss(x, w))(w), x)
    made = spec["mixed"].compile()(X=x, W=w, one=one)
    assert relative_error(made, mixed) < 1e-10
