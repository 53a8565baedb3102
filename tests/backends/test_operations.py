"""Every operation on random sizes, known and symbolic: emitted torch against the interpreter."""

from __future__ import annotations

import ast
from dataclasses import replace

import numpy as np
import pytest
import sympy
import torch
from hand_programs import Builder
from hypothesis import given, settings
from hypothesis import strategies as st
from layout_cases import LAYOUTS
from random_cases import Draw
from sum_cases import SUMS

from diagrammar.backends.binding import bind, integer
from diagrammar.backends.numpy import evaluate
from diagrammar.backends.torch.emit import emit_module, load
from diagrammar.backends.torch.helpers import HELPERS
from diagrammar.program import Program, SizeBinding

CASES = LAYOUTS | SUMS


def shaped(program: Program, values: dict[str, int]) -> dict[str, tuple[int, ...]]:
    return {p.name: tuple(integer(n, values) for n in p.shape) for p in program.parameters}


def bound(program: Program) -> Program:
    """With a binding for every symbol that is an operand's size."""
    sizes: dict[str, SizeBinding] = {}
    for p in program.parameters:
        for axis, n in enumerate(p.shape):
            if isinstance(n, sympy.Symbol):
                sizes.setdefault(n.name, SizeBinding(n.name, p.name, axis))
    return replace(program, sizes=tuple(sizes.values()))


@pytest.mark.parametrize("symbolic", [False, True], ids=["known", "symbolic"])
@pytest.mark.parametrize("name", CASES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_emitted_torch_agrees_with_the_interpreter(
    name: str, symbolic: bool, data: st.DataObject
) -> None:
    draw, builder = Draw(data, symbolic=symbolic), Builder("f")
    program = bound(builder.program(CASES[name](draw, builder)))
    shapes = shaped(program, draw.values)
    bind(program, shapes)
    random = np.random.default_rng(0)
    operands = {name: random.standard_normal(shape) for name, shape in shapes.items()}
    (expected,) = evaluate(program, operands)

    source = emit_module([program], "A test.")
    f = load(source, name)["f"]
    result = f(**{name: torch.from_numpy(x) for name, x in operands.items()}).numpy()

    assert result.shape == expected.shape, source
    scale = max(1.0, np.abs(expected).max(initial=0.0))
    assert np.abs(result - expected).max(initial=0.0) <= 1e-12 * scale, source


@pytest.mark.parametrize("name", HELPERS)
def test_no_helper_has_a_local_function_that_names_itself(name: str) -> None:
    """It would be a cycle, and what it refers to would wait for the garbage collector."""
    for function in ast.parse(HELPERS[name]).body:
        for inner in ast.walk(function):
            if isinstance(inner, ast.FunctionDef) and inner is not function:
                names = {n.id for n in ast.walk(inner) if isinstance(n, ast.Name)}
                assert inner.name not in names
