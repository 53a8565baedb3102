"""Where the scalar of a contraction goes."""

from __future__ import annotations

from typing import Any

import pytest
import sympy

from diagrammar.lowerings.contract import rooted

HARD = (2**521 - 1) * (2**607 - 1)
"""Nobody factors it."""
b, o = sympy.symbols("b o", integer=True, positive=True)


@pytest.mark.parametrize(
    ("factor", "root", "rest"),
    [
        (7, 1, 7),
        (sympy.Rational(1, 12), sympy.Rational(1, 2), sympy.Rational(1, 3)),
        (sympy.Rational(3, 50), sympy.Rational(1, 5), sympy.Rational(3, 2)),
        (sympy.Rational(1, 8 * 784**2), sympy.Rational(1, 2 * 784), sympy.Rational(1, 2)),
        (1 / (b * o**2), 1 / o, 1 / b),
        (1 / (sympy.sqrt(b) * o**5), 1 / o**2, 1 / (sympy.sqrt(b) * o)),
        (1 / (b - 1), 1, 1 / (b - 1)),
        (1 / (12 * b**3), 1 / (2 * b), 1 / (3 * b)),
        (sympy.Rational(1, 4 * HARD), sympy.Rational(1, 2), sympy.Rational(1, HARD)),
    ],
)
def test_the_root_of_a_scalar(factor: Any, root: Any, rest: Any) -> None:
    assert rooted(factor) == (root, rest)
