"""Parallel wires: which of a network's wires a contraction may take for one."""

from __future__ import annotations

import diagrammar as dg
from diagrammar.transform.parallel_wires import parallel
from diagrammar.transform.unit_wires import without_units


def groups(text: str) -> set[tuple[str, ...]]:
    diagram = dg.parse(text)["Y"]
    return {g for g in parallel(diagram.terms[0], diagram.open) if len(g) > 1}


def test_the_pixels_of_a_pointwise_layer_are_one_wire():
    made = dg.shipped("conv2d")["Y"].simplify(k1=1, k2=1, p=0).diagram
    bare = without_units(made)
    assert ("b", "o1", "o2") in parallel(bare.terms[0], bare.open)


def test_order_matters():
    head = "tensor X[b, i, j]\ntensor Z[j, i]\ntensor V[i, j]\n"
    assert groups(head + "Y[b] = X[b, i, j] * V[i, j]") == {("i", "j")}
    assert groups(head + "Y[b] = X[b, i, j] * Z[j, i]") == set()


def test_open_wires_and_relations_stay_apart():
    head = "tensor X[b, i, j]\npattern P[i, o, k] = conv()\nsize k := 2\n"
    assert groups(head + "Y[b, i] = X[b, i, j]") == {("b", "i")}
    assert groups(head + "Y[b] = X[b, i, j] * P[i, o, k]") == set()
