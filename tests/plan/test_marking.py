"""Marked products: the same numbers, and no NaN beyond the sums that have one, whatever is
multiplied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

import diagrammar as dg
from benchmarks.nonfinite import functions
from benchmarks.nonfinite_sums import reached
from diagrammar import program as ops
from diagrammar.backends.numpy import evaluate
from diagrammar.backends.torch import emit as backend
from diagrammar.layers import Conv
from diagrammar.plan.planner import Planned
from diagrammar.program.nonfinite import Reach, reach
from diagrammar.program.passes.driver import run as rewritten
from diagrammar.program.passes.mark_nan import mark_nan
from diagrammar.program.passes.mask_patterns import mask_patterns

NAN, INF = float("nan"), float("inf")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for one another are slow where several test processes share the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(planned: Planned, given: list[torch.Tensor]) -> list[torch.Tensor]:
    program = planned.program
    module = backend.load(backend.emit_module([program], "", checked=False), program.name)
    made = module[program.name](*given)
    return list(made) if isinstance(made, tuple) else [made]


def marks(planned: Planned) -> int:
    return sum(isinstance(s.operation, ops.Spoiled) for s in planned.program.steps)


def leaking(numbers: range) -> Iterator[tuple[Planned, Planned, tuple[dg.Diagram, ...]]]:
    """Programs in which gaps meet operands, and the same with marks."""
    for number in numbers:
        for found in functions(3, number, nonfinite="spread"):
            for candidate in found.special.candidates:
                if candidate.reach is Reach.MORE and not candidate.planned.program.cuts:
                    program = rewritten((mask_patterns, mark_nan), candidate.planned.program)
                    made = replace(candidate.planned, program=program)
                    if marks(made):
                        yield candidate.planned, made, found.diagrams


@pytest.mark.parametrize("first", range(0, 160, 40))
def test_marked_programs_of_small_configurations(first: int) -> None:
    seen = 0
    for plain, made, diagrams in leaking(range(first, first + 40)):
        parameters = made.program.parameters
        shapes = [tuple(map(int, p.shape)) for p in parameters]
        generator = torch.Generator().manual_seed(first)
        given = [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]
        expected = run(plain, given)
        operands = {p.name: x.numpy() for p, x in zip(parameters, given, strict=True)}
        oracle = evaluate(made.program, operands)
        for x, y, z in zip(run(made, given), expected, oracle, strict=True):
            assert torch.allclose(x, y, rtol=1e-10, atol=1e-10)
            assert np.allclose(z, y.numpy(), rtol=1e-10, atol=1e-10)
        stated = reach(made.program)
        if any(isinstance(s.operation, ops.WindowGram) for s in made.program.steps):
            continue
        assert stated < Reach.MORE
        for at, value in product(range(len(given)), (NAN, INF, -INF)):
            spoiled = [x.clone() for x in given]
            spoiled[at].view(-1)[spoiled[at].numel() // 2] = value
            bad = {p.name: ~x.isfinite().numpy() for p, x in zip(parameters, spoiled, strict=True)}
            operands = {p.name: x.numpy() for p, x in zip(parameters, spoiled, strict=True)}
            with np.errstate(invalid="ignore"):
                oracle = evaluate(made.program, operands)
            for y, z, diagram in zip(run(made, spoiled), oracle, diagrams, strict=True):
                sums = reached(diagram, bad)
                wider = sums | reached(diagram, bad, border=stated is Reach.BORDERS)
                found = ~y.isfinite().numpy()
                assert (found == ~np.isfinite(z)).all() or stated is Reach.BORDERS
                assert (found >= sums).all()
                assert (found <= wider).all()
        seen += 1
    assert seen


@pytest.mark.parametrize(("stride", "dilation"), [*product((2, 3), (1, 2))])
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64, torch.bfloat16])
def test_factors_of_strided_transposed_layers(
    stride: int, dilation: int, dtype: torch.dtype
) -> None:
    """Windows of a strided transposed convolution have zeros between rows."""
    x = torch.randn(2, 3, 6, dtype=dtype)
    conv = Conv(4, stride=stride, padding=1, dilation=dilation, transposed=True, dims=1)
    whole = conv.kfac_expand(x)
    x[1, 2, 3] = NAN
    found = conv.kfac_expand(x)
    assert 0 < int((~found.isfinite()).sum()) < found.numel()
    (special,) = conv.compiled()[0].function.specialised()
    assert all(c.reach < Reach.MORE for c in special.candidates)
    function = conv.compiled()[0].function
    (diagram,) = function.diagrams_for({o.name: x for o in function.operands})
    bad = ~x.isfinite().numpy()
    met = torch.from_numpy(reached(diagram, {o.name: bad for o in function.operands}))
    met = met.reshape(found.shape)
    assert torch.equal(~found.isfinite(), met)
    assert torch.equal(found[~met], whole[~met])


TRANSPOSED = """
size o := 119, i := 40
tensor X[b, c, i]
pattern P[o, i, k] = conv(stride=3, padding=1)
A[c, k, c', k'] = X[b, c, i] * P[o, i, k] * X[b, c', i'] * P[o, i', k']
"""


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_integers_are_multiplied_as_they_are(dtype: torch.dtype) -> None:
    diagram = dg.parse(TRANSPOSED)["A"]
    x = torch.arange(1280).reshape(4, 8, 40).to(dtype)
    special = diagram.compile(native=False, k=4).specialise(X=tuple(x.shape))
    (made,) = [c.planned for c in special.candidates if marks(c.planned)]
    (found,) = run(made, [x])
    assert found.dtype is dtype
    assert np.array_equal(found, diagram.compile(backend="numpy", k=4)(x.numpy()))


def test_derivatives_pass_through_marks() -> None:
    contained, spread = (
        dg.parse(TRANSPOSED)["A"].compile(k=4, nonfinite=n) for n in ("contained", "spread")
    )
    x = torch.randn(4, 8, 40, dtype=torch.float64, requires_grad=True)
    (first,), (second,) = (torch.autograd.grad((f(x) ** 3).sum(), x) for f in (contained, spread))
    assert torch.allclose(first, second, rtol=1e-10)
    assert any(marks(c.planned) for s in contained.specialised() for c in s.candidates)


def test_known_and_open_sizes_are_marked_alike() -> None:
    """Where sizes are open, every relation may leave something out."""
    open_sizes = dg.parse(TRANSPOSED.replace("size o := 119, i := 40", ""))["A"]
    x = torch.randn(4, 8, 40, dtype=torch.float64)
    x[0, 1, 2] = INF
    known = dg.parse(TRANSPOSED)["A"].compile(k=4)(x)
    found = open_sizes.compile(k=4, o=119)(x)
    assert torch.equal(known.isfinite(), found.isfinite())
