"""Sampled wires: exact means over all masks, masks given and drawn, and what is saved."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional

import diagrammar as dg

TEXT = """
param q = 1/4
tensor X[b, i]
tensor W[i, o]
tensor bias[o]
tensor p[i]
tensor M[i] = bernoulli(keep=p)
tensor given[i]
Y[b, o] = X[b, i] * W[i, o] + bias[o]
S = sample(Y, i, keep=q)
dW = vjp(S, W, cotangent=V)
J = jacobian(S, X)
by_entry = sample(Y, i, mask=M)
by_hand = sample(Y, i, mask=given, keep=1/4)
as_given = sample(Y, i, mask=given)
Q[b, o] = Y[b, o]^2
QS = sample(Q, i, keep=1/2, copies=independent)
rows = sample(Y, b, keep=1/2)
again[b, o] = 3 * S[b, o]
"""
N = 5


@pytest.fixture
def operands() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)

    def made(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    p = torch.rand(N, generator=generator, dtype=torch.float64) * 0.8 + 0.1
    return {
        **{"X": made(4, N), "W": made(N, 3), "bias": made(3), "V": made(4, 3), "p": p},
        **{"given": torch.tensor([1.0, 0, 0, 1, 1], dtype=torch.float64)},
    }


def called(f: object, operands: dict[str, torch.Tensor], **more: torch.Tensor) -> torch.Tensor:
    """The function of those operands that it takes."""
    names = {o.name for o in f.operands} - set(f.sampling.masks)
    result: torch.Tensor = f(**{n: operands[n] for n in names}, **more)
    return result


def mean(
    f: object, operands: dict[str, torch.Tensor], chances: dict[str, torch.Tensor]
) -> torch.Tensor:
    """Σ over all masks of the result times the mask's probability."""
    total = torch.zeros(())
    every = [itertools.product([False, True], repeat=len(chance)) for chance in chances.values()]
    for masks in itertools.product(*every):
        kept = {name: torch.tensor(m) for name, m in zip(chances, masks, strict=True)}
        weight = torch.ones((), dtype=torch.float64)
        for name, m in kept.items():
            weight = weight * torch.where(m, chances[name], 1 - chances[name]).prod()
        result = called(f, operands, **kept, **({"p": operands["p"]} if "M" in kept else {}))
        total = total + weight * result
    return total


CASES = {
    "S": ("Y", {"mask_i": 0.25}),
    "dW": ("dW_exact", {"mask_i": 0.25}),
    "J": ("J_exact", {"mask_i": 0.25}),
    "by_entry": ("Y", {"M": None}),
    "again": ("again_exact", {"mask_i": 0.25}),
    "QS": ("Q", {"mask_i": 0.5, "mask_i_2": 0.5}),
    "rows": ("Y_rows", {"mask_b": 0.5}),
}
EXACT = """
dW_exact = vjp(Y, W, cotangent=V)
J_exact = jacobian(Y, X)
again_exact[b, o] = 3 * Y[b, o]
Y_rows[b, o] = Y[b, o]
"""


@pytest.mark.parametrize("name", CASES)
def test_the_mean_over_all_masks_is_the_exact_result(
    name: str, operands: dict[str, torch.Tensor]
) -> None:
    spec = dg.parse(TEXT + EXACT)
    exact_name, keeps = CASES[name]
    size = {"mask_b": 4}
    chances = {
        mask: operands["p"]
        if keep is None
        else torch.full((size.get(mask, N),), keep, dtype=torch.float64)
        for mask, keep in keeps.items()
    }
    sizes = {"b": 4} if name == "J" else {}
    exact = spec[exact_name].compile(**sizes)
    expected = exact(**{o.name: operands[o.name] for o in exact.operands})
    found = mean(spec[name].compile(**sizes), operands, chances)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bits", [0b00000, 0b00001, 0b10110, 0b11111])
def test_a_given_mask_does_what_masking_by_hand_does(
    bits: int, operands: dict[str, torch.Tensor]
) -> None:
    spec = dg.parse(TEXT)
    kept = torch.tensor([bool(bits >> n & 1) for n in range(N)])
    x, w, bias, v = (operands[n] for n in ("X", "W", "bias", "V"))
    scaled = x * (kept * 4)
    f = spec["S"].compile()
    torch.testing.assert_close(f(x, w, bias, mask_i=kept), scaled @ w + bias)
    torch.testing.assert_close(f(x, w, bias, mask_i=kept * 4.0), scaled @ w + bias)
    torch.testing.assert_close(spec["dW"].compile()(x, v, mask_i=kept), scaled.mT @ v)
    hand = spec["by_hand"].compile()(x, w, bias, given=kept.double())
    torch.testing.assert_close(hand, scaled @ w + bias)
    plain = spec["as_given"].compile()(x, w, bias, given=kept.double())
    torch.testing.assert_close(plain, (x * kept) @ w + bias)


def test_the_oracle_takes_the_mask_as_an_operand(operands: dict[str, torch.Tensor]) -> None:
    spec = dg.parse(TEXT)
    arrays = {n: operands[n].numpy() for n in ("X", "W", "bias")}
    mask = operands["given"] * 4
    found = spec["S"].compile(backend="numpy")(**arrays, mask_i=mask.numpy())
    made = spec["S"].compile()(**{n: operands[n] for n in arrays}, mask_i=mask)
    torch.testing.assert_close(torch.as_tensor(found), made)
    with pytest.raises(dg.DiagramError, match="only the torch backend draws masks"):
        spec["S"].compile(backend="numpy")(**arrays)


def test_a_generator_makes_the_draw_again(operands: dict[str, torch.Tensor]) -> None:
    f = dg.parse(TEXT)["S"].compile(q=Fraction(1, 2))
    given = [operands[n] for n in ("X", "W", "bias")]
    results = [f(*given, generator=torch.Generator().manual_seed(seed)) for seed in range(20)]
    again = [f(*given, generator=torch.Generator().manual_seed(seed)) for seed in range(20)]
    assert all(map(torch.equal, results, again))
    assert len({tuple(r.flatten().tolist()) for r in results}) > 5


def test_a_drawn_mask_keeps_entries_with_their_probabilities() -> None:
    spec = dg.parse("tensor p[i]\ntensor M[i] = bernoulli(keep=p)\nY[i] = M[i]")
    p = torch.linspace(0.1, 1, 10, dtype=torch.float64)
    f = spec["Y"].compile(i=10)
    generator = torch.Generator().manual_seed(1)
    drawn = torch.stack([f(p=p, generator=generator) for _ in range(4000)])
    torch.testing.assert_close(drawn.max(0).values, 1 / p)
    share = (drawn != 0).double().mean(0)
    assert ((share - p).abs() <= 5 * (p * (1 - p) / 4000).sqrt()).all()  # five standard errors


def test_several_results_share_a_draw(operands: dict[str, torch.Tensor]) -> None:
    both = dg.parse(TEXT).compile("S", "dW")
    w = operands["W"].clone().requires_grad_()
    s, dw = both(X=operands["X"], W=w, bias=operands["bias"], V=operands["V"])
    s.backward(operands["V"])
    torch.testing.assert_close(w.grad, dw)
    gone = (dw == 0).all(1)  # a row of zeros for each entry that is not kept
    torch.testing.assert_close(s - operands["bias"], 4 * (operands["X"] * ~gone) @ w)


CONV = """
use "conv2d.tn" as layer
by_channel = sample(layer.Y, ci, keep=1/4)
by_row = sample(layer.Y, i1, keep=1/4)
"""


@pytest.mark.parametrize(("name", "mask", "size"), [("by_channel", "ci", 8), ("by_row", "i1", 16)])
def test_only_the_kept_part_of_the_input_is_saved(name: str, mask: str, size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 8, 16, 16), (4, 8, 3, 3), (4,))
    x, w, bias = (
        torch.randn(s, generator=generator, dtype=torch.float64).requires_grad_() for s in shapes
    )
    kept = torch.arange(size) % 4 == 1
    f = dg.parse(CONV)[name].compile(k1=3, k2=3)
    saved: list[torch.Tensor] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        y = f(x, w, bias, **{f"mask_{mask}": kept})
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in saved}
    assert sum(storages.values()) <= x.nbytes / 4 + w.nbytes + 1024
    masked = x * (4 * kept)[:, None, None] if mask == "ci" else x * (4 * kept)[:, None]
    expected = functional.conv2d(masked, w, bias, padding=1)
    torch.testing.assert_close(y, expected)
    v = torch.randn(y.shape, generator=generator, dtype=torch.float64)
    first = torch.autograd.grad(y, (x, w, bias), v, create_graph=True)
    wanted = torch.autograd.grad(expected, (x, w, bias), v, create_graph=True)
    torch.testing.assert_close(first, wanted)
    twice = torch.autograd.grad(first[1].square().sum(), x)
    torch.testing.assert_close(twice, torch.autograd.grad(wanted[1].square().sum(), x))


def test_sampled_functions_work_under_vmap_and_compile() -> None:
    f = dg.parse(CONV)["by_channel"].compile(k1=3, k2=3)
    x, w, bias = torch.randn(3, 4, 6, 6), torch.randn(2, 4, 3, 3), torch.randn(2)
    kept = torch.tensor([True, False, False, True])
    expected = functional.conv2d(x * (4 * kept)[:, None, None], w, bias, padding=1)
    one = torch.vmap(lambda row: f(row[None], w, bias, mask_ci=kept)[0])(x)
    torch.testing.assert_close(one, expected)
    compiled = torch.compile(f, backend="eager")
    torch.testing.assert_close(compiled(x, w, bias, mask_ci=kept), expected)


def test_two_wires_of_one_axis_are_sampled_together() -> None:
    text = """
tensor X[b, (g c)]
tensor W[g, c, o]
Y[b, o] = X[b, (g c)] * W[g, c, o]
G = sample(Y, g, keep=1/2)
S = sample(G, c, keep=1/2)
dX = vjp(S, X)
"""
    spec = dg.parse(text)
    x, w, v = (torch.randn(s, dtype=torch.float64) for s in ((2, 12), (3, 4, 5), (2, 5)))
    for groups, channels in ((0b011, 0b1010), (0b001, 0b0001), (0b000, 0b1111)):
        g = torch.tensor([bool(groups >> n & 1) for n in range(3)])
        c = torch.tensor([bool(channels >> n & 1) for n in range(4)])
        both = (4 * g[:, None] * c).double()
        found = spec["S"].compile()(x, w, mask_g=g, mask_c=c)
        torch.testing.assert_close(found, (x * both.flatten()) @ w.flatten(0, 1))
        dx = spec["dX"].compile()(w, v, mask_g=g, mask_c=c)
        torch.testing.assert_close(dx, torch.einsum("bo,gco,gc->bgc", v, w, both).flatten(1))


def test_a_mask_may_have_several_axes() -> None:
    text = "tensor X[b, i]\ntensor D[b, i] = bernoulli(keep=1/2)\nY[b, i] = X[b, i] * D[b, i]"
    x = torch.randn(50, 40, dtype=torch.float64)
    y = dg.parse(text)["Y"].compile()(x, generator=torch.Generator().manual_seed(0))
    assert set((y / x).unique().tolist()) == {0.0, 2.0}


def test_the_rank_of_a_sampled_diagram_may_be_open() -> None:
    f = dg.shipped("sampled")["Y_channels"].compile(keep_channels=1)
    x, w = torch.randn(2, 4, 8, 7), torch.randn(3, 4, 3, 2)
    torch.testing.assert_close(f(x, w), functional.conv2d(x, w))
    torch.testing.assert_close(f(x[..., 0], w[..., 0]), functional.conv1d(x[..., 0], w[..., 0]))


@pytest.mark.parametrize("name", dg.parse(TEXT))
def test_the_text_of_a_sampled_diagram_is_a_file(name: str) -> None:
    diagram = dg.parse(TEXT)[name]
    assert dg.parse(str(diagram))[name] == diagram


def test_probabilities_and_parameters_of_another_file_come_with_it(tmp_path: object) -> None:
    (tmp_path / "inner.tn").write_text(TEXT)
    (tmp_path / "outer.tn").write_text('param q = 3\nuse "inner.tn" as m\nZ[b, o] = q * m.S[b, o]')
    diagram = dg.load(tmp_path / "outer.tn")["Z"]
    assert "mask_i[i] = bernoulli(keep=m_q)" in str(diagram)
    assert diagram.defaults["m_q"] == Fraction(1, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f, x, w, b: f(x, w), "operand 'bias' is missing"),
        (lambda f, x, w, b: f(x, w, b, mask_j=b), "has no operand 'mask_j'"),
        (lambda f, x, w, b: f(x, w, b, X=x), "operand 'X' is given twice"),
        (lambda f, x, w, b: f(x, w, b, b, b), "takes 4 operands, not 5"),
        (lambda f, x, w, b: f(x, w, b, mask_i=b), "operand 'mask_i', axis 0"),
        (lambda f, x, w, b: f(x, w[1:], b), "operand 'W', axis 0"),
    ],
)
def test_mistakes_of_a_call(call: object, message: str, operands: dict[str, torch.Tensor]) -> None:
    f = dg.parse(TEXT)["S"].compile()
    with pytest.raises(dg.DiagramError, match=message):
        call(f, operands["X"], operands["W"], operands["bias"])


def test_a_probability_is_checked_when_it_is_known() -> None:
    with pytest.raises(dg.DiagramError, match="above 0 and at most 1: 'mask_i' has 2"):
        dg.parse(TEXT)["S"].compile(q=2)
    f = dg.parse(TEXT.replace("param q = 1/4", "param q"))["S"].compile()
    with pytest.raises(dg.DiagramError, match="parameter 'q' has no value"):
        f(torch.ones(4, N), torch.ones(N, 3), torch.ones(3))


@pytest.mark.parametrize(
    "text",
    [
        "tensor generator[b, i]\nY[b] = generator[b, i]\nS = sample(Y, i, keep=1/2)",
        "tensor X[b, i]\ntensor generator[i]\ntensor M[i] = bernoulli(keep=generator)\n"
        "Y[b] = X[b, i]\nS = sample(Y, i, mask=M)",
    ],
    ids=["operand", "probability"],
)
def test_the_keyword_of_draws_is_no_operand(text: str) -> None:
    """`generator=` of a call is what draws, and a name has one meaning."""
    spec = dg.parse(text)
    with pytest.raises(dg.DiagramError, match="no operand may have its name") as caught:
        spec["S"].compile()
    assert "rename 'generator'" in str(caught.value)


def test_other_functions_may_have_an_operand_of_that_name() -> None:
    spec = dg.parse("tensor generator[b, i]\nY[b] = generator[b, i]")
    x = torch.randn(3, 2)
    assert torch.equal(spec["Y"].compile()(generator=x), x.sum(1))
