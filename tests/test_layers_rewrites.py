"""Every rewrite in every derivation of the shipped files keeps the dense value, on random sizes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import diagrammar as dg
from diagrammar.ir.symbols import names_of
from diagrammar.rules.passes import Pipeline
from tests.oracle import at, close, operands, value

DEFINITIONS = [(file, name) for file in ("conv2d", "conv2d_unequal") for name in dg.shipped(file)]
SPECS = {file: dg.shipped(file) for file in ("conv2d", "conv2d_unequal")}

SIZES = {
    "b": st.integers(1, 2),
    "g": st.integers(1, 2),
    "ci": st.integers(1, 2),
    "co": st.integers(1, 2),
    "i": st.integers(1, 5),
    "k": st.integers(1, 3),
    "s": st.integers(1, 3),
    "p": st.integers(0, 2),
    "d": st.integers(1, 2),
}


@st.composite
def hyper_parameters(draw: st.DrawFn, unequal: bool) -> dict[str, int]:
    """Sizes and parameters of a convolution with at least one output in each dimension."""
    values = {name: draw(SIZES[name]) for name in ("b", "g", "ci", "co")}
    shared = {name: draw(SIZES[name]) for name in "spd"}
    for n in "12":
        own = {name: draw(SIZES[name]) for name in "spd"} if unequal else shared
        i, k = draw(SIZES["i"]), draw(SIZES["k"])
        assume(i + 2 * own["p"] >= own["d"] * (k - 1) + 1)
        values |= {f"i{n}": i, f"k{n}": k}
        values |= {f"{name}{n}" if unequal else name: own[name] for name in "spd"}
    return values


def known(diagram: dg.Diagram, values: Mapping[str, int]) -> dict[str, int]:
    """The values that a diagram has a name for."""
    return {name: number for name, number in values.items() if name in names_of(diagram)}


def check(trace_of: dg.Diagram, values: Mapping[str, int]) -> int:
    """Simplify, compare the value before and after every step; how many there were."""
    simplified = Pipeline().run(trace_of)
    fixed = at(trace_of, **known(trace_of, values))
    given_operands = operands(fixed)
    expected = value(fixed, given_operands)
    for step in simplified.trace:
        after = at(step.after, **known(step.after, values))
        assert close(value(after, given_operands), expected), str(step)
    last = at(simplified.diagram, **known(simplified.diagram, values))
    assert close(value(last, given_operands), expected)
    return len(simplified.trace)


@pytest.mark.parametrize(("file", "name"), DEFINITIONS)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_rewrites_keep_the_value(file: str, name: str, data: st.DataObject) -> None:
    diagram = SPECS[file][name]
    values = data.draw(hyper_parameters(unequal=file == "conv2d_unequal"))
    check(at(diagram, **known(diagram, values)), values)


HYPER = ("g", "k1", "k2", "s", "p", "d", "s1", "s2", "p1", "p2", "d1", "d2")


@pytest.mark.parametrize(("file", "name"), DEFINITIONS)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_rewrites_with_symbolic_sizes_keep_the_value(
    file: str, name: str, data: st.DataObject
) -> None:
    diagram = SPECS[file][name]
    values = data.draw(hyper_parameters(unequal=file == "conv2d_unequal"))
    hyper = {n: v for n, v in known(diagram, values).items() if n in HYPER}
    check(at(diagram, **hyper), values)


@pytest.mark.parametrize(
    ("hyper", "rule"),
    [
        ({"k1": 2, "k2": 2, "s": 2, "p": 0, "d": 1, "i1": 4, "i2": 6}, "dense"),
        ({"k1": 1, "k2": 1, "s": 2, "p": 0, "d": 1, "i1": 5, "i2": 4}, "downsampling"),
        ({"k1": 1, "k2": 1, "s": 1, "p": 0, "d": 1, "i1": 3, "i2": 4}, "pointwise"),
    ],
)
@pytest.mark.parametrize("name", list(dg.shipped("conv2d")))
def test_special_layers_keep_the_value(name: str, hyper: dict[str, int], rule: str) -> None:
    values = {"b": 2, "g": 2, "ci": 1, "co": 2, **hyper}
    diagram = SPECS["conv2d"][name]
    fixed = at(diagram, **known(diagram, values))
    used = {step.rule.name for step in Pipeline().run(fixed).trace}
    assert used & ({rule, "summed end"} if name == "A_reduce" else {rule})
    assert check(fixed, values) > 0
