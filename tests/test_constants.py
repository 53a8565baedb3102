"""Constants of which something is declared: the language, the rules, and values held against it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import diagrammar as dg
from diagrammar.ir.matrices import contradiction, drawn
from diagrammar.verify import verify

EIGENBASIS = """
    tensor X[n, a]
    constant Q[a, u] = orthogonal
    Y[n, b] = X[n, a] * Q[a, u] * Q[b, u]
    C[a, b] = Q[a, u] * Q[b, u] * X[n, a]
    D[u] = Q[a, u] * Q[a, u]
    T[] = Q[a, u] * Q[a, u]
    F[n, u] = X[n, a] * Q[a, u]
    G[n, b] = X[n, a] * Q[a, u] * Q[u, b]
"""


def test_a_rotation_there_and_back_is_nothing():
    spec = dg.parse(EIGENBASIS)
    made = spec["Y"].simplify()
    assert str(made.diagram).splitlines()[-1] == "Y[n, b] = X[n, b]"
    assert [step.rule.name for step in made.trace] == ["orthogonality"]
    assert made.trace[0].because.startswith(
        "u joins Q to itself alone, which is declared orthogonal"
    )


def test_it_holds_over_both_axes_and_under_open_wires():
    spec = dg.parse(EIGENBASIS)
    assert str(spec["D"].simplify().diagram).splitlines()[-1] == "D[u] = ones[u]"
    assert str(spec["T"].simplify().diagram).splitlines()[-1] == "T[] = |a|"
    both = spec["C"].simplify().diagram  # delta[a, b] with both open stays
    assert str(both).splitlines()[-1] == "C[a, b] = delta[a, b] * X[n, a]"


def test_a_square_is_no_product_with_the_transpose():
    spec = dg.parse(EIGENBASIS)
    assert spec["G"].why_not("orthogonality") == (
        "Q: an axis of one meets the other axis of the other",
    )
    assert spec["F"].why_not("orthogonality") == (
        "F has no two declared constants that share a wire",
    )


def test_functions_still_take_the_constant_and_need_not_read_it():
    f = dg.parse(EIGENBASIS)["Y"].compile()
    assert [o.name for o in f.operands] == ["X", "Q"]
    x, q = torch.randn(3, 5, dtype=torch.float64), torch.linalg.qr(torch.randn(5, 5).double())[0]
    assert torch.equal(f(X=x, Q=q), x)
    trace = dg.parse(EIGENBASIS)["T"].compile()
    assert trace(q).item() == 5
    assert trace.generic()(q).item() == 5


def test_derivatives_forget_what_is_declared():
    """A tangent of an orthogonal matrix is not orthogonal."""
    spec = dg.parse("""
        tensor X[n, a]
        constant Q[a, u] = orthogonal
        Y[n, b] = X[n, a] * Q[a, u] * Q[b, u]
        tY = jvp(Y, Q)
    """)
    assert {o.name: o.kind for o in spec["tY"].operands} == {"X": "", "Q": "orthogonal", "tQ": ""}
    assert len(spec["tY"].simplify().trace) == 0


@pytest.mark.parametrize("kind", ["identity", "orthogonal"])
@pytest.mark.parametrize("whole", [False, True])
def test_what_is_drawn_is_what_is_declared(kind: str, whole: bool):
    matrix = drawn(kind, 6, np.random.default_rng(0), whole=whole)
    assert contradiction("Q", kind, matrix) is None
    assert contradiction("Q", kind, torch.from_numpy(matrix)) is None
    assert contradiction("Q", kind, torch.from_numpy(matrix).float()) is None
    broken = matrix.copy()
    broken[2, 3] += 0.01
    assert contradiction("Q", kind, broken) is not None


def test_a_value_that_contradicts_the_file_is_an_error():
    f = dg.parse(EIGENBASIS)["Y"].compile()
    with pytest.raises(dg.DiagramError) as error:
        f(torch.ones(3, 2), torch.tensor([[1.0, 0.0], [0.5, 1.0]]))
    assert str(error.value) == (
        "error: constant 'Q' is declared orthogonal, but Q Qᵀ is up to 0.5 away from 1\n"
        "  = help: give another value, or leave '= orthogonal' out of the file"
    )
    g = dg.parse("constant E[a, b] = identity\nY[a, b] = E[a, b]")["Y"].compile()
    with pytest.raises(dg.DiagramError, match="declared identity, but it is up to 1 away from 1"):
        g(torch.zeros(2, 2))


def test_orthogonal_is_meant_without_conjugation():
    turn = torch.tensor([[0, 1j], [1j, 0]])
    problem = contradiction("Q", "orthogonal", turn)
    assert problem is not None
    assert "up to 2 away" in problem.message


def test_both_axes_have_one_size():
    with pytest.raises(dg.DiagramError, match="has size 3, but 2 is needed"):
        dg.parse("constant E[a, b] = identity\nY[a, b] = E[a, b]")["Y"].compile()(torch.zeros(2, 3))


def test_axes_may_be_groups():
    spec = dg.parse("""
        tensor X[n, ci, k]
        constant Q[(ci k), u] = orthogonal
        Y[n, ci', k'] = X[n, ci, k] * Q[(ci k), u] * Q[(ci' k'), u]
    """)
    assert str(spec["Y"].simplify().diagram).splitlines()[-1] == "Y[n, ci', k'] = X[n, ci', k']"
    assert verify(spec).ok


def test_under_vmap_and_compile_nothing_is_read():
    f = dg.parse(EIGENBASIS)["Y"].compile()
    q = torch.eye(4).expand(2, 4, 4)
    x = torch.randn(2, 3, 4)
    assert torch.equal(torch.func.vmap(f)(x, q), x)
    g = dg.parse(EIGENBASIS)["Y"].compile()
    assert torch.equal(torch.compile(g, backend="eager")(x[0], q[0]), x[0])


def test_constants_and_operands_may_be_integers() -> None:
    text = "tensor X[b, i]\nconstant W[i, k]\nY[b, k] = X[b, i] * W[i, k]"
    w, x = torch.tensor([[1, 2], [3, 4]]), torch.tensor([[1, 2], [0, 1]])
    assert torch.equal(dg.parse(text)["Y"].compile(constants={"W": w})(x), x @ w)


def test_constants_are_not_rounded_to_integers() -> None:
    spec = dg.parse("tensor X[b, i]\nconstant C[i, j]\nY[b, j] = X[b, i] * C[i, j]")["Y"]
    f = spec.compile(constants={"C": torch.full((4, 3), 0.5)})
    with pytest.raises(dg.DiagramError, match="different dtypes: X int64, C float32"):
        f(torch.ones(2, 4, dtype=torch.int64))
