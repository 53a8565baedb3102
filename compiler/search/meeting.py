"""What a contraction costs more where a side has gaps (`ir.gaps`).

A pattern masks what it meets, which is a little dearer than a product. Where both sides have
operands, zeros of gaps would be multiplied by them: that is the last resort.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from diagrammar.ir.tree import applies

if TYPE_CHECKING:
    from diagrammar.search.entry import Entry
    from diagrammar.search.moves import Moves

GAPS = 1e3
"""Seconds that a product costs in which zeros of gaps meet an operand, where that is avoided."""
DEARER = 3.0
"""How many times as long what avoids it may take; else products are marked (`passes.mark_nan`)."""


def masking(moves: Moves, a: Entry, b: Entry, swept: int, wires: int) -> tuple[float, bool]:
    """What a contraction with a pattern costs more because that has gaps, and whether the result
    of a contraction has gaps."""
    if not (a.gaps or b.gaps) or (a.tensors & moves.given and b.tensors & moves.given):
        return 0.0, a.gaps or b.gaps
    pattern, x = (b, a) if a.tensors & moves.given else (a, b)
    if not x.tensors & moves.given or not pattern.gaps:
        return 0.0, True
    if not a.wires & b.wires & ~wires:
        return 0.0, True  # nothing is summed: a mask costs what a product costs
    total = applies(pattern.tree, "dense pattern")
    total = total and moves.is_total(pattern.tensors.bit_length() - 1, pattern.wires & wires)
    if pattern.wires.bit_count() == 2:  # rows are added
        return moves.prices.summed(moves.elements(x.wires)), x.gaps or not total
    more = 2 * moves.prices.contraction(swept, 2 * moves.elements(x.wires), 0)  # made three times
    return more, x.gaps or not total


def meeting(moves: Moves, a: Entry, b: Entry) -> tuple[float, bool]:
    """What a product costs more if zeros of gaps of one side meet an operand of the other, and
    whether they do, in it or before."""
    meets = (a.gaps or b.gaps) and a.tensors & moves.given and b.tensors & moves.given
    return GAPS if meets and moves.strict else 0.0, bool(meets) or a.met or b.met
