"""From a contraction tree to program steps, node by node.

How a node is written is its lowering's (`lowerings.registry`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from diagrammar import program as ops
from diagrammar.ir.diagram import Network, Operand, product
from diagrammar.ir.estimate import estimate
from diagrammar.ir.relation import ConvForm, Relation, conv_form
from diagrammar.ir.tree import Apply, Leaf, Tree, positions, walk
from diagrammar.lowerings.contract import contracted, ready, scaled_early
from diagrammar.lowerings.registry import LOWERINGS
from diagrammar.program.writer import Value, Writer


class Lowering:
    """Writes one term of a diagram; `value(tree)` is the number of its result."""

    def __init__(
        self,
        writer: Writer,
        network: Network,
        open_wires: Sequence[str],
        origins: Sequence[ops.Origin] = (),
    ) -> None:
        self.writer = writer
        self.network = network
        self.open = tuple(open_wires)
        self.origins = tuple(origins)
        writer.sizes = dict(network.sizes)

    def term(self, tree: Tree) -> Value:
        """The whole term with its scalar, axes in the order of the open wires that it has."""
        factor = self.network.scalar
        have = {w for t in self.network.tensors for w in t.wires}
        order = [w for w in self.open if w in have]
        if isinstance(tree, Apply) and LOWERINGS[tree.lowering].scales:
            with self.about(tree.relations):
                made = LOWERINGS[tree.lowering].emit(self, tree, factor)
                return self.writer.permute(made, order)
        if isinstance(tree, Apply) and tree.lowering == "contraction":
            left, right = ready(self, tree)
            left, right, factor = scaled_early(self, left, right, order, factor)
            value = contracted(self, left, right, order)
        else:
            value = self.writer.permute(self.value(tree), order)
        return self.writer.scale(value, factor)

    # -- nodes -------------------------------------------------------------------------------------

    def needed(self, tree: Tree) -> set[str]:
        """The wires that are open or lead to tensors outside of a tree."""
        inside = {at for node in walk(tree) for at in positions(node)}
        outside = (t for at, t in enumerate(self.network.tensors) if at not in inside)
        return {w for t in outside for w in t.wires} | set(self.open)

    def value(self, tree: Tree) -> Value:
        """The result of a tree, summed over what nothing else needs."""
        with self.about(positions(tree)):
            return self._value(tree)

    @contextmanager
    def about(self, positions: Iterable[int]) -> Iterator[None]:
        """Steps written meanwhile bring in these tensors."""
        before = self.writer.about
        self.writer.about = frozenset(self.origins[at] for at in positions if self.origins)
        yield
        self.writer.about = before

    def _value(self, tree: Tree) -> Value:
        if isinstance(tree, Leaf):
            made = self.operand(tree.at)
        else:
            made = LOWERINGS[tree.lowering].emit(self, tree, 1)
        return self.writer.sum(made, self.needed(tree))

    def elements(self, value: Value) -> int:
        """The entries of a value, typical ones where sizes are open."""
        return int(product(estimate(s) for s in self.writer.shape(value.wires)))

    def form(self, at: int) -> ConvForm:
        """The relation at a place, read as a convolution's."""
        relation = self.network.tensors[at]
        assert isinstance(relation, Relation)
        form = conv_form(relation, self.network.sizes)
        assert form is not None
        return form

    def operand(self, at: int) -> Value:
        """An operand with an axis a wire; a wire that stands twice is a diagonal."""
        operand = self.network.tensors[at]
        assert isinstance(operand, Operand)
        names = [axis[0] if len(axis) == 1 else f"({' '.join(axis)})" for axis in operand.axes]
        shape = [product(self.writer.sizes[w] for w in axis) for axis in operand.axes]
        step = self.writer.step(ops.Operand(operand.name), shape, names)
        value = self.writer.ungroup(step, operand.wires)
        while len(set(value.wires)) < len(value.wires):
            first = next(n for n, w in enumerate(value.wires) if value.wires.count(w) > 1)
            second = value.wires.index(value.wires[first], first + 1)
            value = self.writer.diagonal(value, first, second)
        return value

    def like(self) -> int:
        """The first operand, whose dtype and device relations take."""
        first = next(n for n, t in enumerate(self.network.tensors) if isinstance(t, Operand))
        operand = self.network.tensors[first]
        assert isinstance(operand, Operand)
        names = [axis[0] if len(axis) == 1 else f"({' '.join(axis)})" for axis in operand.axes]
        shape = [product(self.writer.sizes[w] for w in axis) for axis in operand.axes]
        with self.about(()):
            return self.writer.step(ops.Operand(operand.name), shape, names)
