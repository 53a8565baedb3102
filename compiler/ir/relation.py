"""The algebra of index relations: indicators of integer linear equations, congruences and bounds.

A `Relation` is the one structural tensor of a diagram. Its entry is the number of `pieces` whose
conditions all hold, with every wire running from 0 to its size − 1: 0 or 1 as long as no two pieces
share an entry, and a count where a law has summed a wire of several pieces. A
zero-padded convolution is one piece with one equation, i − S·o − D·k + P = 0: the padding is the
range of i.

Nothing here knows diagrams; the sizes of wires are passed in. What can be decided about relations
and made of them is in `algebra`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from diagrammar.ir.scalar import Dim, equal, expand, nonnegative, plain, substitute

Sizes = Mapping[str, Dim]


@dataclass(frozen=True)
class Linear:
    """Σ coefficient·wire + constant; terms are sorted by wire, none is zero."""

    terms: tuple[tuple[str, Dim], ...]
    constant: Dim = 0

    @staticmethod
    def of(coefficients: Mapping[str, Dim], constant: Dim = 0) -> Linear:
        """From a mapping of wires to coefficients; zeros are dropped."""
        kept = [(w, c) for w, c in coefficients.items() if not equal(c, 0)]
        return Linear(tuple(sorted(kept, key=lambda term: term[0])), plain(constant))

    @cached_property
    def coefficients(self) -> dict[str, Dim]:
        """The terms as a mapping."""
        return dict(self.terms)

    @property
    def wires(self) -> tuple[str, ...]:
        """The wires that occur."""
        return tuple(wire for wire, _ in self.terms)

    def __add__(self, other: Linear) -> Linear:
        sums = dict(self.terms)
        for wire, c in other.terms:
            sums[wire] = expand(sums.get(wire, 0) + c)
        return Linear.of(sums, expand(self.constant + other.constant))

    def __neg__(self) -> Linear:
        return self * -1

    def __sub__(self, other: Linear) -> Linear:
        return self + -other

    def __mul__(self, factor: Dim) -> Linear:
        if isinstance(factor, int) and factor == 1:
            return self
        products = {wire: expand(c * factor) for wire, c in self.terms}
        return Linear.of(products, expand(self.constant * factor))

    def plus(self, constant: Dim) -> Linear:
        """With a constant added."""
        return Linear(self.terms, expand(self.constant + constant))

    def without(self, wire: str) -> Linear:
        """The form with a wire's term left out."""
        return Linear(tuple(t for t in self.terms if t[0] != wire), self.constant)

    def put(self, wire: str, value: Linear) -> Linear:
        """The wire replaced by a linear form of others."""
        coefficient = self.coefficients.get(wire)
        return self if coefficient is None else self.without(wire) + value * coefficient

    def substitute(self, values: Mapping[object, Dim]) -> Linear:
        """Symbols in coefficients and constant replaced."""
        coefficients = {w: substitute(c, values) for w, c in self.terms}
        return Linear.of(coefficients, substitute(self.constant, values))

    def rename(self, names: Mapping[str, str]) -> Linear:
        """Wires renamed; two that become one are added."""
        sums: dict[str, Dim] = {}
        for wire, c in self.terms:
            new = names.get(wire, wire)
            sums[new] = expand(sums.get(new, 0) + c)
        return Linear.of(sums, self.constant)

    def least(self, sizes: Sizes) -> Dim | None:
        """A lower bound over all values of the wires; None where a sign is not known."""
        total = self.constant
        for wire, c in self.terms:
            if nonnegative(c):
                continue
            if not nonnegative(-c):
                return None
            total = expand(total + c * (sizes[wire] - 1))
        return total


def wire(name: str) -> Linear:
    """The form that is a single wire."""
    return Linear(((name, 1),))


def flat(wires: Sequence[str], sizes: Sizes) -> Linear:
    """The position in a group of wires, the first slowest: (g ci) is |ci|·g + ci."""
    total, stride = Linear(()), 1
    for name in reversed(wires):
        total = total + wire(name) * stride
        stride = expand(stride * sizes[name])
    return total


@dataclass(frozen=True)
class Equation:
    """`form` = 0, or ≡ 0 mod `modulus`."""

    form: Linear
    modulus: Dim | None = None


@dataclass(frozen=True)
class Piece:
    """Where all `equations` hold and all `bounds` are ≥ 0."""

    equations: tuple[Equation, ...]
    bounds: tuple[Linear, ...] = ()

    def map(self, change: Callable[[Linear], Linear]) -> Piece:
        """The piece with every linear form changed."""
        return Piece(
            tuple(Equation(change(e.form), e.modulus) for e in self.equations),
            tuple(change(b) for b in self.bounds),
        )


NOWHERE = Piece((Equation(Linear((), 1)),))
"""The piece that holds for no values: 1 = 0."""


@dataclass(frozen=True)
class Relation:
    """An index relation between `wires` (the order of its axes), called `name` in pictures: the
    sum of its pieces, of which there is at least one.

    `view`, if set, is a wire that is known to be a total function of the others: reading along the
    relation needs no pattern and no padding. Only rules set it.
    """

    name: str = field(compare=False)
    wires: tuple[str, ...]
    pieces: tuple[Piece, ...]
    view: str | None = None

    @property
    def axes(self) -> tuple[tuple[str, ...], ...]:
        """One axis a wire, as for other tensors."""
        return tuple((wire,) for wire in self.wires)

    def rename(self, names: Mapping[str, str]) -> Relation:
        """Wires renamed."""
        if not any(w in names for w in self.wires):
            return self
        wires = tuple(dict.fromkeys(names.get(w, w) for w in self.wires))
        pieces = tuple(p.map(lambda form: form.rename(names)) for p in self.pieces)
        return Relation(
            self.name, wires, pieces, names.get(self.view, self.view) if self.view else None
        )

    def substitute(self, values: Mapping[object, Dim]) -> Relation:
        """Symbols replaced."""
        pieces = tuple(
            Piece(
                tuple(
                    Equation(
                        e.form.substitute(values),
                        None if e.modulus is None else substitute(e.modulus, values),
                    )
                    for e in p.equations
                ),
                tuple(b.substitute(values) for b in p.bounds),
            )
            for p in self.pieces
        )
        return replace(self, pieces=pieces)

    def put(self, name: str, value: Linear, sizes: Sizes) -> Relation:
        """The relation with wire `name` replaced by a form that is known to stay in its range."""
        wires: list[str] = []
        for w in self.wires:
            wires.extend(value.wires if w == name else (w,))
        pieces = tuple(tidy(p.map(lambda form: form.put(name, value)), sizes) for p in self.pieces)
        return Relation(self.name, tuple(dict.fromkeys(wires)), pieces)

    def split(self, name: str, into: Sequence[str], sizes: Sizes) -> Relation:
        """The relation with wire `name` replaced by a group of wires, the first slowest."""
        made = self.put(name, flat(into, sizes), sizes)
        order = [new for w in self.wires for new in (into if w == name else (w,))]
        return replace(made, wires=tuple(dict.fromkeys(order)))


def conv(
    name: str, i: str, o: str, k: str, *, stride: Dim, dilation: Dim, padding: Dim
) -> Relation:
    """Π[i,o,k] = [i = S·o + D·k − P] (Dangel 2024, sec. 2); the range of i is the zero padding."""
    form = Linear.of({i: 1, o: -stride, k: -dilation}, padding)
    return Relation(name, (i, o, k), (Piece((Equation(form),)),))


def delta(first: str, second: str, name: str = "δ") -> Relation:
    """δ[a,b] = [a = b]."""
    return Relation(name, (first, second), (Piece((Equation(Linear.of({first: 1, second: -1})),)),))


# -- decisions -------------------------------------------------------------------------------------


def tidy(piece: Piece, sizes: Sizes) -> Piece:
    """The same set with trivial conditions left out: 0 = 0, bounds that always hold,
    repetitions."""
    equations: list[Equation] = []
    for e in piece.equations:
        form = _signed(e.form)
        if e.modulus is not None:
            form = _reduced(form, e.modulus)
            if isinstance(e.modulus, int) and e.modulus == 1:
                continue
        if (form.terms or not equal(form.constant, 0)) and Equation(
            form, e.modulus
        ) not in equations:
            equations.append(Equation(form, e.modulus))
    bounds: list[Linear] = []
    for b in piece.bounds:
        if b not in bounds and not implied(b, equations, sizes):
            bounds.append(b)
    return Piece(tuple(equations), tuple(bounds))


def implied(bound: Linear, equations: Sequence[Equation], sizes: Sizes) -> bool:
    """Whether a bound always holds: by the ranges of its wires, or of those that an equation ties
    them to.

    From an equation with coefficient a at a wire where the bound has b: |a|·bound = |a|·bound ±
    b·equation, which lacks the wire; more than −|a| everywhere means that the bound, an integer, is
    never below zero.
    """
    least = bound.least(sizes)
    if least is not None and nonnegative(least):
        return True
    for e in equations:
        if e.modulus is not None:
            continue
        for wire, b in bound.terms:
            a = e.form.coefficients.get(wire)
            if not isinstance(a, int) or not isinstance(b, int):
                continue
            tied = bound * abs(a) + e.form * (-b if a > 0 else b)
            least = tied.least(sizes)
            if least is not None and nonnegative(expand(least + abs(a) - 1)):
                return True
    return False


def _signed(form: Linear) -> Linear:
    """The form or its negative, so that more coefficients are negative and one is 1 (i − S·o −
    D·k + P); a single one is positive."""
    signs = [1 if nonnegative(c) else -1 for _, c in form.terms]
    positive, negative = signs.count(1), signs.count(-1)
    if len(signs) == 1:
        return form if positive else -form
    if not signs or positive < negative:
        return form
    if positive > negative or signs[0] < 0:
        return -form
    return form


def _reduced(form: Linear, modulus: Dim) -> Linear:
    """The form with known numbers reduced modulo a known modulus."""
    if not isinstance(modulus, int):
        return form
    terms = {w: c % modulus if isinstance(c, int) else c for w, c in form.terms}
    constant = form.constant % modulus if isinstance(form.constant, int) else form.constant
    return Linear.of(terms, constant)


def holds_always(relation: Relation) -> bool:
    """Whether the relation is one everywhere (after `tidy`)."""
    return len(relation.pieces) == 1 and not (
        relation.pieces[0].equations or relation.pieces[0].bounds
    )


# -- the convolution form --------------------------------------------------------------------------


@dataclass(frozen=True)
class ConvForm:
    """A relation read as i = S·o + D·k − P, with sizes I, O, K; `k` is None where it has gone (K
    = 1)."""

    relation: Relation
    i: str
    o: str
    k: str | None
    S: Dim
    D: Dim
    P: Dim
    I: Dim  # noqa: E741  # the paper's letter
    O: Dim  # noqa: E741
    K: Dim

    @property
    def right(self) -> Dim:
        """Entries that the last window reaches beyond i: S(O−1) + D(K−1) − P − (I−1); negative:
        unused."""
        reach = self.S * (self.O - 1) + self.D * (self.K - 1)
        return expand(reach - self.P - self.I + 1)


def conv_form(relation: Relation, sizes: Sizes) -> ConvForm | None:
    """The convolution that a relation is, if it is one (one piece, one equation, no further
    bounds)."""
    if len(relation.pieces) != 1:
        return None
    piece = relation.pieces[0]
    if len(piece.equations) != 1 or piece.bounds or piece.equations[0].modulus is not None:
        return None
    form = piece.equations[0].form
    if relation.view is not None and equal(form.coefficients.get(relation.view, 0), -1):
        form = -form
    found = _headed(relation, form, sizes)
    if found is None and relation.view is None:
        found = _headed(relation, -form, sizes)
    return found


def _headed(relation: Relation, form: Linear, sizes: Sizes) -> ConvForm | None:
    """The convolution with a wire as i whose coefficient is 1, the others being negative."""
    terms = [(w, form.coefficients.get(w, 0)) for w in relation.wires]
    if len(terms) not in (2, 3) or any(isinstance(c, int) and c == 0 for _, c in terms):
        return None
    heads = [
        n
        for n, (w, c) in enumerate(terms)
        if isinstance(c, int) and c == 1 and relation.view in (None, w)
    ]
    for head in heads:
        rest = terms[:head] + terms[head + 1 :]
        if not all(nonnegative(-c) for _, c in rest):
            continue
        i, (o, minus_s) = terms[head][0], rest[0]
        k, minus_d = rest[1] if len(rest) == 2 else (None, -1)
        return ConvForm(
            relation, i, o, k,
            S=plain(-minus_s), D=plain(-minus_d), P=form.constant,
            I=sizes[i], O=sizes[o], K=sizes[k] if k is not None else 1,
        )  # fmt: skip
    return None
