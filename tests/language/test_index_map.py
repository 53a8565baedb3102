"""Index maps: what is recognised as one, what is not, and what is picked, against the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import diagrammar as dg
from diagrammar import program as ops

MAPS = {
    "flip": ("[i = 5 - j]", {"j": 6}, lambda x: x.flip(0)),
    "shift": ("[i = j + 2 mod 6]", {"j": 6}, lambda x: x.roll(-2)),
    "slice": ("[i = j + 1]", {"j": 3}, lambda x: x[1:4]),
    "repeat": ("[i = j mod 6]", {"j": 12}, lambda x: x.repeat(2)),
    "step down": ("[i = 5 - 2*j]", {"j": 3}, lambda x: x[[5, 3, 1]]),
    "one entry": ("[i = 2]", {"j": 4}, lambda x: x[2].expand(4)),
    "halves": ("[i = 3 + j, j < 3] + [i = j - 3, j >= 3]", {"j": 6}, lambda x: x.roll(3)),
}


def spec(conditions: str, sizes: dict[str, int]) -> dg.Spec:
    stated = ", ".join(f"{name} := {n}" for name, n in {"i": 6, **sizes}.items())
    return dg.parse(
        f"size {stated}\ntensor X[n, i]\ntensor V[n, j]\npattern M[i, j] = {conditions}\n"
        "Y[n, j] = X[n, i] * M[i, j]\ndX[n, i] = V[n, j] * M[i, j]\n"
    )


def uses(special: Any, operation: type) -> bool:
    return any(isinstance(step.operation, operation) for step in special.program.steps)


@pytest.mark.parametrize("name", MAPS)
def test_entries_are_picked_and_added_back(name: str) -> None:
    conditions, sizes, expected = MAPS[name]
    file = spec(conditions, sizes)
    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    y = torch.stack([expected(row) for row in x])
    f, back = file["Y"].compile(), file["dX"].compile()
    torch.testing.assert_close(f(x), y)
    v = torch.randn_like(y)
    (gradient,) = torch.autograd.grad(y, x, v)
    torch.testing.assert_close(back(v), gradient)
    for backend, given, wanted in ((f, x.detach(), y), (back, v, gradient)):
        again = file[backend.name].compile(backend="numpy")(given)
        np.testing.assert_allclose(again, wanted.detach().numpy(), rtol=1e-12)
    assert not uses(f.specialise(X=(3, 6)), ops.Indicator)


@pytest.mark.parametrize(
    "conditions",
    [
        "[i = j - 1]",  # nothing at j = 0
        "[i = j + 1]",  # nothing at the end
        "[i <= j]",  # many
        "[i = j] + [i = 0, j >= 5]",  # two at j = 5
        "[i = 2*j mod 5]",  # 5 is read from 0 as well
    ],
)
def test_what_is_no_map_is_not_taken_for_one(conditions: str) -> None:
    file = spec(conditions, {"j": 6})
    x = torch.randn(3, 6, dtype=torch.float64)
    expected = file["Y"].compile(backend="numpy")(x)
    np.testing.assert_allclose(file["Y"].compile()(x).numpy(), expected, rtol=1e-12)


def test_a_shape_generic_function_picks_where_that_is_certain() -> None:
    text = """
param l = 2, r = 1
tensor X[n, i]
tensor W[k]
pattern P[i, o, k] = conv(padding=(l, r), boundary=MODE)
Y[n, o] = X[n, i] * P[i, o, k] * W[k]
"""
    x, w = torch.randn(2, 7, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    for mode in ("replicate", "reflect", "circular"):
        f = dg.parse(text.replace("MODE", mode))["Y"].compile()
        torch.testing.assert_close(f.generic()(x, w), f(x, w))
    with pytest.raises(ValueError, match=r"pads wire 'i'.*smaller than the size"):
        dg.parse(text.replace("MODE", "reflect"))["Y"].compile().generic()(x[:, :2], w)
    with pytest.raises(ValueError, match=r"pads wire 'i'.*at most the size"):
        dg.parse(text.replace("MODE", "circular"))["Y"].compile().generic()(x[:, :1], w)
    assert "_pick" in dg.parse(text.replace("MODE", "replicate"))["Y"].compile().source
