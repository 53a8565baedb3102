"""Every rule on random hyper-parameters: the dense value is kept exactly, in integers.

    python -m tests.rule_sweep --fired 2000 --seed 0

A case draws an operation, boundaries and K, S, D, I and the padding left and right, or relations
that no layer has: sums of brackets, whether they overlap or not, maps in a row, sizes of one. Each
rule that applies to it is carried out by itself, and whole derivations are followed rewrite by
rewrite; the value before and after is compared in integer arithmetic, every relation as a dense
array that is enumerated here. Of some cases, rules see hyper-parameters only, and numbers are put
in for the sizes afterwards. A quarter as many cases of each body are drawn as each rule has to
fire; then more of those bodies where one has not fired often enough.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from benchmarks import results
from benchmarks.results import Sheet
from diagrammar.ir.diagram import Diagram, Network
from diagrammar.ir.matrices import drawn
from diagrammar.ir.relation import Relation
from diagrammar.rewrite.rule import Rule, apply
from diagrammar.rules import RULES
from diagrammar.rules.passes import Pipeline
from tests.rule_cases import ANY, BODIES, CHAINS, Case, cases

Array = np.ndarray[Any, np.dtype[np.int64]]

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
    if not arguments:
        return np.ones((), dtype=np.int64)
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
    seen = dict.fromkeys(BODIES, 0)
    task = progress.add_task("rewriting", total=fired * len(RULES)) if progress else None

    def wanted() -> tuple[str, ...]:
        """The bodies that have not been seen; then those where a rule fires that is not done."""
        unseen = tuple(b for b in BODIES if seen[b] < max(1, fired // 4))
        rest = {b for t in tallies.values() if t.fired < fired for b in t.bodies}
        return unseen or tuple(b for b in BODIES if b in rest) or tuple(BODIES)

    for number, case in enumerate(cases(seed, wanted)):
        done = min(seen.values()) >= fired // 4 and all(t.fired >= fired for t in tallies.values())
        if done or number > 100 * fired:
            break
        seen[case.body] += 1
        before = case.closed(case.diagram)
        given = operands(before, number)
        expected = value(before, given)
        for name, after in _rewrites(case):
            right = np.array_equal(value(case.closed(after), given), expected)
            tallies[name].add(right, name, case)
        if progress and task is not None:
            progress.update(task, completed=sum(min(t.fired, fired) for t in tallies.values()))
    return tallies


COMPOSED = Pipeline(("delta", "connectivity", "composition", "connectivity", "parallel"))


def _rewrites(case: Case) -> Iterator[tuple[str, Diagram]]:
    """What rules make of a diagram, each by itself; then every diagram of its derivations."""
    for name, rule in RULES.items():
        yield from ((name, made) for made in _single(rule, case.diagram))
    pipelines = (Pipeline(), COMPOSED) if case.body in (ANY, *CHAINS) else (Pipeline(),)
    for pipeline in pipelines:
        for step in pipeline.run(case.diagram).trace.rewrites:
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
    rows = tuple(
        (name, f"{t.fired:,}", str(len(t.bodies)), str(t.wrong)) for name, t in tallies.items()
    )
    title = "rules on random hyper-parameters: dense values before and after, in integers"
    sheet = Sheet(title, ("rule", "fired", "in operations", "value changed"), rows)
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
