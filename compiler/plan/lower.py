"""From a contraction tree to program steps: relations become pads, windows, steps, folds and
native calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from diagrammar import program as ops
from diagrammar.diagram import Network, Operand, product
from diagrammar.gram import gram_form
from diagrammar.indexmap import index_map
from diagrammar.plan import native
from diagrammar.plan.search import estimate
from diagrammar.plan.tree import (
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
from diagrammar.plan.windows import Segment, blocks
from diagrammar.plan.writer import Origin, Value, Writer
from diagrammar.relation import ConvForm, Linear, Relation, conv_form
from diagrammar.scalar import Dim, equal, expand, nonnegative


class Lowering:
    """Writes one term of a diagram; `value(tree)` is the number of its result."""

    def __init__(
        self,
        writer: Writer,
        network: Network,
        open_wires: Sequence[str],
        origins: Sequence[Origin] = (),
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
        if isinstance(tree, Join):
            left, right = self._ready(tree)
            left, right, factor = self._scaled_early(left, right, order, factor)
            value = self._contracted(left, right, order)
        else:
            value = self.writer.permute(self.value(tree), order)
        return self.writer.scale(value, factor)

    def _scaled_early(
        self, left: Value, right: Value, order: Sequence[str], factor: Any
    ) -> tuple[Value, Value, Any]:
        """The scalar goes to the smallest of the two factors and the result."""
        if factor == 1:
            return left, right, factor
        result = product(estimate(s) for s in self.writer.shape(order))
        elements = [self._elements(left), self._elements(right), result]
        if left.step == right.step and 8 * elements[0] > result:
            return (
                left,
                right,
                factor,
            )  # scaling one side of a Gram product would make a second copy
        smallest = min(range(3), key=lambda n: (elements[n], -n))
        if smallest == 0:
            return self.writer.scale(left, factor), right, 1
        if smallest == 1:
            return left, self.writer.scale(right, factor), 1
        return left, right, factor

    # -- nodes -------------------------------------------------------------------------------------

    def needed(self, tree: Tree) -> set[str]:
        """The wires that are open or lead to tensors outside of a tree."""
        inside = {at for node in walk(tree) for at in _positions(node)}
        outside = (t for at, t in enumerate(self.network.tensors) if at not in inside)
        return {w for t in outside for w in t.wires} | set(self.open)

    def value(self, tree: Tree) -> Value:
        """The result of a tree, summed over what nothing else needs."""
        with self._about(_positions(tree)):
            return self._value(tree)

    @contextmanager
    def _about(self, positions: Iterable[int]) -> Iterator[None]:
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
                left, right = self._ready(tree)
                return self._contracted(left, right, self._order(left, right, self.needed(tree)))
            case Read():
                made = self._read(tree)
            case Fold():
                made = self._fold(tree)
            case Spread():
                made = self._spread(tree)
            case Pick() | Return():
                made = self._picked(tree)
            case Native():
                return self._native(tree)
            case Paired():
                return self._paired(tree)
        return self.writer.sum(made, self.needed(tree))

    def _contracted(self, left: Value, right: Value, out: Sequence[str]) -> Value:
        """A contraction; where both sides are summed over their first axis and their last ones, the
        first becomes a batch that is summed afterwards, so that neither side is copied."""
        first = left.wires[0] if left.wires else ""
        if (
            first in out
            or not right.wires
            or right.wires[0] != first
            or not all(self._summed_behind(v, out) for v in (left, right))
        ):
            return self.writer.einsum(left, right, out)
        results = product(estimate(self.writer.sizes[w]) for w in (first, *out))
        if 2 * results > self._elements(left) + self._elements(right):
            return self.writer.einsum(left, right, out)
        each = self.writer.einsum(left, right, [first, *out])
        return self.writer.sum(each, set(out))

    @staticmethod
    def _summed_behind(value: Value, out: Sequence[str]) -> bool:
        """Whether the axes after the first are some that stay, then some that are summed."""
        stays = [w in out for w in value.wires[1:]]
        return True in stays and False in stays and stays == sorted(stays, reverse=True)

    def _ready(self, tree: Join) -> tuple[Value, Value]:
        """The two sides of a contraction; those of a Gram product of windows are copied once, as
        a matrix."""
        left, right = self.value(tree.left), self.value(tree.right)
        if left.step != right.step or not self._is_scattered(left.step):
            return left, right
        needed = self.needed(tree)
        same = [a == b for a, b in zip(left.wires, right.wires, strict=True)]
        batch = [n for n, alike in enumerate(same) if alike and left.wires[n] in needed]
        rows = [n for n, alike in enumerate(same) if not alike]
        summed = [n for n, alike in enumerate(same) if alike and left.wires[n] not in needed]
        if not summed or set(left.wires) & {right.wires[n] for n in rows}:
            return left, right
        order = [*batch, *rows, *summed]
        return self.copied(left, order), self.copied(right, order)

    def _is_scattered(self, value: int) -> bool:
        """Whether a value is windows, or an operand with its axes split: its rows lie apart."""
        operation = self.writer.steps[value].operation
        if isinstance(operation, ops.Reshape):
            return isinstance(self.writer.steps[operation.x].operation, ops.Operand)
        return isinstance(operation, ops.Window)

    def copied(self, value: Value, order: Sequence[int]) -> Value:
        """A view written out with its axes in this order."""
        wires = [value.wires[n] for n in order]
        moved = self.writer.permute(value, wires)
        names = [f"({' '.join(wires)})"]
        flat = self.writer.step(ops.Reshape(moved.step), [product(self.writer.shape(wires))], names)
        return self.writer.value(ops.Reshape(flat), wires)

    def _order(self, left: Value, right: Value, needed: set[str]) -> list[str]:
        """The axes of a contraction: those of the larger side, the new ones where the summed
        ones stood."""
        large, small = left, right
        if self._elements(right) > self._elements(left):
            large, small = right, left
        new = [w for w in small.wires if w not in large.wires and w in needed]
        gone = [n for n, w in enumerate(large.wires) if w not in needed]
        at = gone[0] if gone else len(large.wires)
        before = [w for w in large.wires[:at] if w in needed]
        return before + new + [w for w in large.wires[at:] if w in needed]

    def _elements(self, value: Value) -> int:
        return int(product(estimate(s) for s in self.writer.shape(value.wires)))

    def _form(self, at: int) -> ConvForm:
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
        with self._about(()):
            return self.writer.step(ops.Operand(operand.name), shape, names)

    def _read(self, tree: Read) -> Value:
        """Padding for all relations of a chain at once, then a window or a step for each."""
        chain, places = [self._form(tree.at)], [tree.at]
        child = tree.child
        while isinstance(child, Read) and self._leads_elsewhere(self._form(child.at), chain):
            chain.append(self._form(child.at))
            places.append(child.at)
            child = child.child
        value = self.value(child)
        padding = {f.i: reading_pad(f) for f in reversed(chain)}
        with self._about(places):
            value = self.writer.pad(value, {w: p for w, p in padding.items() if _padded(p)})
            for form in reversed(chain):
                value = self._windows(value, form, padding[form.i])
        return value

    @staticmethod
    def _leads_elsewhere(form: ConvForm, chain: Sequence[ConvForm]) -> bool:
        """Whether a relation makes none of the wires along which a chain reads on."""
        return all(later.i not in (form.o, form.k) for later in chain)

    def _windows(self, value: Value, form: ConvForm, padding: tuple[Dim, Dim]) -> Value:
        start = expand(-form.P) if not _padded(padding) else expand(padding[0] - form.P)
        o, k = self._apart(value, form.o), None
        if form.k is None:
            value = self.writer.slice(value, form.i, start, form.O, form.S, o)
        else:
            k = self._apart(value, form.k)
            if not equal(start, 0):
                extent = self.writer.steps[value.step].shape[value.axis(form.i)]
                value = self.writer.slice(value, form.i, start, expand(extent - start), 1, form.i)
            value = self.writer.window(value, form.i, o, k, stride=form.S, dilation=form.D)
        for own, made in ((form.o, o), (form.k, k)):
            if made is not None and made != own:
                value = self.writer.diagonal(value, value.axis(str(own)), value.axis(made))
        return value

    def _apart(self, value: Value, wire: str) -> str:
        """The wire, or a stand-in where the value has it already (a diagonal follows)."""
        if wire not in value.wires:
            return wire
        stand_in = f"{wire}*"
        self.writer.sizes = {**self.writer.sizes, stand_in: self.writer.sizes[wire]}
        return stand_in

    def _picked(self, tree: Pick | Return) -> Value:
        """An index map: entries picked along the source, or added back to it."""
        relation = self.network.tensors[tree.at]
        assert isinstance(relation, Relation)
        found = index_map(relation, self.network.sizes)
        assert found is not None
        value = self.value(tree.child)
        together = product(self.writer.sizes[w] for w in found.along)
        name = found.along[0] if len(found.along) == 1 else f"({' '.join(found.along)})"
        if isinstance(tree, Return):
            rest = [w for w in value.wires if w not in found.along]
            before = [w for w in rest if value.axis(w) < value.axis(found.along[0])]
            after = rest[len(before) :]
            value = self.writer.permute(value, [*before, *found.along, *after])
            shape = [*self.writer.shape(before), together, *self.writer.shape(after)]
            step = self.writer.reshape(value.step, shape, [*before, name, *after])
            extent = self.writer.sizes[found.source]
            back = ops.Scatter(step, len(before), extent, found.runs)
            return self.writer.value(back, [*before, found.source, *after])
        axis = value.axis(found.source)
        before, after = list(value.wires[:axis]), list(value.wires[axis + 1 :])
        whole = ((0, self.writer.sizes[found.source], 1),)
        step = value.step
        if found.runs != whole:
            shape = [*self.writer.shape(before), together, *self.writer.shape(after)]
            pick = ops.Gather(value.step, axis, found.runs)
            step = self.writer.step(pick, shape, [*before, name, *after])
        return self.writer.ungroup(step, [*before, *found.along, *after])

    def _fold(self, tree: Fold) -> Value:
        form = self._form(tree.at)
        if self._is_placing(form, []):
            return self._place(tree)
        value = self.value(tree.child)
        if form.k is None:
            return self._placed(value, form)
        wires = [w for w in value.wires if w not in (form.o, form.k)] + [form.i]
        start = 0 if nonnegative(form.P) else expand(-form.P)  # entries before it get nothing
        extent, padding = expand(form.I - start), expand(form.P + start)
        operation = ops.Fold(
            value.step, value.axis(form.o), value.axis(form.k), extent, form.S, form.D, padding
        )
        shape = [*self.writer.shape(wires[:-1]), extent]
        folded = Value(self.writer.step(operation, shape, wires), tuple(wires))
        return self.writer.pad(folded, {form.i: (start, 0)})

    def _place(self, tree: Fold) -> Value:
        """i = S·o − P without a kernel, for a chain of relations at once: entries apart among
        zeros."""
        chain: list[ConvForm] = []
        positions: list[int] = []
        child: Tree = tree
        while isinstance(child, Fold) and self._is_placing(self._form(child.at), chain):
            chain.append(self._form(child.at))
            positions.append(child.at)
            child = child.child
        value = self.value(child)
        start: list[Dim] = [0] * len(value.wires)
        step: list[Dim] = [1] * len(value.wires)
        wires, places = list(value.wires), {f.o: f for f in chain}
        for axis, wire in enumerate(value.wires):
            if wire in places:
                form = places[wire]
                start[axis], step[axis], wires[axis] = expand(-form.P), form.S, form.i
        with self._about(positions):
            return self.writer.value(ops.Place(value.step, tuple(start), tuple(step)), wires)

    @staticmethod
    def _is_placing(form: ConvForm, chain: list[ConvForm]) -> bool:
        """Whether every o has its place in i, and none of it is placed again by the chain so
        far."""
        return (
            form.k is None
            and form.relation.view is not None
            and all(form.i != other.o for other in chain)
        )

    def _placed(self, value: Value, form: ConvForm) -> Value:
        """i = S·o − P without a kernel, some of it outside: zeros between, then padded and
        cropped."""
        wide = self._dilated(value, form.o, form.S, form.O)
        before = expand(-form.P)
        after = expand(form.I - before - form.S * (form.O - 1) - 1)
        return self._named(self.writer.pad(wide, {form.o: (before, after)}), form.o, form.i)

    def _dilated(self, value: Value, wire: str, step: Dim, extent: Dim) -> Value:
        if equal(step, 1):
            return value
        axis = value.axis(wire)
        shape = list(self.writer.steps[value.step].shape)
        shape[axis] = expand(step * (extent - 1) + 1)
        number = self.writer.step(ops.Dilate(value.step, axis, step), shape, value.wires)
        return Value(number, value.wires)

    @staticmethod
    def _named(value: Value, old: str, new: str) -> Value:
        return Value(value.step, tuple(new if w == old else w for w in value.wires))

    def _spread(self, tree: Spread) -> Value:
        """Read from o to (i, k), or, by the kernel–output swap, from k to (i, o).

        With k′ = K − 1 − k: S·o = i + D·k′ − (D(K−1) − P), windows over the dilated, padded axis,
        then flipped.
        """
        value, form = self.value(tree.child), self._form(tree.at)
        if form.k is None:
            return self._placed(value, form)
        o, k, S, D, O, K = form.o, form.k, form.S, form.D, form.O, form.K  # noqa: E741
        if tree.along == form.k:
            o, k, S, D, O, K = k, o, D, S, K, O  # noqa: E741
        wide = self._dilated(value, o, S, O)
        before = expand(D * (K - 1) - form.P)
        after = expand(form.I + D * (K - 1) - before - (S * (O - 1) + 1))
        padded = self.writer.pad(wide, {o: (before, after)})
        made = self._apart(padded, k)
        windows = self.writer.window(padded, o, form.i, made, stride=1, dilation=D)
        axis = windows.axis(made)
        shape = self.writer.steps[windows.step].shape
        flipped = Value(
            self.writer.step(ops.Flip(windows.step, axis), shape, windows.wires), windows.wires
        )
        if made != k:
            return self.writer.diagonal(flipped, flipped.axis(k), flipped.axis(made))
        return flipped

    # -- Gram matrices of windows ------------------------------------------------------------------

    def _paired(self, tree: Paired) -> Value:
        """One product for each distance of rows and each stretch of rows; windows are their sums.

        Σ_o Π[i,o,k]·Π[i′,o,k′] says which rows meet: those D·(k′ − k) apart in the column of k.
        """
        relation = self.network.tensors[tree.at]
        assert isinstance(relation, Relation)
        form = gram_form(relation, self.network.sizes)
        assert form is not None
        rows = _Rows(self, tree, form.i, form.i2)
        found: dict[tuple[int, int], Value] = {}
        made: dict[tuple[int, Segment], Value] = {}
        for block in blocks(form, mirrored=not rows.alike):
            total = [
                made.setdefault((block.distance, s), rows.product(block.distance, s))
                for s in block.segments
            ]
            value = rows.total(total)
            found[block.k, block.k2] = value
            if rows.alike and block.k != block.k2:
                found[block.k2, block.k] = rows.mirrored(value)
        size = int(form.K)
        stacked = [rows.stacked([found[k, k2] for k2 in range(size)], form.k2) for k in range(size)]
        return rows.stacked(stacked, form.k)

    # -- native calls ------------------------------------------------------------------------------

    def _native(self, tree: Native) -> Value:
        left, right = self.value(tree.left), self.value(tree.right)
        forms = [self._form(at) for at in tree.relations]
        spatial = {w for f in forms for w in (f.i, f.o, f.k) if w is not None}
        roles = native.layout(left.wires, right.wires, self.needed(tree), spatial)
        write = {
            "convolution": self._convolution,
            "transposed": self._transposed,
            "weight gradient": self._weight_gradient,
        }[tree.kind]
        return write(left, right, forms, roles)

    def _grouped(self, value: Value, *axes: Sequence[str]) -> int:
        """A value as a library wants it: one axis for each list of wires (none: size one)."""
        flat = [w for axis in axes for w in axis]
        ordered = self.writer.permute(value, flat)
        names = [a[0] if len(a) == 1 else f"({' '.join(a)})" for a in axes]
        return self.writer.group(ordered, axes, names)

    def _convolution(
        self, x: Value, w: Value, forms: list[ConvForm], roles: native.Layout
    ) -> Value:
        i, o, k = self._ends(forms)
        data = self._grouped(x, roles.left, [*roles.group, *roles.summed], *i)
        kernel = self._grouped(w, [*roles.group, *roles.right], roles.summed, *k)
        computed = [expand(f.O + native.extra(f)) for f in forms]
        shape = [*self._sizes(roles.left, (*roles.group, *roles.right)), *computed]
        step = self.writer.step(
            ops.Convolution(data, kernel, *self._geometry(forms), self._groups(roles)),
            shape,
            [*self._labels(roles.left, (*roles.group, *roles.right)), *(w[0] for w in o)],
        )
        for axis, (form, have) in enumerate(zip(forms, computed, strict=True), start=2):
            if not equal(have, form.O):
                shape[axis] = form.O
                names = self.writer.steps[step].axes
                step = self.writer.step(ops.Slice(step, axis, 0, form.O), shape, names)
        wires = (*roles.left, *roles.group, *roles.right, *(w[0] for w in o))
        return self.writer.ungroup(step, wires)

    def _transposed(self, v: Value, w: Value, forms: list[ConvForm], roles: native.Layout) -> Value:
        i, o, k = self._ends(forms)
        data = self._grouped(v, roles.left, [*roles.group, *roles.summed], *o)
        kernel = self._grouped(w, [*roles.group, *roles.summed], roles.right, *k)
        stride, padding, dilation = self._geometry(forms)
        output = tuple(native.output_padding(f) for f in forms)
        operation = ops.TransposedConvolution(
            data, kernel, stride, padding, output, dilation, self._groups(roles)
        )
        shape = [*self._sizes(roles.left, (*roles.group, *roles.right)), *(f.I for f in forms)]
        names = [*self._labels(roles.left, (*roles.group, *roles.right)), *(w[0] for w in i)]
        step = self.writer.step(operation, shape, names)
        wires = (*roles.left, *roles.group, *roles.right, *(w[0] for w in i))
        return self.writer.ungroup(step, wires)

    def _weight_gradient(
        self, x: Value, v: Value, forms: list[ConvForm], roles: native.Layout
    ) -> Value:
        i, o, k = self._ends(forms)
        data = self._grouped(x, roles.summed, [*roles.group, *roles.left], *i)
        cotangent = self._grouped(v, roles.summed, [*roles.group, *roles.right], *o)
        surplus = tuple((0, native.extra(f)) for f in forms)
        if any(n for _, n in surplus):  # zeros for windows that the call adds at the end
            made = self.writer.steps[cotangent]
            ends = (*made.shape[:2], *(expand(f.O + native.extra(f)) for f in forms))
            padding = ops.Pad(cotangent, ((0, 0), (0, 0), *surplus))
            cotangent = self.writer.step(padding, ends, made.axes)
        operation = ops.WeightGradient(data, cotangent, *self._geometry(forms), self._groups(roles))
        shape = [*self._sizes((*roles.group, *roles.right), roles.left), *(f.K for f in forms)]
        names = self._labels((*roles.group, *roles.right), roles.left, *k)
        step = self.writer.step(operation, shape, names)
        wires = (*roles.group, *roles.right, *roles.left, *(w for axis in k for w in axis))
        return self.writer.ungroup(step, wires)

    @staticmethod
    def _ends(forms: list[ConvForm]) -> tuple[list[list[str]], list[list[str]], list[list[str]]]:
        """The wires i, o and k of each relation, as axes; a kernel of size one has none."""
        return (
            [[f.i] for f in forms],
            [[f.o] for f in forms],
            [[] if f.k is None else [f.k] for f in forms],
        )

    @staticmethod
    def _geometry(
        forms: list[ConvForm],
    ) -> tuple[tuple[Dim, ...], tuple[Dim, ...], tuple[Dim, ...]]:
        return (
            tuple(f.S for f in forms),
            tuple(f.P for f in forms),
            tuple(f.D for f in forms),
        )

    def _groups(self, roles: native.Layout) -> Dim:
        return product(self.writer.sizes[w] for w in roles.group)

    def _sizes(self, *axes: Sequence[str]) -> list[Dim]:
        return [product(self.writer.sizes[w] for w in axis) for axis in axes]

    @staticmethod
    def _labels(*axes: Sequence[str]) -> list[str]:
        return [a[0] if len(a) == 1 else f"({' '.join(a)})" for a in axes]


class _Rows:
    """The two sides of a Gram matrix of windows, copied once as rows side by side."""

    def __init__(self, lowering: Lowering, tree: Paired, i: str, i2: str) -> None:
        self.lowering, self.writer, self.i = lowering, lowering.writer, i
        left, right = lowering.value(tree.left), lowering.value(tree.right)
        needed = lowering.needed(tree)
        shared = [w for w in left.wires if w in right.wires]
        self.batch = [w for w in shared if w in needed]
        summed = [w for w in shared if w not in needed]
        self.native = tree.batched and len(summed) > 0
        self.first, self.last = (summed[:1], summed[1:]) if self.native else ([], summed)
        self.rows = [
            [w for w in v.wires if w not in shared and w not in (i, i2)] for v in (left, right)
        ]
        self.names: list[str] = []
        self.left = self._laid(left, self.rows[0], i)
        self.right = self._laid(right, self.rows[1], i2)
        self.alike = self.left.step == self.right.step

    def _laid(self, value: Value, rows: Sequence[str], i: str) -> Value:
        """Axes (batch, rows, i, summed), or with the first summed wire in front for a native call;
        the rows are one axis, and so are summed wires."""
        order = [*self.first, *self.batch, *rows, i, *self.last]
        value = self.lowering.copied(value, [value.axis(w) for w in order])
        if self.native:
            axes = [self.first, [*self.batch, *rows], [i], self.last]
        else:
            axes = [*([w] for w in self.batch), list(rows), [i], self.last]
        names = [a[0] if len(a) == 1 else f"({' '.join(a)})" if a else "" for a in axes]
        step = self.writer.group(value, axes, names)
        if not self.native:
            names = [*self.batch, names[-3] or f"side {len(self.names)}", self.i, names[-1]]
            self.names.append(names[-3])
        return Value(step, tuple(names))

    def product(self, distance: int, segment: Segment) -> Value:
        """Rows of a segment times those a distance on."""
        left = self._cut(self.left, segment.start, segment)
        right = self._cut(self.right, segment.start + distance, segment)
        if self.native:
            return self._native(left, right)
        sizes = {w: n for v in (left, right) for w, n in zip(v.wires, self._shape(v), strict=True)}
        before, self.writer.sizes = self.writer.sizes, {**self.writer.sizes, **sizes}
        value = self.writer.einsum(left, right, [*self.batch, *self.names])
        self.writer.sizes = before
        return self._named(value.step)

    def _shape(self, value: Value) -> tuple[Dim, ...]:
        return self.writer.steps[value.step].shape

    def _cut(self, value: Value, start: int, segment: Segment) -> Value:
        axis = len(value.wires) - 2
        shape = list(self._shape(value))
        if start == 0 and segment.count == shape[axis]:
            return value
        shape[axis] = segment.count
        operation = ops.Slice(value.step, axis, start, segment.count, segment.step)
        names = self.writer.steps[value.step].axes
        return Value(self.writer.step(operation, shape, names), value.wires)

    def _native(self, left: Value, right: Value) -> Value:
        """[b, (g rows), i, summed] twice: the weight gradient of a kernel of size one."""
        groups = product(self.writer.sizes[w] for w in self.batch)
        sizes = [product(self.writer.sizes[w] for w in rows) for rows in self.rows]
        ones = (1, 1)
        operation = ops.WeightGradient(right.step, left.step, ones, (0, 0), ones, groups)
        shape = (expand(groups * sizes[0]), sizes[1], *ones)
        return self._named(self.writer.step(operation, shape, ("rows", "rows'", "1", "1")))

    def _named(self, step: int) -> Value:
        """A product with an axis for each wire."""
        return self.writer.ungroup(step, [*self.batch, *self.rows[0], *self.rows[1]])

    def total(self, values: Sequence[Value]) -> Value:
        """The sum of products; zero where no rows meet."""
        if not values:
            zero = ops.Indicator((), self.left.step)
            return self.writer.value(zero, [*self.batch, *self.rows[0], *self.rows[1]])
        if len(values) == 1:
            return values[0]
        operation = ops.Add(tuple(v.step for v in values))
        return self.writer.value(operation, values[0].wires)

    def mirrored(self, value: Value) -> Value:
        """The sides exchanged."""
        first, second = self.rows
        moved = self.writer.permute(value, [*self.batch, *second, *first])
        return Value(moved.step, value.wires)

    def stacked(self, values: Sequence[Value], wire: str) -> Value:
        """Blocks side by side along a wire, which stands where the result wants it."""
        have, open_ = values[0].wires, self.lowering.open
        before = [n for n, w in enumerate(have) if w in open_ and wire in open_]
        at = 1 + max((n for n in before if open_.index(have[n]) < open_.index(wire)), default=-1)
        wires = (*have[:at], wire, *have[at:])
        return self.writer.value(ops.Stack(tuple(v.step for v in values), at), wires)


def _positions(node: Tree) -> tuple[int, ...]:
    match node:
        case Leaf() | Dense() | Read() | Fold() | Spread() | Pick() | Return():
            return (node.at,)
        case Native():
            return node.relations
        case Paired():
            return (node.at,)
    return ()


def _padded(pair: tuple[Dim, Dim]) -> bool:
    return not (equal(pair[0], 0) and equal(pair[1], 0))


def reading_pad(form: ConvForm) -> tuple[Dim, Dim]:
    """Zeros that reading needs before and after the input; none for a view."""
    if form.relation.view is not None:
        return 0, 0
    right = form.right
    if isinstance(form.P, int) and isinstance(right, int):
        return max(form.P, 0), max(right, 0)
    return form.P, right


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
