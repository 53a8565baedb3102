"""A memory budget is kept, in parts where that is needed, or refused before anything is
allocated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import diagrammar as dg
from diagrammar.backends.numpy import evaluate
from diagrammar.backends.torch.emit import emit_module, load
from diagrammar.program.liveness import peak_bytes
from tests.plan.peaks import measured
from tests.plan.test_candidates import SHAPES, TEXT, layers, shape

ROUNDING = 4096
"""Bytes that may come on top: the allocator rounds every value up to 64, and a library's blocks of
sixteen channels are not full in operands this small."""

PRODUCTS = """
tensor A[b, i, (g c)]
tensor B[b, (g c), j]
tensor C[j, c]
Y[b, i, g] = A[b, i, (g c)] * B[b, (g c), j] * C[j, c]
N[b] = A[b, i, (g c)] * A[b, i, (g c)]
T[i, j] = A[b, i, (g c)] * B[b, (g c), j] - 2 * A[b, i, (g c)] * B[b, (g c), j] * C[j, c]
S[(b i), (g c)] = 3 * A[b, i, (g c)]
Q[i, i'] = A[b, i, (g c)] * A[b, i', (g c)]
"""
SIZES = {"b": 8, "i": 12, "g": 2, "c": 6, "j": 10}
OPERANDS = {
    "A": (SIZES["b"], SIZES["i"], SIZES["g"] * SIZES["c"]),
    "B": (SIZES["b"], SIZES["g"] * SIZES["c"], SIZES["j"]),
    "C": (SIZES["j"], SIZES["c"]),
}


def operands(names: list[str], dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return {n: torch.randn(OPERANDS[n], generator=random, dtype=dtype) for n in names}


def close(found: torch.Tensor, expected: torch.Tensor, bound: float) -> bool:
    scale = max(1.0, float(expected.abs().max()) if expected.numel() else 0.0)
    return found.shape == expected.shape and bool((found - expected).abs().max() <= bound * scale)


@pytest.mark.parametrize("name", ["Y", "N", "T", "S", "Q"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@settings(max_examples=8, deadline=None)
@given(part=st.floats(0.15, 1.1))
def test_products_keep_a_budget_or_refuse(name: str, dtype: torch.dtype, part: float) -> None:
    d = dg.parse(PRODUCTS)[name]
    whole = d.compile(g=2)
    given = operands([o.name for o in whole.operands], dtype)
    expected = whole(**given)
    itemsize = expected.element_size()
    special = whole.specialise(**{n: tuple(x.shape) for n, x in given.items()})
    budget = int(part * peak_bytes(special.program, itemsize))
    f = d.compile(g=2, memory=budget)
    try:
        found = f(**given)
    except dg.DiagramError:
        return
    assert close(found, expected, 1e-5 if itemsize == 4 else 1e-12)
    assert measured(lambda: f(**given)) <= 1.05 * budget + ROUNDING


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_budget_beside_constants_is_for_the_entries_of_the_call(dtype: torch.dtype) -> None:
    """The peak is 24 KiB of float32, and 40 KiB of float64."""
    text = "tensor A[b, i]\nconstant C[i, j]\nY[j, j'] = A[b, i] * C[i, j] * A[b, i'] * C[i', j']"
    f = dg.parse(text)["Y"].compile(constants={"C": torch.ones(16, 64)}, memory="32KiB")
    a = torch.ones(64, 16, dtype=dtype)
    if dtype is torch.float64:
        with pytest.raises(dg.DiagramError, match=r"would allocate 40.0 KiB.*more than the budget"):
            f(a)
    else:
        assert measured(lambda: f(a)) <= 2**15


@pytest.mark.parametrize("name", ["Y", "dX", "dW", "U", "A"])
@settings(max_examples=10, deadline=None)
@given(v=layers(), part=st.floats(0.2, 1.0))
def test_convolutions_keep_a_budget_or_refuse(name: str, v: dict[str, int], part: float) -> None:
    values = {n: v[n] for n in ("g", "k", "s", "p", "d")} | ({"i": v["i"]} if name == "dX" else {})
    d = dg.parse(TEXT)[name]
    f = d.compile(**values)
    random = torch.Generator().manual_seed(0)
    v = {**v, "b": 4, "ci": 8 * v["ci"], "co": 8 * v["co"]}
    given = {o.name: torch.randn(shape(v, SHAPES[o.name]), generator=random) for o in f.operands}
    special = f.specialise(**{n: tuple(x.shape) for n, x in given.items()})
    budget = int(part * special.plan.peak())
    kept = d.compile(**values, memory=budget)
    try:
        found = kept(**given)
    except dg.DiagramError:
        return
    made = kept.specialise(**{n: tuple(x.shape) for n, x in given.items()})
    assert peak_bytes(made.program) <= budget
    assert measured(lambda: kept(**given)) <= 1.05 * budget + ROUNDING
    expected = d.compile(**values, backend="numpy")(**{n: x.numpy() for n, x in given.items()})
    assert close(found, torch.from_numpy(expected).float(), 1e-4)
    (oracle,) = evaluate(made.program, {n: x.numpy() for n, x in given.items()})
    assert np.allclose(oracle, expected, rtol=1e-9, atol=1e-9)


def in_parts(name: str, share: float) -> tuple[dg.Function, dict[str, torch.Tensor]]:
    d = dg.parse(PRODUCTS)[name]
    whole = d.compile(g=2)
    given = operands([o.name for o in whole.operands], torch.float64)
    special = whole.specialise(**{n: tuple(x.shape) for n, x in given.items()})
    f = d.compile(g=2, memory=int(share * peak_bytes(special.program, 8)))
    f(**given)
    (made,) = f.specialised()
    assert made.program.cuts, "the budget must ask for parts"
    return f, given


def test_a_sum_in_parts_reads_like_a_loop() -> None:
    f, _ = in_parts("Q", 0.6)
    source = f.specialised()[0].source
    assert "for b in range(" in source
    assert "part = _Q_part(A.narrow(0, " in source
    assert "total += part" in source
    assert "Memory: computed in " in source


def test_parts_of_an_open_wire_stand_side_by_side() -> None:
    f, given = in_parts("Y", 0.7)
    source = f.specialised()[0].source
    assert ".copy_(part)" in source
    a, b = (given[n].unflatten(axis, (2, 6)) for n, axis in (("A", 2), ("B", 1)))
    expected = torch.einsum("bigc,bgcj,jc->big", a, b, given["C"])
    assert close(f(**given), expected, 1e-12)


def test_programs_in_parts_have_gradients_and_transforms() -> None:
    for name, share, degree in (("T", 0.6, 1), ("Y", 0.7, 1), ("Q", 0.6, 2)):
        f, given = in_parts(name, share)
        names = list(given)
        leaves = [given[n].clone().requires_grad_() for n in names]
        call = lambda *xs: f(**dict(zip(names, xs, strict=True)))  # noqa: B023, E731
        assert torch.autograd.gradcheck(call, leaves, fast_mode=True)
        batch = torch.stack([given["A"], 2 * given["A"]])
        rest = {n: given[n] for n in names if n != "A"}
        mapped = torch.func.vmap(lambda a: f(A=a, **rest))(batch)  # noqa: B023
        assert close(mapped[1], f(A=2 * given["A"], **rest), 1e-12)
        _, tangent = torch.func.jvp(lambda a: f(A=a, **rest), (given["A"],), (given["A"],))  # noqa: B023
        assert close(tangent, degree * f(**given), 1e-12)


def test_several_results_are_computed_in_the_same_parts() -> None:
    spec = dg.parse(PRODUCTS)
    whole = spec.compile("Y", "T", g=2)
    given = operands([o.name for o in whole.operands])
    shapes = {n: tuple(x.shape) for n, x in given.items()}
    peak = whole.specialise(**shapes).plan.peak()
    f = spec.compile("Y", "T", g=2, memory=int(0.7 * peak))
    found, expected = f(**given), whole(**given)
    assert f.specialise(**shapes).program.cuts
    assert all(close(a, b, 1e-5) for a, b in zip(found, expected, strict=True))
    assert measured(lambda: f(**given)) <= 1.05 * 0.7 * peak + ROUNDING


def test_a_refusal_names_the_least_that_would_do() -> None:
    d = dg.parse(PRODUCTS)["T"]
    given = operands(["A", "B", "C"])
    with pytest.raises(dg.DiagramError) as caught:
        d.compile(g=2, memory="0.1KiB")(**given)
    least = str(caught.value).split("raise memory= to '")[1].split("'")[0]
    assert d.compile(g=2, memory=least)(**given).shape == (12, 10)


def test_the_bytes_of_an_entry_count() -> None:
    """What fits in float32 need not fit in float64; the function is made for each."""
    d = dg.parse(PRODUCTS)["S"]
    f = d.compile(g=2, memory=4 * 8 * 12 * 12)
    assert f(A=operands(["A"])["A"]).shape == (96, 12)
    with pytest.raises(dg.DiagramError, match="more than the budget"):
        f(A=operands(["A"], torch.float64)["A"])


def test_a_function_for_all_shapes_says_that_it_keeps_no_budget() -> None:
    f = dg.parse(PRODUCTS)["T"].compile(g=2, memory="1KiB")
    assert "Memory: the sizes are open, so no budget is kept" in f.generic().source


def test_large_calls_run_in_parts_without_being_told() -> None:
    """Gradients of every example would take 2.3 GiB; operands and result are far smaller."""
    f = dg.parse(
        "tensor A[b, i, t]\ntensor B[b, j, t]\ntensor C[i, j, m]\n"
        "N[m] = A[b, i, t] * B[b, j, t] * C[i, j, m] * A[b, i, t'] * B[b, j, t']"
    )["N"].compile()
    made = f.specialise(A=(1024, 768, 32), B=(1024, 768, 32), C=(768, 768, 2))
    assert made.program.cuts
    assert made.plan.peak() < 2**30


@pytest.mark.parametrize(
    ("name", "layer", "shapes"),
    [
        ("dX", {"k": 3, "g": 8, "s": 2, "p": 1, "i": 56}, [(64, 8, 3, 3), (8, 64, 28, 28)]),
        ("dX", {"k": 3, "g": 4, "s": 3, "p": 1, "i": 55}, [(64, 16, 3, 3), (4, 64, 19, 19)]),
        ("dW", {"k": 3, "g": 1, "s": 1, "p": 1}, [(2, 256, 7, 7), (2, 256, 7, 7)]),
        ("dW", {"k": 1, "g": 1, "s": 1, "p": 0}, [(8, 512, 7, 7), (8, 1024, 7, 7)]),
    ],
)
def test_gradients_by_the_library_keep_to_the_predicted_peak(
    name: str, layer: dict[str, int], shapes: list[tuple[int, ...]]
) -> None:
    """With the operands that are only there for their shapes."""
    values = {n: layer[n] for n in ("g", "s", "p")} | {"d": 1, "k1": layer["k"], "k2": layer["k"]}
    values |= {f"i{n}": layer["i"] for n in (1, 2) if "i" in layer}
    f = dg.shipped("conv2d")[name].compile(**values)
    operands = [torch.randn(shape) for shape in shapes]
    known = {o.name: shape for o, shape in zip(f.operands, shapes, strict=True)}
    calls = [c for c in f.specialise(**known).candidates if "library call" in c.name]
    assert calls
    for candidate in calls:
        program = candidate.planned.program
        call = load(emit_module([program], ""), program.name)[program.name]
        taken = measured(lambda call=call: call(*operands))
        assert taken <= peak_bytes(program) + ROUNDING, candidate.name


@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_strided_input_gradients_stay_below_the_predicted_peak(kernel: int) -> None:
    """A library makes their results in blocks and puts them in order."""
    known = {"k1": kernel, "k2": kernel, "s": 2, "p": kernel // 2, "i1": 28, "i2": 28}
    out = 15 if kernel == 2 else 14
    w, v = torch.randn(64, 32, kernel, kernel), torch.randn(16, 64, out, out)
    f = dg.shipped("conv2d")["dX"].compile(**known)
    for candidate in f.specialise(W=w.shape, dY=v.shape).candidates:
        program = replace(candidate.planned.program, frees=True)
        call = load(emit_module([program], ""), program.name)[program.name]
        taken = measured(lambda call=call: call(w, v))
        assert taken <= peak_bytes(program) + ROUNDING, candidate.name


@pytest.mark.parametrize(
    ("shape", "others"),
    [((16, 4, 28, 28), 64), ((2, 64, 28, 28), 64), ((1, 200, 10, 10), 2)],
    ids=str,
)
@pytest.mark.parametrize("name", ["Y", "dX"])
def test_library_calls_stay_below_the_predicted_peak(
    name: str, shape: tuple[int, int, int, int], others: int
) -> None:
    """A result in blocks may be larger than the operands; one small image is unfolded."""
    _, channels, *image = shape
    known = {"k1": 3, "k2": 3, "s": 1, "p": 1}
    x, w = torch.randn(shape), torch.randn(others, channels, 3, 3)
    given = {"X": x, "W": w, "bias": torch.zeros(others)}
    if name == "dX":
        known |= {"i1": image[0], "i2": image[1]}
        given = {"W": w.transpose(0, 1).contiguous(), "dY": x}
    f = dg.shipped("conv2d")[name].compile(**known)
    found = f.specialise(**{n: tuple(x.shape) for n, x in given.items()}).candidates
    (call,) = [c for c in found if c.name == "one library call"]
    program = replace(call.planned.program, frees=True)
    emitted = load(emit_module([program], ""), program.name)[program.name]
    assert measured(lambda: emitted(**given)) <= peak_bytes(program) + ROUNDING
