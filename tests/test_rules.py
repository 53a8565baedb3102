"""Every registered rule: it fires on its example, not on its near miss, and keeps the dense
value."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

import diagrammar as dg
import diagrammar.rules
from diagrammar.ir.diagram import Diagram
from diagrammar.ir.scalar import Dim
from diagrammar.ir.symbols import names_of
from diagrammar.rewrite.rule import RULES, Rule, apply
from diagrammar.transform.values import resolve_values
from tests.oracle import at, close, operands, value
from tests.rule_sweep import Tally, sweep

assert diagrammar.rules.RULES is RULES


def example(text: str) -> Diagram:
    spec = dg.parse(text)
    return spec[next(iter(spec))]


def with_sizes(diagram: Diagram, seed: int) -> Diagram:
    """The diagram at its defaults, and at small random sizes for all that is left."""
    chosen = random.Random(seed)
    fixed = at(diagram)
    while free := sorted(n for n, es in names_of(fixed).items() if any(map(is_symbol, es))):
        first = chosen.randint(3, 6)
        sizes = (n for n in range(first, first + 8) if not resolve_values(fixed, {free[0]: n})[1])
        fixed = at(fixed, **{free[0]: next(sizes)})  # the first that a kernel fits into
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


# -- derivations -----------------------------------------------------------------------------------

CONV = dg.shipped("conv2d")
DENSE = {"k1": 2, "k2": 2, "s": 2, "p": 0, "d": 1, "i1": 8, "i2": 6}


def test_a_law_is_one_step_with_all_its_places():
    trace = CONV["A_expand"].simplify(**DENSE).trace
    assert [(step.rule.name, step.at) for step in trace] == [
        ("dense", ("P1", "P2")),
        ("parallel wires", ("(b o1 o2)", "(ci k1 k2)", "(ci' k1' k2')")),
    ]
    assert [part.at for part in trace[0].parts] == [
        ("P1[i1, o1, k1]",),
        ("P2[i2, o2, k2]",),
        ("P1",),
        ("P2",),
    ]
    assert trace[0].before == trace.start
    assert trace[0].after == trace.end
    assert [part.rule.name for part in trace.rewrites] == ["dense"] * 4 + ["parallel wires"]
    assert [part.after for part in trace.rewrites][-1] == trace.end


def test_what_only_cleans_up_is_told_with_its_cause():
    """An open input is split; the joints with its open parts are deltas, which go at once."""
    diagram = dg.parse("""
        size i := 6, k := 3
        pattern P[i, o, k] = conv(stride=3)
        tensor V[n, o]
        Y[n, i, k] = V[n, o] * P[i, o, k]
    """)["Y"]
    trace = diagram.simplify().trace
    assert [step.rule.name for step in trace] == ["dense"]


def test_a_users_own_delta_is_a_step():
    diagram = dg.parse("tensor X[n, i]\nY[n, j] = delta[i, j] * X[n, i]")["Y"]
    assert [step.rule.name for step in diagram.simplify().trace] == ["delta elimination"]


def test_guards_say_what_other_sizes_would_break():
    trace = CONV["Y"].simplify(**DENSE).trace
    assert trace.guards == ("|i1| = 2·|o1|", "|i2| = 2·|o2|")
    assert str(trace).endswith("for these sizes only: |i1| = 2·|o1|, |i2| = 2·|o2|")
    free = {name: n for name, n in DENSE.items() if name not in ("i1", "i2")}
    assert CONV["Y"].simplify(**free).trace.guards == ()


def test_why_not_says_it_for_every_place_with_the_numbers():
    assert CONV["A_expand"].why_not("dense", k1=3, k2=2, s=2, p=0) == (
        "P1[i1, o1, k1]: stride 2 ≠ kernel 3",
        "P2[i2, o2, k2]: input i2 ≠ stride × output = 2*(i2//2)",
        "P1[i1', o1, k1']: stride 2 ≠ kernel 3",
        "P2[i2', o2, k2']: input i2 ≠ stride × output = 2*(i2//2)",
    )
    assert CONV["Y"].why_not("dense", **DENSE) == ()
    assert CONV["Y"].simplify(**DENSE).trace.why_not("dense") == ("Y has no relation",)
    assert CONV["Y"].why_not("gram") == ("Y has no two relations that share a wire",)


def test_why_not_of_an_unknown_rule_names_a_near_one():
    with pytest.raises(dg.DiagramError, match=r"there is no rule 'densse'\n.*did you mean 'dense'"):
        CONV["Y"].why_not("densse")


# -- what would go wrong unseen --------------------------------------------------------------------

PAIRS = {
    "k": "Y[n, k, k'] = X[n, i] * P[i, o, k] * P[i, o, k'] * V[n, o]",
    "o": "Y[n, o, o'] = X[n, i] * P[i, o, k] * P[i, o', k] * W[k]",
    "i": "Y[n, i, i'] = P[i, o, k] * P[i', o, k] * V[n, o] * W[k]",
}


@pytest.mark.parametrize("wire", PAIRS)
def test_any_two_wires_of_a_convolution_fix_the_third(wire: str):
    head = "tensor X[n, i]\ntensor V[n, o]\ntensor W[k]\nsize i := 5, k := 3\n"
    diagram = dg.parse(f"{head}pattern P[i, o, k] = conv(padding=1)\n{PAIRS[wire]}")["Y"]
    made = diagram.simplify()
    assert "functional dependence" in [step.rule.name for step in made.trace]
    assert len(list(made.diagram.terms[0].relations())) == 2  # the pattern, and a delta
    given = operands(at(diagram, n=2), whole=True)
    assert np.array_equal(value(at(made.diagram, n=2), given), value(at(diagram, n=2), given))


@pytest.mark.parametrize(("kernel", "fixed"), [(3, True), (4, True), (5, False)])
def test_on_a_circle_they_do_as_far_as_a_kernel_is_no_longer(kernel: int, fixed: bool):
    diagram = dg.parse(f"""
        size i := 4, o := 4, k := {kernel}
        tensor X[i]
        pattern C[i, o, k] = [i = o + k mod 4]
        Y[o, k, k'] = X[i] * C[i, o, k] * C[i, o, k']
    """)["Y"]
    reasons = diagram.why_not("functional dependence")
    assert reasons == (() if fixed else ("C: the other wires do not fix k",))
    given = operands(at(diagram), whole=True)
    assert np.array_equal(value(diagram.simplify().diagram, given), value(at(diagram), given))


def test_terms_that_differ_in_a_relation_alone_are_not_merged():
    diagram = dg.parse("""
        size i := 4, o := 4
        tensor X[i]
        pattern A[i, o] = [i = o + 1]
        pattern B[i, o] = [i = o + 2]
        Y[o] = X[i] * A[i, o] + X[i] * B[i, o] + X[i'] * A[i', o]
    """)["Y"]
    made = diagram.simplify().diagram
    assert [term.scalar for term in made.terms] == [2, 1]
    given = operands(at(diagram), whole=True)
    assert np.array_equal(value(made, given), value(at(diagram), given))


# -- random hyper-parameters: a short part of `tests.rule_sweep` -----------------------------------


@pytest.fixture(scope="module")
def tallies() -> dict[str, Tally]:
    return sweep(fired=25, seed=1)


@pytest.mark.parametrize("name", RULES)
def test_rules_keep_the_value_in_integers(name: str, tallies: dict[str, Tally]):
    tally = tallies[name]
    assert tally.fired >= 25
    assert tally.wrong == 0, tally.first
