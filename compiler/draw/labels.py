"""Labels of pictures: kinds of tensors, their lines, scalars, and the widths of texts.

Widths are upper estimates (the widths of DejaVu, the widest of the usual fonts), so that texts fit
in any viewer. `tags` places the labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum  # sum() rounds in another way from Python 3.12 on
from typing import Literal

import sympy

from diagrammar.ir.diagram import Diagram, Network, Operand, Tensor
from diagrammar.ir.relation import Equation, Linear, Piece, Relation, Sizes, conv_form
from diagrammar.ir.scalar import Dim, equal, expand, plain
from diagrammar.ir.scalar import text as scalar_text

Kind = Literal["operand", "constant", "pattern", "view", "window", "relation", "delta"]

FONT = 13.0
"""Size of names, in px."""
SMALL = 10.0
"""Size of hyper-parameters and sizes, in px."""
_LONG_SIZE = 10
"""The most characters of a size that is written beside a wire."""
_LONG = 30
"""The most characters of conditions that are written in a node; more are counted."""

_WIDTHS = {
    **dict.fromkeys("il'.,:;|/\\ ![]()·jfIJ", 0.42),
    **dict.fromkeys("mwMW%@", 1.0),
    **dict.fromkeys("=+−<>≥≤^~#δΣ∘", 0.86),
}


def text_width(text: str, font: float = FONT) -> float:
    """Estimate a line's width from above, in px."""
    return font * fsum(_WIDTHS.get(c, 0.72 if c.isupper() else 0.66) for c in text)


@dataclass(frozen=True)
class Caption:
    """The texts of a tensor: kind and name, the lines in its node, and a sentence with
    everything."""

    kind: Kind
    name: str
    lines: tuple[str, ...]
    title: str


def caption(tensor: Tensor, sizes: Sizes) -> Caption:
    """Write the caption of a tensor in a network with these sizes."""
    if isinstance(tensor, Operand):
        kind: Kind = "constant" if tensor.constant else "operand"
        axes = ", ".join(group(axis) for axis in tensor.axes)
        return Caption(kind, tensor.name, (tensor.name,), f"{kind} {tensor.name}[{axes}]")
    kind, line = _relation(tensor, sizes)
    says = f"{tensor.name}[{', '.join(tensor.wires)}] = {conditions(tensor)}"
    if kind == "delta":
        return Caption(kind, tensor.name, (), f"delta {says}")
    lines = (tensor.name, line) if line else (tensor.name,)
    noun = "index relation" if kind == "relation" else kind
    return Caption(kind, tensor.name, lines, f"{noun} {says}")


def _relation(relation: Relation, sizes: Sizes) -> tuple[Kind, str]:
    """The kind of a relation, and the line below its name."""
    form = conv_form(relation, sizes)
    if form is not None and relation.view is None and form.k is None:
        if equal(form.S, 1) and equal(form.P, 0) and equal(form.I, form.O):
            return "delta", ""
        return "pattern", f"S={value(form.S)} P={value(form.P)}"
    if relation.view is not None:
        return "view", f"view: {relation.view}"
    if form is not None:
        return "pattern", f"S={value(form.S)} D={value(form.D)} P={value(form.P)}"
    if all(piece.bounds and not _is_fixed(piece) for piece in relation.pieces):
        return "window", "window" if len(relation.wires) > 1 else "mask"
    written = conditions(relation)
    if len(written) <= _LONG:
        return "relation", written
    count = sum(len(p.equations) + len(p.bounds) for p in relation.pieces)
    return "relation", f"{count} conditions"


def _is_fixed(piece: Piece) -> bool:
    """Whether a plain equation holds in a piece; without one the piece is a range, perhaps with
    steps."""
    return any(equation.modulus is None for equation in piece.equations)


def conditions(relation: Relation) -> str:
    """Write the conditions of a relation, as in its text; pieces are joined by ∨."""
    return " ∨ ".join(
        ", ".join([*map(_equation, piece.equations), *(f"{_linear(b)} ≥ 0" for b in piece.bounds)])
        or "1"
        for piece in relation.pieces
    )


def _equation(equation: Equation) -> str:
    """Write an equation, solved for a wire with coefficient one, if there is any."""
    form = equation.form
    head = next((w for w, c in form.terms if equal(c, 1)), None)
    rest = form if head is None else -form.without(head)
    left, right = (_linear(form), "0") if head is None else (head, _linear(rest))
    sign = "=" if equation.modulus is None else "≡"
    end = "" if equation.modulus is None else f" mod {value(equation.modulus)}"
    return f"{left} {sign} {right}{end}"


def _linear(form: Linear) -> str:
    """Write a linear form: wires with their coefficients, then the constant."""
    parts: list[tuple[Dim, str]] = [(c, w) for w, c in form.terms]
    if not equal(form.constant, 0) or not parts:
        parts.append((form.constant, ""))
    out = ""
    for c, name in parts:
        minus = bool(sympy.sympify(c).could_extract_minus_sign())
        amount = plain(expand(-c)) if minus else c
        if not name:
            written = value(amount)
        else:
            written = name if equal(amount, 1) else f"{_factor(amount)}·{name}"
        sign = ("−" if minus else "") if not out else (" − " if minus else " + ")
        out += sign + written
    return out


def _factor(amount: Dim) -> str:
    written = value(amount)
    return f"({written})" if " " in written else written


def value(amount: object) -> str:
    """Write a size or hyper-parameter, sizes in bars."""
    return scalar_text(amount, _name).replace("*", "·")


def _name(symbol: sympy.Symbol) -> str:
    name = str(symbol)
    return f"|{name}|" if symbol.is_positive and not name.startswith("|") else name


def size_label(wire: str, extent: Dim) -> str:
    """Write the size beside a wire's name; empty where the name says it, or it is a formula."""
    written = value(extent)
    return "" if written == f"|{wire.rstrip(chr(39))}|" or len(written) > _LONG_SIZE else written


def group(axis: tuple[str, ...]) -> str:
    """Write an axis as the language does: i, or (g ci)."""
    return axis[0] if len(axis) == 1 else f"({' '.join(axis)})"


def scalar(term: Network, diagram: Diagram) -> str:
    """Write the factor in front of a term without its sign; empty for one. Sizes are written by
    their wires."""
    amount = -term.scalar if negative(term) else term.scalar
    if amount == 1 and term.tensors:
        return ""
    formulas = {
        s: sympy.Symbol(f"|{wire.rstrip(chr(39))}|", integer=True, positive=True)
        for wire, s in reversed(list(diagram.sizes.items()))
        if isinstance(s, sympy.Expr) and not s.is_Symbol
    }
    return value(sympy.sympify(amount).xreplace(formulas)).replace("^2", "²").replace("^3", "³")


def negative(term: Network) -> bool:
    """Whether a term is subtracted."""
    return bool(sympy.sympify(term.scalar).could_extract_minus_sign())
