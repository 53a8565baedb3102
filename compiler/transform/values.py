"""From values given by name, by default and by operands to the symbols of a diagram."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy

from diagrammar.grammar.errors import DiagramError, Problem, near
from diagrammar.grammar.words import MAX_RANK
from diagrammar.ir.diagram import Diagram
from diagrammar.ir.numbers import exact, fits, integer, written
from diagrammar.ir.scalar import Dim, parameter
from diagrammar.ir.sizes import Contradiction, Known, solve
from diagrammar.ir.symbols import names_of

Shape = Sequence[int | None]


@dataclass(frozen=True)
class Resolved:
    """What keywords and defaults say of a diagram: facts about its sizes, the symbols that these
    fix, and what is wrong with them."""

    facts: Sequence[Known]
    symbols: Mapping[sympy.Symbol, Dim]
    problems: Sequence[Problem]


def resolved(diagram: Diagram, values: Mapping[str, Any]) -> Resolved:
    """What values and the defaults of a file say of a diagram."""
    facts, problems = value_facts(diagram, values)
    problems = problems or unmet(diagram, dict(_plain(facts)))
    if problems:
        return Resolved(facts, {}, problems)
    try:
        symbols = solve(facts)
    except Contradiction as clash:
        return Resolved(facts, {}, reasons(diagram, clash))
    problems = unmet(diagram, symbols) or fractions(diagram.substitute(symbols))
    return Resolved(facts, symbols, problems)


def resolve_values(
    diagram: Diagram, values: Mapping[str, Any]
) -> tuple[dict[sympy.Symbol, Dim], list[Problem]]:
    """Symbols fixed by keywords and defaults, and what is wrong with them."""
    known = resolved(diagram, values)
    return dict(known.symbols), list(known.problems)


def reasons(diagram: Diagram, clash: Contradiction) -> list[Problem]:
    """Why sizes contradict each other: a fraction or a quotient by zero behind it, if there is
    one."""
    exact_ones = tuple(r for r in diagram.requirements if r.rule != "above")
    return unmet(replace(diagram, requirements=exact_ones), clash.values) or [clash.problem]


def _plain(facts: Sequence[Known]) -> list[tuple[sympy.Symbol, Dim]]:
    """What facts say of single symbols, before anything is solved."""
    return [(f.expression, f.value) for f in facts if isinstance(f.expression, sympy.Symbol)]


def unmet(diagram: Diagram, values: Mapping[sympy.Symbol, Dim]) -> list[Problem]:
    """The requirements that these values break."""
    found = (r.substitute(values).problem for r in diagram.requirements)
    return list(dict.fromkeys(p for p in found if p is not None))


def value_facts(diagram: Diagram, values: Mapping[str, Any]) -> tuple[list[Known], list[Problem]]:
    """Facts from keywords, and from the defaults that no keyword replaces."""
    known = names_of(diagram)
    values, problems = spread(values, known)
    problems += [unknown_name(diagram, name) for name in values if name not in known]
    facts: list[Known] = []
    for name, value in values.items():
        if name not in known:
            continue
        number = _number(diagram, name, value)
        if isinstance(number, Problem):
            problems.append(number)
            continue
        facts += [
            Known(
                e,
                number,
                f"'{name}', given to compile,",
                f"{name} = {number} was given to compile",
            )
            for e in known[name]
        ]
    given = {e for name in values for e in known.get(name, ())}
    for name, value in diagram.defaults.items():  # another name may stand for the same size
        if name not in values and not given.issuperset(known.get(name, ())):
            place = diagram.places.get(name)
            facts += [
                Known(e, value, f"'{name}' in the file", _default(name, value), place)
                for e in known[name]
            ]
    facts += [Known(e.left, e.right, e.what) for e in diagram.equalities]
    return facts, problems


def at_rank(diagram: Diagram, values: Mapping[str, Any]) -> tuple[Diagram, dict[str, Any]]:
    """The diagram at the `rank` among some values, which goes; DiagramError for a bad one."""
    rest = dict(values)
    if "rank" not in rest:
        return diagram, rest
    rank = checked_rank(rest.pop("rank"))
    if diagram.family is None:
        message = f"the rank of '{diagram.name}' is not open"
        way = "leave it out; the file sets it, or has no packs"
        raise DiagramError([Problem(message, help=way)])
    return diagram.family(rank), rest


def checked_rank(given: Any) -> int:
    """The rank of packs that a caller gives; DiagramError for what is none."""
    rank = integer(given)
    if rank is None or not 1 <= rank <= MAX_RANK:
        message = f"'rank' must be an integer from 1 to {MAX_RANK}, not {written(given)}"
        raise DiagramError([Problem(message, help="give it as rank=2")])
    return rank


def spread(
    values: Mapping[str, Any], known: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Problem]]:
    """Values of packs as those of their members: `s=2` for all, `s=(1, 2)` for one each."""
    made: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in values.items():
        count = 0
        while f"{name}.{count}" in known:
            count += 1
        if name in known or count == 0:
            made[name] = value
        elif not isinstance(value, Sequence) or isinstance(value, str):
            made.update({f"{name}.{n}": value for n in range(count)})
        elif len(value) != count:
            problems.append(
                Problem(
                    f"'{name}' has {count} members, not {len(value)}: {written(value)}",
                    help="give one number for all of them, or one for each",
                )
            )
        else:
            made.update({f"{name}.{n}": v for n, v in enumerate(value)})
    return made, problems


def _default(name: str, value: Any) -> str:
    return f"the file fixes {name} = {value}; compile({_pack(name)}=…) replaces that"


def unknown_names(diagram: Diagram, values: Mapping[str, Any]) -> list[str]:
    """The names of values that are no sizes or parameters of a diagram."""
    known = names_of(diagram)
    return [name for name in spread(values, known)[0] if name not in known]


def unknown_name(diagram: Diagram, name: str) -> Problem:
    """What is wrong with a name that a diagram does not know."""
    known = names_of(diagram)
    if name in {o.name for o in diagram.operands}:
        message = f"'{name}' is an operand of '{diagram.name}', not a size or parameter"
        return Problem(message, help=f"give it when you call what compile returns: f({name}=…)")
    help = near(name, known) or f"there are {', '.join(sorted(known)) or 'none'}"
    return Problem(f"unknown size or parameter '{name}'", help=help)


def _number(diagram: Diagram, name: str, value: Any) -> Dim | Problem:
    """A value given for a size or parameter: an integer, or a fraction for a parameter that only
    scalars and probabilities speak of; or what is wrong with it."""
    number = exact(value)
    is_parameter = name in diagram.parameters
    whole = not is_parameter or parameter(name) in integral(diagram)
    if number is None or number < 0 or (whole and not isinstance(number, int)):
        message = f"'{name}' must be an integer of at least 0, not {written(value)}"
        return Problem(message, help=f"give it as {name}=3")
    if isinstance(number, int) and not fits(number):
        message = f"'{name}' is too large: {written(value)}"
        return Problem(message, help="integers are below 2^63")
    return number


def integral(diagram: Diagram) -> set[sympy.Symbol]:
    """The symbols of sizes, equalities and relations, which only integers can stand for."""
    values = [v for _, v in _integers(diagram)]
    values += [side for e in diagram.equalities for side in (e.left, e.right)]
    values += [
        side for r in diagram.requirements if r.rule == "above" for side in (r.value, r.least)
    ]
    return {s for v in values if isinstance(v, sympy.Expr) for s in v.free_symbols}


def _integers(diagram: Diagram) -> Iterator[tuple[str, Dim]]:
    """All that must be an integer: sizes and the numbers of relations, and what each is."""
    sizes = [*diagram.sizes.items(), *(item for t in diagram.terms for item in t.sizes.items())]
    sizes += [item for o in diagram.operands for item in o.sizes.items()]
    for wire, extent in sizes:
        yield f"the size of wire '{wire}'", extent
    for relation in (r for term in diagram.terms for _, r in term.relations()):
        what = f"a number in pattern '{relation.name}'"
        for piece in relation.pieces:
            for form in [e.form for e in piece.equations] + list(piece.bounds):
                for number in (*form.coefficients.values(), form.constant):
                    yield what, number
            for modulus in (e.modulus for e in piece.equations if e.modulus is not None):
                yield what, modulus


def fractions(diagram: Diagram) -> list[Problem]:
    """What is known by now and must be an integer, and is none: whatever no requirement said."""
    found = (
        Problem(f"{what} would be {value}, not an integer")
        for what, value in _integers(diagram)
        if not isinstance(value, int) and value.is_number
    )
    return list(dict.fromkeys(found))


def shape_facts(diagram: Diagram, shapes: Mapping[str, Shape]) -> tuple[list[Known], list[Problem]]:
    """Facts from the shapes of operands, where a size that is None says nothing; a wrong number of
    axes is a problem."""
    facts: list[Known] = []
    problems: list[Problem] = []
    for operand in diagram.operands:
        shape = shapes[operand.name]
        shown = ["(" + " ".join(a) + ")" if len(a) != 1 else a[0] for a in operand.axes]
        if len(shape) != len(operand.axes):
            problems.append(
                Problem(
                    f"operand '{operand.name}' has {len(shape)} axes, not {len(operand.axes)}: "
                    f"shape {tuple(shape)}",
                    help=f"its axes are [{', '.join(shown)}]",
                )
            )
            continue
        for number, (extent, given) in enumerate(zip(operand.shape(), shape, strict=True)):
            if given is None:
                continue
            what = f"operand '{operand.name}', axis {number} ({shown[number]}),"
            place = diagram.places.get(f"{operand.name}[{number}]")
            facts.append(Known(extent, int(given), what, place=place))
    return facts, problems


def missing(diagram: Diagram, bound: frozenset[str] = frozenset()) -> list[Problem]:
    """A problem for each size or parameter that is unknown and not `bound` by an operand's
    shape."""
    values: list[Dim] = [s for o in diagram.operands for s in o.sizes.values()]
    for term in diagram.terms:
        values += [*term.sizes.values(), term.scalar]
    unknown = {str(s) for v in values if isinstance(v, sympy.Expr) for s in v.free_symbols}
    return [
        _no_value(name) if name in diagram.parameters else _no_size(name)
        for name in sorted(unknown - bound)
    ]


def _no_value(name: str) -> Problem:
    return Problem(
        f"parameter '{name}' has no value",
        help=f"give it: compile({_pack(name)}=…), or a default in the file: param {name} = …",
    )


def _no_size(name: str) -> Problem:
    return Problem(
        f"the size of wire '{name}' cannot be inferred from the operands",
        help=f"give it: compile({_pack(name)}=…), or in the file: size {name} = …",
    )


def _pack(name: str) -> str:
    """The keyword that gives a name a value: that of the pack for a member."""
    return name.partition(".")[0]
