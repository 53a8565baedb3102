"""Layer methods against references: a part of the sweep, modules, linear layers, dtypes, autograd.

All of the sweep: `python -m benchmarks.sweep`.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import diagrammar as dg
from benchmarks import memory, sweep
from benchmarks.layers import every, layers
from benchmarks.sweep_cases import TAKES, case
from tests import reference_layers as reference
from tests.reference import relative_error
from tests.reference_layer import Layer, as_matrices

ONCE_WRONG = (
    26, 69, 112, 139, 172, 339, 377, 516, 526, 693, 911, 913, 969, 1063, 1272, 1304, 1676, 2105,
    2145, 2402, 2673, 2697, 2869, 2881, 2894, 2991,
)  # fmt: skip
"""Cases of seed 0 that were wrong or raised in some version."""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for one another are slow where several test processes share the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def draw(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype)


# -- the sweep -------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", range(8))
def test_random_layers_and_operations_agree_with_references(part: int) -> None:
    found = [sweep.outcome(1, n) for n in range(30 * part, 30 * part + 30)]
    assert not [o for o in found if not o.good]


@pytest.mark.parametrize("number", ONCE_WRONG)
def test_cases_that_were_wrong_once(number: int) -> None:
    found = sweep.outcome(0, number)
    assert found.good, found


def test_the_sweep_sees_wrong_numbers_and_shapes() -> None:
    right = torch.ones(3)
    assert sweep.deviation((right, right), (right, right)) == 0
    assert sweep.deviation((right, right), (right, 1.1 * right)) == pytest.approx(1 / 11)
    assert sweep.deviation(right[:2], right) == float("inf")
    assert sweep.deviation(torch.zeros(0, 2), torch.zeros(2, 0)) == float("inf")


def test_the_sweep_draws_everything() -> None:
    cases = [case(0, n) for n in range(1500)]
    assert {c.method for c in cases} == set(TAKES) == set(reference.METHODS)
    assert {c.layer.dims for c in cases} == {1, 2, 3, 4, 5}
    assert {c.layer.padding_mode for c in cases} == {"zeros", "circular", "reflect", "replicate"}
    assert {c.layout for c in cases} == {"plain", "strided", "channels last", "requires grad"}
    assert any(c.layer.padding == "same" and 2 in c.layer.kernel_size for c in cases)
    assert any(c.layer.output_padding for c in cases)
    assert any(c.batch == 0 for c in cases)
    assert any(not c.batched for c in cases)
    assert any(c.layer.groups > 1 and c.per_group[0] == 1 for c in cases)


# -- references against one another ----------------------------------------------------------------


@pytest.mark.parametrize("number", range(40))
def test_references_agree_with_the_sum_over_rows(number: int) -> None:
    """Forward from rows, W·U, is PyTorch's forward; both for transposed convolutions."""
    c = case(7, number, "forward")
    x, weight = c.given["x"], c.given["weight"]
    rows = c.layer.grouped_rows(x)
    matrix = as_matrices(c.layer, weight)
    y = torch.einsum("god,bgdp->bgop", matrix, rows).flatten(1, 2)
    expected = c.layer.forward(x, weight)
    torch.testing.assert_close(y, expected.flatten(2), rtol=1e-12, atol=1e-12)


def test_rows_are_those_of_unfold() -> None:
    layer = Layer((3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2))
    x = draw(2, 3, 7, 6)
    expected = functional.unfold(x, (3, 2), (1, 2), (1, 0), (2, 1))
    torch.testing.assert_close(layer.rows(x).flatten(3).flatten(1, 2), expected)


# -- modules ---------------------------------------------------------------------------------------


MODULES = [
    nn.Conv1d(4, 6, 3, padding="same", padding_mode="circular", groups=2),
    nn.Conv2d(3, 3, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), bias=False, groups=3),
    nn.Conv2d(2, 4, 2, padding="same", padding_mode="reflect"),
    nn.Conv2d(2, 4, 3, padding="valid", stride=2),
    nn.Conv3d(2, 2, 2, padding=1, padding_mode="replicate", stride=2),
    nn.ConvTranspose1d(4, 6, 3, stride=3, padding=1, output_padding=2, groups=2),
    nn.ConvTranspose2d(2, 4, (3, 2), stride=2, output_padding=(1, 0), dilation=(2, 1)),
    nn.ConvTranspose3d(1, 2, 2, stride=2, padding=1, bias=False),
]


@pytest.mark.parametrize("module", MODULES, ids=str)
@pytest.mark.parametrize("batched", [True, False])
def test_a_module_gives_its_layer(module: nn.Module, batched: bool) -> None:
    module = module.double()
    conv = dg.layers.Conv.of(module)
    size = (5, 6, 4)[: conv.geometry.dims]
    x = draw(*((2,) if batched else ()), module.in_channels, *size)
    expected = module(x)
    made = conv.forward(x, module.weight, module.bias)
    torch.testing.assert_close(made, expected, rtol=1e-12, atol=1e-12)
    v = draw(*expected.shape)
    gradient = torch.autograd.grad(module(x), module.weight, v)[0]
    torch.testing.assert_close(conv.weight_vjp(x, v), gradient, rtol=1e-12, atol=1e-12)
    assert conv.weight_jacobian(x).shape == (*expected.shape, *module.weight.shape)


def test_unfold_and_fold() -> None:
    x = draw(2, 3, 7, 6)
    options = {"kernel_size": (3, 2), "dilation": (1, 2), "padding": (1, 0), "stride": (2, 1)}
    unfold = nn.Unfold(**options)
    made = dg.layers.Conv.of(unfold).unfold(x)
    torch.testing.assert_close(made, unfold(x))
    fold = nn.Fold((7, 6), **options)
    folded = dg.layers.Conv.of(fold).fold(made)
    torch.testing.assert_close(folded, fold(made))
    torch.testing.assert_close(dg.layers.Conv(**options).fold(made, x.shape), fold(made))
    assert dg.layers.Conv.of(nn.Unfold(3)).unfold(x[0]).shape == (27, 20)


def test_other_modules_are_refused() -> None:
    with pytest.raises(TypeError, match="no layer of BatchNorm2d; there are Conv1d/2d/3d"):
        dg.layers.Conv.of(nn.BatchNorm2d(3))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kernel_size": 3}, "give a tuple"),
        ({"kernel_size": (3, 3), "stride": (1, 2, 3)}, "stride .* has 3 entries for 2 dimensions"),
        ({"kernel_size": (3,), "padding": "same", "stride": 2}, "'same' needs stride 1"),
        ({"kernel_size": (3,), "padding": "full"}, "'same' or 'valid', not 'full'"),
        ({"kernel_size": (3,), "padding": -1}, "at least 0"),
        ({"kernel_size": (3,), "output_padding": 1}, "give transposed=True"),
        ({"kernel_size": (3,), "transposed": True, "output_padding": 1}, "smaller than stride"),
        ({"kernel_size": (3,), "transposed": True, "padding": "same"}, "give a transposed one"),
        ({"kernel_size": (3,), "transposed": True, "padding_mode": "circular"}, "zeros"),
        ({"kernel_size": (3,), "padding_mode": "wrap"}, "must be one of"),
        ({"kernel_size": (), "stride": 1}, "at least one dimension"),
        ({"kernel_size": (3, 3), "dims": 3}, "has not dims=3"),
    ],
)
def test_hyper_parameters_that_no_layer_has(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dg.layers.Conv(**given)


def test_what_cannot_be_known_is_asked_for() -> None:
    conv = dg.layers.Conv((3,), stride=2)
    v, w = draw(2, 4, 3), draw(4, 2, 3)
    with pytest.raises(ValueError, match="give input_size"):
        conv.input_vjp(v, w)
    assert conv.input_vjp(v, w, 8).shape == conv.input_vjp(v, w, (2, 2, 8)).shape == (2, 2, 8)
    with pytest.raises(ValueError, match="give channels"):
        conv.weight_jacobian(draw(2, 2, 7))
    with pytest.raises(ValueError, match="give both x2 and S2"):
        conv.gram(draw(2, 2, 7), v[None], draw(2, 2, 7))
    with pytest.raises(ValueError, match="kernel does not fit into the padded input: x has 2 pos"):
        conv.unfold(draw(1, 2, 2))


# -- linear layers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", [(), (5,), (2, 3)])
def test_a_linear_layer_shares_its_weight_over_positions(positions: tuple[int, ...]) -> None:
    module = nn.Linear(4, 3).double()
    linear = dg.layers.Conv.of(module)
    x = draw(2, *positions, 4)
    y = module(x)
    v, S = draw(*y.shape), draw(2, *y.shape)
    assert relative_error(linear.forward(x, module.weight, module.bias), y) < 1e-12
    leaf = x.clone().requires_grad_()
    by_x, by_w, by_b = torch.autograd.grad(module(leaf), (leaf, module.weight, module.bias), v)
    assert relative_error(linear.input_vjp(v, module.weight), by_x) < 1e-12
    assert relative_error(linear.weight_vjp(x, v), by_w) < 1e-12
    assert relative_error(linear.bias_vjp(v), by_b) < 1e-12
    rows, vectors = x.reshape(2, -1, 4), S.reshape(2, 2, -1, 3)
    ones = torch.cat([rows, torch.ones_like(rows[..., :1])], -1)
    expand = torch.einsum("bti,btj->ij", ones, ones) / 2
    assert relative_error(linear.kfac_expand(x, bias=True)[0], expand) < 1e-12
    mean = rows.mean(1)
    assert relative_error(linear.kfac_reduce(x)[0], mean.T @ mean / 2) < 1e-12
    outer = torch.einsum("nbti,nbtj->ij", vectors, vectors) / (2 * rows.shape[1])
    assert relative_error(linear.kfac_expand_grad(S)[0], outer) < 1e-12
    each = torch.einsum("bto,bti->boi", v.reshape(2, -1, 3), rows)
    assert relative_error(linear.batch_grad(x, v), each) < 1e-12
    assert relative_error(linear.batch_l2(x, v), each.square().sum((1, 2))) < 1e-12
    stacked = torch.einsum("nbto,bti->nboi", vectors, rows)
    assert relative_error(linear.diag_ggn(x, S), stacked.square().sum((0, 1))) < 1e-12
    gram = torch.einsum("nboi,mcoi->nbmc", stacked, stacked)
    assert relative_error(linear.gram(x, S), gram) < 1e-12
    jvp = linear.weight_jvp(x, module.weight.detach())
    assert relative_error(jvp, y - module.bias) < 1e-12


def test_an_unbatched_linear_layer() -> None:
    linear = dg.layers.Conv.of(nn.Linear(4, 3))
    w, x, v = draw(3, 4), draw(4), draw(3)
    assert relative_error(linear.forward(x, w), w @ x) < 1e-12
    assert relative_error(linear.weight_vjp(x, v), torch.outer(v, x)) < 1e-12


# -- compositions and calculus ---------------------------------------------------------------------


@pytest.mark.parametrize("number", range(6))
def test_gauss_newton_products(number: int) -> None:
    c = case(11, number, "blockdiag_ggn")
    conv = sweep.layer_of(c)
    x, S, t = c.given["x"], c.given["S"], c.given["weight_tangent"]
    block = reference.blockdiag_ggn(c.layer, c.given, {})
    expected = (block @ t.flatten()).reshape(t.shape)
    if expected.abs().max() > 0:
        assert relative_error(conv.ggn_product(x, S, t), expected) < 1e-10
    once = conv.weight_vjp(x, conv.weight_jvp(x, t))
    jacobian = reference.weight_jacobian(c.layer, c.given, {}).flatten(-t.ndim)
    matrix = jacobian.flatten(0, -2)
    exact = (matrix.T @ (matrix @ t.flatten())).reshape(t.shape)
    if exact.abs().max() > 0:
        assert relative_error(once, exact) < 1e-10


AUTOGRAD = {
    "forward": lambda c, x, w, v, S: c.forward(x, w),
    "input_vjp": lambda c, x, w, v, S: c.input_vjp(v, w, x.shape),
    "weight_vjp": lambda c, x, w, v, S: c.weight_vjp(x, v),
    "unfold": lambda c, x, w, v, S: c.unfold(x),
    "fold": lambda c, x, w, v, S: c.fold(c.unfold(x), x.shape),
    "averaged_patches": lambda c, x, w, v, S: c.averaged_patches(x),
    "toeplitz": lambda c, x, w, v, S: c.toeplitz(w, x.shape),
    "kfac_expand": lambda c, x, w, v, S: c.kfac_expand(x, bias=True),
    "kfac_reduce": lambda c, x, w, v, S: c.kfac_reduce(x),
    "kfac_reduce_grad": lambda c, x, w, v, S: c.kfac_reduce_grad(S),
    "batch_l2": lambda c, x, w, v, S: c.batch_l2(x, v, bias=True),
    "diag_ggn": lambda c, x, w, v, S: c.diag_ggn(x, S),
    "gram": lambda c, x, w, v, S: c.gram(x, S),
    "hessian_diag_vjp": lambda c, x, w, v, S: c.hessian_diag_vjp(v, w, x.shape),
}

LAYERS = [
    dg.layers.Conv((2,), stride=2, padding=1, groups=2),
    dg.layers.Conv((3,), padding="same", padding_mode="circular"),
    dg.layers.Conv((2, 2), padding=((1, 0), (0, 1)), padding_mode="reflect"),
    dg.layers.Conv((2,), stride=2, transposed=True, output_padding=1),
]


def _operands(conv: dg.layers.Conv) -> tuple[Tensor, ...]:
    g = conv.geometry
    x = draw(2, 2, *(3,) * g.dims)
    w = draw(2, 2 // g.groups, *g.kernel_size)
    y = conv.forward(x, w)
    return x, w, draw(*y.shape), draw(2, *y.shape)


@pytest.mark.parametrize("conv", LAYERS, ids=str)
@pytest.mark.parametrize("name", AUTOGRAD)
def test_first_and_second_derivatives(conv: dg.layers.Conv, name: str) -> None:
    given = [t.requires_grad_() for t in _operands(conv)]
    made = AUTOGRAD[name](conv, *given).sum()
    used = torch.autograd.grad(made, given, allow_unused=True, materialize_grads=False)
    given = [t if g is not None else t.detach() for t, g in zip(given, used, strict=True)]

    def call(*operands: Tensor) -> Tensor:
        made: Tensor = AUTOGRAD[name](conv, *operands)
        return made

    assert torch.autograd.gradcheck(call, given, fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda *x: call(*x).square(), given, fast_mode=True)


@pytest.mark.parametrize("conv", LAYERS, ids=str)
@pytest.mark.parametrize("name", AUTOGRAD)
def test_under_vmap(conv: dg.layers.Conv, name: str) -> None:
    given = _operands(conv)
    stacks = [torch.stack([t, 2 * t.flip(0)]) for t in given]
    made = torch.func.vmap(lambda *operands: AUTOGRAD[name](conv, *operands))(*stacks)
    for n in range(2):
        expected = AUTOGRAD[name](conv, *(s[n] for s in stacks))
        assert relative_error(made[n], expected) < 1e-12


# -- dtypes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("accumulate", [None, "float32"])
@pytest.mark.parametrize("method", [m for m in TAKES if m != "ekfac_diag"])
def test_narrow_dtypes(method: str, dtype: torch.dtype, accumulate: str | None) -> None:
    """Within the rounding of a few sums of products, relative to the sums of their sizes."""
    c = case(3, 5, method)
    c.given.update({n: t.to(dtype).double() for n, t in c.given.items()})
    expected = c.expected()
    c.given.update({n: t.to(dtype) for n, t in c.given.items()})
    hyper = {"kernel_size": c.layer.kernel_size, **c.hyper}
    ours = c.call(dg.layers.Conv(**hyper, accumulate=accumulate))
    bound = 64 if accumulate is None else 8
    for a, b in zip(*([x] if isinstance(x, Tensor) else x for x in (ours, expected)), strict=True):
        assert a.dtype == dtype
        assert relative_error(a.double(), b) < bound * torch.finfo(dtype).eps


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("method", TAKES)
def test_complex_follows_pytorch(method: str, dtype: torch.dtype) -> None:
    """Gradients with conjugated operands; |·|² and a aᴴ."""
    bound = 1e-10 if dtype == torch.complex128 else 64 * torch.finfo(dtype).eps
    for number in (0, 1, 2, 3):
        c = case(5, number, method)
        made = {
            n: torch.complex(t, draw(*t.shape) if prod(t.shape) else t) for n, t in c.given.items()
        }
        if method == "ekfac_diag":
            made |= {n: torch.linalg.qr(made[n])[0] for n in ("Q_A", "Q_B")}
        narrow = {n: t.to(dtype) for n, t in made.items()}
        c.given.update({n: t.to(torch.complex128) for n, t in narrow.items()})
        expected = c.expected()
        c.given.update(narrow)
        ours = c.call(sweep.layer_of(c))
        parts = ours if isinstance(ours, tuple) else (ours,)
        assert all(part.dtype == dtype for part in parts)
        wide = tuple(part.to(torch.complex128) for part in parts)
        assert sweep.deviation(wide if len(wide) > 1 else wide[0], expected) < bound


@pytest.mark.parametrize("method", memory.TAKES)
def test_extra_memory_is_what_the_documentation_allows(method: str) -> None:
    for layer in every(layers(), 30):
        assert memory.found(layer, method, batch=4).share <= 1


def test_a_warm_call_adds_little() -> None:
    """No compiling, no tracing: the second call finds the same function."""
    conv = dg.layers.Conv((3, 3), padding=1)
    x = draw(2, 4, 8, 8)
    conv.kfac_reduce(x)
    (first,) = conv.compiled()
    conv.kfac_reduce(2 * x)
    (second,) = conv.compiled()
    assert first.function is second.function
    assert len(second.function.specialised()) == 1
