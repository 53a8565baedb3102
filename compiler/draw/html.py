"""The report of a derivation as one HTML file that needs no network.

A slider and the arrow keys go through the steps; without scripts all steps stand below each other.
A content security policy forbids every request.
"""

from __future__ import annotations

import re
from html import escape

from diagrammar.diagram import Diagram
from diagrammar.draw.labels import group, value
from diagrammar.draw.layout import Layout
from diagrammar.draw.page import SCRIPT, SHEET
from diagrammar.draw.steps import changed_lines
from diagrammar.draw.story import Frame
from diagrammar.draw.style import STYLE
from diagrammar.draw.svg import drawing
from diagrammar.draw.words import law, signature

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_WORD = re.compile(r"[A-Za-z_]\w*")


def report(layout: Layout, *, thickness: bool = False, plan: str = "", source: str = "") -> str:
    """The whole file: picture, law, condition and change of each step; definition; sizes; and,
    where given, the plan and the emitted source."""
    start = layout.story.frames[0].diagram
    count = len(layout.pictures)
    title = escape(signature(start))
    steps = "\n".join(_step(layout, number, thickness) for number in range(count))
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        '<head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title>",
        f"<style>{STYLE}{SHEET}</style></head>",
        "<body><main>",
        f"<h1>{title}</h1>",
        f"<p>{escape(start.doc)}</p>" if start.doc else "",
        _controls(layout) if count > 1 else "",
        f'<div id="steps">\n{steps}\n</div>',
        _definitions(layout),
        _sizes(layout),
        _plan(plan),
        _source(source, layout),
        "</main>",
        f"<script>{SCRIPT}</script>" if count > 1 or source else "",
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _controls(layout: Layout) -> str:
    last = len(layout.pictures) - 1
    items = "".join(
        f'<li><a href="#step-{n}">{escape(_title(n, frame))}</a></li>'
        for n, frame in enumerate(layout.story.frames)
    )
    return (
        '<nav aria-label="steps">'
        '<button id="back" type="button" aria-label="previous step">←</button>'
        f'<input id="slider" type="range" min="0" max="{last}" value="0" aria-label="step">'
        '<button id="on" type="button" aria-label="next step">→</button>'
        f'<output id="now" aria-live="polite">0 / {last}</output>'
        f'<details><summary>all steps</summary><ol start="0">{items}</ol></details></nav>'
    )


def _title(number: int, frame: Frame) -> str:
    if number == 0:
        return "start"
    if frame.step is None:
        return "like terms merged"
    return f"{frame.step.rule.name} at {', '.join(frame.step.at)}"


def _step(layout: Layout, number: int, thickness: bool) -> str:
    frame = layout.story.frames[number]
    parts = [f'<section class="step" id="step-{number}">']
    head = _title(number, frame)
    parts.append(f"<h2>{number}. {escape(head)}</h2>" if number else f"<h2>{escape(head)}</h2>")
    if frame.step is not None:
        parts.append(f'<p class="law">{escape(law(frame))}</p>')
        parts.append(f'<p class="because">because {escape(frame.step.because)}</p>')
    picture = drawing(layout.pictures[number], thickness=thickness)
    parts.append(f'<div class="picture">{picture}</div>')
    if number:
        before = layout.story.frames[number - 1].diagram
        lines = "\n".join(_changed(line) for line in changed_lines(before, frame.diagram))
        parts.append(f'<pre class="change">{lines}</pre>')
    return "\n".join([*parts, "</section>"])


def _changed(line: str) -> str:
    name = "del" if line.startswith("-") else "ins"
    return f"<{name}>{escape(line)}</{name}>"


def _definitions(layout: Layout) -> str:
    first, last = layout.story.frames[0].diagram, layout.story.frames[-1].diagram
    text = f"<details open><summary>definition</summary><pre>{escape(str(first))}</pre></details>"
    if len(layout.pictures) > 1:
        text += f"<details><summary>simplified</summary><pre>{escape(str(last))}</pre></details>"
    return text


def _sizes(layout: Layout) -> str:
    """Every wire with its size at the start and at the end, and where it ends."""
    first, last = layout.story.frames[0].diagram, layout.story.frames[-1].diagram
    wires = list(dict.fromkeys([*_extents(first), *_extents(last)]))
    rows = "".join(
        f"<tr><td><i>{escape(wire)}</i></td><td>{escape(_extents(first).get(wire, '—'))}</td>"
        f"<td>{escape(_extents(last).get(wire, '—'))}</td><td>{escape(_role(wire, last))}</td></tr>"
        for wire in wires
    )
    head = "<tr><th>wire</th><th>size</th><th>after</th><th>what</th></tr>"
    return f"<details><summary>sizes</summary><table>{head}{rows}</table></details>"


def _extents(diagram: Diagram) -> dict[str, str]:
    return {w: value(s) for term in diagram.terms for w, s in term.sizes.items()}


def _role(wire: str, diagram: Diagram) -> str:
    for axis in diagram.axes:
        if wire in axis:
            return "open" if len(axis) == 1 else f"open, in {group(axis)}"
    return "summed" if wire in _extents(diagram) else "gone"


def _plan(plan: str) -> str:
    return (
        f"<details open><summary>plan</summary><pre>{escape(plan)}</pre></details>" if plan else ""
    )


def _source(source: str, layout: Layout) -> str:
    """The emitted code; each line knows the tensors that it names, for linking with the picture."""
    if not source:
        return ""
    names = {
        tensor.name
        for frame in layout.story.frames
        for term in frame.terms
        for tensor in term.network.tensors
    }
    lines = []
    for line in source.splitlines():
        found = " ".join(dict.fromkeys(w for w in _WORD.findall(line) if w in names))
        about = f' data-names="{escape(found)}"' if found else ""
        lines.append(f"<span{about}>{escape(line)}</span>")
    code = "\n".join(lines)
    return f'<details open><summary>source</summary><pre class="source">{code}</pre></details>'
