"""Write docs/api.md: what `diagrammar` offers in Python, from its docstrings.

python docs/api.py [FOLDER]
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diagrammar as dg
from diagrammar.plan.report import Plan
from diagrammar.replacing import write
from diagrammar.rewrite.engine import Step, Trace
from diagrammar.runtime.specialised import Specialised

HERE = Path(__file__).parent
INTRODUCTION = """# Python

What `import diagrammar as dg` offers, written by `python docs/api.py` from the docstrings. At the
shell `diagrammar --help` says what there is; [the language](language.md) has a page of its own, and
so have the [operations](operations/README.md) of layers and the [integrations](integrations.md).
"""
SECTIONS: dict[str, tuple[Any, ...]] = {
    "Reading": (dg.load, dg.parse, dg.shipped, dg.Spec, dg.DiagramError),
    "Diagrams": (dg.Diagram, dg.Pipeline, Trace, Step),
    "Functions": (dg.Function, Specialised, Plan),
    "Layers": (dg.layers.Conv, dg.layers.Linear),
    "Networks": (dg.curvature, dg.Curvature),
}
MADE = {
    dg.Spec: "what `load`, `parse` and `shipped` return",
    dg.DiagramError: "what is raised for mistakes in a text or a call",
    dg.Diagram: "a definition of a `Spec`",
    Trace: "the derivation that `Diagram.simplify` and `Pipeline.run` return",
    Step: "a step of a `Trace`",
    dg.Function: "what `Diagram.compile` and `Spec.compile` return",
    Specialised: "what `Function.specialise` returns",
    Plan: "`Specialised.plan`",
    dg.Curvature: "what `curvature` returns",
}
"""What is not made by its name, and where it comes from."""


class _Bare(str):
    """A text that a signature shows without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def main(folder: Path) -> None:
    """Write the page."""
    write(folder / "api.md", page())


def page() -> str:
    """The page."""
    parts = [INTRODUCTION]
    for title, things in SECTIONS.items():
        parts.append(f"## {title}\n")
        for thing in things:
            parts += section(thing)
    return "\n".join(parts).rstrip() + "\n"


def section(thing: Any) -> Iterator[str]:
    """A function, or a class with its methods and properties."""
    prefix = "dg.layers." if thing.__module__.startswith("diagrammar.layers") else "dg."
    if not isinstance(thing, type):
        yield from entry(f"{prefix}{thing.__name__}{signature(thing)}", thing)
        return
    made = MADE.get(thing)
    name = thing.__name__ if made else f"{prefix}{thing.__name__}{signature(thing)}"
    yield from entry(name, thing)
    if made:
        yield f"It is {made}.\n"
    for name, member in inspect.getmembers(thing):
        found = function(member)
        if name.startswith("_") or found is None:
            continue
        called = signature(found, bound=True) if callable(member) else ""
        yield f"- **`.{name}{called}`** {told(found)}"
    yield ""


def function(member: Any) -> Any:
    """What has the docstring of a method or property of ours; None for anything else."""
    for attribute in ("fget", "func", "__func__"):  # a property, a cached one, a class method
        member = getattr(member, attribute, member)
    ours = inspect.isfunction(member) and member.__module__.startswith("diagrammar.")
    return member if ours else None


def entry(title: str, thing: Any) -> Iterator[str]:
    """A heading with its docstring."""
    name, bracket, rest = title.partition("(")
    yield f"### {name}\n"
    if bracket:
        yield f"```py\n{name}({rest}\n```\n"
    yield f"{inspect.getdoc(thing)}\n"


def told(thing: Any) -> str:
    """A docstring as an item of a list."""
    return (inspect.getdoc(thing) or "").replace("\n", "\n  ").replace("\n  \n", "\n\n")


def signature(thing: Any, *, bound: bool = False) -> str:
    """The parameters and what is returned, as they are written."""
    found = inspect.signature(thing)
    parameters = [
        p.replace(annotation=_Bare(p.annotation) if isinstance(p.annotation, str) else p.annotation)
        for p in found.parameters.values()
    ][bound:]
    returned = found.return_annotation
    bare = _Bare(returned) if isinstance(returned, str) and returned != "None" else found.empty
    return str(found.replace(parameters=parameters, return_annotation=bare))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
