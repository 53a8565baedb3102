"""Ways to compute a contraction or to apply a relation, written as steps of a program."""
