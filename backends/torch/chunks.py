"""Write programs that run in parts: a function of one part, and loops that put parts together."""

from __future__ import annotations

from collections.abc import Sequence

from diagrammar.backends.torch.layout import WIDTH, break_line
from diagrammar.backends.torch.names import Names, safe_identifier
from diagrammar.program import Cast, Cut, Program

LINE = WIDTH - 4
"""The most characters of a line in a function."""
SHORT = 40
"""The most characters that the operands' names have together where pieces are named after them."""


def loops(program: Program, scope: Names, inner: str) -> list[str]:
    """Write the body of the function that calls `inner`, the function of one part: a loop for each
    cut."""
    scope.taken.add(inner)
    if _is_joined(program):
        return _joined(program, scope, inner)
    names = [safe_identifier(name) for name in program.result_names]
    single = len(names) == 1
    totals = [scope.fresh("total" if single else name) for name in names]
    parts = [scope.fresh("part" if single else f"{name}_part") for name in names]
    counters = [scope.fresh(safe_identifier(cut.wire)) for cut in program.cuts]
    lines = [f"{' = '.join(totals)} = None"]
    for depth, (cut, counter) in enumerate(zip(program.cuts, counters, strict=True)):
        lines.append(f"{'    ' * depth}for {counter} in range({cut.turns}):")
    indent = "    " * len(program.cuts)
    call = f"{inner}({_operands(program, scope, counters)})"
    lines.append(f"{indent}{', '.join(parts)} = {call}")
    lines.append(f"{indent}if {totals[0]} is None:")
    for result, (total, part) in enumerate(zip(totals, parts, strict=True)):
        shape = scope.tuple(program.result_shape(result))
        adds = program.adds(result)
        empty = f"_total({part}, {shape})" if adds else f"{part}.new_empty({shape})"
        lines.append(f"{indent}    {total} = {empty}")
    for result, (total, part) in enumerate(zip(totals, parts, strict=True)):
        lines.append(f"{indent}{_put(program, counters, result, total, part)}")
    lines.append(f"{indent}del {', '.join(parts)}")
    lines.append(f"return {', '.join(_returned(program, scope, totals))}")
    return [broken for line in lines for broken in break_line(f"    {line}")]


def _put(program: Program, counters: Sequence[str], result: int, total: str, part: str) -> str:
    """Add or copy a part to the place in its result that the counters say."""
    place = f"{total}{_narrowed(program.cuts, counters, result)}"
    if place == total:
        return f"{total} += {part}"
    return f"{place}.{'add_' if program.adds(result) else 'copy_'}({part})"


def _returned(program: Program, scope: Names, totals: Sequence[str]) -> list[str]:
    """Write the results; a sum is rounded to the dtype of the first operand."""
    like = scope.parameters[0]
    rounded = f"{{}}.to({like}.dtype)" if _is_cast(program) else f"_rounded({{}}, {like})"
    return [rounded.format(t) if program.adds(result) else t for result, t in enumerate(totals)]


def _is_joined(program: Program) -> bool:
    """Whether there is one result, one cut of an operand, and parts that stand side by side."""
    places = [place for cut in program.cuts for place in cut.results]
    single = len(program.cuts) == len(places) == 1 and places[0] is not None
    return single and bool(program.cuts[0].operands)


def _joined(program: Program, scope: Names, inner: str) -> list[str]:
    """Write the body for one result whose parts stand side by side."""
    (cut,) = program.cuts
    (place,) = cut.results
    assert place is not None
    split = [p.name for p in program.parameters if p.name in cut.operands]
    short = sum(map(len, split)) <= SHORT
    named = {p: scope.fresh(safe_identifier(p.lower()) if short else "x") for p in split}
    pieces = []
    for name in split:
        axis, entries = cut.operands[name]
        pieces.append(f"{scope.operands[name]}.split({entries}{f', {axis}' if axis else ''})")
    arguments = [named.get(p.name, scope.operands[p.name]) for p in program.parameters]
    call = f"{inner}({', '.join(arguments)})"
    source, parts = ", ".join(pieces), scope.fresh("parts")
    lines = []
    if len(pieces) > 1:
        together = scope.fresh("pieces")
        lines.append(f"{together} = zip({source}, strict=True)")
        source = together
    options = [f"size={scope.tuple(program.result_shape(0))}"]
    options += [f"dim={place[0]}"] if place[0] else []
    each = f"for {', '.join(named.values())} in {source}"
    whole = f"{parts} = ({call} {each})"
    lines += [f"{parts} = (", f"    {call}", f"    {each}", ")"] if len(whole) > LINE else [whole]
    lines.append(f"return _joined({parts}, {', '.join(options)})")
    return [broken for line in lines for broken in break_line(f"    {line}")]


def helpers(program: Program) -> tuple[str, ...]:
    """Name the helpers that the loops call."""
    if _is_joined(program):
        return ("_joined",)
    if not any(program.adds(n) for n in range(len(program.results))):
        return ()
    return ("_total",) if _is_cast(program) else ("_total", "_rounded")


def _is_cast(program: Program) -> bool:
    """Whether operands are cast to the dtype in which sums are accumulated."""
    return any(isinstance(step.operation, Cast) for step in program.steps)


def _operands(program: Program, scope: Names, counters: Sequence[str]) -> str:
    """Write the operands of one part, each narrowed by the cuts that it has."""
    written = []
    for p in program.parameters:
        text = scope.operands[p.name]
        for cut, counter in zip(program.cuts, counters, strict=True):
            if p.name in cut.operands:
                text += _narrow(*cut.operands[p.name], counter)
        written.append(text)
    return ", ".join(written)


def _narrowed(cuts: Sequence[Cut], counters: Sequence[str], result: int) -> str:
    """Write where a part stands in a result."""
    text = ""
    for cut, counter in zip(cuts, counters, strict=True):
        place = cut.results[result]
        if place is not None:
            text += _narrow(*place, counter)
    return text


def _narrow(axis: int, entries: int, counter: str) -> str:
    """Write the `narrow` that takes one part of an axis."""
    start = counter if entries == 1 else f"{entries} * {counter}"
    return f".narrow({axis}, {start}, {entries})"
