"""Results own their memory: nobody can change them, or be changed, through something else."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import numpy as np
import pytest
import torch

import diagrammar as dg
from diagrammar.ir.diagram import Diagram
from diagrammar.runtime.function import Function
from diagrammar.verify import random_sizes

SIZED = """
tensor X[b, i]
tensor W[k]
param s = 1
pattern P[i, o, k] = conv(stride=s)
"""
HAND = {
    "the operand": "Y[b, i] = X[b, i]",
    "transposed": "Y[i, b] = X[b, i]",
    "one axis": "Y[(b i)] = X[b, i]",
    "one axis of the transposed": "Y[(i b)] = X[b, i]",
    "diagonal": "Y[b] = X[b, b]",
    "repeated": "Y[b, i, z] = X[b, i] * ones[z]\nsize z = 3",
    "a sum that is repeated": "Y[b, z] = X[b, i] * ones[z]\nsize z = 3",
    "windows": "Y[b, o, k] = X[b, i] * P[i, o, k]\nsize k = 2",
    "windows as rows": "Y[(b k), o] = X[b, i] * P[i, o, k]\nsize k = 2",
    "windows of one entry": "Y[b, o, k] = X[b, i] * P[i, o, k]\nsize k = 1",
    "windows that tile": "Y[b, o, k] = X[b, i] * P[i, o, k]\nsize k = 2\nsize i = 4",
    "a pattern": "Y[i, o, k] = P[i, o, k]\nsize k = 2\nsize i = 4",
    "a pattern beside an operand": (
        "Y[b, i] = X[b, i]\nZ[i, o, k] = P[i, o, k]\nsize k = 2\nsize i = 4"
    ),
    "ones": "Y[i] = ones[i]\nsize i = 4",
    "zeros": "Y[b, i] = 0 * X[b, i]",
    "twice": "Y[b, i] = X[b, i]\nZ[b, i] = X[b, i]",
    "a value and a view of it": "Y[b, c] = X[b, i] * X[c, i]\nZ[(c b)] = X[b, i] * X[c, i]",
    "a product with one": "Y[b, i] = X[b, i] * Z[z]\ntensor Z[z]\nsize z = 1",
    "a slice": "pattern S[i, j] = [i = j + 1]\nsize j = 2\nY[b, j] = X[b, i] * S[i, j]",
    "flipped": (
        "pattern S[i, j] = [i + j = |i| - 1]\nsize j = 4\nsize i = 4\nY[b, j] = X[b, i] * S[i, j]"
    ),
}


def sources(operands: Sequence[torch.Tensor], results: Sequence[torch.Tensor]) -> list[int]:
    """Where the memory of tensors with entries begins."""
    tensors = (*operands, *results)
    return [x.untyped_storage().data_ptr() for x in tensors if x.numel()]


def check(function: Function, operands: Sequence[torch.Tensor]) -> None:
    """Two calls with writes between them; nothing shares memory, nothing is changed."""
    given = [x.clone() for x in operands]
    first = function(*operands)
    first = first if isinstance(first, tuple) else (first,)
    places = sources(operands, first)
    assert len(set(places)) == len(places)
    before = [x.clone() for x in first]
    for x in first:
        x.fill_(77)  # which raises where entries lie in one place
    assert all(torch.equal(x, y) for x, y in zip(operands, given, strict=True))
    again = function(*operands)
    again = again if isinstance(again, tuple) else (again,)
    assert all(torch.equal(x, y) for x, y in zip(again, before, strict=True))


def strided(shape: Sequence[int]) -> list[torch.Tensor]:
    """Tensors of a shape that lie in all orders of axes that matter."""
    x = torch.randn(*shape, dtype=torch.float64)
    if x.ndim < 2:
        return [x]
    backwards = torch.randn(*shape[::-1], dtype=torch.float64).permute(*reversed(range(x.ndim)))
    return [x, backwards]


@pytest.mark.parametrize("text", HAND.values(), ids=HAND.keys())
def test_small_definitions(text: str):
    lines = (SIZED + text).splitlines()
    spec = dg.parse("\n".join(sorted(lines, key=lambda line: "=" in line and ":" not in line)))
    names = [n for n in ("Y", "Z") if n in spec]
    function = spec.compile(*names) if len(names) > 1 else spec[names[0]].compile()
    shapes = {"X": (4, 4), "W": (2,), "Z": (1,)}
    options = zip(*(strided(shapes[o.name]) for o in function.operands), strict=False)
    for operands in list(options) or [()]:
        check(function, operands)


NAMES = sorted(path.name for path in files("diagrammar.library").iterdir())
SHIPPED = [n for n in NAMES if n.endswith(".tn") and n != "sampled.tn"]  # whose masks are drawn


def drawn(diagram: Diagram, seed: int) -> tuple[Function, list[torch.Tensor]] | None:
    """A definition as a function, and operands of some small sizes."""
    found = random_sizes(diagram, np.random.default_rng(seed))
    if found is None:
        return None
    values, symbols = found
    fixed = diagram.substitute(symbols)
    if any(o.kind for o in fixed.operands):
        return None
    operands = [
        torch.randn(tuple(int(n) for n in o.shape()), dtype=torch.float64) for o in fixed.operands
    ]
    return diagram.compile(**values), operands


@pytest.mark.parametrize("file", SHIPPED)
def test_shipped_definitions(file: str):
    tried = 0
    spec = dg.shipped(file.removesuffix(".tn"))
    for name in spec:
        diagram = spec[name]
        if diagram.family is not None:
            diagram = diagram.family(2)
        if any(o.keep is not None for o in diagram.operands):
            continue
        for seed in range(3):
            if (case := drawn(diagram, seed)) is not None:
                check(*case)
                tried += 1
    assert tried


def test_constants_that_are_given_stay_as_they_were():
    text = "constant C[i, o]\ntensor X[b]\nY[b] = X[b]\nZ[o, i] = C[i, o]"
    c = torch.randn(2, 3)
    f = dg.parse(text).compile("Y", "Z", constants={"C": c})
    check(f, [torch.randn(4)])
    assert torch.equal(f(torch.randn(4))[1], c.T)


def test_arrays_of_the_oracle_are_its_own():
    x = np.arange(6.0).reshape(2, 3)
    found = dg.parse("tensor X[b, i]\nY[i, b] = X[b, i]")["Y"].compile(backend="numpy")(x)
    found[:] = 77
    assert np.array_equal(x, np.arange(6.0).reshape(2, 3))


def test_methods_of_layers():
    x = torch.randn(2, 3, 5, 5)
    for layer in (dg.layers.Conv((1, 1)), dg.layers.Conv((5, 5)), dg.layers.Conv((3, 3))):
        found = layer.unfold(x)
        kept, given = found.clone(), x.clone()
        found.fill_(77)
        assert torch.equal(x, given)
        assert torch.equal(layer.unfold(x), kept)


def test_gradients_flow_through_copies():
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    for text in ("Y[i, b] = X[b, i]", "Y[(i b)] = X[b, i]"):
        f = dg.parse(f"tensor X[b, i]\n{text}")["Y"].compile()
        assert torch.autograd.gradcheck(f, (x,))


def test_what_is_written_anyway_is_not_copied():
    spec = dg.shipped("conv2d")
    source = spec["U"].compile(k1=3, k2=3, p=0, s=1, d=1, g=1).specialise(X=(2, 3, 8, 8)).source
    assert "clone" not in source
    made = dg.parse("tensor X[b, i]\ntensor W[i, o]\nY[b, o] = X[b, i] * W[i, o]")["Y"].compile()
    assert "clone" not in made.specialise(X=(2, 3), W=(3, 4)).source
