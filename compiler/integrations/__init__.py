"""Backends for libraries that compute curvature: curvlinops, singd, BackPACK.

Each module is imported on request only, and needs its library: `pip install
'diagrammar[curvlinops]'`, for example. It checks the library's version first, and uses only
functions that the library documents or offers to subclasses. `diagrammar.layers` does the
computing.
"""
