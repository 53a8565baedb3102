"""From a contraction tree to program steps, node by node.

How each kind of node is written stands in `contracting`, `reading`, `placing`, `calls`, `rows`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from diagrammar import program as ops
from diagrammar.ir.diagram import Network, Operand, product
from diagrammar.ir.estimate import estimate
from diagrammar.ir.relation import ConvForm, Linear, Relation, conv_form
from diagrammar.ir.scalar import Dim
from diagrammar.ir.tree import (
    Correlated,
    Dense,
    Fold,
    Join,
    Leaf,
    Native,
    Paired,
    Pick,
    Read,
    Return,
    Spread,
    Tree,
    walk,
)
from diagrammar.lowerings.by_region import correlated
from diagrammar.lowerings.by_row import paired
from diagrammar.lowerings.calls import native_call
from diagrammar.lowerings.contract import contracted, order_of, ready, scaled_early
from diagrammar.lowerings.placing import fold, spread
from diagrammar.lowerings.reading import picked, read
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
        if isinstance(tree, Correlated):
            with self.about(tree.relations):
                return self.writer.permute(correlated(self, tree, factor), order)
        if isinstance(tree, Paired):
            with self.about(_positions(tree)):
                return self.writer.permute(paired(self, tree, factor), order)
        if isinstance(tree, Join):
            left, right = ready(self, tree)
            left, right, factor = scaled_early(self, left, right, order, factor)
            value = contracted(self, left, right, order)
        else:
            value = self.writer.permute(self.value(tree), order)
        return self.writer.scale(value, factor)

    # -- nodes -------------------------------------------------------------------------------------

    def needed(self, tree: Tree) -> set[str]:
        """The wires that are open or lead to tensors outside of a tree."""
        inside = {at for node in walk(tree) for at in _positions(node)}
        outside = (t for at, t in enumerate(self.network.tensors) if at not in inside)
        return {w for t in outside for w in t.wires} | set(self.open)

    def value(self, tree: Tree) -> Value:
        """The result of a tree, summed over what nothing else needs."""
        with self.about(_positions(tree)):
            return self._value(tree)

    @contextmanager
    def about(self, positions: Iterable[int]) -> Iterator[None]:
        """Steps written meanwhile bring in these tensors."""
        before = self.writer.about
        self.writer.about = frozenset(self.origins[at] for at in positions if self.origins)
        yield
        self.writer.about = before

    def _value(self, tree: Tree) -> Value:
        match tree:
            case Leaf():
                made = self.operand(tree.at)
            case Dense():
                made = self._dense(tree.at)
            case Join():
                left, right = ready(self, tree)
                return contracted(self, left, right, order_of(self, left, right, self.needed(tree)))
            case Read():
                made = read(self, tree)
            case Fold():
                made = fold(self, tree)
            case Spread():
                made = spread(self, tree)
            case Pick() | Return():
                made = picked(self, tree)
            case Native():
                return native_call(self, tree)
            case Paired():
                return paired(self, tree, 1)
            case Correlated():
                return correlated(self, tree, 1)
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

    def _dense(self, at: int) -> Value:
        """The 0/1 array of a relation, with dtype and device of the first operand."""
        relation = self.network.tensors[at]
        assert isinstance(relation, Relation)
        return self.writer.value(indicator(relation, self.like()), relation.wires)

    def like(self) -> int:
        """The first operand, whose dtype and device relations take."""
        first = next(n for n, t in enumerate(self.network.tensors) if isinstance(t, Operand))
        operand = self.network.tensors[first]
        assert isinstance(operand, Operand)
        names = [axis[0] if len(axis) == 1 else f"({' '.join(axis)})" for axis in operand.axes]
        shape = [product(self.writer.sizes[w] for w in axis) for axis in operand.axes]
        with self.about(()):
            return self.writer.step(ops.Operand(operand.name), shape, names)


def _positions(node: Tree) -> tuple[int, ...]:
    match node:
        case Leaf() | Dense() | Read() | Fold() | Spread() | Pick() | Return():
            return (node.at,)
        case Native() | Correlated():
            return node.relations
        case Paired():
            return (node.at,)
    return ()


def indicator(relation: Relation, like: int | None) -> ops.Indicator:
    """The dense array of a relation over its wires."""

    def condition(form: Linear, modulus: Dim | None, nonnegative: bool) -> ops.LinearCondition:
        coefficients = tuple(form.coefficients.get(w, 0) for w in relation.wires)
        return ops.LinearCondition(coefficients, form.constant, modulus, nonnegative)

    pieces = tuple(
        tuple(condition(e.form, e.modulus, nonnegative=False) for e in piece.equations)
        + tuple(condition(b, None, nonnegative=True) for b in piece.bounds)
        for piece in relation.pieces
    )
    return ops.Indicator(pieces, like)
