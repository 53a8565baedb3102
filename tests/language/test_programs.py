"""Random files that mean something, against the dense oracle and their own texts; what `require`
says. The long run is `python -m tests.language.fuzz`."""

from __future__ import annotations

import random
import textwrap
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import diagrammar as dg
from diagrammar.ir.diagram import Diagram
from tests.language.fuzz import check, check_text, open_requirements, opened, round_trip
from tests.language.programs import program


def checked(diagram: Diagram, chance: random.Random, *, generic: bool = False) -> bool:
    """Whether a diagram could be checked: a derivative may lack the operand that had a size."""
    problem = ""
    try:
        check(diagram, chance, generic=generic)
    except dg.DiagramError as error:
        problem = str(error)
    assert not problem or "cannot be inferred" in problem
    return not problem


@given(st.randoms(use_true_random=False))
@settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_files_give_what_the_oracle_gives_and_what_their_texts_say(
    chance: random.Random,
) -> None:
    made = program(chance)
    name = chance.choice(made.names)
    spec = dg.parse(made.text)
    assume(checked(spec[name], chance))


@pytest.mark.parametrize("seed", range(12))
def test_files_of_a_seed(seed: int) -> None:
    chance = random.Random(f"seed/{seed}")
    made = program(chance)
    for name in ("Y", "V", "S"):
        checked(dg.parse(made.text)[name], chance, generic=True)


def test_a_factor_that_its_group_is_called_like_after_a_rewrite() -> None:
    """Merging a wire gave T0[(b_ a)] the use T0[b_], whose text reads as T0[(b__ a)]."""
    text = "size b := 1, a := 1\ntensor T0[(b a)]\nY[] = T0[b]^2\nV = vjp(Y, T0)"
    round_trip(dg.parse(text)["V"].simplify().diagram)


@pytest.mark.parametrize("seed", range(6))
def test_texts_of_files_with_open_sizes(seed: int) -> None:
    chance = random.Random(f"open/{seed}")
    spec = dg.parse(opened(program(chance).text, chance))
    for name in ("Y", "V", "Z"):
        check_text(spec[name])


OPEN = {
    "the input's wire is gone": """
        tensor T[o, k]
        pattern P[i, o, k] = conv(stride=3)
        Y[o] = P[i, o, k] * T[o, k]
    """,
    "a wire of the operand has its size": """
        tensor T[b, d]
        pattern R[a, j] = [a = |a| - 1 - j]
        size a = 3
        Y[b] = T[b, j] * R[a, j] * R[a, j']
    """,
    "the kernel is known, and output and input have one size": """
        size k = 2
        tensor T[j]
        pattern P[i, o, k] = conv(padding=1, dilation=2)
        pattern R[i, d] = [i = d + 1]
        Y[(k o)] = P[i, o, k] * R[i, d] * T[d]
    """,
    "a common shift cuts the input": """
        size i = 4, k = 3, m = 3
        tensor T[i, m]
        tensor V[m, o]
        pattern P[i, o, k] = conv(padding=2, dilation=3)
        pattern Q[m, n, k] = conv(stride=2, padding=(2, 1), dilation=2)
        Y[] = T[i, m] * V[m, o] * P[i, o, k] * Q[m, n, k]
    """,
    "one output by two inputs": """
        tensor T[(o k)]
        pattern P[i, o, k] = conv(stride=3)
        Y[] = T[(o k)] * P[i, o, k]
        Z[] = Y[] * Y[]
    """,
}


@pytest.mark.parametrize("name", OPEN)
def test_simplified_diagrams_with_open_sizes_are_what_their_texts_say(name: str) -> None:
    spec = dg.parse(textwrap.dedent(OPEN[name]))
    for diagram in spec.values():
        for each in (diagram, diagram.simplify().diagram):
            round_trip(each)


INSIDE = """
size i = 8, k = 2
param s = 1
tensor T[b]
pattern P[i, o, k] = conv(stride=s)
Y[b] = T[b] * P[i, o, k]
Z[b] = Y[b] * Y[b]
Q[b] = Z[b]^2
"""


@pytest.mark.parametrize("used", [False, True])
def test_sizes_that_a_file_names_are_those_of_all_uses(tmp_path: Path, used: bool) -> None:
    """Y is T times the number of pairs of positions; both copies of Y have one |i| and one |k|."""
    text = INSIDE
    if used:
        (tmp_path / "inside.tn").write_text(INSIDE)
        text = 'use "inside.tn" as inside\nZ[b] = inside.Y[b] * inside.Y[b]\nQ[b] = Z[b]^2\n'
    (tmp_path / "outside.tn").write_text(text)
    spec = dg.load(tmp_path / "outside.tn")
    for name, power in (("Z", 2), ("Q", 4)):
        assert spec[name].compile()(torch.ones(2)).tolist() == [14.0**power] * 2
        assert spec[name].compile(i=5, s=3)(torch.ones(2)).tolist() == [4.0**power] * 2
        round_trip(spec[name])


REGROUPED = """
tensor X[(a b), i]
tensor M[n, n]
size a = 2
Y[w, i] = X[w, i] * X[w, i]
D = vjp(Y, X)
H = jacobian(D, X)
Q[] = M[p, q] * M[q, p]
G = vjp(Q, M)
"""


@pytest.mark.parametrize("name", ["Y", "D", "H", "Q", "G"])
def test_derivatives_by_operands_in_other_groups_are_what_their_texts_say(name: str) -> None:
    diagram = dg.parse(REGROUPED)[name]
    assert dg.parse(str(diagram))[name] == diagram


def test_the_gradient_by_a_square_matrix_is_no_diagonal() -> None:
    m = torch.arange(9.0).reshape(3, 3)
    found = dg.parse(REGROUPED)["G"].compile()(m, torch.ones(()))
    torch.testing.assert_close(found, 2 * m.mT)


REQUIRED = """
param s = 1, p = 1
tensor X[i]
tensor W[k]
pattern P[i, o, k] = conv(stride=s, padding=p, boundary=circular)
require |k| >= 2, s < 4
require |i| > |k|
Y[o] = X[i] * P[i, o, k] * W[k]
D = vjp(Y, X)
"""


@pytest.mark.parametrize(
    ("values", "shapes", "message"),
    [
        ({"k": 1}, (5, 1), "|k| is 1\n  = help: the file requires that it is at least 2"),
        (
            {"s": 4},
            (5, 2),
            "s is 4\n  = help: the file requires that it is less than 4",
        ),
        ({}, (5, 5), "|i| is 5\n  = help: the file requires that it is more than |k|, which is 5"),
        ({}, (3, 2), ""),
    ],
)
def test_what_a_file_requires_is_checked_when_it_is_known(
    values: dict[str, int], shapes: tuple[int, int], message: str
) -> None:
    for name in ("Y", "D"):
        text = str(dg.parse(REQUIRED)[name])
        for spec in (dg.parse(REQUIRED), dg.parse(text)):
            operands = [torch.ones(n) for n in shapes]
            operands[:1] = [] if name == "D" else operands[:1]
            operands += [torch.ones((shapes[0] + 2 - shapes[1]) + 1)] if name == "D" else []
            said = ""
            try:
                given_ = {**values, **({"i": shapes[0]} if name == "D" else {})}
                spec[name].compile(**given_)(*operands)
            except dg.DiagramError as error:
                said = str(error)
            assert message in said
            assert bool(message) == bool(said)


def test_the_text_of_a_diagram_has_what_it_requires() -> None:
    diagram = dg.parse(REQUIRED)["D"]
    again = dg.parse(str(diagram))["D"]
    assert again == diagram
    assert open_requirements(again) == open_requirements(diagram)
    assert "require |i| >= p, |k| >= 2, 4 > s, |i| > |k|\n" in str(diagram)
    with pytest.raises(dg.DiagramError, match="the stride of pattern 'P' is 0"):
        again.compile(s=0)
