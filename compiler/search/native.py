"""Native recognition: sub-networks that *are* a convolution, a transposed convolution or a weight
gradient.

Law: Σ X·W·ΠΠ over i, k and the shared channels is a convolution of X with W; read towards i it is
the transposed one; with i and o summed it is the weight gradient. Which of them depends only on
which wires of each Π the two sides have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from diagrammar.ir.diagram import Operand
from diagrammar.ir.relation import ConvForm
from diagrammar.ir.scalar import nonnegative
from diagrammar.ir.tree import Apply, Tree, applies, walk
from diagrammar.lowerings.native_roles import extra, output_padding
from diagrammar.lowerings.reading import reads_gaps
from diagrammar.program.operations.work import Kind, LibraryCall
from diagrammar.search.entry import Entry

if TYPE_CHECKING:
    from diagrammar.search.moves import Moves

ROLES: dict[tuple[str, str], tuple[str, bool]] = {
    ("i", "k"): ("convolution", False),
    ("k", "i"): ("convolution", True),
    ("o", "k"): ("transposed convolution", False),
    ("k", "o"): ("transposed convolution", True),
    ("i", "o"): ("weight gradient", False),
    ("o", "i"): ("weight gradient", True),
}
"""Which wire of a relation each side has: the call, and whether to exchange the sides."""
CALLS: dict[str, Kind] = {
    "convolution": "convolution",
    "transposed convolution": "input gradient",
    "weight gradient": "weight gradient",
}
"""What each is for a library."""


def recognise(search: Moves, a: Entry, b: Entry, between: Sequence[int]) -> Entry | None:
    """The native call for two results and *all* relations between them, if there is one."""
    if search.empty or not 1 <= len(between) <= 3:  # libraries refuse no groups, no channels
        return None
    roles = {_role(search, a, b, at) for at in between}
    if len(roles) != 1:
        return None
    role = roles.pop()
    if role is None:
        return None
    kind, exchange = ROLES[role]
    left, right = (b, a) if exchange else (a, b)
    forms = [search.forms[at] for at in between]
    ends = [w for form in forms for w in (form.i, form.o, form.k) if w is not None]
    if len(set(ends)) < len(ends):
        return None  # two relations that share a wire are no two dimensions
    if not all(fits(kind, form) for form in forms):
        return None
    if kind != "transposed convolution" and search.options.contained and _gaps(search, left, forms):
        return None  # the call's padding would be rows that are in no sum
    tensors = a.tensors | b.tensors | sum(1 << at for at in between)
    inner, result = _wires(search, kind, forms)
    needed = search.needed(tensors)
    wires = (((left.wires | right.wires) & ~inner) & needed) | result
    if needed & inner or result & ~needed:
        return None
    if (left.wires ^ right.wires) & ~inner & ~needed:
        return None  # a wire of one side that is summed has no role in a convolution
    read = [search.elements(side.wires) for side in (left, right)]
    call = _call(search, kind, left, right, forms, needed)
    work = search.library.convolved(call, read, search.elements(wires))
    if kind == "weight gradient" and (unfolded := _unfolds(left.tree) + _unfolds(right.tree)):
        work = work._replace(library=work.library * search.library.unfolded(call, unfolded))
    cost = a.cost + b.cost + search.options.preference * search.prices.seconds(work)
    tree = Apply(kind, (left.tree, right.tree), tuple(between))
    return Entry(tensors, wires, cost, tree, parts=(left, right))


def _gaps(search: Moves, left: Entry, forms: Sequence[ConvForm]) -> bool:
    return any(reads_gaps(form, left.tree, search.forms.__getitem__) for form in forms)


def whole(search: Moves) -> Tree | None:
    """The one library call that a network of two operands is; None if it is none."""
    operands = [n for n, t in enumerate(search.network.tensors) if isinstance(t, Operand)]
    relations = [n for n, t in enumerate(search.network.tensors) if n not in operands]
    if len(operands) != 2 or not all(n in search.forms for n in relations):
        return None
    first, second = (search.leaf(n) for n in operands)
    found = recognise(search, first, second, relations)
    return None if found is None else found.tree


def _call(
    search: Moves,
    kind: str,
    left: Entry,
    right: Entry,
    forms: Sequence[ConvForm],
    needed: int,
) -> LibraryCall:
    """The library call: what both sides have and the result has are groups, what is summed are
    channels, or images for a weight gradient."""
    ends = sum(search.bit[w] for f in forms for w in (f.i, f.o, f.k) if w is not None)
    both = left.wires & right.wires & ~ends
    own = [search.elements(side.wires & ~both & ~ends) for side in (left, right)]
    summed = search.elements(both & ~needed)
    images, inner, outer = {
        "convolution": (own[0], summed, own[1]),
        "transposed convolution": (own[0], own[1], summed),
        "weight gradient": (summed, own[0], own[1]),
    }[kind]
    return LibraryCall(
        CALLS[kind],
        images,
        search.elements(both & needed),
        inner,
        outer,
        tuple(int(f.K) for f in forms),
        tuple(int(f.O) for f in forms),
        tuple(int(f.S) for f in forms),
        tuple(int(f.D) for f in forms),
    )


def _unfolds(tree: Tree) -> bool:
    """Whether a value is made of windows."""
    return any(applies(node, "windows", "transposed windows") for node in walk(tree))


def _role(search: Moves, a: Entry, b: Entry, at: int) -> tuple[str, str] | None:
    """Which one wire of a relation is on the left, which on the right; None unless exactly one
    each."""
    form = search.forms[at]
    if form.k is None:
        return _unit_role(search, a, b, at)
    letters = {"i": search.bit[form.i], "o": search.bit[form.o], "k": search.bit[form.k]}
    left = [letter for letter, bit in letters.items() if a.wires & bit]
    right = [letter for letter, bit in letters.items() if b.wires & bit]
    if len(left) == 1 and len(right) == 1 and left != right:
        return left[0], right[0]
    return None


def _unit_role(search: Moves, a: Entry, b: Entry, at: int) -> tuple[str, str] | None:
    """The same for a kernel of size one, whose wire is left out: a side without a wire has k."""
    form = search.forms[at]
    i, o = search.bit[form.i], search.bit[form.o]
    needed = search.needed(a.tensors | b.tensors | 1 << at)
    left, right = (("i" if e.wires & i else "") + ("o" if e.wires & o else "") for e in (a, b))
    if (left, right) in (("i", "o"), ("o", "i")):
        return None if needed & (i | o) else (left, right)
    if {left, right} in ({"i", ""}, {"o", ""}):
        return left or "k", right or "k"
    return None


def _wires(search: Moves, kind: str, forms: Sequence[ConvForm]) -> tuple[int, int]:
    """The relation wires that are summed, and those of the result."""
    inner = result = 0
    for form in forms:
        i, o = search.bit[form.i], search.bit[form.o]
        k = 0 if form.k is None else search.bit[form.k]
        own = {"convolution": o, "transposed convolution": i, "weight gradient": k}[kind]
        result |= own
        inner |= (i | o | k) & ~own
    return inner, result


def fits(kind: str, form: ConvForm) -> bool:
    """Whether the library call can express a relation's padding and sizes (known numbers only)."""
    if not all(isinstance(n, int) for n in (form.S, form.D, form.P, form.I, form.O, form.K)):
        return False
    if not nonnegative(form.P):
        return False
    if kind == "transposed convolution":
        return 0 <= output_padding(form) < max(int(form.S), int(form.D))
    return nonnegative(form.P - form.right) and extra(form) >= 0
