"""Turn a linear program into code or numbers; a backend sees nothing but the program.

`torch` writes source: only the emitted module imports torch. `numpy` is the dense oracle. Import
the backend that you want; this module loads neither.
"""

if __name__ != "diagrammar.backends":
    raise ImportError("import 'diagrammar.backends', not the folder that holds it")
