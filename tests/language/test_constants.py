"""Constants with values at compile time: out of the signature, and their products folded."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import diagrammar as dg

TEXT = """
tensor X[b, u]
constant C[u, h]
constant D[h, v]
constant E[v, w]
Y[b, w] = X[b, u] * C[u, h] * D[h, v] * E[v, w]
dX = vjp(Y, X)
squares[b, u] = X[b, u] * C[u, h]^2
both[b] = X[b, u] * C[u, h] * D[h, v] + 2 * X[b, u] * C[u, h] * D[h, v]
alone[u, v] = C[u, h] * D[h, v]
S = sample(Y, u, keep=1/2)
"""


def values(u: int, h: int, v: int, w: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)

    def made(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return {"C": made(u, h), "D": made(h, v), "E": made(v, w)}


@pytest.mark.parametrize("sizes", [(4, 6, 5, 3), (6, 1, 20, 4), (1, 9, 2, 8)])
@pytest.mark.parametrize("name", ["Y", "dX", "squares", "both", "alone"])
@pytest.mark.parametrize("bound", ["CDE", "CD", "E"])
def test_a_constant_given_once_is_as_one_given_with_each_call(
    name: str, sizes: tuple[int, ...], bound: str
) -> None:
    diagram = dg.parse(TEXT)[name]
    constants = values(*sizes)
    given = {"X": torch.randn(7, sizes[0]).double(), "dY": torch.randn(7, sizes[3]).double()}
    operands = {o.name: {**given, **constants}[o.name] for o in diagram.operands}
    fixed = {n: constants[n] for n in bound if n in operands}
    left = {n: x for n, x in operands.items() if n not in fixed}
    f = diagram.compile(constants=fixed)
    assert [o.name for o in f.operands] == list(left)
    expected = diagram.compile()(**operands)
    torch.testing.assert_close(f(**left), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(f(*left.values()), expected, rtol=1e-12, atol=1e-12)
    oracle = diagram.compile(backend="numpy", constants={n: x.numpy() for n, x in fixed.items()})
    found = oracle(**{n: x.numpy() for n, x in left.items()})
    torch.testing.assert_close(torch.as_tensor(found), expected, rtol=1e-12, atol=1e-12)


def test_a_product_is_folded_once_where_that_is_cheaper() -> None:
    y = dg.parse(TEXT)["Y"]
    f = y.compile(constants=values(20, 30, 40, 20))
    assert [p.name for p in f.specialise(X=(100, 20)).program.parameters] == ["X", "C_D_E"]
    thin = y.compile(constants={n: x for n, x in values(200, 1, 200, 200).items() if n != "E"})
    kept = [p.name for p in thin.specialise(X=(1, 200), E=(200, 200)).program.parameters]
    assert kept == ["X", "C", "D", "E"]


def test_constants_follow_the_operands_and_fold_in_their_own_precision() -> None:
    constants = values(20, 30, 40, 20)
    f = dg.parse(TEXT)["Y"].compile(constants=constants)
    exact = constants["C"] @ constants["D"] @ constants["E"]
    x = torch.eye(20)
    assert torch.equal(f(x), exact.float())
    assert f(x.double()).dtype == torch.float64
    assert f(x.bfloat16()).dtype == torch.bfloat16
    assert not f(x).requires_grad


def test_several_results_share_constants_and_folds() -> None:
    constants = values(20, 30, 40, 20)
    f = dg.parse(TEXT).compile("Y", "dX", constants=constants)
    x, v = torch.randn(2, 50, 20, dtype=torch.float64)
    product = constants["C"] @ constants["D"] @ constants["E"]
    torch.testing.assert_close(f(x, v), (x @ product, v @ product.mT))
    assert len(f.specialise(X=(50, 20), dY=(50, 20)).program.parameters) == 3


def test_constants_of_a_sampled_diagram() -> None:
    constants = values(3, 4, 5, 6)
    f = dg.parse(TEXT)["S"].compile(constants=constants)
    x, kept = torch.randn(2, 3, dtype=torch.float64), torch.tensor([True, False, True])
    expected = (x * kept * 2) @ constants["C"] @ constants["D"] @ constants["E"]
    torch.testing.assert_close(f(x, mask_u=kept), expected)
    assert f(x, generator=torch.Generator().manual_seed(0)).shape == (2, 6)


def test_gradients_reach_operands_and_not_constants() -> None:
    constants = {n: x.requires_grad_() for n, x in values(3, 4, 5, 6).items()}
    f = dg.parse(TEXT)["Y"].compile(constants=constants)
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    f(x).sum().backward()
    assert x.grad is not None
    assert constants["C"].grad is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"CC": torch.ones(3, 4)}, "unknown constant 'CC'"),
        ({"X": torch.ones(3, 4)}, "operand 'X' is not a constant"),
        ({"C": torch.ones(3)}, "operand 'C' has 1 axes, not 2"),
        ({"C": torch.ones(3, 4), "D": torch.ones(5, 4)}, "operand 'D', axis 0"),
    ],
)
def test_mistakes_in_constants_are_said_when_they_are_given(
    given: dict[str, Any], message: str
) -> None:
    with pytest.raises(dg.DiagramError, match=message):
        dg.parse(TEXT)["Y"].compile(constants=given)
