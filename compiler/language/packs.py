"""Packs: `i...` stands for i.0, i.1, …; a file with packs becomes one without, at a given rank.

`P[i, o, k]...` is the product of `P.0[i.0, o.0, k.0]`, `P.1[i.1, o.1, k.1]`, …; where a scalar has
a pack it is the member, if it is said of one, else the product over the pack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from diagrammar.grammar import syntax
from diagrammar.grammar.errors import Problem
from diagrammar.grammar.source import Source

SHOWN = 2
"""The rank at which a file that leaves it open is checked and shown."""


def member(name: str, number: int) -> str:
    """The name of a member: `k'` has `k.0'`, `k.1'`."""
    bare = name.rstrip("'")
    return f"{bare}.{number}{name[len(bare) :]}"


def has_packs(node: Any) -> bool:
    """Whether anything below a node is a pack."""
    if isinstance(node, tuple):
        return any(has_packs(item) for item in node)
    if not is_dataclass(node):
        return False
    if getattr(node, "pack", False):
        return True
    return any(has_packs(getattr(node, f.name)) for f in fields(node))


def unpacked(
    file: syntax.File, rank: int, source: Source
) -> tuple[syntax.File, tuple[Problem, ...]]:
    """The file with every pack written out, and packs that stand where none can."""
    opener = _Opener(rank, source)
    statements = tuple(made for s in file.statements for made in opener.statement(s))
    return syntax.File(statements), tuple(opener.problems)


class _Opener:
    def __init__(self, rank: int, source: Source) -> None:
        self.rank = rank
        self.source = source
        self.problems: list[Problem] = []

    def statement(self, node: syntax.AnyStatement) -> Iterator[syntax.AnyStatement]:
        """What a statement becomes: a pattern with dots is one for each member."""
        match node:
            case syntax.Sizes() | syntax.Params():
                entries = tuple(made for e in node.entries for made in self.entry(e))
                yield replace(node, entries=entries)
            case syntax.Tensor():
                self.refuse(node.drawn)
                yield replace(node, axes=self.axes(node.axes))
            case syntax.Require():
                made = tuple(c for condition in node.conditions for c in self.condition(condition))
                yield replace(node, conditions=made)
            case syntax.Pattern(pack=True):
                for n in range(self.rank):
                    value = self.each(node.value, n)
                    yield replace(node, name=member(node.name, n), value=value, pack=False)
            case syntax.Pattern():
                self.refuse(node.axes, node.value)
                yield replace(node, value=self.each(node.value, 0))
            case syntax.Definition():
                terms = tuple(replace(t, factors=self.factors(t.factors)) for t in node.terms)
                yield replace(node, axes=self.axes(node.axes), terms=terms)
            case _:
                yield node

    def entry(self, entry: syntax.Assignment) -> Iterator[syntax.Assignment]:
        """`s... = 1` is `s.0 = 1, s.1 = 1`."""
        if not entry.pack:
            self.refuse(entry.value)
            yield entry
            return
        for n in range(self.rank):
            yield replace(
                entry, name=member(entry.name, n), value=self.each(entry.value, n), pack=False
            )

    def condition(self, node: syntax.Condition) -> Iterator[syntax.Condition]:
        """`|i...| > p...` is one condition for each member."""
        if next(_packs(node), None) is None:
            yield node
            return
        for n in range(self.rank):
            yield self.each(node, n)

    def axes(self, axes: tuple[syntax.Axis, ...]) -> tuple[syntax.Axis, ...]:
        """Packs among axes or in groups as their members."""
        made: list[syntax.Axis] = []
        for axis in axes:
            if isinstance(axis, syntax.Group):
                made.append(
                    replace(axis, items=tuple(i for x in axis.items for i in self.index(x)))
                )
            else:
                made += self.index(axis)
        return tuple(made)

    def index(self, index: syntax.Index) -> tuple[syntax.Index, ...]:
        """A wire, or the members of a pack."""
        if not index.pack:
            return (index,)
        names = (member(index.name, n) for n in range(self.rank))
        return tuple(replace(index, name=name, pack=False) for name in names)

    def factors(self, factors: tuple[syntax.Factor, ...]) -> tuple[syntax.Factor, ...]:
        """A reference with dots as a product over the members."""
        made: list[syntax.Factor] = []
        for factor in factors:
            value = factor.value
            if not isinstance(value, syntax.Reference):
                made.append(replace(factor, value=self.product(value)))
            elif not value.pack:
                made.append(replace(factor, value=replace(value, axes=self.axes(value.axes))))
            else:
                self.refuse(value.axes)
                made += [replace(factor, value=self.part(value, n)) for n in range(self.rank)]
        return tuple(made)

    def part(self, node: syntax.Reference, n: int) -> syntax.Reference:
        """`P[i, o, k]...` for one member; what is built in has no members of its own."""
        name = node.name if node.name in ("delta", "ones") else member(node.name, n)

        def of(axis: syntax.Axis) -> syntax.Axis:
            if isinstance(axis, syntax.Group):
                items = tuple(replace(i, name=member(i.name, n), pack=False) for i in axis.items)
                return replace(axis, items=items)
            return replace(axis, name=member(axis.name, n), pack=False)

        return replace(node, name=name, axes=tuple(map(of, node.axes)), pack=False)

    def each(self, node: Any, n: int) -> Any:
        """A value with the members of its packs that have number n."""

        def one(leaf: Any) -> Any:
            if isinstance(leaf, syntax.SizeOf):
                return replace(leaf, wire=member(leaf.wire, n), pack=False)
            return replace(leaf, name=member(leaf.name, n), pack=False)

        return _changed(node, one)

    def product(self, node: Any) -> Any:
        """A scalar with the product over each of its packs."""

        def whole(leaf: Any) -> Any:
            total = self.each(leaf, 0)
            for n in range(1, self.rank):
                total = syntax.Binary("*", total, self.each(leaf, n), leaf.span)
            return total

        return _changed(node, whole)

    def refuse(self, *nodes: Any) -> None:
        """Packs where there can be none."""
        for leaf in (leaf for node in nodes for leaf in _packs(node)):
            name = leaf.wire if isinstance(leaf, syntax.SizeOf) else leaf.name
            self.problems.append(
                Problem(
                    f"the pack '{name}...' cannot stand here",
                    leaf.span,
                    self.source,
                    "a single one is needed",
                    f"put '...' behind the brackets or the name that it belongs to, "
                    f"or name a member: '{member(name, 0)}'",
                )
            )


def _changed(node: Any, change: Callable[[Any], Any]) -> Any:
    """A copy with every pack below changed."""
    if isinstance(node, tuple):
        return tuple(_changed(item, change) for item in node)
    if not is_dataclass(node) or isinstance(node, type):
        return node
    if getattr(node, "pack", False):
        return change(node)
    changes = {}
    for f in fields(node):
        old = getattr(node, f.name)
        if isinstance(old, tuple) or is_dataclass(old):
            new = _changed(old, change)
            if new is not old:
                changes[f.name] = new
    return replace(node, **changes) if changes else node


def _packs(node: Any) -> Iterator[Any]:
    if isinstance(node, tuple):
        for item in node:
            yield from _packs(item)
    elif is_dataclass(node):
        if getattr(node, "pack", False):
            yield node
            return
        for f in fields(node):
            yield from _packs(getattr(node, f.name))
