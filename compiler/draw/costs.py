"""The cost of each diagram of a derivation, planned as if the derivation ended there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diagrammar.cost.pricing import price
from diagrammar.ir.diagram import Diagram
from diagrammar.plan.candidates import candidates
from diagrammar.plan.planner import Planned
from diagrammar.plan.report import Plan
from diagrammar.program import Indicator
from diagrammar.rules import RULES
from diagrammar.runtime.devices import device
from diagrammar.search.moves import LAST_RESORT

_LIMIT = 12
"""In derivations of more diagrams than this, only the first and the last are planned."""


@dataclass(frozen=True)
class Cost:
    """The best plan of one diagram: its multiplications, the entries that it writes, the most
    entries that it holds at once, and the seconds that the cost model predicts."""

    multiplications: int
    written: int
    peak: int
    seconds: float

    @property
    def duration(self) -> str:
        """The seconds in words; a dash where only a dense pattern would do."""
        if self.seconds >= LAST_RESORT:
            return "—"
        for unit, size in (("s", 1.0), ("ms", 1e-3)):
            if self.seconds >= size:
                return f"{self.seconds / size:.3g} {unit}"
        return f"{self.seconds / 1e-6:.3g} µs"


def costs(
    diagrams: Sequence[Diagram], *, native: bool = True, contained: bool = True
) -> tuple[Cost | None, ...]:
    """The cost of each diagram; None where sizes are not known, or in the middle of a long
    derivation."""
    ends = {0, len(diagrams) - 1}
    return tuple(
        _cost(diagram, native, contained) if len(diagrams) <= _LIMIT or number in ends else None
        for number, diagram in enumerate(diagrams)
    )


def _best(diagram: Diagram, native: bool, contained: bool) -> Planned:
    """The cheapest candidate of a diagram, without rewriting it."""
    ranked = candidates(
        diagram.name,
        [diagram],
        diagram.operands,
        device(measure=False),
        native=native,
        contained=contained,
        without=frozenset(RULES),
        accumulate=None,
        doc=lambda _: "",
    )
    return ranked[0].planned


def _cost(diagram: Diagram, native: bool, contained: bool) -> Cost | None:
    """The cost of one diagram; None where sizes are not known."""
    sizes = [diagram.sizes, *(term.sizes for term in diagram.terms)]
    if not all(isinstance(size, int) for some in sizes for size in some.values()):
        return None
    planned = _best(diagram, native, contained)
    plan = Plan(planned)
    steps = planned.program.steps
    dense = any(isinstance(s.operation, Indicator) and len(s.shape) > 2 for s in steps)
    seconds = LAST_RESORT if dense else price(planned.program, device(measure=False))
    return Cost(plan.multiplications, plan.written, plan.peak(), seconds)
