"""A NaN or infinity reaches the sums that have it, and no others, in every candidate.

More configurations: `python -m benchmarks.nonfinite`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import diagrammar as dg
from benchmarks.nonfinite import Outcome, of_case, outcomes
from benchmarks.nonfinite_sums import reached
from benchmarks.sweep_cases import TAKES, case
from diagrammar.grammar.errors import DiagramError
from diagrammar.ir.gaps import reaches
from diagrammar.layers import Conv
from diagrammar.program import Masked
from diagrammar.program.nonfinite import Reach, reach
from diagrammar.runtime.specialised import Specialised
from tests.reference_layer import Layer

NAN, INF = float("nan"), float("inf")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for one another are slow where several test processes share the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("first", range(0, 120, 20))
def test_every_candidate_of_small_configurations(first: int) -> None:
    wrong = [o for n in range(first, first + 20) for o in outcomes(0, n) if not o.good]
    assert not wrong


@pytest.mark.parametrize("first", range(0, 300, 60))
def test_windows_of_which_one_tap_meets_data(first: int) -> None:
    """Then rules leave a relation without a kernel, in which either side may be the input."""
    found: list[Outcome] = []
    for number in range(first, first + 60):
        random = Random(f"few taps {number}")
        drawn = case(5, number, random.choice(tuple(TAKES)))
        layer = Layer(
            kernel_size=(2,),
            stride=random.choice((1, 1, 2)),
            padding=((random.randrange(4), random.randrange(4)),),
            dilation=random.randrange(1, 4),
            groups=drawn.layer.groups,
            transposed=random.random() < 0.5,
        )
        size, batch = (random.randrange(1, 4),), random.choice((1, 2, 8))
        drawn = replace(drawn, layer=layer, size=size, batch=batch, batched=True, layout="plain")
        if min(layer.output_size(size)) > 0:
            found += of_case(number, drawn, random)
    assert len(found) > 30
    assert not [o for o in found if not o.good]


@pytest.mark.parametrize("first", [0, 40])
def test_rows_beyond_a_sum_are_no_padding(first: int) -> None:
    """Of a transposed layer's factor the sum is over rows that padding has cut off."""
    found: list[Outcome] = []
    for number in range(first, first + 40):
        random = Random(f"windows twice {number}")
        drawn, dims = case(5, number, "kfac_expand"), random.choice((1, 2, 2))
        layer = Layer(
            kernel_size=tuple(random.choice((2, 3)) for _ in range(dims)),
            padding=tuple(random.choice((0, 1, 1)) for _ in range(dims)),
            groups=drawn.layer.groups,
            transposed=True,
        )
        size, batch = tuple(random.randrange(2, 7) for _ in range(dims)), random.choice((1, 2, 8))
        drawn = replace(drawn, layer=layer, size=size, batch=batch, batched=True, layout="plain")
        if min(layer.output_size(size)) > 0:
            found += of_case(number, drawn, random)
    assert len(found) > 60
    assert not [o for o in found if not o.good]


SHIFTED = """
size i := {size}, o := {out}
tensor X[b, c, i]
tensor V[b, d, o]
tensor W[c, d]
pattern P[i, o] = [o = i + {shift}]
{made}
"""
PRODUCTS = [
    "G[c, d] = X[b, c, i] * P[i, o] * V[b, d, o]",
    "G[b, c, d] = X[b, c, i] * P[i, o] * V[b, d, o]",
    "Y[b, d, o] = X[b, c, i] * P[i, o] * W[c, d]",
    "Z[b, c, i] = V[b, d, o] * P[i, o] * W[c, d]",
    "N[b] = X[b, c, i] * P[i, o] * W[c, d] * V[b, d, o]",
]


@pytest.mark.parametrize("made", PRODUCTS)
@pytest.mark.parametrize(
    ("shift", "size", "out"), [(1, 20, 20), (-1, 20, 20), (2, 20, 21), (-2, 20, 30), (0, 20, 30)]
)
def test_without_a_kernel_nothing_is_padding(made: str, shift: int, size: int, out: int) -> None:
    """Either side may be the input, so zeros beyond one of them are in no sum."""
    diagram = dg.parse(SHIFTED.format(size=size, out=out, shift=shift, made=made))[made[0]]
    shapes = {"X": (8, 16, size), "V": (8, 16, out), "W": (16, 16)}
    given = {o.name: shapes[o.name] for o in diagram.operands}
    special = diagram.compile().specialise(**given)
    assert all(c.reach is Reach.SUMS for c in special.candidates)


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize(
    ("batch", "channels", "size", "kernel", "stride", "padding"),
    [
        (32, 1, 12, 3, 1, ((2, 0),)),
        (128, 1, 64, 3, 1, 1),
        (32, 8, 8, 5, 1, 2),
        (128, 1, 16, 5, 2, 2),
    ],
)
def test_as_pytorch_does_where_toeplitz_matrices_are_fast(
    bad: float, batch: int, channels: int, size: int, kernel: int, stride: int, padding: Any
) -> None:
    x, w = torch.randn(batch, channels, size), torch.randn(channels, channels, kernel)
    x[batch // 2, 0, -3] = bad
    sides = padding[0] if isinstance(padding, tuple) else (padding, padding)
    wide = functional.pad(x, sides).requires_grad_()
    expected = functional.conv1d(wide, w, stride=stride)
    conv = Conv((kernel,), stride=stride, padding=padding)
    assert torch.equal(conv.forward(x, w).isfinite(), expected.isfinite())
    v = torch.randn(expected.shape)
    v[0, 0, 1] = bad
    (gradient,) = torch.autograd.grad(expected, wide, v)
    ours = conv.input_vjp(v, w, size)
    assert torch.equal(ours.isfinite(), gradient.narrow(2, sides[0], size).isfinite())


def small(**options: str) -> Specialised:
    function = dg.shipped("conv")["Y"].compile(rank=1, k=3, p=1, q=1, **options)
    return function.specialise(X=(64, 1, 12), W=(1, 1, 3))


def test_the_option_says_what_a_plan_may_do_and_the_plan_what_it_does() -> None:
    contained, spread = small(), small(nonfinite="spread")
    assert all(c.reach < Reach.MORE for c in contained.candidates)
    assert any(c.reach is Reach.MORE for c in spread.candidates)
    assert "reaches only the sums that have it" in str(contained.plan)
    assert ("may reach other sums" in str(spread.plan)) == (reach(spread.program) is Reach.MORE)
    with pytest.raises(DiagramError, match="'contained' or 'spread', not 'everywhere'"):
        small(nonfinite="everywhere")


CAUSAL = """
size i := 40, j := 40
tensor X[b, j]
pattern M[i, j] = {pattern}
Y[b, i] = X[b, j] * M[i, j]
"""
DIAGONAL = """
size i := 6, j := 6
tensor X[b, j]
pattern M[i, j] = [i = j]
Y[b, i, j] = X[b, j] * M[i, j]
"""


@pytest.mark.parametrize(
    "said",
    [
        CAUSAL.format(pattern="[j <= i]"),
        CAUSAL.format(pattern="[j <= i] + [j - 3 >= i, j + i <= 30]"),
        DIAGONAL,
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64, torch.int64])
def test_patterns_are_masks(said: str, dtype: torch.dtype) -> None:
    diagram = dg.parse(said)["Y"]
    function = diagram.compile()
    size = int(diagram.compile().operands[0].shape()[1])
    finite = torch.arange(2 * size).reshape(2, size).to(dtype)
    expected = diagram.compile(backend="numpy")(finite.numpy())
    assert np.allclose(function(finite).numpy(), expected)
    if dtype is torch.int64:
        return
    for values in ([NAN], [INF], [-INF], [INF, -INF], [INF, INF]):
        x = finite.clone()
        for at, value in enumerate(values):
            x[1, 3 + at] = value
        y = function(x)
        at = function.diagrams_for({"X": x})[0]
        met = torch.from_numpy(reached(at, {"X": ~x.isfinite().numpy()}))
        assert torch.equal(~y.isfinite(), met)
        assert torch.equal(y[~met], function(finite)[~met])
        if dtype is torch.float32 and values == [INF, INF]:
            assert (y[met] == INF).all()


def test_a_mask_of_many_rows_is_a_contraction() -> None:
    made = dg.parse(CAUSAL.format(pattern="[j <= i]"))["Y"].compile().specialise(X=(64, 40))
    masks = [s.operation for s in made.program.steps if isinstance(s.operation, Masked)]
    assert [m.whole for m in masks] == [False]


def test_where_windows_reach() -> None:
    numbers = product(range(1, 6), range(1, 4), range(1, 4), range(1, 4), range(1, 3), range(-1, 3))
    for rows, windows, entries, step, apart, before in numbers:
        seen = {step * o + apart * k - before for o in range(windows) for k in range(entries)}
        expected = seen >= set(range(rows))
        assert reaches(rows, windows, entries, step, apart, before) is expected


def test_weight_gradients_of_unequal_padding_add_no_windows() -> None:
    """Rows behind the last window are in no sum, though a library's call has windows there."""
    conv = Conv((3,), padding=((2, 0),))
    x, v = torch.randn(2, 4, 12), torch.randn(2, 4, 12)
    x[0, 0, -1] = NAN
    reached = ~conv.weight_vjp(x, v).isfinite()
    assert reached[:, 0, 2].all()
    assert int(reached.sum()) == 4
