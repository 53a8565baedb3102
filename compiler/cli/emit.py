"""`diagrammar compile`: a module of functions that needs torch only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from diagrammar import __version__
from diagrammar.cli.inputs import Misuse, chosen, load, settings, shapes
from diagrammar.cli.output import complain, note, write_output
from diagrammar.grammar.errors import DiagramError, Problem, near
from diagrammar.ir.sizes import Contradiction, solve
from diagrammar.ir.symbols import names_of
from diagrammar.transform.values import at_rank, shape_facts, value_facts
from diagrammar.transform.wording import reworded
from diagrammar.verify import unbound

if TYPE_CHECKING:
    from diagrammar.ir.diagram import Diagram
    from diagrammar.language.spec import Spec
    from diagrammar.program import Program

Shapes = Mapping[str, tuple[int, ...]]


def run(
    file: str, names: Sequence[str], output: str, given: Sequence[str], shape: Sequence[str]
) -> int:
    """Write the functions of some definitions, or of all that compile; the exit status."""
    values, known = settings(given), shapes(shape)
    spec = load(file)
    selected, other_values = _ranked([spec[name] for name in chosen(spec, names)], values)
    problems = [*_unknown_values(selected, other_values), *_unknown_shapes(selected, known)]
    if problems:
        raise DiagramError(problems)
    programs, failures = _programs(selected, other_values, known)
    if failures and (names or not programs):
        raise DiagramError(problem for error in failures.values() for problem in error.errors)
    for name, error in failures.items():
        complain(_warning(name, problem) for problem in error.errors)
    text = _module(spec, programs, values, known)
    if PurePath(output).suffix.lower() == ".tn":
        raise Misuse(f"'{output}' would be overwritten with Python", "name a .py file with -o")
    write_output(output, text, file, spec)
    if output != "-":
        note(f"wrote {output}: {', '.join(_written(programs))}")
    return 0


def _ranked(
    diagrams: Sequence[Diagram], values: Mapping[str, Any]
) -> tuple[list[Diagram], dict[str, Any]]:
    """Fix the rank of families where it is given; the diagrams, and the other values."""
    if "rank" not in values or not any(diagram.family for diagram in diagrams):
        return list(diagrams), dict(values)
    rank = {"rank": values["rank"]}
    others = {name: value for name, value in values.items() if name != "rank"}
    return [at_rank(d, rank)[0] if d.family else d for d in diagrams], others


def _programs(
    diagrams: Sequence[Diagram], values: Mapping[str, Any], known: Shapes
) -> tuple[list[Program], dict[str, DiagramError]]:
    """Compile each definition with the values that it knows; programs, and errors by name."""
    programs: list[Program] = []
    failures: dict[str, DiagramError] = {}
    for diagram in diagrams:
        try:
            known_values = {name: value for name, value in values.items() if _knows(diagram, name)}
            diagram, known_values = reworded(diagram, known_values)
            programs.append(_program(diagram, known_values, known))
        except DiagramError as error:
            failures[diagram.name] = error
    return programs, failures


def _program(diagram: Diagram, values: Mapping[str, Any], known: Shapes) -> Program:
    """Compile a definition for the given shapes; without any, for all shapes. DiagramError says
    what to pass."""
    function = diagram.compile(**values)
    if known:
        shapes = _all_shapes(diagram, values, known)
        return _planned(diagram, lambda: function.specialise(**shapes).program)
    loose = unbound(diagram, values)
    if loose:
        sizes = ",".join(f"{name}=…" for name in loose)
        many = len(loose) > 1
        raise DiagramError(
            [
                Problem(
                    f"'{diagram.name}' cannot be compiled for all shapes: no operand has the "
                    f"size{'s' * many} of {_listed(loose)}",
                    help=f"give {'them' if many else 'it'}: --set {sizes}",
                )
            ]
        )
    return _planned(diagram, lambda: function.generic().program)


def _all_shapes(diagram: Diagram, values: Mapping[str, Any], known: Shapes) -> Shapes:
    """Work out the shapes of all operands from the given shapes and sizes."""
    sized = replace(diagram, operands=tuple(o for o in diagram.operands if o.name in known))
    facts, problems = value_facts(diagram, values)
    stated, wrong = shape_facts(sized, known)
    if problems or wrong:
        raise DiagramError([*problems, *wrong])
    try:
        fixed = diagram.substitute(solve([*facts, *stated]))
    except Contradiction as clash:
        raise DiagramError([clash.problem]) from None
    shapes = {o.name: o.shape() for o in fixed.operands}
    loose = {n: [s for s in sizes if not isinstance(s, int)] for n, sizes in shapes.items()}
    lacking = {name: sizes for name, sizes in loose.items() if sizes}
    if lacking:
        raise DiagramError([_lacks_shapes(diagram.name, lacking)])
    return {name: tuple(map(int, sizes)) for name, sizes in shapes.items()}


def _lacks_shapes(definition: str, lacking: Mapping[str, Sequence[Any]]) -> Problem:
    """Make the problem of operands without a shape; `lacking` has the unknown sizes of each."""
    symbols = [
        s for sizes in lacking.values() for e in sizes for s in sorted(e.free_symbols, key=str)
    ]
    unknown = ",".join(f"{name}=…" for name in dict.fromkeys(map(str, symbols)))
    many = len(lacking) > 1
    shown = " ".join(f"--shape {name}=…" for name in lacking)
    return Problem(
        f"'{definition}' needs the shape{'s' * many} of {_listed(tuple(lacking))}",
        help=f"give {shown}, or the sizes that {'they' if many else 'it'} "
        f"lack{'s' * (not many)}: --set {unknown}",
    )


def _planned(diagram: Diagram, make: Callable[[], Program]) -> Program:
    """Make a program, and report a ValueError as a problem of the definition."""
    try:
        return make()
    except DiagramError:
        raise
    except ValueError as error:
        raise DiagramError([Problem(f"'{diagram.name}' cannot be compiled: {error}")]) from error


def _listed(names: Sequence[str]) -> str:
    """Quote names, and join them with commas and 'and'."""
    quoted = [f"'{name}'" for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def _warning(name: str, problem: Problem) -> Problem:
    """A warning in place of the error of a definition that is left out."""
    return Problem(
        f"{problem.message}; '{name}' is left out", help=problem.help, severity="warning"
    )


def _unknown_values(diagrams: Sequence[Diagram], values: Mapping[str, Any]) -> list[Problem]:
    """The problems of values that no definition knows."""
    known = dict.fromkeys(name for diagram in diagrams for name in _names(diagram))
    return [
        Problem(
            f"--set {name}={value}: unknown size or parameter '{name}'",
            help=near(name, known) or f"there are {', '.join(sorted(known)) or 'none'}",
        )
        for name, value in values.items()
        if not any(_knows(diagram, name) for diagram in diagrams)
    ]


def _names(diagram: Diagram) -> tuple[str, ...]:
    """The names that --set may have: sizes and parameters, also parameters whose values are
    words."""
    words = diagram.reword.worded if diagram.reword else frozenset[str]()
    return (*names_of(diagram), *sorted(words))


def _knows(diagram: Diagram, name: str) -> bool:
    """Whether a definition has a size or parameter, or a pack of them."""
    return bool({name, f"{name}.0"} & set(_names(diagram)))


def _unknown_shapes(diagrams: Sequence[Diagram], known: Shapes) -> list[Problem]:
    """The problems of shapes of operands that no definition takes."""
    operands = dict.fromkeys(o.name for diagram in diagrams for o in diagram.operands)
    return [
        Problem(
            f"--shape {name}=…: unknown operand '{name}'",
            help=near(name, operands) or f"there are {', '.join(operands) or 'none'}",
        )
        for name in known
        if name not in operands
    ]


def _module(
    spec: Spec, programs: Sequence[Program], values: Mapping[str, Any], known: Shapes
) -> str:
    """Write the module."""

    from diagrammar.backends.torch.emit import emit_module

    try:
        return emit_module(programs, _header(spec, values, known))
    except ValueError as error:
        raise DiagramError([Problem(f"no module can be written: {error}")]) from error


def _written(programs: Sequence[Program]) -> Iterator[str]:
    """The functions' names, each with the name of its definition where they differ."""
    from diagrammar.backends.torch.names import function_names

    for name, function in function_names([program.name for program in programs]).items():
        yield function if function == name else f"{function} ({name})"


def _header(spec: Spec, values: Mapping[str, Any], known: Shapes) -> str:
    """Write a module's docstring, without anything that changes from run to run."""
    file = PurePath(spec.source.name).name.encode("utf-8", "backslashreplace").decode()
    lines = [
        f"Functions of {file}, written by diagrammar {__version__}.",
        "",
        "They need torch only. To change them, change the definitions and compile again.",
    ]
    if values:
        lines.append(f"Fixed: {', '.join(f'{n} = {v}' for n, v in values.items())}.")
    if known:
        fixed = (f"{n} of {' × '.join(map(str, s)) or 'no axes'}" for n, s in known.items())
        lines.append(f"For operands {', '.join(fixed)}.")
    return "\n".join(lines)
