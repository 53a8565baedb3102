"""From a linear program to code or numbers; a backend sees nothing but the program.

`torch` writes source (it does not import torch, only the emitted module does), `numpy` is the dense
oracle. Import the one that is wanted; nothing is loaded here.
"""

if __name__ != "diagrammar.backends":
    raise ImportError("import 'diagrammar.backends', not the folder that holds it")
