"""What functions and layers keep of their calls has a bound, and goes when they go."""

from __future__ import annotations

import copy
import gc
import linecache
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

import diagrammar as dg
from diagrammar.runtime.latest import PLANS, Latest

PRODUCT = "tensor X[b, i]\nconstant W[i, o]\nY[b, o] = X[b, i] * W[i, o]"
DRAWN = "tensor X[b, i]\ntensor W[i, o]\nY[b, o] = X[b, i] * W[i, o]\nS = sample(Y, i, keep=1/2)"


def operands(count: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Operands of so many combinations of shapes."""
    for n in range(count):
        yield torch.ones(1 + n % 10, 2 + n // 10), torch.ones(2 + n // 10, 3)


def emitted_lines() -> set[str]:
    return {name for name in linecache.cache if name.startswith("<diagrammar")}


def test_the_latest_entries_stay():
    kept: Latest[int, str] = Latest(3)
    for n in range(3):
        kept[n] = str(n)
    assert kept.used(0) == "0"
    kept[3] = "3"
    assert list(kept) == [2, 0, 3]
    assert kept.used(1) is None
    assert copy.deepcopy(kept) == pickle.loads(pickle.dumps(kept)) == {}


def test_threads_keep_the_bound():
    kept: Latest[int, int] = Latest(10)

    def write(first: int) -> None:
        for n in range(500):
            kept[first + n] = n
            kept.used(first + n // 2)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(0, 8000, 1000)))
    assert len(kept) == 10


def test_a_function_keeps_so_many_programs_and_stays_right():
    f = dg.parse(PRODUCT)["Y"].compile()
    for x, w in operands(PLANS + 30):
        assert torch.equal(f(x, w), x @ w)
    assert len(f.specialised()) == PLANS
    first = next(operands(1))
    assert torch.equal(f(*first), first[0] @ first[1])
    f.clear()
    assert f.specialised() == ()
    assert torch.equal(f(*first), first[0] @ first[1])
    assert len(f.specialised()) == 1


@pytest.mark.parametrize("kind", ["constants", "drawn", "integers", "open"])
def test_other_functions_have_bounds(kind: str, monkeypatch: pytest.MonkeyPatch):
    for module in ("programs.PLANS", "kept_rows.PLANS"):
        monkeypatch.setattr(f"diagrammar.runtime.{module}", 5)
    for module in ("function.CALLS", "sampling.CALLS"):
        monkeypatch.setattr(f"diagrammar.runtime.{module}", 7)
    plain = dg.parse(PRODUCT)["Y"].compile()
    drawn = dg.parse(DRAWN)["S"].compile()
    bound = dg.parse(PRODUCT)["Y"].compile(constants={"W": torch.ones(2, 3)})
    function = {"constants": bound, "drawn": drawn}.get(kind, plain)
    for x, w in operands(10 if kind == "constants" else 20):
        if kind == "open":
            plain.opened([(None, x.shape[1]), (x.shape[1], 3 + len(x))])
        elif kind == "constants":
            bound(x)
        else:
            function(*((x.int(), w.int()) if kind == "integers" else (x, w)))
    bounds = [value for value in parts(function) if isinstance(value, Latest)]
    assert any(len(value) == value.most for value in bounds)
    assert all(len(value) <= value.most <= 7 for value in bounds)


def parts(function: Any) -> list[Any]:
    """What a function is made of: its stages, and what these keep."""
    pending, seen = [function], {}
    while pending:
        value = pending.pop()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if isinstance(value, dict | list | tuple):
            pending += value.values() if isinstance(value, dict) else value
        elif type(value).__module__.startswith("diagrammar.runtime."):
            pending += vars(value).values() if hasattr(value, "__dict__") else ()
    return [*seen.values()]


def test_a_layer_keeps_so_many_definitions(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("diagrammar.layers.operations.DEFINITIONS", 5)
    layer = dg.layers.Conv((3,))
    for n in range(9):
        layer.toeplitz(torch.ones(2, 2, 3), input_size=(5 + n,))
    assert len(layer._run.compiled()) == 5
    layer.clear()
    assert layer._run.compiled() == ()
    assert layer.toeplitz(torch.ones(2, 2, 3), input_size=(5,)).shape == (6, 10)


def test_lines_of_functions_go_with_them():
    gc.collect()
    before = emitted_lines()
    spec = dg.parse("tensor X[b, i]\nY_of_lines[b] = 7 * X[b, i]")
    f, other = spec["Y_of_lines"].compile(), spec["Y_of_lines"].compile()
    for n in range(1, 9):
        f(torch.ones(2, n))
    other(torch.ones(2, 1))
    assert len(emitted_lines() - before) >= 2
    del f
    gc.collect()
    (left,) = emitted_lines() - before
    assert "7" in "".join(linecache.getlines(left))  # of the function that is alike and lives
    del other
    gc.collect()
    assert emitted_lines() <= before


def test_copies_have_nothing_of_what_was_made():
    f = dg.parse(PRODUCT)["Y"].compile()
    x, w = torch.ones(2, 3), torch.ones(3, 4)
    f(x, w)
    for other in (copy.copy(f), copy.deepcopy(f), pickle.loads(pickle.dumps(f))):
        assert other.specialised() == ()
        assert torch.equal(other(x, w), x @ w)
        assert len(f.specialised()) == len(other.specialised()) == 1


def test_constants_of_functions_have_a_bound_in_bytes():
    f = dg.parse(
        "tensor X[b, i]\nsize j := |i|\npattern C[i, j] = [i <= j]\nY[b, j] = X[b, i] * C[i, j]"
    )["Y"].compile()
    for n in range(2000, 2006):
        x = torch.randn(2, n)
        torch.testing.assert_close(f(x), x.cumsum(1), rtol=1e-3, atol=1e-3)
    assert 0 < sum(special.constants for special in f.specialised()) <= 2**25
    assert len(f.specialised()) == 2
