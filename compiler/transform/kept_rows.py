"""Diagrams on the rows that masks keep: what a sampled product needs of its operands.

Σ_i X[b, i]·M[i]·W[i, o] with a mask M that is zero at most i is the same sum over the other i.
Where a wire with a mask ends at operands only, these can be cut to the kept rows first; an open
wire is put back among zeros afterwards. A wire that meets an index relation must keep its length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

from diagrammar.ir.diagram import Axes, Declared, Diagram, Network, Operand
from diagrammar.ir.names import primed
from diagrammar.ir.relation import Sizes
from diagrammar.ir.scalar import Dim, size

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """The wires of a tensor, axis by axis, each with its size (of rows that are cut already, the
    name of their mask), and where masks cut it: at a position among all wires."""

    axes: tuple[tuple[int | str, ...], ...]
    cuts: tuple[tuple[int, str], ...]

    def taken(self, x: Tensor, rows: Mapping[str, Tensor]) -> Tensor:
        """A whole tensor cut to the rows of the masks."""
        cut = dict(self.cuts)
        whole = [_length(s, rows) for axis in self.axes for s in axis]
        x = x.reshape(whole)
        for at, mask in self.cuts:
            x = x.index_select(at, rows[mask])
        left = [rows[cut[n]].shape[0] if n in cut else s for n, s in enumerate(whole)]
        return x.reshape(self._grouped(left))

    def put(self, x: Tensor, rows: Mapping[str, Tensor]) -> Tensor:
        """A cut tensor whole again, with zeros between the rows."""
        cut = dict(self.cuts)
        whole = [_length(s, rows) for axis in self.axes for s in axis]
        now = [rows[cut[n]].shape[0] if n in cut else s for n, s in enumerate(whole)]
        x = x.reshape(now)
        for at, mask in self.cuts:
            now[at] = whole[at]
            x = x.new_zeros(now).index_copy(at, rows[mask], x)
        return x.reshape(self._grouped(whole))

    def _grouped(self, sizes: list[int]) -> list[int]:
        left = iter(sizes)
        return [prod(next(left) for _ in axis) for axis in self.axes]


def _length(extent: int | str, rows: Mapping[str, Tensor]) -> int:
    return int(rows[extent].shape[0]) if isinstance(extent, str) else extent


@dataclass(frozen=True)
class Kept:
    """Diagrams on kept rows. `takes` says what each operand is: one of the given ones, cut; `puts`
    how each result becomes full again; `saved` which operands still have a mask at a relation, and
    where they may be cut to be saved."""

    diagrams: tuple[Diagram, ...]
    takes: Mapping[str, tuple[str, Layout]]
    puts: tuple[Layout, ...]
    saved: Mapping[str, Layout]

    @property
    def masks(self) -> frozenset[str]:
        """The masks whose rows are needed."""
        layouts = [*(layout for _, layout in self.takes.values()), *self.puts, *self.saved.values()]
        named = {s for layout in layouts for axis in layout.axes for s in axis}
        return frozenset(m for layout in layouts for _, m in layout.cuts) | {
            s for s in named if isinstance(s, str)
        }


def kept_form(diagrams: Sequence[Diagram], scales: Mapping[str, Any]) -> Kept:
    """Diagrams of known sizes on the rows that the masks in `scales` keep. A mask with a scale is
    that or zero everywhere, so that it becomes a factor; one with None is cut itself."""
    cutter = _Cutter(scales)
    made, puts = [], []
    for diagram in diagrams:
        masks = {m for m in scales if _removable(diagram, m)}
        done, put = cutter.diagram(diagram, masks)
        made.append(done)
        puts.append(put)
    return Kept(tuple(made), cutter.takes, tuple(puts), _saved(made, frozenset(scales)))


def _wire(term: Network, mask: str) -> str | None:
    """The wire that a mask is at."""
    for t in term.tensors:
        if isinstance(t, Operand) and t.name == mask:
            return t.wires[0] if len(t.wires) == 1 else None
    return None


def _removable(diagram: Diagram, mask: str) -> bool:
    """Whether the wires of a mask end at operands only and, if open, have it in every term."""
    wires = []
    for term in diagram.terms:
        if term.scalar == 0:
            continue
        wire = _wire(term, mask)
        wires.append(wire)
        if wire is None:
            if _has(term, mask):
                return False
            continue
        others = [t for t in term.tensors if wire in t.wires and t.name != mask]
        if not others or not all(isinstance(t, Operand) for t in others):
            return False
    found = set(wires)
    is_open = any(w in diagram.open for w in found)
    return found != {None} and bool(found) and (not is_open or len(found) == 1)


def _has(term: Network, name: str) -> bool:
    return any(isinstance(t, Operand) and t.name == name for t in term.tensors)


class _Cutter:
    def __init__(self, scales: Mapping[str, Any]) -> None:
        self.scales = scales
        self.takes: dict[str, tuple[str, Layout]] = {}
        self.names: dict[tuple[str, Layout], str] = {}
        self.declared: dict[str, Declared] = {}

    def diagram(self, diagram: Diagram, masks: set[str]) -> tuple[Diagram, Layout]:
        """The diagram on the rows of some masks, and where its result is cut."""
        given = {o.name: o for o in diagram.operands}
        terms = tuple(self._term(t, masks, given) for t in diagram.terms if t.scalar != 0)
        cut_wires = {
            wire: mask
            for term in diagram.terms
            for mask in sorted(masks)
            if (wire := _wire(term, mask)) in diagram.open
        }
        put = _layout(diagram.axes, diagram.sizes, cut_wires)
        sizes = {w: _rows(cut_wires[w]) if w in cut_wires else s for w, s in diagram.sizes.items()}
        used = dict.fromkeys(
            t.name for term in terms for t in term.tensors if isinstance(t, Operand)
        )
        operands = tuple(self.declared[name] for name in used)
        return replace(diagram, terms=terms, operands=operands, sizes=sizes), put

    def _term(self, term: Network, masks: set[str], given: Mapping[str, Declared]) -> Network:
        wires: dict[str, str] = {}
        for mask in sorted(masks):
            wire = _wire(term, mask)
            if wire is not None:
                wires.setdefault(wire, mask)  # a second mask at a wire is an operand like others
        scalar = term.scalar
        tensors: list[Any] = []
        for tensor in term.tensors:
            if not isinstance(tensor, Operand):
                tensors.append(tensor)
                continue
            if wires.get(tensor.wires[0] if tensor.wires else "") == tensor.name:
                scale = self.scales[tensor.name]
                if scale is not None:
                    scalar = scalar * scale
                    continue
            name = self._take(tensor, term.sizes, wires, given)
            tensors.append(replace(tensor, name=name))
        sizes = {w: _rows(wires[w]) if w in wires else s for w, s in term.sizes.items()}
        return Network(scalar, tuple(tensors), sizes)

    def _take(
        self,
        tensor: Operand,
        sizes: Sizes,
        wires: Mapping[str, str],
        given: Mapping[str, Declared],
    ) -> str:
        """The name of an operand that is cut; its own where it is not."""
        layout = _layout(tensor.axes, sizes, wires)
        cuts = layout.cuts
        key = (tensor.name, layout if cuts else Layout((), ()))
        if key not in self.names:
            name, number = tensor.name, 1
            while (cuts and number == 1) or name in self.declared or (cuts and name in given):
                number += 1
                name = f"{tensor.name}_{number}"
            self.names[key] = name
            self.takes[name] = (tensor.name, layout)
            self.declared[name] = (
                _declared(name, tensor, sizes, wires) if cuts else given[tensor.name]
            )
        return self.names[key]


def _rows(mask: str) -> Dim:
    return size(f"kept_{mask}")


def _layout(axes: Axes, sizes: Sizes, wires: Mapping[str, str]) -> Layout:
    """Wires with their sizes, and where those with a mask stand."""
    flat = [w for axis in axes for w in axis]
    extents = tuple(tuple(_extent(sizes[w]) for w in axis) for axis in axes)
    return Layout(extents, tuple((at, wires[w]) for at, w in enumerate(flat) if w in wires))


def _extent(extent: Dim) -> int | str:
    return extent if isinstance(extent, int) else str(extent).removeprefix("kept_")


def _declared(name: str, tensor: Operand, sizes: Sizes, wires: Mapping[str, str]) -> Declared:
    """An operand on kept rows, with the axes that it is used with."""
    own: dict[str, Dim] = {}
    axes = []
    for axis in tensor.axes:
        group = []
        for wire in axis:
            new = primed(wire, own)
            own[new] = _rows(wires[wire]) if wire in wires else sizes[wire]
            group.append(new)
        axes.append(tuple(group))
    return Declared(name, tuple(axes), own)


def _saved(diagrams: Sequence[Diagram], masks: frozenset[str]) -> dict[str, Layout]:
    """Operands that meet a mask at the same place wherever they stand, and where."""
    found: dict[str, set[Layout]] = {}
    for term in (term for diagram in diagrams for term in diagram.terms):
        wires = {w: m for m in sorted(masks) if (w := _wire(term, m)) is not None}
        for tensor in term.tensors:
            if isinstance(tensor, Operand) and tensor.name not in masks:
                layout = _layout(tensor.axes, term.sizes, wires)
                found.setdefault(tensor.name, set()).add(layout)
    alike = {name: next(iter(layouts)) for name, layouts in found.items() if len(layouts) == 1}
    return {name: layout for name, layout in alike.items() if layout.cuts}
