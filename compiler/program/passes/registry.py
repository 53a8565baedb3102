"""What a program pass is: one law about a step of a program, and the table of all passes.

A pass is pure: it looks at one step, and at the values that the step reads, and says what comes in
its place (`Replacement`) or why nothing does (`Miss`). Going through a program is the driver's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TypeVar

from diagrammar.program import Program, Step
from diagrammar.program.writer import Writer
from diagrammar.rewrite.rule import Miss

Known = TypeVar("Known")


class Stage(IntEnum):
    """When a pass runs: passes of an earlier stage come first."""

    CALLS = 1
    """Which library call, and which way round."""
    BIASES = 2
    """What a call takes over."""
    SUMS = 3
    """Products that are sums."""
    SYMMETRY = 4
    """Products of which half is enough."""
    MASKS = 5
    """What keeps a NaN in the sums that have it; left out where it may spread."""
    MARKS = 6
    """What does so where no order of contractions does; only for candidates that would leak."""


@dataclass(frozen=True)
class Replacement:
    """What comes in a step's place: `write` writes it and returns its value; `because` is the
    condition that held, with the program's own numbers."""

    write: Callable[[Writer], int]
    because: str


class Draft:
    """A program as far as a pass has rewritten it: what the pass sees of the values that a step
    reads."""

    def __init__(self, steps: Sequence[Step], reads: Counter[int]) -> None:
        self.steps = steps
        self._reads = reads
        self._known: dict[Any, dict[int, Any]] = {}

    def reads(self, value: int) -> int:
        """How often the program reads a value, results included."""
        return self._reads[value]

    def continued(self, steps: Sequence[Step]) -> Draft:
        """The same of a program that begins alike and goes on with other steps."""
        made = Draft(steps, Counter({at: self._reads[at] for at in range(len(steps))}))
        for learn, known in self._known.items():
            made._known[learn] = {at: found for at, found in known.items() if at < len(steps)}
        return made

    def count(self, value: int, reads: int) -> None:
        """Note that a value is read so many times more."""
        self._reads[value] += reads

    def known(
        self, value: int, learn: Callable[[Step, Sequence[Step], Mapping[int, Known]], Known]
    ) -> Known:
        """What is known of a value, where `learn` tells it from what is known of those that its
        step reads: worked out once."""
        known: dict[int, Known] = self._known.setdefault(learn, {})
        missing, wanted = [value], set()
        while missing:
            at = missing.pop()
            if at not in known and at not in wanted:
                wanted.add(at)
                missing += self.steps[at].operation.inputs
        for at in sorted(wanted):
            known[at] = learn(self.steps[at], self.steps, known)
        return known[value]


Change = Callable[[Step, Draft], Replacement | Miss]


@dataclass(frozen=True, eq=False)
class ProgramPass:
    """One law about steps of a program, with the condition under which it holds.

    `example` and `near_miss` are `.tn` texts, or programs: the pass replaces a step of the first,
    none of the second, for `reason`. `choice` is what the name of a candidate says of it; a pass
    without one belongs to every candidate. `native`: it writes library calls. `plain`: it is worth
    a trial only for simplified diagrams that were searched. `excludes` are passes by name that do
    not run beside it.
    """

    name: str
    law: str
    example: str | Program
    near_miss: str | Program
    reason: str
    change: Change = field(repr=False)
    stage: Stage
    choice: str = ""
    native: bool = False
    plain: bool = False
    excludes: tuple[str, ...] = ()

    @property
    def doc(self) -> str:
        """The function's docstring."""
        return self.change.__doc__ or ""

    def __reduce__(self) -> tuple[Callable[[str], ProgramPass], tuple[str]]:
        """For copies and pickles: the registered pass of that name."""
        return _named, (self.name,)


PASSES: dict[str, ProgramPass] = {}
"""All passes by name."""


def _named(name: str) -> ProgramPass:
    return PASSES[name]


def program_pass(
    *,
    law: str,
    example: str | Program,
    near_miss: str | Program,
    reason: str,
    stage: Stage,
    choice: str = "",
    native: bool = False,
    plain: bool = False,
    excludes: tuple[str, ...] = (),
) -> Callable[[Change], ProgramPass]:
    """Register a function of a step as a pass; a registered pass is tested by its example and near
    miss, and tried when candidates are made. Raises ValueError for a name that is taken."""

    def register(change: Change) -> ProgramPass:
        name = change.__name__.replace("_", " ")
        about = law, example, near_miss, reason, change, stage, choice
        made = ProgramPass(name, *about, native=native, plain=plain, excludes=excludes)
        if name in PASSES:
            raise ValueError(f"there is a pass '{name}' already")
        PASSES[name] = made
        return made

    return register


def in_order() -> tuple[ProgramPass, ...]:
    """All passes by stage, and by name in one stage."""
    return tuple(sorted(PASSES.values(), key=lambda p: (p.stage, p.name)))
