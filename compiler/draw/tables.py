"""Tables of HTML for notebooks; they are plain, so that viewers that strip styles show them too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from diagrammar.draw.labels import group, value
from diagrammar.draw.words import signature
from diagrammar.grammar.errors import DiagramError
from diagrammar.program.liveness import show_bytes

if TYPE_CHECKING:
    from diagrammar.ir.diagram import Declared
    from diagrammar.language.spec import Spec
    from diagrammar.plan.report import Plan
    from diagrammar.runtime.function import Function
    from diagrammar.runtime.specialised import Specialised


def spec_table(spec: Spec) -> str:
    """A row for each definition: its axes, its operands, its comment."""
    rows = []
    for name in spec:
        try:
            diagram = spec[name]
        except DiagramError:
            rows.append((name, "has mistakes: see check()", ""))
            continue
        operands = ", ".join(map(_declared, diagram.operands))
        rows.append((signature(diagram), operands, diagram.doc))
    return f"<b>{escape(spec.source.name)}</b>{_table(('definition', 'operands', ''), rows)}"


def plan_table(plan: Plan) -> str:
    """A row for each step, then the sums."""
    rows = [
        (
            row.what,
            " ".join(f"{a}={n}" for a, n in zip(row.axes, row.shape, strict=True)),
            f"{row.multiplications:,}" if row.multiplications else "",
            show_bytes(4 * row.written) if row.written else "view",
        )
        for row in plan.rows
    ]
    table = _table(("step", "value", "multiplications", "float32"), rows)
    return f"{table}<p>{escape(plan.total)}</p>{candidates_table(plan)}"


def candidates_table(plan: Plan) -> str:
    """The candidate programs, the chosen one marked; empty for a single one."""
    if len(plan.candidates) < 2:
        return ""
    rows = [
        (
            f"→ {name}" if name == plan.chosen else name,
            f"{1e3 * cost:.3f} ms",
            "" if seconds is None else f"{1e3 * seconds:.3f} ms",
            show_bytes(4 * peak),
        )
        for name, cost, seconds, peak in plan.candidates
    ]
    return _table(("candidate", "estimate", "measured", "peak"), rows)


def function_table(function: Function) -> str:
    """Operands and results with their axes, and the shapes of the programs so far."""
    rows = [("operand", _declared(operand)) for operand in function.operands]
    rows += [("result", signature(diagram)) for diagram in function.diagrams]
    rows += [("with", f"{name} = {known}") for name, known in function.values.items()]
    rows += [("made for", shapes) for shapes in function.made_for()]
    return f"<b>{escape(function.name)}</b>{_table((), rows)}"


def specialised_table(function: Specialised) -> str:
    """The source, and the plan that it follows."""
    source = f"<pre>{escape(function.source)}</pre>" if function.source else ""
    return f"{source}{plan_table(function.plan)}"


def _declared(operand: Declared) -> str:
    axes = ", ".join(map(group, operand.axes))
    known = [value(size) for size in operand.shape() if isinstance(size, int)]
    size = f" of size {' × '.join(known)}" if known and len(known) == len(operand.axes) else ""
    return f"{operand.name}[{axes}]{size}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    above = f"<thead><tr>{names}</tr></thead>" if head else ""
    return f"<table>{above}<tbody>{body}</tbody></table>"
