"""Pictures as SVG: plain text, the same bytes for the same diagram, legible on light and dark
pages.

Shapes carry the meaning: circles and pills are operands, a double outline is a constant, rectangles
are index relations (cut corners: a view, dashes: a window or mask), dots are copies and deltas.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log2

from diagrammar.draw.labels import text_width, value
from diagrammar.draw.picture import Bundle, Mark, Node, Picture, Wire
from diagrammar.draw.scenes import Scene
from diagrammar.draw.shapes import Box, Curve, is_straight
from diagrammar.draw.style import STYLE
from diagrammar.draw.tags import Tag
from diagrammar.draw.words import description, signature


def svg(picture: Picture, *, thickness: bool = False, background: bool = True) -> str:
    """Write one picture as a file. With `thickness`, wires of larger known size are thicker."""
    title, says = signature(picture.diagram), description(picture.diagram)
    inside = body(picture, thickness=thickness)
    return _file(picture.width, picture.height, title, says, inside, background)


def drawing(picture: Picture, *, thickness: bool = False) -> str:
    """Write one picture for a page that has the style sheet already."""
    title, says = signature(picture.diagram), description(picture.diagram)
    inside = body(picture, thickness=thickness)
    return f"{_head(picture.width, picture.height, title, says)}{inside}\n</svg>"


def film(shown: Sequence[Scene], *, thickness: bool = False, background: bool = True) -> str:
    """Write several steps of a derivation below each other, each under its law."""
    parts: list[str] = []
    width = max(420.0, *(scene.picture.width for scene in shown))
    y = 10.0
    for scene in shown:
        for line, style in ((scene.title, "dg-head"), (scene.because, "dg-head dg-small")):
            for piece in _wrapped(line, width - 28):
                y += 17
                parts.append(_text(piece, style, 14.0, y))
        inside = body(scene.picture, thickness=thickness)
        x = (width - scene.picture.width) / 2
        parts.append(f'<g transform="translate({_n(x)} {_n(y + 4)})">\n{inside}\n</g>')
        y += scene.picture.height + 14
    says = " ".join(f"{scene.title}: {description(scene.picture.diagram)}" for scene in shown)
    title = f"derivation of {signature(shown[0].picture.diagram)}"
    return _file(width, y, title, says, "\n".join(parts), background)


def _wrapped(line: str, width: float) -> list[str]:
    """Break a text into lines."""
    lines: list[str] = []
    for word in line.split():
        if lines and text_width(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _file(width: float, height: float, title: str, says: str, inside: str, background: bool) -> str:
    paper = '<rect class="dg-paper" width="100%" height="100%" rx="6"/>\n' if background else ""
    head = _head(width, height, title, says)
    return f"{head}<style>{STYLE}</style>\n{paper}{inside}\n</svg>\n"


def _head(width: float, height: float, title: str, says: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="dg" role="img" width="{_n(width)}" '
        f'height="{_n(height)}" viewBox="0 0 {_n(width)} {_n(height)}">\n'
        f"<title>{escape(title)}</title>\n<desc>{escape(says)}</desc>\n"
    )


def body(picture: Picture, *, thickness: bool = False) -> str:
    """Write the elements of a picture, without the file around them."""
    parts = [_wire(wire, thickness) for wire in picture.wires]
    parts += [
        f'<path class="dg-tie" d="M{_n(t.x)} {_n(t.top)}V{_n(t.bottom)}"/>' for t in picture.ties
    ]
    parts += [_bundle(bundle) for bundle in picture.bundles]
    parts += [_node(node) for node in picture.nodes if node.gone]
    parts += [_node(node) for node in picture.nodes if not node.gone]
    parts += [_mark(mark) for mark in picture.marks]
    parts += [_tag(tag) for tag in picture.tags]
    return "\n".join(parts)


def _wire(wire: Wire, thickness: bool) -> str:
    width = None
    if thickness and isinstance(wire.extent, int):
        width = f"stroke-width:{_n(0.7 + 0.45 * log2(max(1, wire.extent)))}"
    path = "".join(_path(run) for run in wire.curves)
    says = f"wire {wire.name} of size {value(wire.extent)}"
    return _element("path", "dg-wire", says, data_wire=wire.name, d=path, style=width)


def _path(run: Sequence[Curve]) -> str:
    """Write the path of a stretch: straight lines and cubics."""
    out = f"M{_n(run[0][0][0])} {_n(run[0][0][1])}"
    for curve in run:
        _, b, c, d = curve
        if is_straight(curve):
            out += f"L{_n(d[0])} {_n(d[1])}"
        else:
            out += f"C{_n(b[0])} {_n(b[1])} {_n(c[0])} {_n(c[1])} {_n(d[0])} {_n(d[1])}"
    return out


def _bundle(bundle: Bundle) -> str:
    bar = bundle.bar
    x, y = _n(bar.x), _n((bar.top + bar.bottom) / 2)
    path = f"M{x} {_n(bar.top)}V{_n(bar.bottom)}M{x} {y}H{_n(bundle.outer)}"
    return _element("path", "dg-thick", d=path)


def _node(node: Node) -> str:
    state = " dg-gone" if node.gone else " dg-touched" if node.touched else ""
    return (
        f'<g class="dg-node{state}" data-node="{escape(node.key)}" '
        f'data-name="{escape(node.caption.name)}">'
        f"<title>{escape(node.caption.title)}</title>{_shape(node)}{_lines(node)}</g>"
    )


def _shape(node: Node) -> str:
    """Draw the outline of a node, by its kind."""
    box, kind = node.box, node.caption.kind
    x, y = box.centre
    if kind == "delta":
        return _element("circle", "dg-dot dg-shape", cx=x, cy=y, r=5)
    if kind in ("operand", "constant"):
        inner = _round(node, 3.5, "dg-inner") if kind == "constant" else ""
        return _round(node, 0.0, "dg-shape") + inner
    if kind == "view":
        return _element("path", "dg-shape dg-rel", d=_cut(box, 7.0))
    style = "dg-shape dg-rel dg-window" if kind == "window" else "dg-shape dg-rel"
    return _element("rect", style, x=box.left, y=box.top, width=box.width, height=box.height)


def _cut(box: Box, c: float) -> str:
    """A rectangle with its corners cut by `c`."""
    return (
        f"M{_n(box.left + c)} {_n(box.top)}H{_n(box.right - c)}l{c:g} {c:g}"
        f"V{_n(box.bottom - c)}l-{c:g} {c:g}H{_n(box.left + c)}l-{c:g} -{c:g}V{_n(box.top + c)}z"
    )


def _round(node: Node, inset: float, style: str) -> str:
    """Draw a circle or a pill, `inset` px inside the outline."""
    box = node.box
    x, y = box.centre
    if 2 * node.corner >= box.width:
        return _element("circle", style, cx=x, cy=y, r=box.width / 2 - inset)
    width, height = box.width - 2 * inset, box.height - 2 * inset
    radius = min(node.corner, height / 2)
    left, top = box.left + inset, box.top + inset
    return _element("rect", style, x=left, y=top, width=width, height=height, rx=radius)


def _lines(node: Node) -> str:
    """Write the lines in a node."""
    x, y = node.box.centre
    lines = node.caption.lines
    if not lines:
        return ""
    if node.gone:
        return _text(lines[0], "dg-fact", x, node.box.top + 11)
    y = y + 5 if len(lines) == 1 else y - 2
    out = _text(lines[0], "dg-tensor", x, y)
    for number, line in enumerate(lines[1:]):
        out += _text(line, "dg-fact", x, y + 14 + 12 * number)
    return out


_SAYS = {"copy": "copy of", "sum": "sum over", "ones": "broadcast along", "loop": "trace of"}


def _mark(mark: Mark) -> str:
    style, radius = ("dg-dot", 3.6) if mark.kind == "copy" else ("dg-ring", 3.4)
    says = f"{_SAYS[mark.kind]} {mark.wire}"
    return _element("circle", style, says, data_wire=mark.wire, cx=mark.x, cy=mark.y, r=radius)


def _tag(tag: Tag) -> str:
    style = "dg-name" if tag.kind in ("wire", "open") else "dg-head"
    small = f'<tspan class="dg-small" dx="2">{escape(tag.small)}</tspan>' if tag.small else ""
    x, y = _n(tag.box.centre[0]), _n(tag.box.bottom - 3.2)
    middle = f'text-anchor="middle" x="{x}" y="{y}"'
    return f'<text class="{style}" {middle}>{escape(tag.text)}{small}</text>'


def _text(text: str, style: str, x: float, y: float) -> str:
    return f'<text class="{style}" x="{_n(x)}" y="{_n(y)}">{escape(text)}</text>'


def _element(name: str, kind: str, says: str = "", /, **attributes: str | float | None) -> str:
    """Write an element with its class, attributes and, for pointers and screen readers, a title."""
    out = f'<{name} class="{kind}"'
    for key, values in attributes.items():
        if values is not None:
            written = escape(values) if isinstance(values, str) else _n(values)
            out += f' {key.replace("_", "-")}="{written}"'
    return f"{out}><title>{escape(says)}</title></{name}>" if says else f"{out}/>"


def _n(value: float) -> str:
    """Write a coordinate: two decimals, no trailing zeros, no negative zero."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
