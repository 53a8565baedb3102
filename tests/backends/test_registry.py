"""Every backend that is registered, by the name that `compile` knows it by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import diagrammar as dg
from diagrammar.backends.registry import BACKENDS, Backend, Emitted, backends, interpreter

PRODUCTS = """
tensor A[i, k]
tensor B[k, j]
C[i, j] = A[i, k] * B[k, j]
D[j, i] = A[i, k] * B[k, j]
"""
A, B = (np.random.default_rng(0).standard_normal(shape) for shape in ((2, 3), (3, 4)))


def called(backend: Backend, *names: str) -> Any:
    """What some products are, computed by a backend."""
    function = dg.parse(PRODUCTS).compile(*names, backend=backend.name)
    return function(*map(torch.from_numpy, (A, B))) if backend.tensors else function(A, B)


@pytest.mark.parametrize("backend", backends().values(), ids=backends())
class TestEveryBackend:
    """What holds of a backend that knows no more operations than products need."""

    def test_it_computes_a_product(self, backend: Backend):
        assert np.allclose(called(backend, "C"), A @ B, rtol=1e-12, atol=0)

    def test_it_returns_several_results(self, backend: Backend):
        straight, turned = called(backend, "C", "D")
        assert np.allclose(straight, A @ B, rtol=1e-12, atol=0)
        assert np.allclose(turned, (A @ B).T, rtol=1e-12, atol=0)

    def test_it_is_found_by_its_name(self, backend: Backend):
        function = dg.parse(PRODUCTS)["C"].compile(backend=backend.name)
        assert function.options.target is backend


def test_the_folder_has_pytorch_and_the_oracle():
    assert {"torch", "numpy"} <= backends().keys()


def test_a_backend_that_is_registered_is_an_option(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(BACKENDS, "nothing", raising=False)
    with pytest.raises(dg.DiagramError, match="'torch' or 'numpy', not 'nothing'"):
        dg.parse(PRODUCTS)["C"].compile(backend="nothing")
    monkeypatch.setitem(BACKENDS, "nothing", Backend("nothing", lambda *_: Emitted(lambda *x: x)))
    first, second = dg.parse(PRODUCTS)["C"].compile(backend="nothing")(A, B)
    assert (first is A, second is B) == (True, True)


def test_dense_programs_are_for_backends_that_want_them(monkeypatch: pytest.MonkeyPatch):
    seen = []
    monkeypatch.setattr("diagrammar.backends.registry.BACKENDS", dict(BACKENDS))
    for planned in (True, False):

        @interpreter("watching", planned=planned)
        def evaluate(program: Any, operands: Any) -> Any:
            seen.append([type(step.operation).__name__ for step in program.steps])
            return [operands["A"] @ operands["B"]]

        text = "tensor A[i, k]\ntensor B[k, j]\ntensor P[b]\nY[i, j] = A[i, k] * B[k, j] * P[b]"
        dg.parse(text)["Y"].compile(backend="watching")(A, B, np.ones(2))
    assert seen[0] != seen[1]
    assert seen[1].count("Einsum") == 1  # one n-ary contraction
