"""diagrammar: a compiler for tensor-network diagrams.

    import diagrammar as dg
    spec = dg.load("conv2d.tn")
    f = spec["A_reduce"].compile(k1=3, k2=3)
    A = f(X=x)

Everything is imported when it is first used, so that `import diagrammar` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if __name__ != "diagrammar":
    raise ImportError("import 'diagrammar', not the folder that holds it")

from diagrammar import verbs as verbs  # gives values what they do

if TYPE_CHECKING:
    from diagrammar import layers as layers
    from diagrammar.grammar.errors import DiagramError as DiagramError
    from diagrammar.ir.diagram import Diagram as Diagram
    from diagrammar.language.shipped import shipped as shipped
    from diagrammar.language.spec import Spec as Spec
    from diagrammar.language.spec import load as load
    from diagrammar.language.spec import parse as parse
    from diagrammar.networks.curvature import curvature as curvature
    from diagrammar.networks.result import Curvature as Curvature
    from diagrammar.rules.passes import Pipeline as Pipeline
    from diagrammar.runtime.function import Function as Function

__version__ = "0.1.0"

_PLACES = {
    "Curvature": "diagrammar.networks.result",
    "Diagram": "diagrammar.ir.diagram",
    "DiagramError": "diagrammar.grammar.errors",
    "Function": "diagrammar.runtime.function",
    "Pipeline": "diagrammar.rules.passes",
    "Spec": "diagrammar.language.spec",
    "curvature": "diagrammar.networks.curvature",
    "load": "diagrammar.language.spec",
    "parse": "diagrammar.language.spec",
    "shipped": "diagrammar.language.shipped",
}

__all__ = [*_PLACES, "__version__", "layers"]


def __getattr__(name: str) -> Any:
    if name == "load_ipython_extension":  # what %load_ext diagrammar looks for
        return import_module("diagrammar.notebook").load_ipython_extension
    if name == "layers":
        return import_module("diagrammar.layers")
    if name not in _PLACES:
        raise AttributeError(f"module 'diagrammar' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
