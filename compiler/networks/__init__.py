"""Curvature of whole networks: `dg.curvature`, and its result."""
