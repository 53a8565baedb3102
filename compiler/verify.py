"""Compare every rewrite and every emitted function of a file with the dense oracle, on random
operands.

For a definition and random small sizes, the diagram as written is evaluated densely, in float64.
Each step of its derivation must have the same value, at these sizes and without sizes. So must both
emitted functions, the specialised one and the shape-generic one.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from diagrammar.backends.numpy import evaluate
from diagrammar.grammar.errors import DiagramError
from diagrammar.ir.diagram import Declared, Diagram, product
from diagrammar.ir.matrices import drawn
from diagrammar.ir.relation import Relation
from diagrammar.ir.sizes import base
from diagrammar.ir.symbols import names_of, readings, symbols_of
from diagrammar.plan.planner import dense
from diagrammar.transform.values import resolve_values

if TYPE_CHECKING:
    import sympy

    from diagrammar.rewrite.engine import Trace

TOLERANCE: Final = 1e-10
"""The largest difference that counts as rounding, relative to the largest entry."""

ATTEMPTS: Final = 400
"""Draws of sizes before a definition counts as one that no sizes fit."""
LARGEST_TENSOR: Final = 20_000
"""Entries of the largest tensor that is drawn."""
NO_OPERANDS: Final = "skipped: it has no operands"
RANKS: Final = (2, 1, 3)
"""Members of packs of open rank, in turn."""

Array = np.ndarray[Any, np.dtype[Any]]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Mismatch:
    """A rewrite or a function whose value differs from the definition's, and the sizes for which it
    does."""

    definition: str
    what: str
    values: Mapping[str, int]
    problem: str

    def __str__(self) -> str:
        sizes = ", ".join(f"{name} = {value}" for name, value in self.values.items())
        return f"{self.definition}, {self.what}: {self.problem}\n  with {sizes}"


@dataclass(frozen=True)
class Verdict:
    """The comparisons for one definition, and the largest relative error."""

    name: str
    cases: int
    rewrites: int
    functions: int
    largest_error: float
    mismatches: tuple[Mismatch, ...] = ()
    skipped: str = ""

    @property
    def ok(self) -> bool:
        """Whether all agreed; a definition for which no sizes were found is not ok."""
        return not self.mismatches and self.skipped in ("", NO_OPERANDS)


@dataclass(frozen=True)
class Report:
    """The verdicts on a file's definitions; `str` shows them as a table."""

    verdicts: tuple[Verdict, ...]

    @property
    def mismatches(self) -> tuple[Mismatch, ...]:
        """All mismatches."""
        return tuple(m for verdict in self.verdicts for m in verdict.mismatches)

    @property
    def ok(self) -> bool:
        """Whether every definition is ok."""
        return all(verdict.ok for verdict in self.verdicts)

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield the rows of the table, its head first."""
        yield "definition", "cases", "rewrites", "functions", "largest error", ""
        for v in self.verdicts:
            counts = (str(v.cases), str(v.rewrites), str(v.functions))
            result = v.skipped or ("MISMATCH" if v.mismatches else "ok")
            yield v.name, *counts, f"{v.largest_error:.1e}", result

    def __str__(self) -> str:
        rows = list(self.rows())
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(
                [row[0].ljust(widths[0])]
                + [cell.rjust(n) for cell, n in zip(row[1:-1], widths[1:-1], strict=True)]
                + [row[-1]]
            ).rstrip()
            for row in rows
        )


def verify(
    spec: Mapping[str, Diagram],
    cases: int = 10,
    seed: int = 0,
    *,
    names: Sequence[str] = (),
    progress: Progress | None = None,
) -> Report:
    """Compare definitions (all, or the named ones) with the oracle in `cases` random cases each.

    The first case of each keeps the sizes and parameters that the file states; packs of open rank
    have two, one and three members in turn. `progress` is called with the definition's name after
    each case.
    """
    verdicts = []
    for name in names or tuple(spec):
        diagram = spec[name]
        tally = _Tally(name)
        for case in range(cases):
            random = np.random.default_rng([seed, case, zlib.crc32(name.encode())])
            closed = diagram.family(RANKS[case % len(RANKS)]) if diagram.family else diagram
            _case(closed, random, tally, own_values=case == 0)
            if progress is not None:
                progress(name)
        verdicts.append(tally.verdict())
    return Report(tuple(verdicts))


@dataclass
class _Tally:
    """The counts while one definition is compared."""

    name: str
    cases: int = 0
    rewrites: int = 0
    functions: int = 0
    largest_error: float = 0.0
    mismatches: list[Mismatch] = field(default_factory=list)
    unfit: str = ""

    def verdict(self) -> Verdict:
        """The counts as a value."""
        return Verdict(
            self.name,
            self.cases,
            self.rewrites,
            self.functions,
            self.largest_error,
            tuple(self.mismatches),
            "" if self.cases else self.unfit,
        )

    def compare(self, expected: Array, value: Array, what: str, values: Mapping[str, int]) -> None:
        """Count one comparison."""
        if value.shape != expected.shape:
            problem = f"shape {value.shape}, not {expected.shape}"
            self.mismatches.append(Mismatch(self.name, what, values, problem))
            return
        scale = float(np.abs(expected).max(initial=0.0)) or 1.0
        error = float(np.abs(value - expected).max(initial=0.0)) / scale
        self.largest_error = max(self.largest_error, error)
        if not error <= TOLERANCE:  # a NaN is also a mismatch
            problem = f"relative error {error:.1e}"
            self.mismatches.append(Mismatch(self.name, what, values, problem))


# -- one case --------------------------------------------------------------------------------


def _case(
    diagram: Diagram, random: np.random.Generator, tally: _Tally, *, own_values: bool
) -> None:
    """Compare one random case."""
    if not diagram.operands:
        tally.unfit = NO_OPERANDS
        return
    drawn_sizes = random_sizes(diagram, random, own_values=own_values)
    if drawn_sizes is None:
        tally.unfit = "no small sizes fit it"
        return
    values, symbols = drawn_sizes
    tally.cases += 1
    fixed = diagram.substitute(symbols)
    operands = {o.name: _drawn(o, random) for o in fixed.operands}
    expected = _oracle(fixed, operands)

    def attempt(what: str, make: Callable[[], Array]) -> None:
        try:
            value = make()
        except Exception as error:  # any error is a mismatch to report
            problem = f"{type(error).__name__}: {error}"
            tally.mismatches.append(Mismatch(tally.name, what, values, problem))
        else:
            tally.compare(expected, value, what, values)

    for kind, trace in _traces(diagram, fixed, values):
        for number, step in enumerate(trace, start=1):
            after = step.after.substitute(symbols)
            what = f"step {number} {kind} ({step.rule.name} at {', '.join(step.at)})"
            attempt(what, partial(_oracle, after, operands))
            tally.rewrites += 1
    attempt("the specialised function", lambda: _specialised(diagram, values, operands))
    attempt("the shape-generic function", lambda: _generic(diagram, values, operands))
    tally.functions += 2


def _traces(
    diagram: Diagram, fixed: Diagram, values: Mapping[str, int]
) -> Iterator[tuple[str, Trace]]:
    """Yield the derivation at the given sizes, and the derivation with parameters only."""
    yield "at these sizes", fixed.simplify().trace.rewrites
    yield "without sizes", diagram.simplify(**_needed(diagram, values)).trace.rewrites


def _oracle(diagram: Diagram, operands: Mapping[str, Array]) -> Array:
    """Evaluate a diagram densely."""
    return evaluate(dense(diagram.name, [diagram], diagram.operands), operands)[0]


def _specialised(
    diagram: Diagram, values: Mapping[str, int], operands: Mapping[str, Array]
) -> Array:
    """Call the function for these shapes."""
    shapes = {name: array.shape for name, array in operands.items()}
    return _called(diagram.compile(**values).specialise(**shapes), diagram, operands)


def _generic(diagram: Diagram, values: Mapping[str, int], operands: Mapping[str, Array]) -> Array:
    """Call the function for all shapes."""
    return _called(diagram.compile(**_needed(diagram, values)).generic(), diagram, operands)


def _called(function: Callable[..., Any], diagram: Diagram, operands: Mapping[str, Array]) -> Array:
    """Call a function on operands as tensors."""

    import torch

    tensors = [torch.from_numpy(operands[o.name].copy()) for o in diagram.operands]
    result: Array = function(*tensors).numpy()
    return result


def _needed(diagram: Diagram, values: Mapping[str, int]) -> dict[str, int]:
    """The values that a shape-generic function needs: parameters, defaults, and sizes that no
    operand has."""
    wanted = {*diagram.parameters, *diagram.defaults}
    fixed = {name: value for name, value in values.items() if name in wanted}
    loose = unbound(diagram, fixed)
    return {name: value for name, value in values.items() if name in wanted or name in loose}


# -- sizes -----------------------------------------------------------------------------------


def unbound(diagram: Diagram, values: Mapping[str, Any]) -> tuple[str, ...]:
    """The sizes that neither `values`, nor the file, nor the shapes of operands give.

    Raises DiagramError for a value that does not fit.
    """
    symbols, problems = resolve_values(diagram, values)
    if problems:
        raise DiagramError(problems)
    fixed = diagram.substitute(symbols)
    bound = {reading.name for reading in readings([fixed], fixed.operands)}
    loose = (str(symbol) for symbol in symbols_of([fixed], fixed.operands))
    return tuple(sorted(name for name in loose if name not in bound))


def _drawn(operand: Declared, random: np.random.Generator) -> Array:
    """Draw an operand; a constant is the matrix that the file declares."""
    shape = tuple(int(n) for n in operand.shape())
    return drawn(operand.kind, shape[0], random) if operand.kind else random.standard_normal(shape)


def random_sizes(
    diagram: Diagram, random: np.random.Generator, *, own_values: bool = False
) -> tuple[dict[str, int], dict[sympy.Symbol, Any]] | None:
    """Draw small sizes and parameters that a diagram can have, by name and by symbol.

    None where none were found in 400 attempts. With `own_values`, values that the file states stay.
    """
    free = diagram if own_values else replace(diagram, defaults={})
    related = {
        base(w)
        for term in diagram.terms
        for tensor in term.tensors
        if isinstance(tensor, Relation)
        for w in tensor.wires
    }
    for _ in range(ATTEMPTS):
        try:
            sizes = _draw(free, random, related)
        except (DiagramError, ZeroDivisionError):  # for example a stride of zero
            continue
        if sizes is not None:
            return sizes
    return None


def _draw(
    diagram: Diagram, random: np.random.Generator, related: set[str]
) -> tuple[dict[str, int], dict[sympy.Symbol, Any]] | None:
    """Draw sizes once; None where they do not fit.

    Every second draw has parameters of 0 and 1 only, and half of the wires that meet a relation are
    short: patterns have their special cases there.
    """
    largest = int(random.choice((1, 2)))
    values: dict[str, int] = {}
    names = names_of(diagram)
    symbols, problems = resolve_values(diagram, values)
    for number in random.permutation(len(names)):
        name, expressions = list(names.items())[number]
        symbol = next((e for e in expressions if getattr(e, "is_Symbol", False)), None)
        if symbol is None or symbol in symbols:
            continue
        if name in diagram.parameters:
            values[name] = int(random.integers(0, largest + 1))
        else:
            top = random.choice((2, 7)) if name in related else 3
            values[name] = int(random.integers(1, top + 1))
        if diagram.equalities:
            symbols, problems = resolve_values(diagram, values)
        if problems:
            return None
    symbols, problems = resolve_values(diagram, values)
    if problems:
        return None
    for name, expressions in names.items():  # sizes that equalities give
        numbers = [symbols[e] for e in expressions if e in symbols]
        if numbers:
            values[name] = int(numbers[0])
    values = {name: values[name] for name in names if name in values}
    return (values, symbols) if _fits(diagram.substitute(symbols)) else None


def _fits(fixed: Diagram) -> bool:
    """Whether every size is a positive integer, and every tensor small."""
    sizes = [*fixed.sizes.values(), *(s for t in fixed.terms for s in t.sizes.values())]
    sizes += [s for o in fixed.operands for s in o.sizes.values()]
    if not all(isinstance(s, int) and s >= 1 for s in sizes):
        return False
    tensors = [fixed.shape(), *(o.shape() for o in fixed.operands)]
    return all(product(shape) <= LARGEST_TENSOR for shape in tensors)
