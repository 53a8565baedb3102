"""The table of passes, and pipelines of them.

A pipeline is data, a sequence of passes; a pass applies its rules until none applies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from diagrammar.grammar.errors import DiagramError, Problem, near
from diagrammar.ir.diagram import Diagram
from diagrammar.ir.symbols import names_of
from diagrammar.rewrite.engine import Pass, Simplified, Step, Trace, rewritten
from diagrammar.rules import RULES
from diagrammar.transform.merge import merged
from diagrammar.transform.values import resolve_values
from diagrammar.transform.wording import reworded

PASSES: dict[str, Pass] = {
    p.name: p
    for p in (
        Pass(
            "delta",
            (
                "identity",
                "orthogonality",
                "delta elimination",
                "trivial relation",
                "empty relation",
            ),
        ),
        Pass(
            "connectivity",
            (
                "delta elimination",
                "identity",
                "orthogonality",
                "functional dependence",
                "repetition",
                "composition",
                "composed maps",
                "common factor",
                "dead kernel entries",
                "pointwise",
                "dense",
                "dense swapped",
                "truncated dense",
                "digits",
                "downsampling",
                "summed end",
                "counted windows",
                "gram",
                "sliding view",
                "trivial relation",
                "empty relation",
            ),
        ),
        Pass("composition", ("composition", "stacked convolutions", "chained relations")),
        Pass("parallel", ("parallel wires",)),
    )
}
"""The passes that a pipeline may name. The standard one leaves out "composition", as two stacked
convolutions are cheaper one after the other."""


@dataclass(frozen=True)
class Pipeline:
    """Passes by name, run one after the other. `without` switches rules off (for ablations and
    tests)."""

    passes: tuple[str, ...] = ("delta", "connectivity", "parallel")
    without: frozenset[str] = frozenset()

    def run(self, diagram: Diagram) -> Simplified:
        """Rewrite a diagram; its invariants are checked before and after each pass."""
        start = diagram
        steps: list[Step] = []
        diagram.verify()
        for name in self.passes:
            names = [r for r in PASSES[name].rules if r not in self.without]
            diagram = rewritten(diagram, [RULES[r] for r in names], steps)
            diagram.verify()
        diagram = merged(diagram)
        left = names_of(diagram)
        defaults = {n: v for n, v in diagram.defaults.items() if n in left}
        return Simplified(replace(diagram, defaults=defaults), Trace(start, steps))


_SUBJECTS = {
    ("relations", 1): "relation",
    ("relations", 2): "two relations that share a wire",
    ("wires", 1): "term of two operands",
    ("constants", 1): "constant of which something is declared",
    ("constants", 2): "two declared constants that share a wire",
}


def why_not(diagram: Diagram, name: str) -> tuple[str, ...]:
    """Why a rule does not apply, for each place where it was tried: "P1: stride 2 ≠ kernel 3".

    Raises DiagramError for an unknown rule.
    """
    rule = RULES.get(name)
    if rule is None:
        help = near(name, RULES) or f"there are {', '.join(RULES)}"
        raise DiagramError([Problem(f"there is no rule '{name}'", help=help)])
    if not any(True for term in diagram.terms for _ in rule.places(term, diagram.open)):
        return (f"{diagram.name} has no {_SUBJECTS[rule.on, rule.arity]}",)
    return rule.why_not(diagram)


def fixed(diagram: Diagram, values: Mapping[str, Any]) -> Diagram:
    """The diagram at given sizes and parameters, defaults for the rest; DiagramError for what does
    not fit."""
    diagram, rest = reworded(diagram, values)
    symbols, problems = resolve_values(diagram, rest)
    if problems:
        raise DiagramError(problems)
    return diagram.substitute(symbols)


def simplify(diagram: Diagram, values: Mapping[str, Any]) -> Simplified:
    """Rewrite a diagram by the standard pipeline, at given sizes and parameters, defaults for
    the rest."""
    return Pipeline().run(fixed(diagram, values))
