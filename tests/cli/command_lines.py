"""Command lines in a folder with a right and a wrong file, and what they did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

GOOD = """\
# matrix times vector
size i = 3
tensor X[b, i]
tensor W[o, i]
Y[b, o] = X[b, i] * W[o, i]
"""

BAD = """\
tensor X[b, i]
tensor Weight[o, i]
Y[b, o] = X[b, i] * Weigth[o, i]
Z[b] = X[b, i] * q
V = vjp(Y, X
"""


@dataclass
class Result:
    """What a command did."""

    status: int
    out: str
    err: str


Run = Callable[..., Result]
