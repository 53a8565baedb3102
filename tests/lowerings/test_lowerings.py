"""Every registered lowering: some candidate for its example is computed so, and keeps the value."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import diagrammar as dg
from diagrammar.backends.numpy import evaluate
from diagrammar.ir.diagram import Diagram
from diagrammar.ir.tree import applies, walk
from diagrammar.lowerings.registry import LOWERINGS, Way, lowering
from diagrammar.plan.planner import Planned, plan
from diagrammar.plan.strategies import strategies
from diagrammar.rules.passes import Pipeline
from diagrammar.runtime.devices import default
from tests.oracle import at, close, operands, value


def example(one: Way) -> Diagram:
    spec = dg.parse(one.example)
    return at(spec[next(iter(spec))])


def planned(one: Way) -> Iterator[Planned]:
    """What the strategies make of the example with the lowering, before any pass."""
    diagram = Pipeline().run(example(one)).diagram
    for way in strategies([diagram], default(), native=True, as_written=False, contained=False):
        made = plan("Y", [diagram], diagram.operands, way.options, shortcut=way.shortcut)
        if any(applies(node, one.name) for _, tree in made.trees for node in walk(tree)):
            yield made


@pytest.mark.parametrize("one", LOWERINGS.values(), ids=LOWERINGS)
class TestEveryLowering:
    def test_it_is_used_for_its_example(self, one: Way) -> None:
        assert list(planned(one))

    def test_it_keeps_the_value(self, one: Way) -> None:
        diagram = example(one)
        given = operands(diagram)
        for made in planned(one):
            assert close(evaluate(made.program, given)[0], value(diagram, given))

    def test_it_says_what_it_is(self, one: Way) -> None:
        assert one.doc
        assert one.law


def test_a_name_is_taken_once() -> None:
    one = next(iter(LOWERINGS.values()))
    with pytest.raises(ValueError, match=f"there is a lowering '{one.name}' already"):
        lowering(law="", example="")(one.emit)
