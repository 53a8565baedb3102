"""Slips of the pen that mean something: warnings for definitions that are seldom what was meant.

Each warning says how to write the definition so that it is certainly meant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from diagrammar.grammar import syntax
from diagrammar.grammar.errors import Problem
from diagrammar.grammar.source import Source
from diagrammar.ir.sizes import base
from diagrammar.language.scope import indices
from diagrammar.language.unused import sizes_in


def slips(file: syntax.File, source: Source) -> tuple[Problem, ...]:
    """A warning for each left-hand side with a wire twice, and for each term that is summed over a
    wire of one tensor and broadcast over another."""
    definitions = [s for s in file.statements if isinstance(s, syntax.Definition)]
    found = [p for node in definitions for p in _twice(node, source)]
    found += [p for node in definitions for term in node.terms for p in _swept(node, term, source)]
    return tuple(found)


def _twice(node: syntax.Definition, source: Source) -> Iterator[Problem]:
    """`A[c, c] = X[b, c] * X[b, c]`, perhaps for `A[c, c'] = X[b, c] * X[b, c']`."""
    seen: Counter[str] = Counter()
    for index in indices(node.axes):
        seen[index.name] += 1
        if seen[index.name] == 2:
            other = f"{index.name}'"
            yield Problem(
                f"wire '{index.name}' stands twice on the left",
                index.span,
                source,
                "so only the diagonal is filled, all else is zero",
                f"for all pairs write {other} here and in one factor; for the diagonal write "
                f"{other} here and multiply by delta[{index.name}, {other}]",
                severity="warning",
            )


def _swept(node: syntax.Definition, term: syntax.Product, source: Source) -> Iterator[Problem]:
    """`Y[b, i] = X[b, i] + Z[b, o]`: a term that lacks a left wire and sums one that only one of
    its factors has. `ones[o]` and `|o|` say that it is meant."""
    ends: Counter[str] = Counter()
    counted = {base(size.wire) for size in sizes_in(term.factors)}
    meant: set[str] = set()
    for value in (factor.value for factor in term.factors):
        if isinstance(value, syntax.Reference):
            names = [index.name for index in indices(value.axes)]
            ends.update(names * value.power)
            meant.update(names if value.name == "ones" else ())
    left = [index.name for index in indices(node.axes)]
    lacking = [name for name in left if name not in ends]
    meant.update(left, (name for name in ends if base(name) in counted))
    alone = [name for name, count in ends.items() if count == 1 and name not in meant]
    if lacking and alone:
        yield Problem(
            f"this term is summed over '{alone[0]}' and is the same for all '{lacking[0]}'",
            term.span,
            source,
            f"'{alone[0]}' stands in no other factor, '{lacking[0]}' in none",
            f"write '{lacking[0]}' for '{alone[0]}', or, if it is meant, multiply by "
            f"ones[{alone[0]}]",
            severity="warning",
        )
