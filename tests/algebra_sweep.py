"""The algebra of index relations against enumeration of random small relations.

    python -m tests.algebra_sweep --cases 100000 --seed 0

Each case draws a relation (a convolution, or a random conjunction of equations, congruences and
bounds) and asks one question of the algebra; the answer is compared with counting every point.
"decided" are the cases in which the algebra gave an answer: it may decline, but not be wrong.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.progress import track

from benchmarks import results
from benchmarks.results import Sheet
from diagrammar.ir.algebra import compose, fixes, live, marginal, overlaps, residues, swapped
from diagrammar.ir.points import image, is_empty
from diagrammar.ir.relation import Equation, Linear, Piece, Relation, conv, conv_form, tidy
from diagrammar.language.patterns import BORDERS

Point = Mapping[str, int]
Case = tuple[bool, bool]
"""Whether the algebra answered, and whether the answer is right."""


def points(sizes: Mapping[str, int], wires: tuple[str, ...]) -> Iterator[dict[str, int]]:
    """All values of some wires."""
    for values in itertools.product(*(range(sizes[w]) for w in wires)):
        yield dict(zip(wires, values, strict=True))


def at(form: Linear, point: Point) -> int:
    """The value of a linear form."""
    return sum(int(c) * point[w] for w, c in form.terms) + int(form.constant)


def holds(piece: Piece, point: Point) -> bool:
    """Whether all conditions of a piece hold at a point."""
    return all(
        at(e.form, point) == 0 if e.modulus is None else at(e.form, point) % int(e.modulus) == 0
        for e in piece.equations
    ) and all(at(b, point) >= 0 for b in piece.bounds)


def count(relation: Relation, point: Point) -> int:
    """The entry of a relation at a point."""
    return sum(holds(piece, point) for piece in relation.pieces)


@dataclass(frozen=True)
class Drawn:
    """A random relation and the sizes of its wires."""

    relation: Relation
    sizes: dict[str, int]


def convolution(
    chosen: random.Random, wires: tuple[str, str, str], *, outputs: int | None = None
) -> Drawn:
    """A convolution; its windows may be one more or fewer than the formula says."""
    i, o, k = wires
    extent, kernel = chosen.randint(1, 9), chosen.randint(1, 4)
    stride, dilation, padding = chosen.randint(1, 4), chosen.randint(1, 4), chosen.randint(-2, 4)
    formula = (extent + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    windows = max(1, formula + chosen.choice((0, 0, 0, -1, 1)))
    if outputs is not None:
        windows = outputs
    sizes = {i: extent, o: windows, k: kernel}
    if chosen.random() < 0.2:
        form = Linear.of({i: 1, o: -stride, k: -dilation}, padding)
        return Drawn(Relation("P", wires, (tidy(Piece((Equation(form, extent),)), sizes),)), sizes)
    made = conv("P", i, o, k, stride=stride, dilation=dilation, padding=padding)
    return Drawn(made, sizes)


def conjunction(chosen: random.Random, wires: tuple[str, str, str]) -> Drawn:
    """One or two random conditions of each kind."""

    def form() -> Linear:
        return Linear.of({w: chosen.randint(-3, 3) for w in wires}, chosen.randint(-5, 5))

    equations = tuple(
        Equation(form(), chosen.choice((None, chosen.randint(1, 5))))
        for _ in range(chosen.randint(0, 2))
    )
    bounds = tuple(form() for _ in range(chosen.randint(0, 2)))
    sizes = {w: chosen.randint(1, 6) for w in wires}
    return Drawn(Relation("P", wires, (tidy(Piece(equations, bounds), sizes),)), sizes)


def relation(chosen: random.Random, wires: tuple[str, str, str] = ("i", "o", "k")) -> Drawn:
    """A convolution, a boundary or anything."""
    kind = chosen.choice((convolution, convolution, conjunction, conjunction, boundary))
    return kind(chosen, wires)


def boundary(chosen: random.Random, wires: tuple[str, str, str]) -> Drawn:
    """A circular, reflecting or replicating boundary between two of the wires."""
    i, j, other = chosen.sample(wires, 3)
    extent, left, right = chosen.randint(1, 6), chosen.randint(0, 4), chosen.randint(0, 4)
    kind = chosen.choice(tuple(BORDERS))
    if kind == "reflect":
        left, right = min(left, extent - 1), min(right, extent - 1)
    pieces = BORDERS[kind](i, j, left, extent)
    sizes = {i: extent, j: extent + left + right, other: chosen.randint(1, 3)}
    return Drawn(Relation(kind, wires, pieces), {w: sizes[w] for w in wires})


# -- questions -------------------------------------------------------------------------------------


def ask_marginal(chosen: random.Random) -> Case:
    """Σ over a wire."""
    drawn = relation(chosen)
    wire = chosen.choice(drawn.relation.wires)
    made = marginal(drawn.relation, wire, drawn.sizes)
    if made is None:
        return False, True
    rest = tuple(w for w in drawn.relation.wires if w != wire)
    return True, all(
        count(made, p)
        == sum(count(drawn.relation, {**p, wire: n}) for n in range(drawn.sizes[wire]))
        for p in points(drawn.sizes, rest)
    )


def ask_composition(chosen: random.Random) -> Case:
    """Two relations that share a wire."""
    first = relation(chosen, ("i", "j", "k"))
    if chosen.random() < 0.5:
        second = convolution(chosen, ("j", "o", "m"))
    else:
        second = chosen.choice((conjunction, boundary))(chosen, ("j", "o", "m"))
    sizes = {**first.sizes, **second.sizes}
    first_sized = Relation("P", first.relation.wires, first.relation.pieces)
    made = compose(first_sized, second.relation, "j", sizes)
    if made is None:
        return False, True
    return True, all(
        count(made, p)
        == sum(
            count(first_sized, {**p, "j": n}) * count(second.relation, {**p, "j": n})
            for n in range(sizes["j"])
        )
        for p in points(sizes, ("i", "o", "k", "m"))
    )


def ask_image(chosen: random.Random) -> Case:
    """The values of a wire that occur."""
    drawn = relation(chosen)
    wire = chosen.choice(drawn.relation.wires)
    expected = {
        p[wire] for p in points(drawn.sizes, drawn.relation.wires) if count(drawn.relation, p)
    }
    return True, set(image(drawn.relation, wire, drawn.sizes)) == expected


def ask_live(chosen: random.Random) -> Case:
    """The range of k, or of o, that does not meet padding alone."""
    drawn = convolution(chosen, ("i", "o", "k"))
    form = conv_form(drawn.relation, drawn.sizes)
    if form is None:
        return False, True
    role = chosen.choice("ok")
    wire = getattr(form, role)
    found = [p[wire] for p in points(drawn.sizes, ("i", "o", "k")) if count(drawn.relation, p)]
    expected = range(min(found), max(found) + 1) if found else range(0)
    return True, live(form, role) == expected


def ask_injectivity(chosen: random.Random) -> Case:
    """Whether windows share entries of the input."""
    drawn = convolution(chosen, ("i", "o", "k"))
    form = conv_form(drawn.relation, drawn.sizes)
    if form is None:
        return False, True
    met = [p["i"] for p in points(drawn.sizes, ("i", "o", "k")) if count(drawn.relation, p)]
    return True, overlaps(form) == (len(set(met)) < len(met))


def ask_dependence(chosen: random.Random) -> Case:
    """Whether the other wires fix one; "yes" must be right, "no" means that it is not certain."""
    drawn = relation(chosen)
    wire = chosen.choice(drawn.relation.wires)
    if not fixes(drawn.relation, wire, drawn.sizes):
        return False, True
    rest = tuple(w for w in drawn.relation.wires if w != wire)
    return True, all(
        sum(count(drawn.relation, {**p, wire: n}) for n in range(drawn.sizes[wire])) <= 1
        for p in points(drawn.sizes, rest)
    )


def ask_emptiness(chosen: random.Random) -> Case:
    """Whether anything holds."""
    drawn = relation(chosen)
    piece = chosen.choice(drawn.relation.pieces)
    expected = not any(holds(piece, p) for p in points(drawn.sizes, drawn.relation.wires))
    return True, is_empty(piece, drawn.sizes) == expected


def ask_residues(chosen: random.Random) -> Case:
    """Splitting a wire by its residue classes."""
    drawn = relation(chosen)
    wire, modulus = chosen.choice(drawn.relation.wires), chosen.randint(1, 4)
    parts = residues(drawn.relation, wire, "new", drawn.sizes, modulus=modulus)
    seen = 0
    for c, extent, part in parts:
        sizes = {**drawn.sizes, "new": int(extent)}
        wires = tuple("new" if w == wire else w for w in drawn.relation.wires)
        for p in points(sizes, wires):
            seen += 1
            if count(part, p) != count(drawn.relation, {**p, wire: modulus * p["new"] + c}):
                return True, False
    return True, seen == len(list(points(drawn.sizes, drawn.relation.wires)))


def ask_swap(chosen: random.Random) -> Case:
    """Kernel and output exchange roles."""
    drawn = convolution(chosen, ("i", "o", "k"))
    form = conv_form(drawn.relation, drawn.sizes)
    if form is None:
        return False, True
    turn = swapped(form)
    other = conv("P", "i", turn.o, str(turn.k), stride=turn.S, dilation=turn.D, padding=turn.P)
    same = all(
        count(drawn.relation, p) == count(other, p) for p in points(drawn.sizes, ("i", "o", "k"))
    )
    return True, same and (turn.O, turn.K) == (form.K, form.O)


QUESTIONS: dict[str, Callable[[random.Random], Case]] = {
    "composition": ask_composition,
    "marginal": ask_marginal,
    "image": ask_image,
    "live range": ask_live,
    "injectivity": ask_injectivity,
    "functional dependence": ask_dependence,
    "emptiness": ask_emptiness,
    "residue classes": ask_residues,
    "kernel–output swap": ask_swap,
}


@dataclass
class Tally:
    """Cases of one question."""

    cases: int = 0
    decided: int = 0
    wrong: int = 0


def sweep(cases: int, seed: int, *, progress: bool = False) -> dict[str, Tally]:
    """Ask that many questions, in turn; the same seed asks the same."""
    tallies = {name: Tally() for name in QUESTIONS}
    turns = itertools.islice(itertools.cycle(QUESTIONS.items()), cases)
    numbered = enumerate(turns)
    shown = track(numbered, "asking", total=cases) if progress else numbered
    for number, (name, ask) in shown:
        decided, right = ask(random.Random(f"{seed}/{number}"))
        tally = tallies[name]
        tally.cases += 1
        tally.decided += decided
        tally.wrong += not right
    return tallies


def main() -> int:
    """Run from the command line; status 1 where anything disagreed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/algebra.*")
    options = parser.parse_args()
    tallies = sweep(options.cases, options.seed, progress=True)
    rows = tuple(
        (name, f"{t.cases:,}", f"{t.decided:,}", str(t.wrong)) for name, t in tallies.items()
    )
    columns = ("question", "cases", "decided", "disagreements")
    sheet = Sheet("the algebra of relations against enumeration", columns, rows)
    Console().print(sheet.rich())
    if options.save:
        command = f"python -m tests.algebra_sweep --cases {options.cases} --seed {options.seed}"
        found = [{"question": name, **asdict(t)} for name, t in tallies.items()]
        results.save("algebra", f"{command} --save", [sheet], found)
    return int(any(t.wrong for t in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
