"""Index maps: relations in which one wire is a total function of the others, read by position.

Such a relation says where to take each entry from: a boundary, a shift, a flip, a repetition. It is
kept as runs over the other wires, taken together as one axis: `length` entries from `start` in
steps of `step`, one run after the other. What holds zeros (a convolution, say) is none.
"""

from __future__ import annotations

from dataclasses import dataclass

from diagrammar.ir.relation import Equation, Linear, Piece, Relation, Sizes
from diagrammar.ir.scalar import Dim, equal, expand, nonnegative

Run = tuple[Dim, Dim, Dim]
"""start, length, step"""

MOST_RUNS = 16
MOST_ENTRIES = 100_000


@dataclass(frozen=True)
class IndexMap:
    """Wire `source` at the entries of `runs`, where `along` is one axis, the first slowest."""

    source: str
    along: tuple[str, ...]
    runs: tuple[Run, ...]


def index_map(relation: Relation, sizes: Sizes) -> IndexMap | None:
    """The map that a relation is, if it certainly is one."""
    for source in relation.wires:
        along = tuple(w for w in relation.wires if w != source)
        if not along:
            continue
        pieces = _flattened(relation, source, along, sizes)
        if pieces is None:
            continue
        total: Dim = 1
        for w in along:
            total = expand(total * sizes[w])
        runs = _runs(pieces, sizes[source], total)
        if runs is not None:
            return IndexMap(source, along, runs)
    return None


# -- the other wires as one ------------------------------------------------------------------------

_I, _J = "i", "j"


def _flattened(
    relation: Relation, source: str, along: tuple[str, ...], sizes: Sizes
) -> list[Piece] | None:
    """The pieces in terms of i and the position j among the other wires, if they only speak of
    that."""
    strides: dict[str, Dim] = {}
    stride: Dim = 1
    for w in reversed(along):
        strides[w] = stride
        stride = expand(stride * sizes[w])

    def flat(form: Linear, modulus: Dim | None = None) -> Linear | None:
        unit = form.coefficients.get(along[-1], 0)
        for w in along:
            away = expand(form.coefficients.get(w, 0) - unit * strides[w])
            if isinstance(away, int) and isinstance(modulus, int):
                away %= modulus
            if not equal(away, 0):
                return None
        coefficients = {_I: form.coefficients.get(source, 0), _J: unit}
        return Linear.of(coefficients, form.constant)

    made = []
    for piece in relation.pieces:
        forms = [flat(e.form, e.modulus) for e in piece.equations]
        bounds = [flat(b) for b in piece.bounds]
        if any(f is None for f in (*forms, *bounds)):
            return None
        equations = tuple(
            Equation(f, e.modulus) for f, e in zip(forms, piece.equations, strict=True) if f
        )
        made.append(Piece(equations, tuple(b for b in bounds if b)))
    return made


# -- runs ------------------------------------------------------------------------------------------


def _runs(pieces: list[Piece], extent: Dim, total: Dim) -> tuple[Run, ...] | None:
    if isinstance(extent, int) and isinstance(total, int) and _numbers(pieces):
        return _counted(pieces, extent, total)
    return _segments(pieces, extent, total)


def _numbers(pieces: list[Piece]) -> bool:
    values: list[object] = []
    for piece in pieces:
        forms = [e.form for e in piece.equations] + list(piece.bounds)
        values += [e.modulus for e in piece.equations if e.modulus is not None]
        values += [c for f in forms for c in (f.constant, *f.coefficients.values())]
    return all(isinstance(v, int) for v in values)


def _counted(pieces: list[Piece], extent: int, total: int) -> tuple[Run, ...] | None:
    """Entry by entry; exactly one i for each j."""
    if total > MOST_ENTRIES:
        return None
    table: list[int] = []
    for j in range(total):
        found = [i for piece in pieces if (i := _solve(piece, j, extent)) is not None]
        if len(found) != 1 or found[0] < 0:
            return None
        table.append(found[0])
    runs: list[tuple[int, int, int]] = []
    for i in table:
        if runs:
            start, length, step = runs[-1]
            if length == 1:
                runs[-1] = (start, 2, i - start)
                continue
            if i == start + step * length:
                runs[-1] = (start, length + 1, step)
                continue
        runs.append((i, 1, 1))
        if len(runs) > MOST_RUNS:
            return None
    return tuple(runs)


def _solve(piece: Piece, j: int, extent: int) -> int | None:
    """The i that a piece has for j: None if it has none, -1 if it may have several."""
    i = None
    for e in piece.equations:
        c, rest = _at(e.form, j)
        if isinstance(e.modulus, int) and c % e.modulus == e.modulus - 1:
            c = -1
        if abs(c) != 1:
            continue
        if e.modulus is None:
            i = -rest * c
            break
        if isinstance(e.modulus, int) and e.modulus >= extent:
            i = (-rest * c) % e.modulus
            break
    if i is None:
        return -1
    if not 0 <= i < extent:
        return None
    for e in piece.equations:
        c, rest = _at(e.form, j)
        value = c * i + rest
        if value % int(e.modulus) if e.modulus is not None else value:
            return None
    for bound in piece.bounds:
        c, rest = _at(bound, j)
        if c * i + rest < 0:
            return None
    return i


def _at(form: Linear, j: int) -> tuple[int, int]:
    """The coefficient of i, and the rest."""
    c = form.coefficients
    return int(c.get(_I, 0)), int(c.get(_J, 0)) * j + int(form.constant)


def _segments(pieces: list[Piece], extent: Dim, total: Dim) -> tuple[Run, ...] | None:
    """Pieces i = ±j + c or i = c, each on a stretch of j, that follow one another from 0 to the
    end."""
    stretches: list[tuple[Dim, Dim, Dim, Dim]] = []
    for piece in pieces:
        found = _stretch(piece, extent, total)
        if found is None:
            return None
        stretches.append(found)
    runs: list[Run] = []
    at: Dim = 0
    while not equal(at, total):
        following = [s for s in stretches if equal(s[0], at)]
        if len(following) != 1:
            return None
        low, high, slope, constant = following[0]
        stretches.remove(following[0])
        runs.append((expand(slope * low + constant), expand(high - low), slope))
        at = high
    return None if stretches else _tidy(*runs)


def _stretch(piece: Piece, extent: Dim, total: Dim) -> tuple[Dim, Dim, Dim, Dim] | None:
    """Where j runs in a piece, from and to, and i = slope·j + constant there."""
    if len(piece.equations) != 1 or piece.equations[0].modulus is not None:
        return None
    form = piece.equations[0].form
    c = form.coefficients
    if not equal(c.get(_I, 0), 1):
        return None
    slope, constant = expand(-c.get(_J, 0)), expand(-form.constant)
    if not isinstance(slope, int) or abs(slope) > 1:
        return None
    value = Linear.of({_J: slope}, constant)
    conditions = [value, (-value).plus(expand(extent - 1))]
    conditions += [b.put(_I, value) for b in piece.bounds]
    low: Dim = 0
    high = total
    for condition in conditions:
        k, rest = condition.coefficients.get(_J, 0), condition.constant
        if equal(k, 0):
            if not nonnegative(rest):
                return None
        elif equal(k, 1):
            chosen = _greater(low, expand(-rest))
            if chosen is None:
                return None
            low = chosen
        elif equal(k, -1):
            chosen = _greater(expand(-high), expand(-rest - 1))
            if chosen is None:
                return None
            high = expand(-chosen)
        else:
            return None
    return low, high, slope, constant


def _greater(a: Dim, b: Dim) -> Dim | None:
    """The greater of two, if that is certain."""
    if nonnegative(expand(a - b)):
        return a
    return b if nonnegative(expand(b - a)) else None


def _tidy(*runs: Run) -> tuple[Run, ...]:
    return tuple(run for run in runs if not equal(run[1], 0))
