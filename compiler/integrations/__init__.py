"""Backends for the libraries that compute curvature: curvlinops, singd, BackPACK.

Each module here is imported on request only, and needs its library: `pip install
'diagrammar[curvlinops]'`, and so on. They use what a library documents or offers to subclasses, and
check its version first. What they compute is that of `diagrammar.layers`.
"""
