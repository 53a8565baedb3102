"""Rewrite rules, one file a family; importing this registers all of them."""

from diagrammar.rewrite.rule import RULES
from diagrammar.rules import (
    composition,
    constants,
    delta,
    dense,
    downsampling,
    maps,
    marginal,
    overlap,
    parallel,
    restriction,
)

__all__ = [
    "RULES",
    "composition",
    "constants",
    "delta",
    "dense",
    "downsampling",
    "maps",
    "marginal",
    "overlap",
    "parallel",
    "restriction",
]
