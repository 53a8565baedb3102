"""Every rule on random hyper-parameters: the dense value is kept exactly, in integers.

    python -m tests.rule_sweep --fired 2000 --seed 0

A case draws an operation, a boundary and K, S, D, I and the padding left and right. Each rule that
applies to it is carried out by itself, and the whole derivation is followed rewrite by rewrite; the
value before and after is compared in integer arithmetic, every relation as a dense array that is
enumerated here. Cases are drawn until each rule has fired often enough.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

import diagrammar as dg
from benchmarks import results
from benchmarks.results import Sheet
from diagrammar.diagram import Diagram, Network
from diagrammar.matrices import drawn
from diagrammar.pipeline import Pipeline
from diagrammar.relation import Relation
from diagrammar.rewrite import Rule, apply
from diagrammar.rules import RULES
from tests.oracle import at

Array = np.ndarray[Any, np.dtype[np.int64]]

BODIES = {
    "forward": "Y[n, o] = X[n, i] * P[i, o, k] * W[k]",
    "input VJP": "Y[n, i] = V[n, o] * P[i, o, k] * W[k]",
    "weight VJP": "Y[k] = X[n, i] * P[i, o, k] * V[n, o]",
    "unfold": "Y[n, o, k] = X[n, i] * P[i, o, k]",
    "fold": "Y[n, i] = U[n, o, k] * P[i, o, k]",
    "toeplitz": "Y[i, o] = P[i, o, k] * W[k]",
    "expand": "Y[k, k'] = X[n, i] * P[i, o, k] * X[n, i'] * P[i', o, k']",
    "reduce": "Y[k, k'] = X[n, i] * P[i, o, k] * X[n, i'] * P[i', o', k']",
    "window": "Y[i, k] = P[i, o, k]",
    "valid": "Y[o, k] = P[i, o, k]",
    "Jacobian": "Y[n, o, n', i] = delta[n, n'] * P[i, o, k] * W[k] * V[n, o]",
    "one input": "Y[n, k, k'] = X[n, i] * P[i, o, k] * P[i, o, k'] * V[n, o]",
    "two outputs": "Y[k, k', n] = V[n, o] * P[i, o, k] * P[i, o', k'] * V[n, o']",
    "step before": "Y[n, o] = X[n, h] * A[h, i] * P[i, o, k] * W[k]",
    "step behind": "Y[n, q] = X[n, i] * P[i, o, k] * B[o, q] * W[k]",
    "mask": "Y[n, o] = X[n, i] * P[i, o, k] * W[k] * C[o, k]",
    "digits": "Y[n, m] = U[n, o, k] * D[o, k, o', k'] * U[m, o', k']",
    "twice": "Y[n, o] = X[n, i] * P[i, o, k] * P[i, o, k] * W[k]",
    "stacked": "Y[n, q] = X[n, i] * P[i, o, k] * W[k] * Q[o, q, m] * M[m]",
    "map before": "Y[n, o] = X[n, h] * F[h, i] * P[i, o, k] * W[k]",
    "padded means": "Y[n, k] = X[n, i] * P[i, o, k]",
    "padded sums": "Y[n, o, k] = P[i, o, k] * V[n, o]",
    "circles": "Y[n, q] = X[n, i] * P[i, o, k] * W[k] * G[o, q, m] * M[m]",
    "rotated": "Y[n, o] = X[n, u] * R[u, r] * R[i, r] * P[i, o, k] * W[k]",
    "rotated patches": (
        "Y[n, m] = X[n, i] * P[i, o, k] * T[(o k), r] * T[(o' k'), r] * U[m, o', k']"
    ),
    "diagonal": "Y[i, k] = R[i, r] * R[i, r] * P[i, o, k] * V[n, o]",
    "renamed": "Y[n, o] = X[n, u] * E[u, i] * P[i, o, k] * W[k]",
}

BOUNDARIES = ("zeros", "circular", "reflect", "replicate")

STEPS = {
    "step before": "pattern A[h, i] = [h = 2*i + a]",
    "step behind": "pattern B[o, q] = [o = b*q + c]",
    "mask": "pattern C[o, k] = [o + k >= c]",
    "digits": "pattern D[o, k, o', k'] = [b*o + k = b*o' + k' + c]",
    "map before": "pattern F[h, i] = [h = i + a mod |h|]",
    "circles": "pattern G[o, q, m] = [o = q + m - c mod |o|]",
    "stacked": "pattern Q[o, q, m] = conv(padding=c)",
}


@dataclass(frozen=True)
class Case:
    """A diagram with all its numbers, and how it was drawn."""

    diagram: Diagram
    said: str
    body: str


@cache
def template(body: str, boundary: str) -> Diagram:
    """An operation with its hyper-parameters open."""
    text = f"""
        param s, d, pl, pr, a = 0, b = 1, c = 0
        tensor X[n, {"h" if body in ("step before", "map before") else "i"}]
        tensor V[n, o]
        tensor U[n, o, k]
        tensor W[k]
        constant R[u, r] = orthogonal
        constant T[(o k), r] = orthogonal
        constant E[u, i] = identity
        {"" if body == "digits" else "tensor M[m]"}
        pattern P[i, o, k] = conv(stride=s, dilation=d, padding=(pl, pr), boundary={boundary})
        {STEPS.get(body, "")}
        {BODIES[body]}
    """
    return dg.parse("\n".join(line.strip() for line in text.splitlines()))["Y"]


def geometry(chosen: random.Random) -> dict[str, int]:
    """K, S, D, I and padding: anything, or near one of the special cases."""
    s, d, k = chosen.randint(1, 4), chosen.choice((1, 1, 1, 2, 3, 4)), chosen.randint(1, 5)
    pl, pr = (0, 0) if chosen.random() < 0.4 else (chosen.randint(0, 4), chosen.randint(0, 4))
    i = chosen.randint(1, 12)
    match chosen.choice(("any", "any", "tiled", "swapped", "padded", "common", "pointwise")):
        case "tiled":
            k, d, pl, pr = s, 1, 0, 0
            i = s * chosen.randint(1, 4) + chosen.choice((0, 0, chosen.randrange(s)))
        case "swapped":
            s, pl, pr = 1, 0, 0
            i = d * k + chosen.choice((0, 0, 0, 1))
        case "padded":
            i, k = chosen.randint(1, 3), chosen.randint(2, 5)
            pl, pr = chosen.randint(0, 5), chosen.randint(0, 5)
        case "common":
            s, d = 2, chosen.choice((2, 4))
            k = chosen.randint(2, 4)
        case "pointwise":
            k = 1
    return {"i": i, "k": k, "s": s, "d": d, "pl": pl, "pr": pr}


def cases(seed: int, wanted: Callable[[], Sequence[str]] = lambda: tuple(BODIES)) -> Iterator[Case]:
    """Random cases without end, of the bodies that are wanted; the same seed draws the same."""
    number = 0
    while True:
        number += 1
        chosen = random.Random(f"{seed}/{number}")
        body = chosen.choice(wanted())
        plain = 0.1 if body in ("padded means", "padded sums", "circles", "map before") else 0.7
        boundary = "zeros" if chosen.random() < plain else chosen.choice(BOUNDARIES)
        g = geometry(chosen)
        outputs = (g["i"] + g["pl"] + g["pr"] - g["d"] * (g["k"] - 1) - 1) // g["s"] + 1
        if outputs < 1 or not _allowed(boundary, g):
            continue
        diagram = template(body, boundary)
        more = {"a": chosen.randint(0, 2), "b": chosen.randint(1, 2), "c": chosen.randint(0, 1)}
        if body == "step behind":
            if outputs < more["b"]:
                continue
            more["c"] = chosen.randrange(more["b"])
        if body == "digits":
            more["b"], more["c"] = max(1, g["k"] + chosen.choice((-1, 0, 0, 1))), 0
        if body == "mask":
            more["c"] = chosen.choice((0, 1, 2, 30))
        if body == "stacked" and outputs + 2 * more["c"] < 2:
            continue
        values = {**g, **more, "n": 2, "m": 2, "h": 2 * g["i"] + 2}
        if body == "map before":
            values["h"] = g["i"] + chosen.randint(0, 2)
        if body == "circles":
            values["q"] = outputs
        if body == "digits":
            values["o"] = outputs
        if body == "step behind":
            values["q"] = outputs // more["b"]
        fixed = at(diagram, **{w: v for w, v in values.items() if _has(diagram, w)})
        if any(isinstance(e, int) and e < 1 for e in fixed.sizes.values()):
            continue
        yield Case(fixed, f"{body}, {boundary}, {values}", body)


def _allowed(boundary: str, g: Mapping[str, int]) -> bool:
    """What a boundary asks for: reflection an entry more than it pads, a circle as many."""
    widest = max(g["pl"], g["pr"])
    least = {"reflect": widest + 1, "circular": widest}.get(boundary, 0)
    return g["i"] >= least


def _has(diagram: Diagram, name: str) -> bool:
    wires = {w for o in diagram.operands for w in o.sizes} | set(diagram.sizes)
    inner = {w for term in diagram.terms for w in term.sizes}
    return name in diagram.parameters or name in wires | inner


# -- values in integers ----------------------------------------------------------------------------


def dense(relation: Relation, sizes: Mapping[str, Any]) -> Array:
    """A relation as an array of counts, every entry looked at."""
    shape = tuple(int(sizes[w]) for w in relation.wires)
    grids = dict(zip(relation.wires, np.indices(shape), strict=True))
    total = np.zeros(shape, dtype=np.int64)
    for piece in relation.pieces:
        holds = np.ones(shape, dtype=bool)
        for equation in piece.equations:
            value = _form(equation.form, grids, shape)
            m = equation.modulus
            holds &= (value if m is None else value % int(m)) == 0
        for bound in piece.bounds:
            holds &= _form(bound, grids, shape) >= 0
        total += holds
    return total


def _form(form: Any, grids: Mapping[str, Array], shape: tuple[int, ...]) -> Array:
    value = np.full(shape, int(form.constant), dtype=np.int64)
    for wire, c in form.terms:
        value += int(c) * grids[wire]
    return value


def value(diagram: Diagram, given: Mapping[str, Array]) -> Array:
    """The value over the open axes, in integers."""
    shape = tuple(int(diagram.sizes[w]) for w in diagram.open)
    total = np.zeros(shape, dtype=np.int64)
    for term in diagram.terms:
        if term.scalar != 0:
            total += int(term.scalar) * _term(term, diagram.open, given)
    return total.reshape(tuple(int(n) for n in diagram.shape()))


Factors = list[tuple[list[str], Array]]


def _term(term: Network, opened: tuple[str, ...], given: Mapping[str, Array]) -> Array:
    factors: Factors = []
    for tensor in term.tensors:
        if isinstance(tensor, Relation):
            array = dense(tensor, term.sizes)
        else:
            array = given[tensor.name].reshape([int(term.sizes[w]) for w in tensor.wires])
        factors.append((list(tensor.wires), array))
    for wire in opened:  # one that no tensor has is broadcast
        factors.append(([wire], np.ones(int(term.sizes[wire]), dtype=np.int64)))
    if not term.bundles:
        return _product(factors, opened)
    return _bundled(term, opened, factors)


def _product(factors: Factors, out: Sequence[str]) -> Array:
    numbers: dict[str, int] = {}
    arguments: list[Any] = []
    for wires, array in factors:
        arguments += [array, [numbers.setdefault(w, len(numbers)) for w in wires]]
    made: Array = np.einsum(*arguments, [numbers[w] for w in out], optimize="greedy")
    return made


def _bundled(term: Network, opened: tuple[str, ...], factors: Factors) -> Array:
    """The value with each bundle flattened to one wire in every factor, views read first."""
    for place, view in term.relations():
        if view.view is not None and view.view not in opened:
            factors = _read_through(factors, place, view.view)
    flat = [_flattened(factor, term) for factor in factors]
    apart = [w for w in opened if not any(w in bundle for bundle in term.bundles)]
    joined = [b for b in term.bundles if b[0] in opened]
    made = _product(flat, [*apart, *map(" ".join, joined)])
    order = [*apart, *(w for b in joined for w in b)]
    made = made.reshape([int(term.sizes[w]) for w in order])
    return made.transpose([order.index(w) for w in opened])


def _read_through(factors: Factors, at: int, wire: str) -> Factors:
    """The factors at a wire as one, at the place of the view; none is lost."""
    mine = [n for n, (wires, _) in enumerate(factors) if wire in wires or n == at]
    kept = [w for w in dict.fromkeys(w for n in mine for w in factors[n][0]) if w != wire]
    read = _product([factors[n] for n in mine], kept)
    rest: Factors = [([], np.ones((), dtype=np.int64)) if n in mine else f for n, f in
                     enumerate(factors)]  # fmt: skip
    rest[at] = (kept, read)
    return rest


def _flattened(factor: tuple[list[str], Array], term: Network) -> tuple[list[str], Array]:
    wires, array = factor
    for bundle in term.bundles:
        if not set(bundle) & set(wires):
            continue
        if not set(bundle) <= set(wires):  # the ones of an open wire
            assert len(wires) == 1
            return [], np.ones((), dtype=np.int64)
        order = [w for w in wires if w not in bundle]
        array = array.transpose([wires.index(w) for w in (*order, *bundle)])
        array = array.reshape([*array.shape[: len(order)], -1])
        wires = [*order, " ".join(bundle)]
    return wires, array


def operands(diagram: Diagram, seed: int) -> dict[str, Array]:
    """Small random integers."""
    generator = np.random.default_rng(seed)
    made = {}
    for o in diagram.operands:
        shape = tuple(int(n) for n in o.shape())
        made[o.name] = (
            drawn(o.kind, shape[0], generator, whole=True).astype(np.int64)
            if o.kind
            else generator.integers(-4, 5, shape)
        )
    return made


# -- the sweep -------------------------------------------------------------------------------------


@dataclass
class Tally:
    """How often a rule fired, and how often the value changed."""

    fired: int = 0
    wrong: int = 0
    first: str = ""
    bodies: list[str] = field(default_factory=list)

    def add(self, right: bool, name: str, case: Case) -> None:
        """One firing."""
        self.fired += 1
        if case.body not in self.bodies:
            self.bodies.append(case.body)
        if not right:
            self.wrong += 1
            self.first = self.first or f"{name}: {case.said}"


def sweep(fired: int, seed: int, progress: Progress | None = None) -> dict[str, Tally]:
    """Draw cases until every rule has fired that often (or a hundred times as many were drawn)."""
    tallies = {name: Tally() for name in RULES}
    task = progress.add_task("rewriting", total=fired * len(RULES)) if progress else None

    def wanted() -> tuple[str, ...]:
        """Once every rule has been seen: the bodies where those fire that are not done."""
        if any(t.fired < min(fired, 20) for t in tallies.values()):
            return tuple(BODIES)
        rest = {b for t in tallies.values() if t.fired < fired for b in t.bodies}
        return tuple(b for b in BODIES if b in rest) or tuple(BODIES)

    for number, case in enumerate(cases(seed, wanted)):
        if all(t.fired >= fired for t in tallies.values()) or number > 100 * fired:
            break
        given = operands(case.diagram, number)
        expected = value(case.diagram, given)
        for name, after in _rewrites(case.diagram, tallies, fired):
            right = np.array_equal(value(after, given), expected)
            tallies[name].add(right, name, case)
        if progress and task is not None:
            progress.update(task, completed=sum(min(t.fired, fired) for t in tallies.values()))
    return tallies


def _rewrites(
    diagram: Diagram, tallies: Mapping[str, Tally], fired: int
) -> Iterator[tuple[str, Diagram]]:
    """What rules make of a diagram, each by itself; then every diagram of its derivation."""
    for name, rule in RULES.items():
        if tallies[name].fired < fired:
            yield from ((name, made) for made in _single(rule, diagram))
    for step in Pipeline().run(diagram).trace.rewrites:
        if tallies[step.rule.name].fired < fired:
            yield step.rule.name, step.after


def _single(rule: Rule, diagram: Diagram) -> Iterator[Diagram]:
    for number, _, match in rule.matches(diagram):
        yield apply(diagram, number, match.edit)


def main() -> int:
    """Run from the command line; status 1 where a value changed or a rule did not fire enough."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fired", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/rule_sweep.*")
    options = parser.parse_args()
    console = Console()
    with Progress(console=console) as progress:
        tallies = sweep(options.fired, options.seed, progress)
    rows = tuple((name, f"{t.fired:,}", str(t.wrong)) for name, t in tallies.items())
    title = "rules on random hyper-parameters: dense values before and after, in integers"
    sheet = Sheet(title, ("rule", "fired", "value changed"), rows)
    console.print(sheet.rich())
    if options.save:
        command = f"python -m tests.rule_sweep --fired {options.fired} --seed {options.seed} --save"
        results.save(
            "rule_sweep", command, [sheet], [asdict(t) | {"rule": n} for n, t in tallies.items()]
        )
    for tally in tallies.values():
        if tally.first:
            console.print(tally.first)
    short = [name for name, tally in tallies.items() if tally.fired < options.fired]
    if short:
        console.print(f"fired too seldom: {', '.join(short)}")
    return int(bool(short) or any(t.wrong for t in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
