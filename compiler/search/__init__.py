"""The search for a contraction tree."""
