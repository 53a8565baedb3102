"""Statements that make a diagram of another: `dW = vjp(Y, W)`.

What they name is looked up and checked here; how a diagram is differentiated is in `calculus`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from diagrammar.grammar import syntax
from diagrammar.grammar.comments import documentation
from diagrammar.grammar.errors import Problem, near
from diagrammar.grammar.source import Span
from diagrammar.ir.diagram import Declared, Diagram
from diagrammar.language.evaluate import Attempts, Broken, mistake
from diagrammar.transform import calculus
from diagrammar.transform.inline import MAX_TENSORS

if TYPE_CHECKING:
    from diagrammar.language.build import Builder


def differentiated(builder: Builder, node: syntax.Derivative) -> Diagram:
    """The diagram of a derivative. Where its diagram is broken, what can be said of the rest is."""
    attempts = Attempts()
    of = attempts(known_diagram, builder, node.of, node.of_span)
    by = attempts(_by, builder, node, of)
    direction = attempts(_direction, builder, node, of)
    attempts.done(node.name)
    assert of is not None
    assert by is not None
    assert direction is not None
    _room(builder, node, of, by)
    return calculus.derivative(of, by, node.kind, node.name, direction, doc=documentation(node))


def _room(builder: Builder, node: syntax.Derivative, of: Diagram, by: Declared) -> None:
    """A Mistake where the product rule makes too many tensors."""
    count = sum(len(calculus.occurrences(t, by.name)) * (len(t.tensors) + 1) for t in of.terms)
    if count > MAX_TENSORS:
        raise mistake(
            builder.scope.source,
            node.span,
            f"'{node.name}' would have more than {MAX_TENSORS:,} tensors",
            f"a term for each place of '{node.by}' in '{node.of}'",
            "differentiate the parts of a long product by themselves",
        )


def known_diagram(builder: Builder, name: str, span: Span) -> Diagram:
    """The diagram that an argument names."""
    home, own = builder.home(name, span)
    scope = home.scope if home else builder.scope
    if own in scope.vague:
        raise Broken(own)
    if own not in scope.definitions:
        known = [f"{home.alias}.{n}" for n in scope.definitions] if home else scope.definitions
        message = f"unknown diagram '{name}'"
        raise mistake(
            builder.scope.source, span, message, "no definition has this name", near(name, known)
        )
    return builder.use(name, span)


def _by(builder: Builder, node: syntax.Derivative, of: Diagram | None) -> Declared:
    """The operand to differentiate by; one that does not occur is a warning. Of a diagram that is
    broken the operands are not known: any of the file may be."""
    home, own = builder.home(node.by, node.by_span)
    scope = home.scope if home else builder.scope
    if own in scope.vague:
        raise Broken(own)
    name = home.name(own) if home else node.by
    operands = builder.operands if of is None else [o.name for o in of.operands]
    if name not in operands:
        if own not in scope.tensors:
            raise mistake(
                builder.scope.source,
                node.by_span,
                f"unknown operand '{node.by}'",
                "not declared",
                near(node.by, scope.tensors if of is None else operands),
            )
        builder.scope.problems.append(_zero(builder, node))
    if own in scope.tensors:
        return (home or builder).declared(own)
    if of is None:
        raise Broken(own)
    return next(o for o in of.operands if o.name == name)


def _zero(builder: Builder, node: syntax.Derivative) -> Problem:
    return Problem(
        f"'{node.of}' does not depend on '{node.by}'",
        node.by_span,
        builder.scope.source,
        "this derivative is zero",
        severity="warning",
    )


def _direction(builder: Builder, node: syntax.Derivative, of: Diagram | None) -> str:
    """The name of the cotangent or tangent, which must be free."""
    scope = builder.scope
    role = "tangent" if node.kind == "jvp" else "cotangent"
    what = node.by if node.kind == "jvp" else node.of
    prefix = "t" if node.kind == "jvp" else "d"
    name = node.direction or prefix + builder.home(what, node.of_span)[1]
    span = node.direction_span if node.direction else node.name_span
    if node.kind == "jacobian":
        return name
    if name in scope.definitions:
        raise mistake(
            scope.source,
            span,
            f"the {role} '{name}' has the name of a definition",
            "operands and definitions share one space of names",
            f"name another one, as in {role}=V, or rename the definition",
        )
    known = {o.name for o in of.operands} if of is not None else set()
    if name in known | set(scope.tensors) - {node.direction}:
        raise mistake(
            scope.source,
            span,
            f"the {role} '{name}' is already an operand",
            "needs a fresh operand",
            f"name another one, as in {role}=V",
        )
    return name
