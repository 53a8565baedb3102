"""What a library convolution is given: wires by role, and what its sizes leave over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diagrammar.ir.relation import ConvForm
from diagrammar.ir.scalar import floor_div


def output_padding(form: ConvForm) -> int:
    """What the transposed call must add to reach the input's size."""
    reach = form.S * (form.O - 1) - 2 * form.P + form.D * (form.K - 1) + 1
    return int(form.I - reach)


def extra(form: ConvForm) -> int:
    """Windows that the call computes beyond the relation's: none when O is the formula's."""
    reach = form.I + 2 * form.P - form.D * (form.K - 1) - 1
    return int(floor_div(reach, form.S) + 1 - form.O)


@dataclass(frozen=True, slots=True)
class Layout:
    """The wires of a native call by role, each in order."""

    group: tuple[str, ...]
    left: tuple[str, ...]
    right: tuple[str, ...]
    summed: tuple[str, ...]


def layout(
    left: Sequence[str], right: Sequence[str], needed: set[str], spatial: set[str]
) -> Layout:
    """Roles: shared and summed, shared and kept (groups), of the left only, of the right only."""
    a = [w for w in left if w not in spatial]
    b = [w for w in right if w not in spatial]
    return Layout(
        group=tuple(w for w in a if w in b and w in needed),
        left=tuple(w for w in a if w not in b),
        right=tuple(w for w in b if w not in a),
        summed=tuple(w for w in a if w in b and w not in needed),
    )
