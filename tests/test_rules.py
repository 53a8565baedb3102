"""Every registered rule: it fires on its example, not on its near miss, and keeps the dense
value."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

import diagrammar as dg
import diagrammar.rules
from diagrammar.diagram import Diagram
from diagrammar.rewrite import RULES, Rule, apply
from diagrammar.scalar import Dim
from diagrammar.specialise import names_of
from tests.oracle import at, close, operands, value

assert diagrammar.rules.RULES is RULES


def example(text: str) -> Diagram:
    spec = dg.parse(text)
    return spec[next(iter(spec))]


def with_sizes(diagram: Diagram, seed: int) -> Diagram:
    """The diagram at its defaults, and at small random sizes for all that is left."""
    chosen = random.Random(seed)
    fixed = at(diagram)
    while free := sorted(n for n, es in names_of(fixed).items() if any(map(is_symbol, es))):
        fixed = at(fixed, **{free[0]: chosen.randint(3, 6)})
    return fixed


def is_symbol(extent: Dim) -> bool:
    return not isinstance(extent, int) and bool(extent.is_Symbol)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
class TestEveryRule:
    def test_it_fires_on_its_example_without_sizes(self, rule: Rule):
        diagram = at(example(rule.example))
        assert next(rule.matches(diagram), None) is not None, rule.why_not(diagram)

    def test_it_keeps_the_value(self, rule: Rule):
        for seed in range(5):
            diagram = with_sizes(example(rule.example), seed)
            given = operands(diagram, seed, whole=True)
            for term, _, match in rule.matches(diagram):
                after = apply(diagram, term, match.edit)
                after.verify()
                expected, found = value(diagram, given), value(after, given)
                assert np.array_equal(found, expected), match.because

    def test_it_spares_its_near_miss_and_says_why(self, rule: Rule):
        diagram = at(example(rule.near_miss))
        assert next(rule.matches(diagram), None) is None
        assert any(rule.reason in reason for reason in rule.why_not(diagram)), rule.why_not(diagram)

    def test_its_result_is_still_a_file(self, rule: Rule):
        diagram = at(example(rule.example))
        term, _, match = next(rule.matches(diagram))
        after = apply(diagram, term, match.edit)
        assert dg.parse(str(after))[after.name] == after

    def test_it_says_what_it_is(self, rule: Rule):
        assert rule.doc
        assert rule.law
        assert rule.source


GEOMETRIES = [
    (i, k, s, d, p)
    for i, k, s, d, p in itertools.product((1, 4, 6, 7), (1, 2, 3), (1, 2, 3), (1, 2), (0, 1))
    if i + 2 * p >= d * (k - 1) + 1
]

TEXTS = {
    "forward": "Y[n, o] = X[n, i] * P[i, o, k] * W[k]",
    "input": "Y[n, i] = V[n, o] * P[i, o, k] * W[k]",
    "weight": "Y[k] = X[n, i] * P[i, o, k] * V[n, o]",
    "unfold": "Y[n, o, k] = X[n, i] * P[i, o, k]",
    "fold": "Y[n, i] = U[n, o, k] * P[i, o, k]",
    "toeplitz": "Y[i, o] = P[i, o, k] * W[k]",
    "expand": "Y[k, k'] = X[n, i] * P[i, o, k] * X[n, i'] * P[i', o, k']",
    "reduce": "Y[k, k'] = X[n, i] * P[i, o, k] * X[n, i'] * P[i', o', k']",
    "window": "Y[i, k] = P[i, o, k] * W[k]",
    "jacobian": "Y[n, o, n', i] = delta[n, n'] * P[i, o, k] * W[k] * V[n, o]",
    "twice": "Y[n, k, k'] = X[n, i] * P[i, o, k] * P[i, o, k'] * V[n, o]",
}


@pytest.mark.parametrize("body", TEXTS.values(), ids=TEXTS)
def test_simplifying_keeps_the_value_for_every_geometry(body: str):
    for i, k, s, d, p in GEOMETRIES:
        text = f"""
            size i := {i}, k := {k}, n := 2
            tensor X[n, i]
            tensor V[n, o]
            tensor U[n, o, k]
            tensor W[k]
            pattern P[i, o, k] = conv(stride={s}, dilation={d}, padding={p})
            {body}
        """
        diagram = at(dg.parse(text)["Y"])
        simplified = diagram.simplify()
        given = operands(diagram, seed=i, whole=True)
        expected = value(diagram, given)
        steps = [simplified.trace.start, *(step.after for step in simplified.trace)]
        for number, step in enumerate(steps):
            assert np.array_equal(value(step, given), expected), (i, k, s, d, p, number)
        assert dg.parse(str(simplified.diagram))["Y"] == simplified.diagram
        function = diagram.compile()
        for native in (True, False):
            function = diagram.compile(native=native)
            import torch

            made = function(*(torch.from_numpy(given[o.name]) for o in function.operands))
            assert close(made.numpy(), expected, 1e-12), (i, k, s, d, p, native)
