"""Pictures as TikZ that needs only the package `tikz`; a derivation as a figure.

Shapes are the same as in SVG; fills are greys, for printing. A px is 0.75 pt, or less where the
picture is wider than the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

from diagrammar.draw import latex
from diagrammar.draw.picture import Node, Picture, Wire
from diagrammar.draw.scenes import Scene
from diagrammar.draw.shapes import Point
from diagrammar.draw.tags import Tag

WIDTH = 397.0
"""Width of a text in pt (5.5 inches)."""
_PX = 0.75
_FONTS = (
    (0.85, ("small", "small", "tiny")),
    (0.7, ("normalsize", "normalsize", "scriptsize")),
    (0.0, ("large", "normalsize", "scriptsize")),
)
"""Fonts of tensors, of wires and of small print, from some scale on: pictures that are shrunk begin
with larger fonts."""
_STYLES = {
    "operand": "fill=black!4",
    "constant": "double, fill=black!4",
    "window": "densely dashed, fill=black!10",
    "view": "rounded corners=3pt, fill=black!10",
}
_DOCUMENT = r"""\documentclass{article}
\usepackage[margin=2cm]{geometry}
\usepackage{tikz}
\pagestyle{empty}
\begin{document}
\centering
%s\end{document}
"""


def tikz(
    shown: Sequence[Scene],
    *,
    thickness: bool = False,
    width: float = WIDTH,
    standalone: bool = False,
) -> str:
    """Write one `tikzpicture`, or a `figure` with one for each step. `width` is their largest width
    in pt; `standalone` makes a whole document."""
    pictures = [_picture(scene.picture, thickness, width) for scene in shown]
    text = pictures[0]
    if len(shown) > 1:
        parts = []
        for scene, picture in zip(shown, pictures, strict=True):
            says = latex.statement(scene.title)
            if scene.because:
                says += f" --- {latex.statement(scene.because)}"
            parts.append(f"{{\\footnotesize {says}}}\\par\\smallskip\n{picture}\\par\\medskip\n")
        start = shown[0].picture.diagram
        axes = ",\\,".join(map(latex.group, start.axes))
        title = latex.name(start.name) + (f"[{axes}]" if axes else "")
        caption = f"\\caption{{Derivation of ${title}$.}}\n"
        text = "\\begin{figure}\n\\centering\n" + "".join(parts) + caption + "\\end{figure}\n"
    return _DOCUMENT % text if standalone else text


def _picture(picture: Picture, thickness: bool, width: float) -> str:
    """Write one `tikzpicture`, scaled down to a width in pt."""
    scale = min(1.0, width / (picture.width * _PX))
    fit = f", scale={scale:.3f}, transform shape" if scale < 1 else ""
    fonts = next(fonts for least, fonts in _FONTS if scale >= least)
    lines = [
        rf"\begin{{tikzpicture}}[x={_PX}pt, y=-{_PX}pt, line width=0.5pt{fit}]",
        *(_wire(wire, thickness) for wire in picture.wires),
    ]
    for tie in picture.ties:
        lines.append(
            rf"\draw[line width=0.8pt] {_at((tie.x, tie.top))} -- {_at((tie.x, tie.bottom))};"
        )
    for bundle in picture.bundles:
        bar = bundle.bar
        y = (bar.top + bar.bottom) / 2
        lines.append(
            rf"\draw[line width=1.4pt] {_at((bar.x, bar.top))} -- {_at((bar.x, bar.bottom))} "
            rf"{_at((bar.x, y))} -- {_at((bundle.outer, y))};"
        )
    lines += [_node(node, fonts) for node in picture.nodes if not node.gone]
    for mark in picture.marks:
        if mark.kind == "copy":
            lines.append(rf"\fill {_at((mark.x, mark.y))} circle[radius=1.5pt];")
        else:
            lines.append(rf"\draw[fill=white] {_at((mark.x, mark.y))} circle[radius=1.6pt];")
    lines += [_tag(tag, fonts) for tag in picture.tags]
    return "\n".join([*lines, r"\end{tikzpicture}", ""])


def _wire(wire: Wire, thickness: bool) -> str:
    """Write a wire."""
    style = ""
    if thickness and isinstance(wire.extent, int):
        style = f"[line width={0.3 + 0.2 * log2(max(1, wire.extent)):.2f}pt]"
    runs = []
    for run in wire.curves:
        path = _at(run[0][0])
        for _, b, c, d in run:
            path += f" .. controls {_at(b)} and {_at(c)} .. {_at(d)}"
        runs.append(path)
    return rf"\draw{style} {' '.join(runs)};"


def _node(node: Node, fonts: tuple[str, str, str]) -> str:
    """Write a node with its lines."""
    box, about = node.box, node.caption
    if about.kind == "delta":
        return rf"\fill {_at(box.centre)} circle[radius={'3pt' if node.touched else '2.2pt'}];"
    touched = ", line width=1.3pt" if node.touched else ""
    style = _STYLES.get(about.kind, "fill=black!10")
    size = f"minimum width={box.width * _PX:.1f}pt, minimum height={box.height * _PX:.1f}pt"
    if about.kind in ("operand", "constant"):
        circle = 2 * node.corner >= box.width
        corners = f"rounded corners={node.corner * _PX:.1f}pt"
        style = f"{'circle' if circle else corners}, {style}"
        size = f"minimum size={box.width * _PX:.1f}pt" if circle else size
    lines = [rf"{{\{fonts[0]} ${latex.name(about.lines[0])}$}}"]
    lines += [rf"{{\{fonts[2]} ${_facts(line)}$}}" for line in about.lines[1:]]
    text = r"\\[-2pt]".join(lines)
    options = f"draw, {style}, inner sep=0pt, align=center, {size}{touched}"
    return rf"\node[{options}] at {_at(box.centre)} {{{text}}};"


def _facts(line: str) -> str:
    """Set hyper-parameters side by side, or words."""
    if "=" in line or "≥" in line:
        return latex.formula(line).replace(" ", r"\;").replace("=", "{=}")
    return rf"\mbox{{{latex.prose(line)}}}"


def _tag(tag: Tag, fonts: tuple[str, str, str]) -> str:
    """Write a name, a sign or a factor."""
    if tag.kind in ("wire", "open"):
        axis = tuple(tag.text.strip("()").split())
        text = f"${latex.group(axis)}$"
    else:
        text = f"${latex.formula(tag.text)}$"
    if tag.small:
        text += rf"{{\{fonts[2]}\,${latex.formula(tag.small)}$}}"
    options = rf"inner sep=0.4pt, fill=white, font=\{fonts[1]}"
    return rf"\node[{options}] at {_at(tag.box.centre)} {{{text}}};"


def _at(point: Point) -> str:
    return f"({point[0]:.1f},{point[1]:.1f})"
