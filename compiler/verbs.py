"""What values do by services above them: the one door from data to rules, planning and drawing.

Diagrams, derivations, plans and functions declare these methods with their documentation
(`services`); here stands who does the work. Each service is imported when it is first asked for, so
that reading a file loads none.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from diagrammar.services import does

if TYPE_CHECKING:
    from pathlib import Path

    import networkx
    from torch.distributed import ProcessGroup

    from diagrammar.ir.diagram import Diagram
    from diagrammar.language.spec import Spec
    from diagrammar.networks.result import Curvature
    from diagrammar.plan.report import Plan
    from diagrammar.rewrite.engine import Simplified, Step, Trace
    from diagrammar.runtime.function import Function
    from diagrammar.runtime.specialised import Specialised

# -- rules and functions ---------------------------------------------------------------------------


@does("Diagram.simplify")
def simplify_diagram(diagram: Diagram, /, **values: Any) -> Simplified:
    """The standard pipeline."""
    from diagrammar.rules.passes import simplify

    return simplify(diagram, values)


@does("Diagram.why_not")
def why_not_at(diagram: Diagram, rule: str, /, **values: Any) -> tuple[str, ...]:
    """Why a rule does not apply at some sizes."""
    from diagrammar.rules.passes import fixed, why_not

    return why_not(fixed(diagram, values), rule)


@does("Trace.why_not")
def why_not_at_the_end(trace: Trace, rule: str) -> tuple[str, ...]:
    """Why a rule does not apply to what a derivation leaves."""
    from diagrammar.rules.passes import why_not

    return why_not(trace.end, rule)


@does("Diagram.compile")
def compile_diagram(diagram: Diagram, /, **values: Any) -> Function:
    """A function of one result."""
    from diagrammar.runtime.compiling import compile_diagrams

    return compile_diagrams((diagram,), values)


@does("Spec.compile")
def compile_spec(spec: Spec, /, *names: str, **values: Any) -> Function:
    """A function of several results."""
    from diagrammar.runtime.compiling import compile_diagrams

    return compile_diagrams(tuple(spec[name] for name in names or tuple(spec)), values)


@does("Curvature.all_reduced")
def all_reduced(curvature: Curvature, group: ProcessGroup | None = None) -> Curvature:
    """The sum over processes."""
    from diagrammar.networks.sharding import shards

    with shards(group, True) as others:
        return others.summed(curvature)


# -- text ------------------------------------------------------------------------------------------


@does("Diagram.__str__")
def text_of_diagram(diagram: Diagram) -> str:
    """A file with the diagram in it."""
    from diagrammar.ir.text import diagram_text

    return diagram_text(diagram)


@does("Step.__str__")
def text_of_step(step: Step) -> str:
    """The law, and what it removes and puts."""
    from diagrammar.draw.steps import step_text

    return step_text(step)


@does("Trace.__str__")
def text_of_trace(trace: Trace) -> str:
    """All steps."""
    from diagrammar.draw.steps import trace_text

    return trace_text(trace)


# -- pictures and reports --------------------------------------------------------------------------


@does("Diagram.to_networkx")
def graph_of(diagram: Diagram) -> networkx.MultiGraph:
    """A graph for other programs."""
    from diagrammar.draw.graph import graph

    return graph(diagram)


@does("Diagram._repr_svg_", "Step._repr_svg_", "Trace._repr_svg_", "Simplified._repr_svg_")
def picture(what: Diagram | Step | Trace | Simplified) -> str:
    """A picture for a notebook."""
    from diagrammar.draw import render

    return render(what, "svg")


@does("Trace.to_html", "Specialised.to_html")
def report(what: Trace | Specialised, path: str | os.PathLike[str]) -> Path:
    """A report in a file."""
    from diagrammar.draw import render
    from diagrammar.replacing import write

    return write(path, render(what, "html"))


@does("Spec._repr_html_")
def table_of_spec(spec: Spec) -> str:
    """The definitions of a file."""
    from diagrammar.draw.tables import spec_table

    return spec_table(spec)


@does("Plan._repr_html_")
def table_of_plan(plan: Plan) -> str:
    """The steps of a plan."""
    from diagrammar.draw.tables import plan_table

    return plan_table(plan)


@does("Function._repr_html_")
def table_of_function(function: Function) -> str:
    """The operands, and what was made for which shapes."""
    from diagrammar.draw.tables import function_table

    return function_table(function)


@does("Specialised._repr_html_")
def table_of_specialised(specialised: Specialised) -> str:
    """The plan and the source."""
    from diagrammar.draw.tables import specialised_table

    return specialised_table(specialised)
