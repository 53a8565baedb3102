"""Two convolutions with nothing in between are one relation, and equal PyTorch's two calls."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

import diagrammar as dg
from diagrammar.ir.algebra import compose, step
from diagrammar.ir.relation import conv, conv_form
from diagrammar.rules.passes import Pipeline
from tests.oracle import at, close, operands, value

STACK = """
param s = 1, p = 0, d = 1, s2 = 1, p2 = 0, d2 = 1
tensor X[b, c, i]
tensor W[e, c, k]
tensor V[f, e, m]
pattern P[i, j, k] = conv(stride=s, padding=p, dilation=d)
pattern Q[j, o, m] = conv(stride=s2, padding=p2, dilation=d2)
Y[b, f, o] = X[b, c, i] * P[i, j, k] * W[e, c, k] * Q[j, o, m] * V[f, e, m]
"""
SPEC = dg.parse(STACK)
COMPOSED = Pipeline(("composition",))


def geometries(count: int) -> list[dict[str, int]]:
    """Random hyper-parameters of two convolutions with an output."""
    chosen = random.Random(0)
    found: list[dict[str, int]] = []
    while len(found) < count:
        g = {
            "i": chosen.randint(3, 11),
            "k": chosen.randint(1, 3),
            "m": chosen.randint(1, 3),
            "s": chosen.randint(1, 2),
            "s2": chosen.randint(1, 3),
            "p": chosen.randint(0, 2),
            "p2": chosen.randint(0, 2),
            "d": chosen.randint(1, 2),
            "d2": chosen.randint(1, 2),
        }
        j = (g["i"] + 2 * g["p"] - g["d"] * (g["k"] - 1) - 1) // g["s"] + 1
        o = (j + 2 * g["p2"] - g["d2"] * (g["m"] - 1) - 1) // g["s2"] + 1
        if j >= 1 and o >= 1:
            found.append(g)
    return found


def test_stacked_convolutions_are_one_relation_and_equal_two_calls():
    for seed, g in enumerate(geometries(60)):
        diagram = at(SPEC["Y"], b=2, c=2, e=3, f=2, **g)
        made = COMPOSED.run(diagram)
        (relation,) = [r for _, r in made.diagram.terms[0].relations()]
        assert set(relation.wires) == {"i", "k", "o", "m"}, str(made.trace)
        given = operands(diagram, seed)
        x, w, v = (torch.from_numpy(given[name]) for name in "XWV")
        first = torch.conv1d(x, w, stride=g["s"], padding=g["p"], dilation=g["d"])
        both = torch.conv1d(first, v, stride=g["s2"], padding=g["p2"], dilation=g["d2"])
        assert close(value(made.diagram, given), both.numpy()), g


def test_a_composed_program_equals_two_calls():
    g = {"i": 9, "k": 3, "m": 3, "s": 1, "p": 1, "d": 1, "s2": 2, "p2": 1, "d2": 1}
    diagram = COMPOSED.run(at(SPEC["Y"], b=2, c=2, e=3, f=2, **g)).diagram
    given = operands(diagram, 0)
    x, w, v = (torch.from_numpy(given[name]) for name in "XWV")
    both = torch.conv1d(torch.conv1d(x, w, padding=1), v, stride=2, padding=1)
    assert close(diagram.compile()(X=x, W=w, V=v).numpy(), both.numpy())


def test_the_inner_range_is_kept_on_symbolic_sizes():
    diagram = at(SPEC["Y"], k=3, m=3, s=1, p=1, d=1, s2=1, p2=1, d2=1)
    made = COMPOSED.run(diagram)
    assert "[i = k + o + m - 2, o + m - 1 >= 0, -o - m + |i| >= 0]" in str(made.diagram)
    (step,) = made.trace
    assert step.because == "j stands between P and Q only, its range 0 to i - 1 kept as bounds"
    unpadded = COMPOSED.run(at(SPEC["Y"], k=3, m=3, s=1, p=1, d=1, s2=1, p2=0, d2=1))
    assert "= [i = k + o + m - 1]" in str(unpadded.diagram)


def test_the_standard_pipeline_keeps_two_convolutions_and_says_why():
    diagram = at(SPEC["Y"], k=3, m=3, p=1, p2=1)
    assert len(diagram.simplify().trace) == 0
    assert diagram.why_not("composition") == ("P, Q: together i, k, o, m are no convolution",)
    assert diagram.why_not("stacked convolutions") == ()


@pytest.mark.parametrize(
    ("between", "reason"),
    [("M[j]", "j leads elsewhere, too"), ("1", "")],
)
def test_nothing_may_stand_in_between(between: str, reason: str):
    text = STACK.replace("* W[e", f"* {between} * W[e")
    if reason:
        text = text.replace("tensor V", "tensor M[j]\ntensor V")
    spec = dg.parse(text)
    found = spec["Y"].why_not("stacked convolutions", k=3, m=3)
    assert found == ((f"P, Q: {reason}",) if reason else ())


def test_a_convolution_after_a_slice_is_one_relation():
    sizes = {"h": 9, "i": 7, "o": 5, "k": 3}
    crop = step("A", "h", "i", start=1)
    made = compose(crop, conv("P", "i", "o", "k", stride=1, dilation=1, padding=0), "i", sizes)
    assert made is not None
    form = conv_form(made, sizes)
    assert form is not None
    assert [form.i, form.o, form.k] == ["h", "o", "k"]
    assert [form.S, form.D, form.P] == [1, 1, -1]


def test_a_step_after_a_convolution_becomes_its_stride():
    diagram = dg.parse("""
        tensor X[n, i]
        tensor W[k]
        size i := 9, k := 3, o := 3
        pattern P[i, j, k] = conv(padding=1)
        pattern Q[j, o] = [j = 3*o + 1]
        Y[n, o] = X[n, i] * P[i, j, k] * Q[j, o] * W[k]
    """)["Y"]
    fixed = at(diagram, n=2)
    made = fixed.simplify()
    given = operands(fixed, 0, whole=True)
    assert np.array_equal(value(made.diagram, given), value(fixed, given))
    assert made.trace[0].rule.name == "composition"
    assert "conv(stride=3)" in str(made.trace[0].after)
