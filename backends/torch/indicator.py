"""Write indicators as boolean expressions over index ranges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy

from diagrammar.backends.torch.names import Names, atom, safe_identifier
from diagrammar.program import Dim, Indicator, LinearCondition, Step


@dataclass(frozen=True, slots=True)
class Written:
    """An indicator's expression without its closing parenthesis, its helper, and a word that names
    it."""

    word: str
    call: str
    helper: str | None

    def constant(self) -> str:
        """Write the expression at module level."""
        return f"{self.call})"

    def inline(self, like: str) -> str:
        """Write the expression inside a function, with the device and dtype of the value `like`."""
        if self.helper:
            return f"{self.call}, {like})"
        return f"{self.call}, dtype={like}.dtype, device={like}.device)"


def write_indicator(op: Indicator, step: Step, scope: Names) -> Written | bool:
    """Write the indicator's expression; True stands for all ones, False for all zeros."""
    pieces = [piece for piece in map(_reduced, op.pieces) if piece is not None]
    if not pieces or pieces == [[]]:
        return bool(pieces)
    if len(pieces) == 1 and _is_identity(pieces[0]):
        rows, columns = step.shape
        sizes = scope.size(rows) if rows == columns else scope.shape(step.shape)
        return Written("eye", f"torch.eye({sizes}", None)
    names = _index_names(step.axes, scope)
    if not names:
        return _number(pieces, scope)
    written = [_conjunction(piece, names, scope) for piece in pieces]
    if len(pieces) == 1:
        (holds,) = written
        holds = holds[1:-1] if len(pieces[0]) == 1 else holds
    else:
        holds = _count(pieces, written)
    call = f"_indicator({scope.tuple(step.shape)}, lambda {', '.join(names)}: {holds}"
    return Written(_word(pieces, len(names)), call, "_indicator")


def _conjunction(piece: Sequence[LinearCondition], names: Sequence[str], scope: Names) -> str:
    """Write where all conditions of a piece hold, each in parentheses."""
    conditions = [f"({_condition(condition, names, scope)})" for condition in piece]
    return " & ".join(conditions) or f"({names[0]} >= 0)"


def _count(pieces: Sequence[Sequence[LinearCondition]], written: Sequence[str]) -> str:
    """Write how many pieces hold: entries that several pieces share are counts."""
    terms = zip(pieces, written, strict=True)
    return " + ".join(f"1 * ({text})" if len(piece) > 1 else f"1 * {text}" for piece, text in terms)


def _number(pieces: Sequence[Sequence[LinearCondition]], scope: Names) -> Written:
    """Write an indicator without axes: the number of pieces that hold, which depends on sizes."""
    holds = [" and ".join(_condition(c, (), scope) for c in piece) or "True" for piece in pieces]
    return Written("count", f"torch.full((), float({' + '.join(f'({h})' for h in holds)})", None)


def _reduced(piece: Sequence[LinearCondition]) -> list[LinearCondition] | None:
    """Drop the conditions that always hold; None if one never holds."""
    open_conditions = []
    for c in piece:
        if any(a != 0 for a in c.coefficients) or not isinstance(c.constant, int):
            open_conditions.append(c)
            continue
        if isinstance(c.modulus, int):
            holds = c.constant % c.modulus == 0
        else:
            holds = c.constant == 0 or (c.nonnegative and c.constant > 0)
        if not holds:
            return None
    return open_conditions


def _is_identity(piece: Sequence[LinearCondition]) -> bool:
    """Whether a piece is the identity matrix."""
    (c, *more) = piece
    equation = not (more or c.nonnegative or c.modulus is not None) and c.constant == 0
    return equation and c.coefficients in ((1, -1), (-1, 1))


def _word(pieces: Sequence[Sequence[LinearCondition]], rank: int) -> str:
    """Choose a word for an indicator of this rank: pattern, relation, mask or window."""
    conditions = [c for piece in pieces for c in piece]
    if any(not c.nonnegative and c.modulus is None for c in conditions):
        return "pattern" if rank > 2 else "relation"
    signs = [{_negative(a) for a in c.coefficients if a != 0} for c in conditions]
    return "mask" if all(len(sign) < 2 for sign in signs) else "window"


def _index_names(axes: Sequence[str], scope: Names) -> list[str]:
    """Choose a variable for each axis."""
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


def _condition(condition: LinearCondition, names: Sequence[str], scope: Names) -> str:
    """Write the condition with every term on the side where it is positive."""
    left, right = _two_sides(condition, names, scope)
    if condition.modulus is not None:
        total = " - ".join([" + ".join(left) or "0", *right])
        return f"({total}) % {atom(scope.size(condition.modulus))} == 0"
    sign = ">=" if condition.nonnegative else "=="
    written = f"{' + '.join(left) or '0'} {sign} {' + '.join(right) or '0'}"
    # a condition on sizes alone is a bool: compare with an index to get a tensor
    if not names or any(a != 0 for a in condition.coefficients):
        return written
    return f"({names[0]} >= 0) & ({written})"


def _two_sides(
    condition: LinearCondition, names: Sequence[str], scope: Names
) -> tuple[list[str], list[str]]:
    """Write the terms of the condition's sum: positive ones left, negative ones negated right."""
    left: list[str] = []
    right: list[str] = []
    for coefficient, name in zip(condition.coefficients, names, strict=True):
        if coefficient != 0:
            negative = _negative(coefficient)
            size = -coefficient if negative else coefficient
            text = name if size == 1 else f"{atom(scope.size(size))} * {name}"
            (right if negative else left).append(text)
    for term in sympy.Add.make_args(sympy.sympify(condition.constant)):
        if term != 0:
            negative = _negative(term)
            (right if negative else left).append(scope.size(-term if negative else term))
    return left, right
