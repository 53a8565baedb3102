"""Derivatives against autograd: Jacobians, VJPs, JVPs, of any order, for every hyper-parameter."""

from __future__ import annotations

import pytest
import torch
from torch.autograd.functional import hessian, jacobian

import diagrammar as dg
from tests.oracle import at, close, operands, value

CONV = """
param s, p, d
tensor X[b, (g ci), i1, i2]
tensor W[(g co), ci, k1, k2]
tensor bias[(g co)]
pattern P1[i1, o1, k1] = conv(stride=s, padding=p, dilation=d)
pattern P2[i2, o2, k2] = conv(stride=s, padding=p, dilation=d)
Y[b, (g co), o1, o2] = X[b, (g ci), i1, i2] * P1[i1, o1, k1] * P2[i2, o2, k2]
    * W[(g co), ci, k1, k2] + bias[(g co)]
JX = jacobian(Y, X)
JW = jacobian(Y, W)
Jb = jacobian(Y, bias)
dX = vjp(Y, X)
dW = vjp(Y, W)
db = vjp(Y, bias)
tX = jvp(Y, X, tangent=TX)
tW = jvp(Y, W, tangent=TW)
JWX = jacobian(JW, X)
dWX = vjp(dW, X, cotangent=V)
"""

SIZES = [
    {"b": 2, "g": g, "ci": 2, "co": 1, "i1": i1, "i2": 4, "k1": k1, "k2": 2, "s": s, "p": p, "d": d}
    for g, i1, k1, s, p, d in (
        (1, 4, 3, 1, 1, 1),
        (2, 5, 2, 2, 0, 1),
        (1, 4, 1, 2, 0, 1),
        (1, 4, 2, 2, 0, 2),
        (2, 4, 4, 4, 0, 1),
        (1, 3, 3, 1, 1, 2),
    )
]


def forward(sizes):
    def call(x, w, bias):
        return torch.nn.functional.conv2d(
            x, w, bias, stride=sizes["s"], padding=sizes["p"], dilation=sizes["d"],
            groups=sizes["g"],
        )  # fmt: skip

    return call


@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: " ".join(f"{k}{v}" for k, v in s.items()))
def test_derivatives_of_a_convolution(sizes):
    spec = dg.parse(CONV)
    random = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=random)

    b, g, ci, co = (sizes[name] for name in ("b", "g", "ci", "co"))
    x = draw(b, g * ci, sizes["i1"], sizes["i2"])
    w, bias = draw(g * co, ci, sizes["k1"], sizes["k2"]), draw(g * co)
    tx, tw = torch.randn_like(x), torch.randn_like(w)
    call = forward(sizes)
    y = call(x, w, bias)
    v = torch.randn_like(y)
    u = torch.randn_like(w)
    jx, jw, jb = jacobian(call, (x, w, bias))
    given = {"X": x, "W": w, "bias": bias, "dY": v, "V": u, "TX": tx, "TW": tw}
    expected = {
        "Y": y,
        "JX": jx,
        "JW": jw,
        "Jb": jb,
        "dX": torch.tensordot(v, jx, 4),
        "dW": torch.tensordot(v, jw, 4),
        "db": torch.tensordot(v, jb, 4),
        "tX": torch.tensordot(jx, tx, 4),
        "tW": torch.tensordot(jw, tw, 4),
        "JWX": mixed(call, x, w, bias),
        "dWX": torch.autograd.functional.vjp(
            lambda x: torch.tensordot(
                v, jacobian(lambda w: call(x, w, bias), w, create_graph=True), 4
            ),
            x,
            u,
        )[1],
    }
    for name, reference in expected.items():
        diagram = spec[name]
        known = _known(diagram, sizes | {"o1": y.shape[2], "o2": y.shape[3]})
        arrays = {o.name: given[o.name].numpy() for o in diagram.operands}
        assert close(value(at(diagram, **known), arrays), reference.numpy()), name
        # what is compiled is what the oracle says
        made = diagram.compile(**known)(**{o: given[o] for o in arrays})
        assert close(made.numpy(), reference.numpy()), name
        assert dg.parse(str(diagram))[name] == diagram


def mixed(call, x, w, bias):
    """∂²Y/∂W∂X."""
    return jacobian(lambda x: jacobian(lambda w: call(x, w, bias), w, create_graph=True), x)


def _known(diagram, sizes):
    from diagrammar.ir.symbols import names_of

    known = names_of(diagram)
    return {name: n for name, n in sizes.items() if name in known}


def test_a_product_rule_has_a_term_for_each_occurrence():
    spec = dg.parse(
        """
        tensor X[n, i]
        tensor A[i, j]
        Q[n] = X[n, i] * A[i, j] * X[n, j]
        J = jacobian(Q, X)
        H = jacobian(J, X)
        """
    )
    assert len(spec["J"].terms) == 2
    sizes = {"n": 2, "i": 3, "j": 3}
    diagram = at(spec["H"], n=2, i=3, j=3)
    a = operands(at(spec["Q"], **sizes), seed=1)
    x, matrix = torch.from_numpy(a["X"]), torch.from_numpy(a["A"])
    reference = torch.stack(
        [hessian(lambda x, n=n: (x @ matrix * x).sum(1)[n], x) for n in range(2)]
    )
    assert close(value(diagram, {"A": a["A"]}), reference.numpy())


def test_isomorphic_terms_merge_with_their_multiplicity():
    spec = dg.parse(
        """
        tensor X[i]
        S[] = X[i] * X[i]
        J = jacobian(S, X)
        H = jacobian(J, X)
        """
    )
    assert len(spec["J"].terms) == 1
    assert spec["J"].terms[0].scalar == 2
    assert spec["H"].terms[0].scalar == 2


def test_a_derivative_by_an_absent_operand_is_zero_with_a_warning():
    spec = dg.parse(
        """
        tensor X[n, i]
        tensor Z[i]
        Y[n] = X[n, i]
        dZ = vjp(Y, Z)
        """
    )
    assert [str(p).splitlines()[0] for p in spec.check()] == ["warning: 'Y' does not depend on 'Z'"]
    f = spec["dZ"].compile(i=3)
    assert torch.equal(
        f(dY=torch.ones(4, dtype=torch.float64)), torch.zeros(3, dtype=torch.float64)
    )


def test_a_vjp_has_the_operands_axes_as_declared():
    spec = dg.parse(
        """
        tensor X[n, i]
        tensor V[j, i]
        Y[n, i] = X[n, j] * V[j, i]
        dX = vjp(Y, X)
        """
    )
    d = spec["dX"]
    assert d.axes == (("n",), ("i",))
    v, dy = torch.randn(3, 4), torch.randn(2, 4)
    assert torch.allclose(d.compile()(V=v, dY=dy), dy @ v.T)
    assert dg.parse(str(d))["dX"] == d


def test_an_operand_whose_axis_is_grouped_otherwise_is_differentiated_in_its_own_axes():
    spec = dg.parse(
        """
        size g = 2
        tensor X[n, (g c)]
        tensor A[j]
        Y[n, j] = X[n, j] * A[j]
        dX = vjp(Y, X)
        """
    )
    assert spec["dX"].axes == (("n",), ("g", "c"))
    a, v = torch.randn(6, dtype=torch.float64), torch.randn(3, 6, dtype=torch.float64)
    assert torch.allclose(spec["dX"].compile()(A=a, dY=v), v * a)
