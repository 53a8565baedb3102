"""The table: a line for each network, a column for each quantity, and the words of refusals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.results import Sheet
from benchmarks.zoo.judge import QUANTITIES, TOLERANCE, Verdict

LONGEST = 300
"""Characters of a refusal that the table shows."""


@dataclass(frozen=True)
class Line:
    """A network and what came of it."""

    name: str
    source: str
    about: str
    verdicts: tuple[Verdict, ...]

    @property
    def good(self) -> bool:
        """Whether no verdict is a failure."""
        return all(v.good for v in self.verdicts)

    def rows(self) -> list[dict[str, Any]]:
        """For a JSON file: one row a quantity."""
        return [
            {
                "network": self.name, "source": self.source, "quantity": v.quantity,
                "layers": v.layers, "error": v.error, "refusal": v.refusal, "failure": v.failure,
            }
            for v in self.verdicts
        ]  # fmt: skip


def cell(v: Verdict) -> str:
    """One verdict in a word or a number."""
    if v.failure:
        return "WRONG" if v.error is not None else "FAILED"
    return f"{v.error:.0e}" if v.error is not None else "refused"


def sheets(lines: Sequence[Line], quantities: Sequence[str] = QUANTITIES) -> list[Sheet]:
    """The table of all networks, and that of refusals and failures."""
    rows = [
        (
            line.name, line.source,
            str(max((v.layers for v in line.verdicts), default=0) or "–"),
            *map(cell, line.verdicts),
        )
        for line in lines
    ]  # fmt: skip
    bad = frozenset(n for n, line in enumerate(lines) if not line.good)
    counted = [v for line in lines for v in line.verdicts]
    right = sum(v.good and v.error is not None for v in counted)
    refused = sum(v.good and v.error is None for v in counted)
    table = Sheet(
        f"{len(lines)} networks in float64: {right} results right, {refused} refused, "
        f"{len(counted) - right - refused} failures",
        ("network", "source", "layers", *quantities),
        tuple(rows),
        labels=2,
        notes=(
            f"A number is the largest error over the largest entry, of all layers; right is up to "
            f"{TOLERANCE:g}. Of Gram matrices, eigenvalues for every set of examples are compared, "
            "as vectors are free up to a rotation of each example's.",
            "References: explicit Jacobians by autograd, one example at a time; no code in common "
            "with diagrammar.",
        ),
        bad=bad,
    )
    return [table, *(made for made in (_refusals(lines), _failures(lines)) if made.rows)]


def about(lines: Sequence[Line]) -> Sheet:
    """What is special about each network."""
    rows = tuple((line.name, line.about or "–") for line in lines)
    return Sheet("The networks", ("network", "what is special"), rows, labels=2)


def _refusals(lines: Sequence[Line]) -> Sheet:
    return _words("Refusals, in their words", [
        (line.name, v.quantity, v.refusal) for line in lines for v in line.verdicts
        if v.refusal and v.good
    ])  # fmt: skip


def _failures(lines: Sequence[Line]) -> Sheet:
    return _words("Failures", [
        (line.name, v.quantity, v.failure) for line in lines for v in line.verdicts if v.failure
    ])  # fmt: skip


def _words(title: str, said: Sequence[tuple[str, str, str]]) -> Sheet:
    """Network, quantities, words; quantities with the same words in one line."""
    together: dict[tuple[str, str], list[str]] = {}
    for name, quantity, words in said:
        together.setdefault((name, words), []).append(quantity)
    rows = [
        (name, "all" if len(q) == len(QUANTITIES) else ", ".join(q), _short(words))
        for (name, words), q in together.items()
    ]
    return Sheet(title, ("network", "quantities", "words"), tuple(rows), labels=3)


def _short(words: str) -> str:
    """On one line of a table."""
    text = words.replace("|", "\\|")
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
