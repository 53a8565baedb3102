"""A file with mistakes of every stage gives all of them at once, each with place and way out."""

from __future__ import annotations

import pytest

import diagrammar as dg

MISTAKEN = """\
size k = 3
parm s = 1
tensor X[b, (g ci), i]
tensor Weight[co, ci, k]
pattern P[i, o, k] = conv(strid=2)
Y[b, co, o] = X[b, (g ci), i * P[i, o, k]
Z[b, co, o] = X[b, (g ci), i] * P[i, o, k] * Weigth[co, ci, k]
V[b] = X[b, i]
"""


@pytest.mark.parametrize(
    ("line", "column", "message", "way_out"),
    [
        (2, 1, "unknown statement 'parm'", "did you mean 'param'?"),
        (5, 27, "conv has no option 'strid'", "did you mean 'stride'?"),
        (6, 16, "'[' is never closed", "put ']' before '*'"),
        (7, 46, "unknown tensor 'Weigth'", "did you mean 'Weight'?"),
        (
            8,
            8,
            "tensor 'X' has 3 axes, not 2",
            "write it as X[b, (g ci), i], with wires of your own",
        ),
    ],
)
def test_five_mistakes_give_five_errors(line: int, column: int, message: str, way_out: str) -> None:
    with pytest.raises(dg.DiagramError) as caught:
        dg.parse(MISTAKEN)
    found = {(e.line, e.column, e.message, e.help) for e in caught.value.errors}
    assert len(found) == 5
    assert (line, column, message, way_out) in found
    source = MISTAKEN.splitlines()[line - 1]
    assert f"{line} | {source}\n  | {' ' * (column - 1)}^" in str(caught.value)
