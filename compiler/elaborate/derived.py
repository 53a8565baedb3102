"""Statements that make a diagram of another: `dW = vjp(Y, W)`.

What they name is looked up and checked here; how a diagram is differentiated is in `calculus`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from diagrammar import calculus
from diagrammar.diagram import Declared, Diagram
from diagrammar.elaborate.evaluate import mistake
from diagrammar.grammar import syntax
from diagrammar.grammar.errors import Problem, near
from diagrammar.grammar.source import Span

if TYPE_CHECKING:
    from diagrammar.elaborate.build import Builder


def differentiated(builder: Builder, node: syntax.Derivative) -> Diagram:
    """The diagram of a derivative."""
    of = known_diagram(builder, node.of, node.of_span)
    by = _by(builder, node, of)
    direction = _direction(builder, node, of)
    return calculus.derivative(of, by, node.kind, node.name, direction, doc="\n".join(node.doc))


def known_diagram(builder: Builder, name: str, span: Span) -> Diagram:
    """The diagram that an argument names."""
    home, own = builder.home(name, span)
    definitions = home.scope.definitions if home else builder.scope.definitions
    if own not in definitions:
        known = [f"{home.alias}.{n}" for n in definitions] if home else definitions
        message = f"unknown diagram '{name}'"
        raise mistake(
            builder.scope.source, span, message, "no definition has this name", near(name, known)
        )
    return builder.use(name, span)


def _by(builder: Builder, node: syntax.Derivative, of: Diagram) -> Declared:
    """The operand to differentiate by; one that does not occur is a warning."""
    home, own = builder.home(node.by, node.by_span)
    tensors = home.scope.tensors if home else builder.scope.tensors
    name = home.name(own) if home else node.by
    if name not in {o.name for o in of.operands}:
        if own not in tensors:
            raise mistake(
                builder.scope.source,
                node.by_span,
                f"unknown operand '{node.by}'",
                "not declared",
                near(node.by, [o.name for o in of.operands]),
            )
        builder.scope.problems.append(_zero(builder, node))
    if own in tensors:
        return (home or builder).declared(own)
    return next(o for o in of.operands if o.name == name)


def _zero(builder: Builder, node: syntax.Derivative) -> Problem:
    return Problem(
        f"'{node.of}' does not depend on '{node.by}'",
        node.by_span,
        builder.scope.source,
        "this derivative is zero",
        severity="warning",
    )


def _direction(builder: Builder, node: syntax.Derivative, of: Diagram) -> str:
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
    if name in {o.name for o in of.operands} | set(scope.tensors) - {node.direction}:
        raise mistake(
            scope.source,
            span,
            f"the {role} '{name}' is already an operand",
            "needs a fresh operand",
            f"name another one, as in {role}=V",
        )
    return name
