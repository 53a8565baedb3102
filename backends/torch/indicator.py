"""Indicators as boolean expressions over index ranges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy

from diagrammar.backends.torch.names import Scope, atom, safe_identifier
from diagrammar.program import Dim, Indicator, LinearCondition, Step


@dataclass(frozen=True, slots=True)
class Written:
    """An indicator's expression, as `{head}{device}{tail}`, and a word that names it."""

    word: str
    call: str
    helper: str | None

    def constant(self) -> str:
        """The expression at module level."""
        return f"{self.call})"

    def inline(self, like: str) -> str:
        """The expression inside a function, on the device and in the dtype of a value."""
        if self.helper:
            return f"{self.call}, {like})"
        return f"{self.call}, dtype={like}.dtype, device={like}.device)"


def write_indicator(op: Indicator, step: Step, scope: Scope) -> Written | bool:
    """The indicator's expression; True for all ones, False for all zeros."""
    pieces = [_reduced(piece) for piece in op.pieces]
    known = [piece for piece in pieces if piece is not None]
    if not known or known == [[]]:
        return bool(known)
    if len(known) == 1 and _is_identity(known[0]):
        rows, columns = step.shape
        sizes = scope.size(rows) if rows == columns else scope.shape(step.shape)
        return Written("eye", f"torch.eye({sizes}", None)
    names = _index_names(step.axes, scope)
    if not names:
        return _number(known, scope)
    always = f"({names[0]} >= 0)"
    written = [
        " & ".join(f"({_condition(c, names, scope)})" for c in piece) or always for piece in known
    ]
    # pieces may share entries, which then are counts
    counts = len(written) > 1
    pairs = zip(known, written, strict=True)
    holds = " + ".join(
        (f"1 * ({w})" if len(p) > 1 else f"1 * {w}") if counts else w for p, w in pairs
    )
    if len(known) == 1 and len(known[0]) == 1:
        holds = holds[1:-1]
    call = f"_indicator({scope.tuple(step.shape)}, lambda {', '.join(names)}: {holds}"
    return Written(_word(known, len(names)), call, "_indicator")


def _number(known: Sequence[Sequence[LinearCondition]], scope: Scope) -> Written:
    """Of no axes: how many pieces hold, which sizes decide."""
    holds = [" and ".join(_condition(c, (), scope) for c in piece) or "True" for piece in known]
    return Written("count", f"torch.full((), float({' + '.join(f'({h})' for h in holds)})", None)


def _reduced(piece: Sequence[LinearCondition]) -> list[LinearCondition] | None:
    """The conditions that say something; None if one never holds."""
    kept = []
    for c in piece:
        if any(a != 0 for a in c.coefficients) or not isinstance(c.constant, int):
            kept.append(c)
            continue
        if isinstance(c.modulus, int):
            holds = c.constant % c.modulus == 0
        else:
            holds = c.constant == 0 or (c.nonnegative and c.constant > 0)
        if not holds:
            return None
    return kept


def _is_identity(piece: Sequence[LinearCondition]) -> bool:
    (c, *more) = piece
    equation = not (more or c.nonnegative or c.modulus is not None) and c.constant == 0
    return equation and c.coefficients in ((1, -1), (-1, 1))


def _word(pieces: Sequence[Sequence[LinearCondition]], rank: int) -> str:
    conditions = [c for piece in pieces for c in piece]
    if any(not c.nonnegative and c.modulus is None for c in conditions):
        return "pattern" if rank > 2 else "relation"
    signs = [{_negative(a) for a in c.coefficients if a != 0} for c in conditions]
    return "mask" if all(len(sign) < 2 for sign in signs) else "window"


def _index_names(axes: Sequence[str], scope: Scope) -> list[str]:
    names: list[str] = []
    for axis in axes:
        hint = safe_identifier(axis).lower()
        tried = (hint, f"at_{hint}", *(f"{hint}_{n}" for n in range(2, 100)))
        names.append(next(n for n in tried if n not in names and n not in scope.taken))
    return names


def _negative(value: Dim) -> bool:
    if isinstance(value, int):
        return value < 0
    return bool(value.could_extract_minus_sign())


def _condition(c: LinearCondition, names: Sequence[str], scope: Scope) -> str:
    """The condition with every term on the side where it is positive."""
    left: list[str] = []
    right: list[str] = []
    for a, name in zip(c.coefficients, names, strict=True):
        if a != 0:
            size = -a if _negative(a) else a
            text = name if size == 1 else f"{atom(scope.size(size))} * {name}"
            (right if _negative(a) else left).append(text)
    for term in sympy.Add.make_args(sympy.sympify(c.constant)):
        if term != 0:
            negative = term.could_extract_minus_sign()
            (right if negative else left).append(scope.size(-term if negative else term))
    if c.modulus is not None:
        total = " - ".join([" + ".join(left) or "0", *right])
        return f"({total}) % {atom(scope.size(c.modulus))} == 0"
    sign = ">=" if c.nonnegative else "=="
    written = f"{' + '.join(left) or '0'} {sign} {' + '.join(right) or '0'}"
    # a condition on sizes alone is no tensor yet
    if not names or any(a != 0 for a in c.coefficients):
        return written
    return f"({names[0]} >= 0) & ({written})"
