"""Rewrite rules, one file a family; importing this registers all of them."""

from diagrammar.rewrite import RULES
from diagrammar.rules import delta, dense, downsampling, marginal, overlap

__all__ = ["RULES", "delta", "dense", "downsampling", "marginal", "overlap"]
