"""diagrammar: a compiler for tensor-network diagrams."""

if __name__ != "diagrammar":
    raise ImportError("import 'diagrammar', not the folder that holds it")
