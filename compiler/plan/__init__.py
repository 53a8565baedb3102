"""Choosing how a simplified diagram is computed: contraction order, lowerings, cost."""
