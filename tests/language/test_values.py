"""Values at the edge: ranks, sizes of zero, divisors and moduli of zero, groups named like their
axis, requirements of fractions."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

import diagrammar as dg
from tests.fuzz_cases import case
from tests.fuzz_language import outcome

PACK = "tensor X[i...]\ntensor W[k...]\npattern P[i, o, k]... = conv()\n"
PACK += "Y[o...] = X[i...] * P[i, o, k]... * W[k...]"


@pytest.mark.parametrize("rank", [0, -1, 65, True, 1.5, "2", float("nan"), [2], np.bool_(1)])
def test_what_is_no_rank_is_refused_everywhere(rank: Any) -> None:
    for refused in (
        lambda: dg.parse(PACK, rank=rank),
        lambda: dg.parse(PACK)["Y"].compile(rank=rank),
        lambda: dg.parse(PACK).at(rank),
    ):
        with pytest.raises(dg.DiagramError, match="'rank' must be an integer from 1 to 64"):
            refused()


@pytest.mark.parametrize("rank", [2, 2.0, np.int64(2), torch.tensor(2)])
def test_ranks_count_by_their_value(rank: Any) -> None:
    assert len(dg.parse(PACK, rank=rank)["Y"].axes) == 2
    assert len(dg.parse(PACK)["Y"].compile(rank=rank).operands[0].axes) == 2


@pytest.mark.parametrize("given", ["operand", "compile", "file", "formula"])
@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_a_size_of_zero_is_one_wherever_it_comes_from(given: str, backend: str) -> None:
    """Sums over nothing are zero, and results may be empty."""
    text = "tensor X[b, i]\nY[b] = X[b, i]\nZ[i] = X[b, i]\nB[j, b] = X[b, i] * ones[j]\n"
    text += {"file": "size j = 0", "formula": "size j := |i|", "compile": "size j = 3"}.get(
        given, "size j := |i|"
    )
    spec = dg.parse(text)
    x = torch.ones(2, 0, dtype=torch.float64)
    operand = x if backend == "torch" else x.numpy()
    values = {"j": 0} if given == "compile" else {}
    shapes = {"Y": (2,), "Z": (0,), "B": (0, 2)}
    for name, shape in shapes.items():
        function = spec[name].compile(backend=backend, **(values if name == "B" else {}))
        got = function(operand)
        assert tuple(got.shape) == shape
        assert not got.any()


def test_sizes_below_zero_and_kernels_that_do_not_fit_are_refused() -> None:
    text = "tensor X[i]\nsize o := |i| - 3\nY[o] = X[i] * ones[o]"
    assert dg.parse(text)["Y"].compile()(torch.ones(3)).shape == (0,)
    with pytest.raises(dg.DiagramError, match="wire 'o' would have size -1"):
        dg.parse(text)["Y"].compile()(torch.ones(2))
    conv = "tensor X[i]\ntensor W[k]\npattern P[i, o, k] = conv(stride=2)\n"
    conv += "Y[o] = X[i] * P[i, o, k] * W[k]"
    function = dg.parse(conv)["Y"].compile()
    for call in (function, function.generic()):
        with pytest.raises(ValueError, match=r"reaches over .* entries"):
            call(torch.ones(2), torch.ones(3))


ZEROS = {
    "a divisor": "param s = 1\ntensor X[i]\nY[i] = 1/s * X[i]",
    "a divisor in a product": "param s = 1\ntensor X[i]\nY[i] = X[i] / (2*s)",
    "a divisor of sizes, too": "param s = 1\ntensor X[i]\nY[i] = 1/(|i|*s) * X[i]",
    "a floor": "param s = 1\ntensor X[i]\nsize o := |i|//s\nY[o] = X[i] * ones[o]",
    "a modulus": "param s = 1\ntensor X[i]\nsize o = 3\npattern P[i, o] = [i = o mod s]\n"
    "Y[o] = X[i] * P[i, o]",
    "a stride": "param s = 1\ntensor X[i]\nsize k = 1\npattern P[i, o, k] = conv(stride=s)\n"
    "Y[o] = X[i] * P[i, o, k]",
    "a divisor of padding": "param s = 1\ntensor X[i]\nsize k = 1\n"
    "pattern P[i, o, k] = conv(padding=2/s)\nY[o] = X[i] * P[i, o, k]",
}


@pytest.mark.parametrize("name", ZEROS)
def test_divisors_and_moduli_of_zero_are_refused(name: str) -> None:
    spec = dg.parse(ZEROS[name])
    x = torch.ones(4, dtype=torch.float64)
    spec["Y"].compile()(x)
    for refused in (
        lambda: spec["Y"].compile(s=0)(x),
        lambda: spec["Y"].compile(s=0).generic(),
        lambda: spec["Y"].compile(s=0, backend="numpy")(x.numpy()),
        lambda: spec["Y"].simplify(s=0),
        lambda: dg.parse(ZEROS[name].replace("s = 1", "s = 0"))["Y"].compile()(x),
    ):
        with pytest.raises(dg.DiagramError, match=r"zero|positive|stride"):
            refused()


def test_averages_over_nothing_are_zero_and_other_quotients_are_refused() -> None:
    text = "tensor X[b]\nM[] = 1/|b| * X[b]\nV[] = 1/(|b| - 1) * X[b]"
    spec, none = dg.parse(text), torch.ones(0)
    assert spec["M"].compile()(none).item() == 0
    assert spec["M"].compile().generic()(none).item() == 0
    with pytest.raises(dg.DiagramError, match="division by zero"):
        spec["V"].compile()(torch.ones(1))
    with pytest.raises(ValueError, match="division by zero"):
        spec["V"].compile().generic()(torch.ones(1))


@pytest.mark.parametrize("seed", range(30))
def test_groups_may_be_named_like_the_axis_that_they_are(seed: int) -> None:
    """X[g] as X[(g c)] is what X[h] as X[(g c)] is; derivatives and texts, too."""
    chance = random.Random(seed)
    g, c = chance.randint(1, 4), chance.randint(1, 4)
    body, axes = chance.choice(
        [("Y[g] = X[(g c)]", (g,)), ("Y[c, g] = X[(g c)] * X[(g c)]", (c, g))]
    )
    rest = f"{body}\nV = vjp(Y, X)\nT = jvp(Y, X)\n"
    same, other = (dg.parse(f"size c = {c}\ntensor X[{n}]\n{rest}") for n in ("g", "h"))
    shapes = {"X": (g * c,), "tX": (g * c,), "dY": axes}
    for name in ("Y", "V", "T"):
        function = same[name].compile()
        given = [torch.randn(shapes[o.name], dtype=torch.float64) for o in function.operands]
        assert torch.equal(function(*given), other[name].compile()(*given))
        again = dg.parse(str(same[name]))[name]
        assert again == same[name]


def test_requirements_of_fractions_are_exact() -> None:
    text = "tensor X[i]\nrequire |i|/2 >= 2\nrequire |i|/3 < 3\nY[] = X[i]"
    function = dg.parse(text)["Y"].compile()
    for n in range(12):
        for call in (function, function.generic()):
            if n >= 4 and n < 9:
                assert call(torch.ones(n)).item() == n
            else:
                with pytest.raises(ValueError, match="requires"):
                    call(torch.ones(n))


@pytest.mark.parametrize("start", range(0, 40, 10))
def test_random_files_values_and_calls_end_in_a_result_or_an_error(start: int) -> None:
    """A part of `python -m tests.fuzz_language`, which has them by the thousand."""
    for number in range(start, start + 10):
        ended = outcome(case(0, number))
        assert not ended.failure, f"{ended.failure}\n{ended.text}"
