"""Pictures as DOT, for other layout programs: tensors, dots, ends outside, and wires."""

from __future__ import annotations

from collections.abc import Sequence

from diagrammar.draw.labels import caption, group, value
from diagrammar.draw.layout import Storyboard
from diagrammar.draw.scenes import Scene
from diagrammar.draw.story import Frame, TermFrame
from diagrammar.draw.wiring import wiring
from diagrammar.draw.words import signature

_SHAPES = {
    "operand": "shape=circle",
    "constant": "shape=doublecircle",
    "pattern": "shape=box",
    "view": "shape=octagon",
    "window": "shape=box, style=dashed",
    "relation": "shape=box",
    "delta": "shape=point, width=0.12",
}
_DOTS = {
    "copy": "shape=point",
    "loop": 'shape=point, style=invis, label=""',
    "sum": 'shape=circle, width=0.08, fixedsize=true, label=""',
    "ones": 'shape=circle, width=0.08, fixedsize=true, label=""',
}


def dot(layout: Storyboard, shown: Sequence[Scene], *, sizes: bool = False) -> str:
    """Write one undirected graph; several steps become clusters."""
    lines = ["graph {", '  rankdir=LR; node [fontname="serif"]; edge [fontname="serif"];']
    for scene in shown:
        inside = _frame(layout.story.frames[scene.number], f"s{scene.number}", sizes)
        if len(shown) > 1:
            head = f"  subgraph cluster_{scene.number} {{ label={_quoted(scene.title)};"
            lines += [head, *inside, "  }"]
        else:
            lines += [f"  label={_quoted(signature(scene.picture.diagram))};", *inside]
    return "\n".join([*lines, "}", ""])


def _frame(frame: Frame, prefix: str, sizes: bool) -> list[str]:
    """The nodes and edges of one frame."""
    return [
        line for term in frame.terms for line in _term(term, frame, f"{prefix}.{term.term}", sizes)
    ]


def _term(term: TermFrame, frame: Frame, prefix: str, sizes: bool) -> list[str]:
    """The nodes and edges of one term."""
    network = term.network
    connections = wiring(network, term.keys, frame.diagram.axes)
    used = {key for link in connections.links for key in (link.a, link.b)}
    lines = []
    for key, tensor in zip(term.keys, network.tensors, strict=True):
        about = caption(tensor, network.sizes)
        bold = ", penwidth=2.5" if key in frame.touched else ""
        label, tip = _quoted("\n".join(about.lines)), _quoted(about.title)
        style = f"{_SHAPES[about.kind]}{bold}, label={label}, tooltip={tip}"
        lines.append(f"  {_name(prefix, key)} [{style}];")
    lines += [f"  {_name(prefix, key)} [{_DOTS[kind]}];" for key, kind in connections.dots.items()]
    lines += [
        f"  {_name(prefix, key)} [shape=plaintext, label={_quoted(group(axis))}];"
        for key, axis in connections.ends.items()
        if key in used
    ]
    for link in connections.links:
        label = f"{link.wire} {value(network.sizes[link.wire])}" if sizes else link.wire
        ends = f"{_name(prefix, link.a)} -- {_name(prefix, link.b)}"
        lines.append(f"  {ends} [label={_quoted(label)}];")
    return lines


def _name(prefix: str, key: str) -> str:
    return _quoted(f"{prefix}.{key}")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
