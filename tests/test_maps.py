"""Boundaries other than zeros under the rules: maps in a row, counts, circles within circles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

import diagrammar as dg
from diagrammar.ir.relation import Relation
from diagrammar.rules.passes import Pipeline
from tests.oracle import at, close, operands, value

BOUNDARIES = ("circular", "reflect", "replicate")

REDUCE = """
    tensor X[n, i]
    size k = 3
    param s = 1, d = 1
    pattern P[i, o, k] = conv(stride=s, dilation=d, padding=2, boundary={})
    A[k, k'] = 1/(|n|*|o|^2) * X[n, i] * P[i, o, k] * X[n, i'] * P[i', o', k']
    U[n, o, k] = X[n, i] * P[i, o, k]
"""


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("s", "d"), [(1, 1), (2, 1), (1, 2), (3, 2)])
def test_a_mean_of_padded_windows_is_a_matrix_of_counts(boundary: str, s: int, d: int):
    spec = dg.parse(REDUCE.format(boundary))
    made = spec["A"].simplify(i=9, s=s, d=d)
    assert "counted windows" in [step.rule.name for step in made.trace]
    assert not any(r.name == boundary for _, r in made.diagram.terms[0].relations())
    x = torch.randn(4, 9, dtype=torch.float64)
    padded = functional.pad(x[:, None], (2, 2), mode=boundary)[:, 0]
    outputs = (13 - d * 2 - 1) // s + 1
    rows = torch.stack([padded[:, d * k :: s][:, :outputs].mean(1) for k in range(3)])
    expected = rows @ rows.mT / 4
    got = spec["A"].compile(s=s, d=d)(x)
    assert close(got.numpy(), expected.numpy(), 1e-12)
    generic = spec["A"].compile(s=s, d=d).generic()(x)
    assert close(generic.numpy(), expected.numpy(), 1e-12)


def test_counts_say_what_is_mirrored():
    spec = dg.parse("""
        size i := 5, j := 9
        tensor V[j]
        pattern R[i, j] = [i = 2 - j, j <= 1] + [i = j - 2] + [i = 10 - j, j >= 7]
        pattern T[i, j] = [i = 0, j <= 1] + [i = j - 2] + [i = 4, j >= 7]
        Y[i] = R[i, j]
        Z[i] = T[i, j]
    """)
    assert spec["Y"].compile()().tolist() == [1, 2, 3, 2, 1]
    assert spec["Z"].compile()().tolist() == [3, 1, 1, 1, 3]
    for name in ("Y", "Z"):
        made = spec[name].simplify()
        assert [step.rule.name for step in made.trace] == ["summed end"]
        assert made.diagram.terms[0].tensors[0].wires == ("i",)


def test_a_sum_of_many_brackets_is_left_to_the_program():
    diagram = dg.parse("""
        size i := 40, j := 40
        pattern C[i, j] = [i <= j, j <= i + 30]
        Y[i] = C[i, j]
    """)["Y"]
    assert diagram.why_not("summed end") == ("C: the sum over j would have 40 brackets",)
    assert diagram.simplify().trace.laws == ()
    assert diagram.compile()().tolist() == [min(31, 40 - i) for i in range(40)]


def test_reading_all_of_a_map_gives_one():
    spec = dg.parse(
        REDUCE.format("reflect")
        + "    V[j] = C[i, j]\n    pattern C[i, j] = [i = j mod |i|]\n    size j = 7"
    )
    made = spec["V"].simplify(i=5)
    assert str(made.diagram).splitlines()[-1] == "V[j] = ones[j]"


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_slice_of_a_boundary_is_read_once(boundary: str):
    spec = dg.parse(f"""
        tensor X[n, i]
        size k := 1
        pattern P[i, o, k] = conv(padding=2, stride=3, boundary={boundary})
        Y[n, o, k] = X[n, i] * P[i, o, k]
    """)
    made = spec["Y"].simplify(i=7)
    assert "composed maps" in [step.rule.name for step in made.trace]
    assert len(list(made.diagram.terms[0].relations())) == 1
    x = torch.arange(14.0).reshape(2, 7)
    expected = functional.pad(x[:, None], (2, 2), mode=boundary)[:, 0, ::3]
    assert torch.equal(spec["Y"].compile()(x)[..., 0], expected)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_tiles_of_a_padded_input_are_read_where_they_are(boundary: str):
    """Dense behind a boundary: the map is read at (o k)."""
    spec = dg.parse(f"""
        tensor X[n, i]
        tensor W[k]
        size k := 2
        pattern P[i, o, k] = conv(padding=1, stride=2, boundary={boundary})
        Y[n, o] = X[n, i] * P[i, o, k] * W[k]
    """)
    made = spec["Y"].simplify(i=6)
    assert [step.rule.name for step in made.trace][:1] == ["dense"]
    x, w = torch.randn(2, 6), torch.randn(2)
    padded = functional.pad(x[:, None], (1, 1), mode=boundary)
    expected = functional.conv1d(padded, w[None, None], stride=2)[:, 0]
    assert close(spec["Y"].compile()(x, w).numpy(), expected.numpy(), 1e-6)


STACKED = """
    tensor X[n, i]
    tensor W[k]
    tensor V[m]
    size k := 3, m := 3
    pattern P[i, j, k] = conv(padding=1, boundary=circular)
    pattern Q[j, o, m] = conv(padding=1, boundary=circular)
    Y[n, o] = X[n, i] * P[i, j, k] * W[k] * Q[j, o, m] * V[m]
"""


def test_two_circular_convolutions_are_one_relation():
    diagram = dg.parse(STACKED)["Y"]
    made = Pipeline(("composition",)).run(diagram)
    (relation,) = [t for t in made.diagram.terms[0].tensors if isinstance(t, Relation)]
    assert len(relation.pieces) == 1
    (equation,) = relation.pieces[0].equations
    assert str(equation.modulus) in ("i", "o")  # one size
    fixed = at(made.diagram, i=7, n=2)
    given = operands(fixed)
    x, w, v = (torch.from_numpy(given[name]) for name in ("X", "W", "V"))
    once = functional.conv1d(functional.pad(x[:, None], (1, 1), mode="circular"), w[None, None])
    twice = functional.conv1d(functional.pad(once, (1, 1), mode="circular"), v[None, None])[:, 0]
    assert close(value(fixed, given), twice.numpy())


def test_brackets_that_overlap_are_counted_by_every_backend():
    diagram = dg.parse("""
        size i := 4, j := 4
        tensor X[j]
        pattern C[i, j] = [i <= j] + [i >= j] + [0 = 0]
        Y[i] = C[i, j] * X[j]
    """)["Y"]
    x = np.arange(4.0)
    expected = (np.ones((4, 4)) * 2 + np.eye(4)) @ x
    assert close(value(diagram, {"X": x}), expected)
    assert close(diagram.compile()(torch.from_numpy(x)).numpy(), expected)


def test_a_count_is_not_its_own_square():
    diagram = dg.parse("""
        size i := 4, j := 4
        pattern C[i, j] = [i <= j] + [i >= j]
        Y[i, j] = C[i, j]^2
    """)["Y"]
    assert diagram.why_not("repetition") == ("C: C may count an entry more than once",)
    assert diagram.compile()().tolist() == [
        [4.0 if i == j else 1.0 for j in range(4)] for i in range(4)
    ]
