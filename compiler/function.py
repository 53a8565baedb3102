"""Compiled functions: one program per shape signature, made on the first call and kept."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diagrammar.diagram import Declared, Diagram
from diagrammar.grammar.errors import DiagramError, Problem, near
from diagrammar.pipeline import Trace
from diagrammar.plan.candidates import Candidate, candidates, choose
from diagrammar.plan.cost import DEFAULT
from diagrammar.plan.measure import MOST, fastest
from diagrammar.plan.memory import parse_bytes, peak_elements, show_bytes
from diagrammar.plan.planner import Planned, axis_names, bindings, dense
from diagrammar.plan.report import Plan
from diagrammar.plan.store import Store
from diagrammar.plan.writer import Origin
from diagrammar.program import Program
from diagrammar.sizes import Contradiction, solve
from diagrammar.specialise import at_rank, missing, resolve_values, shape_facts, unmet, value_facts

if TYPE_CHECKING:
    from torch import Tensor

DTYPES = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")


@dataclass(frozen=True)
class Options:
    """How to compile.

    backend: "torch", or "numpy" for the dense oracle. memory: the most bytes a call may allocate
    beyond its operands ("2GiB"). accumulate: the dtype that operands are cast to first, results
    being cast back. native: whether library convolutions may be used. without: rules that are
    switched off. plan: "cost" takes the candidate that the cost model prefers; "measure" times the
    best few on the first call, for its dtype and device, and remembers the choice on disk
    (`diagrammar.plan.store`).
    """

    backend: str = "torch"
    memory: int | None = None
    accumulate: str | None = None
    native: bool = True
    without: frozenset[str] = frozenset()
    plan: str = "cost"

    @staticmethod
    def take(values: Mapping[str, Any]) -> tuple[Options, dict[str, Any]]:
        """Options, and the sizes and parameters that are left; DiagramError for an option's bad
        value."""
        rest = dict(values)
        given = {n: rest.pop(n) for n in tuple(rest) if n in Options.__dataclass_fields__}
        problems = []
        if given.get("backend", "torch") not in ("torch", "numpy"):
            problems.append(_option("backend", given["backend"], "'torch' or 'numpy'"))
        if given.get("plan", "cost") not in ("cost", "measure"):
            problems.append(_option("plan", given["plan"], "'cost' or 'measure'"))
        if given.get("accumulate") not in (None, *DTYPES):
            help = near(str(given["accumulate"]), DTYPES)
            problems.append(_option("accumulate", given["accumulate"], ", ".join(DTYPES), help))
        if given.get("memory") is not None:
            try:
                given["memory"] = parse_bytes(given["memory"])
            except ValueError as error:
                problems.append(Problem(str(error)))
        if problems:
            raise DiagramError(problems)
        given["without"] = frozenset(given.get("without", ()))
        return Options(**given), rest


def _option(name: str, value: Any, choices: str, help: str = "") -> Problem:
    return Problem(f"option '{name}' must be {choices}, not {value!r}", help=help)


@dataclass(frozen=True)
class SourceLine:
    """A line of emitted source: the tensors of the simplified diagrams that it brings in, and all
    that its value is made from, each as (diagram, term, place in the term)."""

    text: str
    brings: frozenset[Origin]
    within: frozenset[Origin]


@dataclass(frozen=True)
class Specialised:
    """A function for fixed operand shapes: callable, with its `source`, `plan`, `program` and
    the traces of its diagrams."""

    call: Callable[..., Any]
    source: str
    planned: Planned
    traces: tuple[Trace, ...]
    diagrams: tuple[Diagram, ...]
    options: Options
    checked: bool = False
    candidates: tuple[Candidate, ...] = ()
    chosen: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, *operands: Tensor) -> Any:
        """The result, or a tuple of results."""
        return self.call(*operands)

    @property
    def program(self) -> Program:
        """The linear program that was emitted."""
        return self.planned.program

    @cached_property
    def plan(self) -> Plan:
        """The contraction tree with multiplications, bytes and peak memory; `print` it."""
        said = [(c.name, c.cost, self.seconds.get(c.name), c.peak) for c in self.candidates]
        return Plan(self.planned, said, self.chosen)

    @cached_property
    def lines(self) -> tuple[SourceLine, ...]:
        """The lines of the source, each with the tensors of `diagrams` that it deals with."""
        if not self.source:
            return ()
        from diagrammar.backends.torch import line_origins

        steps = line_origins(self.program, checked=self.checked)
        own, within = self.planned.origins, self.planned.within()
        return tuple(
            SourceLine(
                text,
                frozenset[Origin]().union(*(own[n] for n in done)),
                frozenset[Origin]().union(*(within[n] for n in done)),
            )
            for text, done in zip(self.source.splitlines(), steps, strict=True)
        )

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the report of this function, one file that needs no network, and return the path:
        the derivation of each result with what every step costs, the plan, and the source, linked
        with the pictures. Raises OSError if it cannot be written."""
        from diagrammar.draw import render
        from diagrammar.draw.files import write

        return write(path, render(self, "html"))

    def _repr_html_(self) -> str:
        from diagrammar.draw.tables import specialised_table

        return specialised_table(self)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{p.name}={tuple(p.shape)}" for p in self.program.parameters)
        return f"<{self.program.name} for {shapes}>"


class Function:
    """A function of a diagram's operands, by position (in order of first appearance) or by name.

    It specialises itself for each new combination of operand shapes and keeps what it made.
    """

    def __init__(
        self, diagrams: Sequence[Diagram], values: Mapping[str, Any], options: Options
    ) -> None:
        self.diagrams = tuple(diagrams)
        self.values = dict(values)
        self.options = options
        self.name = "_".join(d.name for d in self.diagrams)
        self.operands = _operands(self.diagrams)
        self._made: dict[Any, Callable[..., Any]] = {}
        self._kept: dict[tuple[tuple[int, ...], ...], Specialised] = {}
        self._ranked: dict[int, Function] = {}

    def __call__(self, *operands: Tensor, **named: Tensor) -> Any:
        """The result for these operands; a tuple for several diagrams.

        Raises DiagramError when an operand is missing or a shape does not fit.
        """
        if named or len(operands) != len(self.operands):
            operands = self._bound(operands, named)
        made = self._made.get(tuple([x.shape for x in operands]))
        if made is None:
            made = self._make(operands)
        return made(*operands)

    def _bound(self, given: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[Any, ...]:
        names = [o.name for o in self.operands]
        problems = [
            Problem(
                f"'{self.name}' has no operand '{n}'",
                help=near(n, names) or f"it takes {', '.join(names)}",
            )
            for n in named
            if n not in names
        ]
        values = dict(zip(names, given, strict=False))
        problems += [Problem(f"operand '{n}' is given twice") for n in named if n in values]
        values.update(named)
        if len(given) > len(names):
            problems.append(Problem(f"'{self.name}' takes {len(names)} operands, not {len(given)}"))
        problems += [
            Problem(f"operand '{o.name}' is missing", help=f"its axes are {_axes(o)}")
            for o in self.operands
            if o.name not in values
        ]
        if problems:
            raise DiagramError(problems)
        return tuple(values[n] for n in names)

    def _make(self, operands: tuple[Any, ...]) -> Callable[..., Any]:
        shapes = tuple(tuple(int(n) for n in x.shape) for x in operands)
        special = self._specialised(shapes)
        self._check_memory(special, operands)
        if self.options.plan == "measure":
            special = self._kept[shapes] = measured(special, operands)
        self._made[tuple([x.shape for x in operands])] = special.call
        return special.call

    def _check_memory(self, special: Specialised, operands: tuple[Any, ...]) -> None:
        if self.options.memory is None:
            return
        itemsize = max((x.element_size() for x in operands), default=4)
        peak = peak_elements(special.program) * itemsize
        if peak > self.options.memory:
            raise DiagramError(
                [
                    Problem(
                        f"'{self.name}' would allocate {show_bytes(peak)} for these shapes, "
                        f"more than the budget of {show_bytes(self.options.memory)}",
                        help="raise memory=…, or give a smaller batch",
                    )
                ]
            )

    def specialise(self, **shapes: Sequence[int]) -> Specialised:
        """The function for given operand shapes, as a call with such operands would make it.

        Raises DiagramError for missing operands and sizes that do not fit.
        """
        ordered = self._bound((), shapes)
        return self._specialised(tuple(tuple(int(n) for n in s) for s in ordered))

    def _specialised(self, shapes: tuple[tuple[int, ...], ...]) -> Specialised:
        if any(d.family for d in self.diagrams):
            return self._of_rank(shapes)._specialised(shapes)
        if shapes not in self._kept:
            named = dict(zip((o.name for o in self.operands), shapes, strict=True))
            diagrams = tuple(_fixed(d, self.values, named) for d in self.diagrams)
            self._kept[shapes] = build(self.name, diagrams, self.options)
        return self._kept[shapes]

    def _of_rank(self, shapes: Sequence[Sequence[int]]) -> Function:
        """The function at the rank that operands of these shapes have."""
        rank = _rank(self.diagrams, dict(zip((o.name for o in self.operands), shapes, strict=True)))
        if rank not in self._ranked:
            self._ranked[rank] = compile_ranked(
                self.diagrams, {**self.values, "rank": rank}, self.options
            )
        return self._ranked[rank]

    def specialised(self) -> tuple[Specialised, ...]:
        """The functions made so far, one a combination of operand shapes."""
        ranked = (s for f in self._ranked.values() for s in f.specialised())
        return (*self._kept.values(), *ranked)

    def generic(self) -> Specialised:
        """One function for all shapes; sizes are read off the operands when it is called.

        Raises DiagramError when a parameter has no value, or a size is not fixed by any operand.
        """
        if any(d.family for d in self.diagrams):
            message = f"the rank of '{self.name}' is open"
            raise DiagramError([Problem(message, help="give it: compile(rank=2)")])
        diagrams = []
        for diagram in self.diagrams:
            symbols, problems = resolve_values(diagram, self.values)
            if problems:
                raise DiagramError(problems)
            fixed = diagram.substitute(symbols)
            bound = frozenset(b.name for b in bindings((fixed,), fixed.operands))
            problems = missing(fixed, bound)
            if problems:
                raise DiagramError(problems)
            diagrams.append(fixed)
        return build(self.name, tuple(diagrams), self.options, checked=True)

    def to_html(self, path: str | os.PathLike[str], **shapes: Sequence[int]) -> Path:
        """Write the report of the function for given operand shapes, as `specialise` takes them, or
        without any that of the shape-generic one; return the path.

        Raises DiagramError for shapes that do not fit, OSError if the file cannot be written.
        """
        made = self.specialise(**shapes) if shapes or not self.operands else self.generic()
        return made.to_html(path)

    @property
    def source(self) -> str:
        """The source of the shape-generic function; see `specialise(…).source` for that of one
        shape."""
        return self.generic().source

    def made_for(self) -> tuple[str, ...]:
        """The operand shapes that it was made for so far, in order."""
        names = [o.name for o in self.operands]
        own = (
            ", ".join(f"{n}={s}" for n, s in zip(names, shapes, strict=True))
            for shapes in self._kept
        )
        return (*own, *(made for f in self._ranked.values() for made in f.made_for()))

    def _repr_html_(self) -> str:
        from diagrammar.draw.tables import function_table

        return function_table(self)

    def __repr__(self) -> str:
        taken = ", ".join(f"{o.name}{_axes(o)}" for o in self.operands)
        return f"<Function {self.name}({taken})>"


def _axes(operand: Declared) -> str:
    return f"[{', '.join(axis_names(operand.axes))}]"


def _operands(diagrams: Sequence[Diagram]) -> tuple[Declared, ...]:
    """All operands, in order of first appearance."""
    found: dict[str, Declared] = {}
    for diagram in diagrams:
        for operand in diagram.operands:
            found.setdefault(operand.name, operand)
    return tuple(found.values())


def _rank(diagrams: Sequence[Diagram], shapes: Mapping[str, Sequence[int]]) -> int:
    """The rank of packs, from the first operand whose number of axes depends on it."""
    one, two = ([d.family(r) if d.family else d for d in diagrams] for r in (1, 2))
    more = {o.name: len(o.axes) for o in _operands(two)}
    for operand in _operands(one):
        step = more[operand.name] - len(operand.axes)
        if step == 0:
            continue
        rank, rest = divmod(len(shapes[operand.name]) - len(operand.axes) + step, step)
        if rest == 0 and rank >= 1:
            return rank
        count = len(shapes[operand.name])
        message = f"operand '{operand.name}' has {count} axes, which no rank fits"
        way = f"at rank 1 it has {len(operand.axes)}, at rank 2 {more[operand.name]}"
        raise DiagramError([Problem(message, help=way)])
    message = "no operand shows the rank of the packs"
    raise DiagramError([Problem(message, help="give it: compile(rank=2)")])


def _fixed(
    diagram: Diagram, values: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]
) -> Diagram:
    """The diagram with every size known; DiagramError for what does not fit or cannot be known."""
    facts, problems = value_facts(diagram, values)
    more, wrong = shape_facts(diagram, shapes)
    if problems or wrong:
        raise DiagramError([*problems, *wrong])
    try:
        symbols = solve([*facts, *more])
    except Contradiction as clash:
        raise DiagramError([clash.problem]) from None
    fixed = diagram.substitute(symbols)
    unmet_ones = unmet(diagram, symbols)
    if unmet_ones:
        raise DiagramError(unmet_ones)
    unknown = missing(fixed)
    if unknown:
        raise DiagramError(unknown)
    formulas = {w for w, s in diagram.sizes.items() if not isinstance(s, int) and not s.is_Symbol}
    empty = [w for w, s in fixed.sizes.items() if isinstance(s, int) and s < (w in formulas)]
    if empty:
        raise DiagramError([_no_output(diagram, fixed, w) for w in empty[:1]])
    return fixed


def _no_output(diagram: Diagram, fixed: Diagram, wire: str) -> Problem:
    from diagrammar.scalar import text

    formula = text(diagram.sizes[wire], lambda s: f"|{s}|") if wire in diagram.sizes else ""
    return Problem(
        f"wire '{wire}' would have size {fixed.sizes[wire]}: {formula}",
        help="the kernel does not fit into the padded input; give a larger input or more padding",
    )


def build(
    name: str, diagrams: Sequence[Diagram], options: Options, *, checked: bool = False
) -> Specialised:
    """Simplify, plan and emit some diagrams as one function."""
    operands = _operands(diagrams)
    if options.backend == "numpy":
        program = dense(name, diagrams, operands)
        call = _oracle(program)
        return Specialised(call, "", Planned(program, ()), (), tuple(diagrams), options)
    found = candidates(
        name,
        diagrams,
        operands,
        DEFAULT,
        native=options.native,
        without=options.without,
        accumulate=options.accumulate,
        doc=lambda simplified: _doc(diagrams, simplified),
    )
    chosen = choose(found, None if options.memory is None else options.memory // 4)
    return emitted(name, chosen, found, options, checked=checked)


def emitted(
    name: str,
    chosen: Candidate,
    found: Sequence[Candidate],
    options: Options,
    *,
    checked: bool = False,
) -> Specialised:
    """A candidate as a function."""
    planned, simplified = chosen.planned, chosen.start
    from diagrammar.backends import torch as backend

    source = backend.emit_module([planned.program], "", checked=checked)
    loaded = _Loading(backend, source, name)
    return Specialised(
        loaded,
        source,
        planned,
        tuple(s.trace for s in simplified),
        tuple(s.diagram for s in simplified),
        options,
        checked,
        tuple(found),
        chosen.name,
    )


def measured(
    special: Specialised, operands: Sequence[Any], store: Store | None = None
) -> Specialised:
    """The fastest of the best few candidates for operands like these, as a function.

    What cannot be timed (operands without memory, a call that is being traced) keeps the cost
    model's choice.
    """
    import torch

    from diagrammar.backends import torch as backend

    if special.options.backend != "torch" or torch.compiler.is_compiling():
        return special
    if any(x.device.type == "meta" for x in operands):
        return special
    itemsize = max((x.element_size() for x in operands), default=4)
    budget = special.options.memory
    fitting = [c for c in special.candidates if budget is None or c.peak * itemsize <= budget]
    few = fitting[:MOST]
    if len(few) < 2:
        return special
    name = special.program.name
    sources = [backend.emit_module([c.planned.program], "", checked=False) for c in few]
    facts = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": _device(operands[0]) if operands else "cpu",
        "operands": [(tuple(x.shape), str(x.dtype)) for x in operands],
    }

    def calls() -> list[Callable[[], Any]]:
        made = [torch.ones(tuple(x.shape), dtype=x.dtype, device=x.device) for x in operands]
        functions = [backend.load(source, name)[name] for source in sources]
        wait = torch.cuda.synchronize if any(x.is_cuda for x in operands) else None
        return [partial(_timed_call, f, made, wait) for f in functions]

    best, seconds = fastest(sources, facts, calls, store or Store())
    chosen = few[best]
    times = {c.name: s for c, s in zip(few, seconds, strict=True)}
    made = emitted(name, chosen, special.candidates, special.options, checked=special.checked)
    return replace(made, seconds=times)


def _device(operand: Any) -> str:
    """What does the work: a GPU's name, or the kind of device."""
    import torch

    if operand.is_cuda:
        return str(torch.cuda.get_device_name(operand.device))
    return f"{operand.device.type} {platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def _timed_call(call: Callable[..., Any], operands: Sequence[Any], wait: Any) -> None:
    """A call without a tape, until its result is there."""
    import torch

    with torch.no_grad():
        call(*operands)
    if wait is not None:
        wait()


class _Loading:
    """The emitted function, loaded (and torch imported) when it is first called."""

    def __init__(self, backend: Any, source: str, name: str) -> None:
        self._backend, self._source, self._name = backend, source, name

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The Python function itself."""
        loaded: Callable[..., Any] = self._backend.load(self._source, self._name)[self._name]
        return loaded

    def __call__(self, *operands: Any) -> Any:
        return self.function(*operands)


def _doc(diagrams: Sequence[Diagram], simplified: Sequence[Any]) -> str:
    """The definitions' documentation and the laws that were used."""
    parts = [d.doc for d in diagrams if d.doc]
    laws = dict.fromkeys(law for s in simplified for law in s.trace.laws)
    if laws:
        parts.append("Laws: " + ";\n      ".join(laws))
    return "\n\n".join(parts)


def _oracle(program: Program) -> Callable[..., Any]:
    def call(*operands: Any) -> Any:
        from diagrammar.backends.numpy import evaluate

        given = dict(zip((p.name for p in program.parameters), operands, strict=True))
        results = evaluate(program, given)
        return results[0] if len(results) == 1 else results

    return call


def compile_diagrams(diagrams: Sequence[Diagram], values: Mapping[str, Any]) -> Function:
    """A function of some diagrams' operands. Raises DiagramError for unknown names and bad
    values."""
    options, rest = Options.take(values)
    return compile_ranked(diagrams, rest, options)


def compile_ranked(
    diagrams: Sequence[Diagram], values: Mapping[str, Any], options: Options
) -> Function:
    """A function of diagrams whose packs have the `rank` among the values, or an open one."""
    rest = {n: v for n, v in values.items() if n != "rank"}
    if "rank" in values:
        diagrams = [at_rank(d, {"rank": values["rank"]})[0] for d in diagrams]
    is_open = any(d.family for d in diagrams)
    problems: dict[str, Problem] = {}
    per_diagram = []
    for diagram in diagrams:
        found = resolve_values(diagram, rest)[1]
        per_diagram.append(found)
        problems.update({str(p): p for p in found})
    # a name need only be known to one of several diagrams
    unknown_everywhere = [
        p
        for text, p in problems.items()
        if not p.message.startswith("unknown") or all(text_in(text, f) for f in per_diagram)
    ]
    if is_open:  # what depends on the rank is for later
        unknown_everywhere = [p for p in unknown_everywhere if p.message.startswith("unknown")]
    if unknown_everywhere:
        raise DiagramError(unknown_everywhere)
    return Function(diagrams, rest, options)


def text_in(text: str, problems: Sequence[Problem]) -> bool:
    """Whether a problem's message is among some."""
    first = text.split("\n", 1)[0]
    return any(str(p).split("\n", 1)[0] == first for p in problems)
