"""The Gram law of overlapping windows: its relation is right, is read back, and is undone."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

import diagrammar as dg
from diagrammar.ir.autocorrelation import gram_form, mirror, unpaired
from diagrammar.rewrite.rule import apply
from diagrammar.rules import RULES
from diagrammar.rules.passes import Pipeline
from tests.oracle import at, operands, value

EXPAND = "A[c, k, c', k'] = X[n, c, i] * P[i, o, k] * X[n, c', i'] * P[i', o, k']"


def expand(body: str = EXPAND, **numbers: int) -> dg.Diagram:
    given = {"i": 7, "k": 3, "stride": 1, "dilation": 1, "padding": 1, **numbers}
    spec = dg.parse(f"""
        size i := {given["i"]}, k := {given["k"]}, n := 2, c := 2
        tensor X[n, c, i]
        tensor Z[n, c, i]
        pattern P[i, o, k] = conv(stride={given["stride"]}, dilation={given["dilation"]},
            padding={given["padding"]})
        {body}
    """)
    return at(spec["A"])


def paired(diagram: dg.Diagram) -> dg.Diagram:
    number, _, match = next(RULES["gram"].matches(diagram))
    return apply(diagram, number, match.edit)


def drawn(seed: int) -> dict[str, int]:
    """A random geometry whose kernel is larger than its stride."""
    chosen = random.Random(seed)
    stride, dilation = chosen.randint(1, 3), chosen.choice((1, 1, 2, 3))
    kernel = chosen.randint(stride + 1, 5)
    return {
        "k": kernel,
        "stride": stride,
        "dilation": dilation,
        "padding": chosen.randint(0, 6),
        "i": dilation * (kernel - 1) + chosen.randint(1, 9),
    }


def test_pairing_and_back_keep_the_value():
    cases = 0
    for seed in range(150):
        diagram, numbers = expand(**drawn(seed)), drawn(seed)
        if not list(RULES["gram"].matches(diagram)):
            continue
        cases += 1
        made = paired(diagram)
        given = operands(diagram, seed, whole=True)
        expected = value(diagram, given)
        assert np.array_equal(value(made, given), expected)
        assert dg.parse(str(made))["A"] == made
        (network,) = made.terms
        ((position, relation),) = network.relations()
        form = gram_form(relation, network.sizes)
        assert form is not None
        found = {"stride": form.S, "dilation": form.D}
        assert found == {name: numbers[name] for name in found}
        back = unpaired(network, position)
        again = replace(made, terms=(back,), sizes={**made.sizes, **back.sizes})
        again.verify()
        assert np.array_equal(value(again, given), expected)
    assert cases > 100


def test_windows_that_lie_inside_come_back_as_views():
    (network,) = paired(expand(padding=0)).terms
    back = unpaired(network, 1)
    assert [r.view for _, r in back.relations()] == ["i", "i'"]


def test_without_sizes_the_relation_is_read_back():
    diagram = dg.shipped("conv2d")["A_expand"]
    made = paired(at(diagram, k1=3, k2=3, s=1, p=1, d=1))
    relation = next(r for _, r in made.terms[0].relations() if len(r.wires) == 4)
    form = gram_form(relation, made.terms[0].sizes)
    assert form is not None
    assert (form.i, form.k, form.S, form.D, form.P, form.K) == ("i1", "k1", 1, 1, 1, 3)
    assert str(form.O) == "i1"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            "A[c, k, c', k'] = X[n, c, i] * P[i, o, k] * Z[n, c', i'] * P[i', o, k']",
            "i and i' lead to different things",
        ),
        ("A[o, k, k'] = X[n, c, i] * P[i, o, k] * X[n, c, i'] * P[i', o, k']", "o leads elsewhere"),
        ("A[k] = X[n, c, i] * P[i, o, k] * X[n, c, i'] * P[i', o, k']", "k' is summed"),
        (
            "A[k, k'] = X[n, c, i] * P[i, o, k] * Z[n, c, i] * X[n, c, i'] * P[i', o, k']",
            "i and i' lead to different things",
        ),
    ],
)
def test_no_gram_matrix(body: str, reason: str):
    diagram = expand(body)
    assert not list(RULES["gram"].matches(diagram))
    assert any(reason in why for why in RULES["gram"].why_not(diagram))


def test_a_gram_matrix_is_its_own_mirror_image():
    network = expand().terms[0]
    swap = mirror(network, {"k": "k'"})
    assert swap is not None
    assert {a: b for a, b in swap.items() if a < b} == {"k": "k'", "c": "c'", "i": "i'"}
    assert mirror(network, {"k": "c"}) is None


def test_the_mirror_is_seen_in_a_paired_diagram_too():
    network = paired(expand()).terms[0]
    swap = mirror(network, {"k": "k'"})
    assert swap is not None
    assert swap["c'"] == "c"


def test_both_dimensions_of_a_layer_show_the_law():
    simplified = Pipeline().run(at(dg.shipped("conv2d")["A_expand"], k1=3, k2=3, s=1, p=1, d=1))
    assert {step.rule.name for step in simplified.trace} == {"gram"}
