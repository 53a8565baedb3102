"""A plan that can be read: the program's steps with multiplications, bytes and peak memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diagrammar import program as ops
from diagrammar.cost.device import Device
from diagrammar.cost.pricing import prices
from diagrammar.ir.estimate import estimate
from diagrammar.plan.candidates import CLOSE
from diagrammar.plan.cutting import told_of
from diagrammar.plan.planner import Planned
from diagrammar.program.liveness import (
    elements,
    numbers,
    owners,
    peak_bytes,
    result_elements,
    show_bytes,
)
from diagrammar.program.nonfinite import Reach, reach
from diagrammar.services import verb


@dataclass(frozen=True)
class PlanRow:
    """One step: what it is, its axes and shape, its multiplications, the entries that it writes,
    and the seconds that the cost model gives it."""

    what: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    multiplications: int
    written: int
    seconds: float = 0.0


class Plan:
    """What a program will do, step by step, and how long it takes on a device."""

    def __init__(
        self,
        planned: Planned,
        candidates: Sequence[tuple[str, float, float | None, int]] = (),
        chosen: str = "",
        device: Device | None = None,
    ) -> None:
        self.candidates, self.chosen = tuple(candidates), chosen
        self.program = planned.program
        self.trees = planned.trees
        own = owners(self.program)
        self.device = device
        steps = self.program.steps
        seconds = prices(self.program, device) if device else [0.0] * len(steps)
        self.rows = tuple(
            PlanRow(
                type(step.operation).__name__,
                step.axes,
                tuple(estimate(s) for s in step.shape),
                step.operation.multiplications(*numbers(self.program, step)),
                elements(step) if own[at] == at and not _is_operand(step) else 0,
                seconds[at],
            )
            for at, step in enumerate(steps)
        )

    @property
    def multiplications(self) -> int:
        """All multiplications of the contractions and native calls."""
        return self.program.turns * sum(row.multiplications for row in self.rows)

    @property
    def written(self) -> int:
        """All entries that are written, results included."""
        return self.program.turns * sum(row.written for row in self.rows)

    def peak(self, itemsize: int = 4) -> int:
        """The most bytes alive at once beyond the operands."""
        return peak_bytes(self.program, itemsize)

    @property
    def total(self) -> str:
        """All of it in a sentence."""
        return (
            f"{self.multiplications:,} multiplications, {show_bytes(4 * self.written)} written, "
            f"peak {show_bytes(self.peak())} beyond the operands (float32)"
        )

    @property
    def nonfinite(self) -> str:
        """What a NaN or infinity in an operand reaches, in a sentence."""
        return REACHES[reach(self.program)]

    def __repr__(self) -> str:
        return f"<plan of {self.program.name}: {self.total}>"

    def _repr_html_(self) -> str:
        return verb(Plan._repr_html_)(self)

    def __str__(self) -> str:
        head = f"{'step':<22}{'result':<44}{'multiplications':>16}{'float32':>12}{'estimate':>12}"
        lines = [head]
        for row in self.rows:
            shown = " ".join(f"{a}={n}" for a, n in zip(row.axes, row.shape, strict=True))
            amount = show_bytes(4 * row.written) if row.written else "view"
            counted = f"{row.multiplications:,}" if row.multiplications else ""
            took = f"{row.seconds * 1e3:.3f} ms" if row.seconds else ""
            lines.append(f"{row.what:<22}{shown:<44}{counted:>16}{amount:>12}{took:>12}")
        rest = [self.total, self.nonfinite, *self._alternatives()]
        return "\n".join([*lines, *self._parts(), *rest])

    def _parts(self) -> list[str]:
        """What is said of a program in parts: the steps are those of one."""
        cuts = self.program.cuts
        return [f"these steps for each part: {told_of(cuts)}"] if cuts else []

    def _alternatives(self) -> list[str]:
        """The candidates with estimate, measured time and peak; the chosen one is marked."""
        if len(self.candidates) < 2:
            return []
        lines = ["", f"{'candidate':<60}{'estimate':>12}{'measured':>12}{'peak':>12}"]
        for name, cost, seconds, peak in self.candidates:
            mark = "→ " if name == self.chosen else "  "
            took = "" if seconds is None else f"{seconds * 1e3:.3f} ms"
            lines.append(
                f"{mark + name:<60}{f'{cost * 1e3:.3f} ms':>12}{took:>12}{show_bytes(4 * peak):>12}"
            )
        told = [f"estimates: {self.device.source}"] if self.device and self.device.source else []
        return [*lines, *told, *self.reasons()]

    def reasons(self) -> list[str]:
        """Why the chosen candidate, in a sentence; then what it does, and by which law."""
        if not self.chosen:
            return []
        laws = dict.fromkeys(s.operation.law for s in self.program.steps if s.operation.law)
        return ["", f"why: {self._why()}", *(f"  {law}" for law in laws)]

    def _why(self) -> str:
        """The chosen candidate beside the fastest of the others, by the clock or by estimates."""
        timed = {name: s for name, _, s, _ in self.candidates if s is not None}
        times = timed or {name: cost for name, cost, _, _ in self.candidates}
        rivals = [name for name in times if name != self.chosen]
        rival = min(rivals, key=lambda name: times[name], default="")
        own, ratio = times[self.chosen], ""
        if rival and times[rival] < own:
            return self._why_not_the_fastest(rival, alike=own <= CLOSE * times[rival])
        if rival and own:
            ratio = f"{times[rival] / own:.2f}"
        if timed:
            said = f"'{self.chosen}' was the fastest of {len(timed)} that were timed"
            return said + (f", {ratio} times as fast as '{rival}'" if ratio else "")
        said = f"'{self.chosen}' has the least estimate"
        return said + (f"; '{rival}' is said to take {ratio} times as long" if ratio else "")

    def _why_not_the_fastest(self, fastest: str, *, alike: bool) -> str:
        """Why a candidate was chosen although another takes less time: for its memory. `alike`:
        whether a clock could hardly tell their times apart."""
        results = result_elements(self.program)
        peaks = {name: peak for name, _, _, peak in self.candidates}
        held, most = (peaks[n] - results for n in (self.chosen, fastest))
        if not alike or 2 * held > most:
            return f"'{self.chosen}' has the least estimate of those that fit the memory budget"
        little, much = (show_bytes(4 * peaks[n]) for n in (self.chosen, fastest))
        return f"'{self.chosen}' takes {little} where '{fastest}', as fast within 5 %, takes {much}"


REACHES = {
    Reach.SUMS: "a NaN or infinity reaches only the sums that have it",
    Reach.BORDERS: "a NaN or infinity reaches only the sums that have it, padding included",
    Reach.MORE: "a NaN or infinity may reach other sums: zeros outside of windows are multiplied",
}
"""What is said of what a NaN reaches."""


def _is_operand(step: ops.Step) -> bool:
    return isinstance(step.operation, ops.Operand)
