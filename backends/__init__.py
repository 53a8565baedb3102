"""From a linear program to code or numbers; a backend sees nothing but the program."""

if __name__ != "diagrammar.backends":
    raise ImportError("import 'diagrammar.backends', not the folder that holds it")
