"""Reports as one HTML file that needs no network: of a derivation, or of a compiled function.

A slider and the arrow keys go through the steps; without scripts all steps stand below each other.
A content security policy forbids every request. `panels` writes the tables beside the pictures.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from diagrammar.draw.costs import Cost
from diagrammar.draw.layout import Storyboard
from diagrammar.draw.operation import Operation, became
from diagrammar.draw.page import SCRIPT, SHEET
from diagrammar.draw.panels import code, cost_line, operands, plan, sizes, summary
from diagrammar.draw.steps import changed_lines
from diagrammar.draw.story import Frame
from diagrammar.draw.style import STYLE
from diagrammar.draw.svg import drawing
from diagrammar.draw.words import law, reasons, signature, where

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def report(layout: Storyboard, *, thickness: bool = False) -> str:
    """Report a derivation: picture, law, condition and change of each step; definition; sizes."""
    title = signature(layout.story.frames[0].diagram)
    return _file(title, [_story(layout, 0, (), thickness), _texts(layout)])


def operation_report(shown: Operation, *, thickness: bool = False) -> str:
    """Report a compiled function: the derivation of each result with the costs of its steps, the
    emitted code and the contraction tree, all linked with the pictures."""
    stories = [
        _story(layout, n, shown.costs[n], thickness) for n, layout in enumerate(shown.layouts)
    ]
    title = ", ".join(signature(each.story.frames[0].diagram) for each in shown.layouts)
    beside = f'<div class="beside">{code(shown.code, shown.name)}{plan(shown)}</div>'
    texts = [_texts(layout) for layout in shown.layouts]
    note = f'<p class="note">{escape(shown.note)}</p>' if shown.note else ""
    return _file(title, [operands(shown), *stories, note, beside, *texts])


def _file(title: str, parts: Sequence[str]) -> str:
    """Write the file around the parts of a report."""
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        '<head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}{SHEET}</style></head>",
        "<body><main>",
        f"<h1>{escape(title)}</h1>",
        *parts,
        "</main>",
        f"<script>{SCRIPT}</script>",
        "</body></html>",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def _story(layout: Storyboard, result: int, costs: Sequence[Cost | None], thickness: bool) -> str:
    """One derivation; `result` is its number in the report."""
    frames = layout.story.frames
    start = frames[0].diagram
    known = list(costs) or [None] * len(frames)
    steps = "\n".join(_step(layout, n, result, known, thickness) for n in range(len(frames)))
    heirs = escape(json.dumps(became(layout), separators=(",", ":")))
    name = escape(signature(start))
    return "\n".join(
        part
        for part in (
            f'<section class="story" data-story="{result}" data-became="{heirs}" '
            f'aria-label="derivation of {name}">',
            f"<h2>{name}</h2>" if result else "",
            f"<p>{escape(start.doc)}</p>" if start.doc else "",
            summary(known[0], known[-1]) if len(frames) > 1 else "",
            _controls(layout, result) if len(frames) > 1 else "",
            f'<div class="steps">\n{steps}\n</div>',
            "</section>",
        )
        if part
    )


def _name(result: int, number: int) -> str:
    """The id of a step, for links."""
    return f"step-{number}" if result == 0 else f"step-{result}-{number}"


def _controls(layout: Storyboard, result: int) -> str:
    """Write the slider, its buttons and the list of all steps."""
    last = len(layout.pictures) - 1
    items = "".join(
        f'<li><a href="#{_name(result, n)}">{escape(_title(n, frame))}</a></li>'
        for n, frame in enumerate(layout.story.frames)
    )
    return (
        '<nav aria-label="steps">'
        '<button class="back" type="button" aria-label="previous step">←</button>'
        f'<input class="slider" type="range" min="0" max="{last}" value="0" aria-label="step">'
        '<button class="on" type="button" aria-label="next step">→</button>'
        f'<output class="now" aria-live="polite">0 / {last}</output>'
        f'<details><summary>all steps</summary><ol start="0">{items}</ol></details></nav>'
    )


def _title(number: int, frame: Frame) -> str:
    """The heading of a step."""
    if number == 0:
        return "as written"
    if frame.step is None:
        return "like terms merged"
    return f"{frame.step.rule.name} at {where(frame.step)}"


def _step(
    layout: Storyboard, number: int, result: int, costs: Sequence[Cost | None], thickness: bool
) -> str:
    """Write one step: law, reason, picture, cost and changes."""
    frame = layout.story.frames[number]
    head = escape(_title(number, frame))
    parts = [
        f'<section class="step" id="{_name(result, number)}">',
        f"<h3>{number}. {head}</h3>" if number else f"<h3>{head}</h3>",
    ]
    if frame.step is not None:
        parts.append(f'<p class="law">{escape(law(frame))}</p>')
        parts.append(f'<p class="because">because {escape(reasons(frame.step.because))}</p>')
    picture = drawing(layout.pictures[number], thickness=thickness)
    parts.append(f'<div class="picture">{picture}</div>')
    if number:
        parts.append(cost_line(costs[number - 1], costs[number]))
        before = layout.story.frames[number - 1].diagram
        lines = "\n".join(_changed(line) for line in changed_lines(before, frame.diagram))
        parts.append(f'<pre class="change">{lines}</pre>' if lines else "")
    return "\n".join([*(part for part in parts if part), "</section>"])


def _changed(line: str) -> str:
    name = "del" if line.startswith("-") else "ins"
    return f"<{name}>{escape(line)}</{name}>"


def _texts(layout: Storyboard) -> str:
    """Definition, simplified definition and sizes, folded."""
    first, last = layout.story.frames[0].diagram, layout.story.frames[-1].diagram
    texts = {f"definition of {first.name}": str(first)}
    if len(layout.pictures) > 1:
        texts[f"{first.name} simplified"] = str(last)
    folded = "".join(
        f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"
        for title, text in texts.items()
    )
    return folded + sizes(first, last)
