"""From the shapes of operands to diagrams whose sizes are all known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sympy

from diagrammar.grammar.errors import DiagramError, Problem
from diagrammar.grammar.words import MAX_INTEGER
from diagrammar.ir.diagram import Diagram
from diagrammar.ir.scalar import Dim, text
from diagrammar.ir.sizes import Contradiction, Known, solve
from diagrammar.ir.symbols import operands_of, readings
from diagrammar.transform.values import fractions, missing, reasons, shape_facts, unmet


def at_shapes(
    diagram: Diagram, facts: Sequence[Known], shapes: Mapping[str, Sequence[int | None]]
) -> Diagram:
    """The diagram with every size known, but for those that are None in a shape, from the shapes of
    operands and from `facts` that values say of it (`transform.values`); DiagramError for what does
    not fit or cannot be known."""
    more, wrong = shape_facts(diagram, shapes)
    if wrong:
        raise DiagramError(wrong)
    try:
        symbols = solve([*facts, *more])
    except Contradiction as clash:
        raise DiagramError(reasons(diagram, clash)) from None
    fixed = diagram.substitute(symbols)
    wrong = unmet(diagram, symbols) or fractions(fixed)
    if wrong:
        raise DiagramError(wrong)
    unknown = missing(fixed, _read_off(fixed) if _some_open(shapes) else frozenset())
    if unknown:
        raise DiagramError(unknown)
    for wire, extent in fixed.sizes.items():
        if isinstance(extent, int) and not 0 <= extent <= MAX_INTEGER:
            raise DiagramError([_no_size(diagram, fixed, wire, symbols)])
    return fixed


def _some_open(shapes: Mapping[str, Sequence[int | None]]) -> bool:
    return any(None in shape for shape in shapes.values())


def _read_off(diagram: Diagram) -> frozenset[str]:
    """The sizes that are read off operands when a function is called."""
    return frozenset(b.name for b in readings((diagram,), diagram.operands))


def _no_size(
    diagram: Diagram, fixed: Diagram, wire: str, symbols: Mapping[sympy.Symbol, Dim]
) -> Problem:
    """A size that cannot be: its formula, with the values of what is in it."""

    def name(symbol: sympy.Symbol) -> str:
        return symbol.name if symbol.name in diagram.parameters else f"|{symbol}|"

    extent = diagram.sizes.get(wire, fixed.sizes[wire])
    known = sorted(getattr(extent, "free_symbols", ()), key=str)
    values = ", ".join(f"{name(s)} = {symbols[s]}" for s in known if s in symbols)
    return Problem(
        f"wire '{wire}' would have size {fixed.sizes[wire]}: {text(extent, name)}"
        + (f" with {values}" if values else ""),
        help="a size is an integer of at least 0 and below 2^63",
    )


def rank_of(diagrams: Sequence[Diagram], shapes: Mapping[str, Sequence[int | None]]) -> int:
    """The rank of packs, from the first operand whose number of axes depends on it."""
    one, two = ([d.family(r) if d.family else d for d in diagrams] for r in (1, 2))
    more = {o.name: len(o.axes) for o in operands_of(two)}
    for operand in operands_of(one):
        step = more[operand.name] - len(operand.axes)
        if step == 0:
            continue
        rank, rest = divmod(len(shapes[operand.name]) - len(operand.axes) + step, step)
        if rest == 0 and rank >= 1:
            return rank
        count = len(shapes[operand.name])
        message = f"operand '{operand.name}' has {count} axes, which no rank fits"
        way = f"at rank 1 it has {len(operand.axes)}, at rank 2 {more[operand.name]}"
        raise DiagramError([Problem(message, help=way)])
    message = "no operand shows the rank of the packs"
    raise DiagramError([Problem(message, help="give it: compile(rank=2)")])
