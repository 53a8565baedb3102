"""The naive einsum has the oracle's value, and is not begun where it would not end."""

from __future__ import annotations

import pytest
import torch

import diagrammar as dg
from diagrammar.plan.planner import dense
from diagrammar.runtime.naive import TooLarge, naive


@pytest.mark.parametrize("name", ["Y", "dW", "A_expand", "A_reduce", "U"])
def test_it_has_the_value_of_the_compiled_function(name: str) -> None:
    shapes = {"X": (2, 4, 6, 5), "W": (6, 2, 3, 3), "bias": (6,), "dY": (2, 6, 3, 3)}
    function = dg.shipped("conv2d")[name].compile(g=2, s=2)
    given = {o.name: torch.randn(shapes[o.name], dtype=torch.float64) for o in function.operands}
    program = dense(name, function.diagrams_for(given), function.operands)
    (found,) = naive(program, given)()
    torch.testing.assert_close(found, function(**given), rtol=1e-10, atol=1e-10)


def test_what_is_too_large_is_not_begun() -> None:
    function = dg.shipped("conv2d")["Y"].compile()
    given = {
        "X": torch.empty(64, 512, 300, 300, device="meta"),
        "W": torch.empty(512, 512, 3, 3, device="meta"),
        "bias": torch.empty(512, device="meta"),
    }
    program = dense("Y", function.diagrams_for(given), function.operands)
    with pytest.raises(TooLarge):
        naive(program, given)
