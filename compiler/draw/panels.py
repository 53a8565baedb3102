"""Tables beside the pictures of a report: costs, sizes, contraction tree and code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from diagrammar.draw.costs import Cost
from diagrammar.draw.labels import group, value
from diagrammar.draw.operation import CodeLine, Labels, Operation, TreeRow
from diagrammar.ir.diagram import Diagram
from diagrammar.program.liveness import show_bytes

_COMMENT = re.compile(r"^(.*?)(\s*# .*)$")


def summary(before: Cost | None, after: Cost | None) -> str:
    """Say what simplifying saves: the best plan as written, and simplified."""
    if before is None or after is None:
        return ""
    names = ("best plan", "multiplications", "written", "peak", "estimate")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = "".join(
        f'<tr><th scope="row">{name}</th><td>{cost.multiplications:,}</td>'
        f"<td>{show_bytes(4 * cost.written)}</td><td>{show_bytes(cost.peak)}</td>"
        f"<td>{cost.duration}</td></tr>"
        for name, cost in (("as written", before), ("simplified", after))
    )
    return f'<table class="summary"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def cost_line(before: Cost | None, after: Cost | None) -> str:
    """Say how one step changes the best plan."""
    if before is None or after is None:
        return ""
    parts = [
        _change(before.duration, after.duration, "by the cost model"),
        _change(f"{before.multiplications:,}", f"{after.multiplications:,}", "multiplications"),
        _change(show_bytes(4 * before.written), show_bytes(4 * after.written), "written"),
    ]
    return f'<p class="cost">cost of the best plan: {"; ".join(parts)}</p>'


def _change(old: str, new: str, what: str) -> str:
    return f"{new} {what}" if old == new else f"{old} → {new} {what}"


def operands(shown: Operation) -> str:
    """List the operands with their axes and sizes."""
    items = "".join(
        f"<li><i>{escape(name)}</i> [{escape(axes)}]</li>" for name, axes in shown.operands
    )
    return f'<ul class="operands" aria-label="operands">{items}</ul>'


def sizes(first: Diagram, last: Diagram) -> str:
    """List every wire with its size at the start and at the end, and where it ends."""
    before, after = _extents(first), _extents(last)
    rows = "".join(
        f'<tr><th scope="row"><i>{escape(wire)}</i></th><td>{escape(before.get(wire, "—"))}</td>'
        f"<td>{escape(after.get(wire, '—'))}</td><td>{escape(_role(wire, last))}</td></tr>"
        for wire in dict.fromkeys([*before, *after])
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("wire", "size", "after", "what"))
    return (
        f"<details><summary>sizes of {escape(last.name)}</summary><table class='sizes'>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></details>"
    )


def _extents(diagram: Diagram) -> dict[str, str]:
    return {w: value(s) for term in diagram.terms for w, s in term.sizes.items()}


def _role(wire: str, diagram: Diagram) -> str:
    for axis in diagram.axes:
        if wire in axis:
            return "open" if len(axis) == 1 else f"open, in {group(axis)}"
    return "summed" if wire in _extents(diagram) else "gone"


def plan(shown: Operation) -> str:
    """Show the contraction tree: results first, and the values that they are made from below and to
    the right."""
    if not shown.tree:
        return ""
    rows = "\n".join(_plan_row(row) for row in shown.tree)
    head = "".join(
        f'<th scope="col">{name}</th>' for name in ("step", "value", "multiplications", "float32")
    )
    others = f'<div class="scroll">{shown.candidates}</div>' if shown.candidates else ""
    return (
        '<section class="panel" aria-label="plan"><h2>plan</h2>'
        f'<div class="scroll"><table class="plan"><thead><tr>{head}</tr></thead>'
        f"<tbody>\n{rows}\n</tbody></table></div><p>{escape(shown.total)}</p>{others}</section>"
    )


def _plan_row(row: TreeRow) -> str:
    depth = f'<span class="depth" aria-hidden="true">{"│ " * row.depth}</span>'
    level = f'<span class="unseen">level {row.depth}: </span>' if row.depth else ""
    return (
        f'<tr{_linked(row.brings, row.within)}><th scope="row">{depth}{level}{escape(row.what)}'
        f"</th><td>{escape(row.axes)}</td><td>{row.multiplications}</td><td>{row.written}</td></tr>"
    )


def code(lines: Sequence[CodeLine], name: str) -> str:
    """Show the emitted source, with the lines above the function folded away. The Tab key reaches
    lines that compute with tensors."""
    if not lines:
        return ""
    start = next((n for n, line in enumerate(lines) if line.text.startswith(f"def {name}(")), 0)
    written = [_code_line(n, line) for n, line in enumerate(lines, 1)]
    above, body = "\n".join(written[:start]), "\n".join(written[start:])
    return (
        '<section class="panel" aria-label="source"><h2>source</h2><div class="source">'
        f"<details><summary>the module above, {start} lines</summary><pre>{above}</pre></details>"
        f"<pre>{body}</pre></div></section>"
    )


def _code_line(number: int, line: CodeLine) -> str:
    text = escape(line.text)
    if line.within and (labels := _COMMENT.match(text)):
        text = f'{labels[1]}<span class="comment">{labels[2]}</span>'
    reach = ' tabindex="0"' if line.within else ""
    links = _linked(line.brings, line.within)
    return f'<span class="line" data-number="{number}"{links}{reach}>{text}</span>'


def _linked(brings: Labels, within: Labels) -> str:
    if not within:
        return ""
    return f' data-brings="{" ".join(brings)}" data-within="{" ".join(within)}"'
