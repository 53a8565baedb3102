"""The language: source text to syntax tree and back, with every mistake in its place."""

if __name__ != "diagrammar.grammar":
    raise ImportError("import 'diagrammar.grammar', not the folder that holds it")
