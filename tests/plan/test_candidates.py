"""Every candidate program of random convolutions against the dense oracle, and which there are."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import diagrammar as dg
from diagrammar import program as ops
from diagrammar.backends.numpy import evaluate
from diagrammar.backends.torch import emit as backend
from diagrammar.plan.candidates import Candidate
from tests.oracle import at, operands, value
from tests.random_relations import text

TEXT = """
tensor X[b, (g ci), i]
tensor W[(g co), ci, k]
tensor bias[(g co)]
param s = 1, p = 0, d = 1
pattern P[i, o, k] = conv(stride=s, padding=p, dilation=d)
Y[b, (g co), o] = X[b, (g ci), i] * P[i, o, k] * W[(g co), ci, k] + bias[(g co)]
dX = vjp(Y, X)
dW = vjp(Y, W)
U[b, g, (ci k), o] = X[b, (g ci), i] * P[i, o, k]
A[g, (ci k), (ci' k')] = 1/|b| * U[b, g, (ci k), o] * U[b, g, (ci' k'), o]
C[g, (ci k), (co k')] = X[b, (g ci), i] * P[i, o, k] * Z[b, (g co), i'] * P[i', o, k']
tensor Z[b, (g co), i]
"""


def shape(values: dict[str, int], axes: str) -> tuple[int, ...]:
    sizes = {"gci": values["g"] * values["ci"], "gco": values["g"] * values["co"], **values}
    return tuple(sizes[a] for a in axes.split())


SHAPES = {"X": "b gci i", "W": "gco ci k", "bias": "gco", "dY": "b gco o", "Z": "b gco i"}


@st.composite
def layers(draw: st.DrawFn) -> dict[str, int]:
    """Sizes of a layer with at least one window."""

    def n(low: int, high: int) -> int:
        return draw(st.integers(low, high))

    v = {"b": n(1, 3), "g": n(1, 2), "ci": n(1, 3), "co": n(1, 3), "k": n(1, 5), "s": n(1, 3)}
    v |= {"p": n(0, 3), "d": n(1, 3)}
    least = v["d"] * (v["k"] - 1) + 1 - 2 * v["p"]
    v["i"] = max(least, 1) + n(0, 8)
    v["o"] = (v["i"] + 2 * v["p"] - v["d"] * (v["k"] - 1) - 1) // v["s"] + 1
    return v


def found(v: dict[str, int], name: str) -> tuple[Candidate, ...]:
    given = {n: v[n] for n in ("g", "k", "s", "p", "d")}
    if name == "dX":
        given["i"] = v["i"]
    f = dg.parse(TEXT)[name].compile(**given)
    known = {o.name: shape(v, SHAPES[o.name]) for o in f.operands}
    return f.specialise(**known).candidates


@pytest.mark.parametrize("name", ["Y", "dX", "dW", "A", "C"])
@settings(max_examples=25, deadline=None)
@given(v=layers())
def test_every_candidate_has_the_oracles_value(name: str, v: dict[str, int]) -> None:
    given = {n: v[n] for n in ("g", "k", "s", "p", "d")} | ({"i": v["i"]} if name == "dX" else {})
    f = dg.parse(TEXT)[name].compile(**given, backend="numpy")
    random = np.random.default_rng(0)
    operands: dict[str, Any] = {
        o.name: random.standard_normal(shape(v, SHAPES[o.name])) for o in f.operands
    }
    expected = f(**operands)
    for candidate in found(v, name):
        (value,) = evaluate(candidate.planned.program, operands)
        scale = max(1.0, np.abs(expected).max(initial=0.0))
        assert np.abs(value - expected).max(initial=0.0) <= 1e-10 * scale, candidate.name


LAYER = {"b": 2, "g": 1, "ci": 3, "co": 4, "k": 3, "s": 1, "p": 1, "d": 1, "i": 9, "o": 9}


def operations(candidate: Candidate) -> set[type]:
    return {type(s.operation) for s in candidate.planned.program.steps}


def test_overlapping_windows_are_also_multiplied_row_by_row() -> None:
    rows = next(c for c in found(LAYER, "A") if c.name == "row by row")
    products = [s for s in rows.planned.program.steps if isinstance(s.operation, ops.Einsum)]
    # distance 0: first row, middle rows, last row; distances 1 and 2: one stretch each
    assert len(products) == 5
    assert ops.Window not in operations(rows)


def test_a_kernel_of_size_one_may_be_a_library_call() -> None:
    one = LAYER | {"k": 1, "p": 0}
    assert any(ops.Convolution in operations(c) for c in found(one, "Y"))
    assert any(ops.WeightGradient in operations(c) for c in found(one, "dW"))
    assert any(
        ops.TransposedConvolution in operations(c) for c in found(one | {"s": 2, "o": 5}, "dX")
    )


def test_a_bias_goes_into_the_convolution() -> None:
    library = next(c for c in found(LAYER, "Y") if ops.Convolution in operations(c))
    assert ops.Add not in operations(library)


def test_dense_layers_may_be_library_calls() -> None:
    dense = LAYER | {"k": 3, "s": 3, "p": 0, "o": 3}
    for name, call in (("Y", ops.Convolution), ("dW", ops.WeightGradient)):
        assert any(call in operations(c) for c in found(dense, name))


def test_a_budget_takes_a_candidate_that_fits() -> None:
    layer = LAYER | {"b": 4, "ci": 8, "i": 40, "o": 40}
    peaks = sorted(c.peak for c in found(layer, "A"))
    assert peaks[0] < peaks[-1]
    given = {n: layer[n] for n in ("g", "k", "s", "p", "d")}
    f = dg.parse(TEXT)["A"].compile(**given, memory=4 * peaks[0])
    made = f.specialise(X=(4, 8, 40))
    assert next(c.peak for c in made.candidates if c.name == made.chosen) == peaks[0]
    with pytest.raises(dg.DiagramError, match="more than the budget"):
        dg.parse(TEXT)["A"].compile(**given, memory=64)(torch.ones(4, 8, 40))


MIRRORED = """
size b = 1, i = 1
param k = 1
tensor X[b]
pattern R[i, j] = [i = (k - 1)//2 - j, j < (k - 1)//2] + [i = j - (k - 1)//2]
    + [i = 2*|i| + (k - 1)//2 - 2 - j, j >= |i| + (k - 1)//2]
size j = |i| + k - 1
pattern P[j, o, m] = conv()
size m = k
Y[i] = R[i, j] * P[j, o, m] * R[i, j'] * P[j', o', m] * X[b] * X[b]
"""


@pytest.mark.parametrize("values", [{}, {"i": 2}, {"i": 4, "k": 3}, {"i": 1, "b": 3}], ids=str)
def test_every_candidate_counts_the_pieces_that_hold(values: dict[str, int]) -> None:
    """A relation whose wires all have size one is the number of its pieces that hold."""
    diagram = dg.parse(MIRRORED)["Y"]
    operands = {"X": np.arange(2.0, 2.0 + values.get("b", 1))}
    expected = diagram.compile(**values, backend="numpy")(**operands)
    assert expected.all()
    for candidate in diagram.compile(**values).specialise(X=operands["X"].shape).candidates:
        (value,) = evaluate(candidate.planned.program, operands)
        np.testing.assert_array_equal(value, expected, candidate.name)


SQUEEZED = """
size i := 4, j := 1, k := 5, n := 2
tensor X[n, i]
pattern P[j, k] = [j = 0]
Y[n] = P[j, k] * X[n, i]
"""
"""Without wires of size one P is one, but k is summed all the same."""

WINDOWS_IN_A_ROW = """
size j := 5, l := 4, i := 2
tensor X[i]
pattern P[l, i] = [l >= i, l <= i + 1]
pattern Q[l, j] = [l >= j, l <= j + 3]
Y[j] = Q[l, j] * P[l, i] * X[i]
"""
"""Two window matrices along one axis, one after the other."""


@pytest.mark.parametrize("said", [SQUEEZED, WINDOWS_IN_A_ROW], ids=["squeezed", "in a row"])
def test_every_candidate_sums_what_is_summed(said: str) -> None:
    compare(said, 0)


@pytest.mark.parametrize("seed", range(60))
def test_every_candidate_of_random_relations(seed: int) -> None:
    compare(text(random.Random(f"candidates/{seed}")), seed)


def compare(said: str, seed: int) -> None:
    """Every candidate of Y against the oracle, in whole numbers."""
    diagram = at(dg.parse(said)["Y"])
    given = operands(diagram, seed, whole=True)
    expected = value(diagram, given)
    made = diagram.compile().specialise(**{n: x.shape for n, x in given.items()})
    for candidate in made.candidates:
        (found,) = evaluate(candidate.planned.program, given)
        np.testing.assert_array_equal(found, expected, candidate.name)


@pytest.mark.parametrize("wires", ["i", ""], ids=["of size one", "none"])
def test_conditions_on_sizes_alone_are_decided_when_sizes_are_known(wires: str) -> None:
    diagram = dg.parse(f"""
        {"size i := 1" if wires else ""}
        tensor X[j]
        pattern P[{wires}] = [|j| >= 3] + [|j| >= 5]
        Y[j] = X[j] * P[{wires}]
    """)["Y"]
    for f in (diagram.compile(), diagram.compile().generic()):
        assert [f(torch.ones(n)).sum().item() for n in (2, 4, 6)] == [0, 4, 12]


def test_strided_input_gradients_in_groups_may_go_by_the_backward_pass() -> None:
    grouped = LAYER | {"g": 2, "s": 2, "o": 5}
    names = [c.name for c in found(grouped, "dX")]
    assert any(name.endswith("backward pass") for name in names)
    for layer, name in ((LAYER | {"g": 2}, "dX"), (grouped | {"g": 1}, "dX"), (grouped, "Y")):
        assert not any(c.name.endswith("backward pass") for c in found(layer, name))


def test_output_padding_beyond_the_stride_is_not_for_the_backward_pass() -> None:
    """A convolution of that size would have a window more than there is."""
    layer = dg.layers.Conv(
        (3, 2), stride=(1, 3), dilation=2, groups=3, transposed=True, output_padding=(1, 1)
    )
    x, w = torch.randn(1, 3, 3, 6), torch.randn(3, 1, 3, 2)
    expected = torch.nn.functional.conv_transpose2d(
        x, w, stride=(1, 3), dilation=2, groups=3, output_padding=(1, 1)
    )
    assert torch.allclose(layer.forward(x, w), expected, atol=1e-5)


def test_rows_that_are_only_put_in_place_are_no_sums() -> None:
    """A stack of every row and zero took four times what the result does."""
    dX = dg.shipped("conv2d")["dX"].compile(k1=1, k2=1, s=2, p=0, i1=56, i2=56)
    made = dX.specialise(dY=(16, 512, 28, 28), W=(512, 256, 1, 1))
    assert not any(ops.WindowSums in operations(c) for c in made.candidates)


@pytest.mark.parametrize("stride", [1, 2])
def test_means_are_multiplied_not_sums(stride: int) -> None:
    """The squares of sums over 784 positions and more leave float16's range."""
    given = {"k1": 3, "k2": 3, "p": 1, "s": stride}
    f = dg.shipped("conv2d")["A_reduce"].compile(**given)
    x = torch.rand(6, 4, 28, 28)
    expected = f(x.double())
    for candidate in f.specialise(X=x.shape).candidates:
        program = candidate.planned.program
        call = backend.load(backend.emit_module([program], ""), program.name)[program.name]
        found = call(x.half()).double()
        assert (found - expected).abs().max() <= 4e-3 * expected.max(), candidate.name
