"""Golden derivations: what a reader of the paper sees of the shipped operations on four kinds of
layer. `pytest --update` rewrites tests/cases/*.txt; the difference is then to be reviewed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import diagrammar as dg
from diagrammar.rewrite.engine import Simplified

HERE = Path(__file__).parent / "cases"
CONV = dg.shipped("conv2d_unequal")

LAYERS: dict[str, dict[str, int]] = {
    "dense": {"k1": 4, "k2": 4, "s1": 4, "s2": 4, "p1": 0, "p2": 0, "i1": 32, "i2": 32},
    "mixed": {"k1": 2, "k2": 3, "s1": 2, "s2": 1, "p1": 0, "p2": 1, "i1": 8, "i2": 8},
    "downsampling": {"k1": 1, "k2": 1, "s1": 2, "s2": 2, "p1": 0, "p2": 0},
    "overlapping": {"k1": 3, "k2": 3, "s1": 1, "s2": 1, "p1": 1, "p2": 1},
}
"""Patches of a vision transformer; dense in one dimension; a shortcut; the common 3×3 layer."""

OPERATIONS = {
    "forward": "Y",
    "weight VJP": "dW",
    "input VJP": "dX",
    "KFAC-expand": "A_expand",
    "KFAC-reduce": "A_reduce",
}


def derivation(layer: str, operation: str) -> Simplified:
    diagram = CONV[OPERATIONS[operation]]
    values = {"g": 1, "d1": 1, "d2": 1, **LAYERS[layer]}
    return diagram.simplify(**values)


def told(layer: str) -> str:
    """All operations of a layer: definition, steps, result."""
    numbers = ", ".join(f"{name} = {n}" for name, n in LAYERS[layer].items())
    parts = [f"{layer.capitalize()} layer: {numbers}"]
    for operation in OPERATIONS:
        made = derivation(layer, operation)
        title = f"{operation}, {layer}"
        parts += [f"{title}\n{'=' * len(title)}", str(made.trace.start).strip(), str(made.trace)]
        if len(made.trace):
            parts.append(str(made.diagram).strip())
    return "\n\n".join(parts) + "\n"


@pytest.mark.parametrize("layer", LAYERS)
def test_derivations_are_as_they_were(layer: str, update: bool):
    path = HERE / f"{layer}.txt"
    if update:
        path.write_text(told(layer), encoding="utf-8")
    assert path.read_text(encoding="utf-8") == told(layer), "pytest --update rewrites it"


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_derivations_are_short(layer: str, operation: str):
    """At most one step for each dimension, one for the wires that are left side by side, and none
    that only cleans up."""
    trace = derivation(layer, operation).trace
    assert len([step for step in trace if step.rule.name != "parallel wires"]) <= 2
    assert len(trace) <= 3
    assert not any(step.rule.cosmetic for step in trace)


def test_the_gram_rule_is_shown_where_windows_overlap():
    steps = list(derivation("overlapping", "KFAC-expand").trace)
    assert [(step.rule.name, step.at) for step in steps] == [("gram", ("P1", "P2"))]
    steps = list(derivation("mixed", "KFAC-expand").trace)
    assert [step.rule.name for step in steps] == ["dense", "gram", "parallel wires"]
    assert steps[-1].at == ("(b o1)", "(ci k1)", "(ci' k1')")


def test_no_golden_file_is_left_over():
    assert {path.stem for path in HERE.glob("*.txt")} == set(LAYERS)
