"""Contraction orders: networks whose parts share no wire."""

from __future__ import annotations

import torch

import diagrammar as dg

APART = """
size a = 1, b = 1, c = 1, i0 = 7, k0 = 2, k1 = 3, i2 = 5, k2 = 1, j0 = 3, j1 = 1, w00 = 1
tensor T0[(b j1), k0]
pattern P0[i0, o0, k0] = conv(stride=3, padding=(1, 1), dilation=1)
pattern P1[o0, o1, k1] = conv(stride=2, padding=(1, 1), dilation=1)
pattern P2[i2, o2, k2] = conv(stride=2, padding=(2, 1), dilation=1)
pattern R0[i, j] = [0 <= i - j < 2]
Y[w00, o1, o0] = P1[o0, o1, k1] * R0[i2, j0] * P2[i2, o2, k2'] * delta[k2, j1] * P2[i2, o2, k2] \\
    * P0[i0, o0, k0] * T0[w00, k0]^2 * P0[i0, o0, k0']
Z[w00, o1, o0] = Y[w00, o1, o0] * Y[w00, o1, o0]
"""


def test_a_subtree_that_multiplies_results_without_a_wire_in_common_keeps_its_order():
    diagram = dg.parse(APART.replace("\\\n    ", ""))["Z"]
    x = torch.randn(1, 2, dtype=torch.float64)
    found = diagram.compile()(x)
    expected = diagram.compile(backend="numpy")(x.numpy())
    assert torch.allclose(found, torch.from_numpy(expected))
