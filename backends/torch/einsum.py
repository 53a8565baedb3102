"""Write contractions of two values as `@`, `*` or a two-operand `torch.einsum`, and masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from diagrammar.backends.torch.expression import ATOM, PRODUCT, Code, call
from diagrammar.backends.torch.names import letters
from diagrammar.program import Einsum, Masked

Term = tuple[int, ...]


def write_einsum(
    op: Einsum, values: tuple[Code, Code], names: Mapping[int, str], larger: int = 0
) -> Code:
    """Write the contraction. `names` has the wire of each label, for its letter; summed letters are
    in the order of the side `larger` (0 or 1)."""
    a, b = values
    first, second = op.terms
    for part, term in enumerate((*op.terms, op.out)):
        if len(set(term)) < len(term):
            raise ValueError(
                f"a label stands twice in part {part} of einsum {op.terms} -> {op.out}"
            )
    return (
        _product(a, first, b, second, op.out)
        or _matmul(a, first, b, second, op.out)
        or _matmul(b, second, a, first, op.out)
        or _einsum(op, a, b, names, op.terms[larger])
    )


def is_matmul(first: Term, second: Term, out: Term) -> bool:
    """Whether `@` computes it, with sides perhaps swapped or transposed."""
    x = Code("x")
    return bool(_matmul(x, first, x, second, out) or _matmul(x, second, x, first, out))


def _einsum(op: Einsum, a: Code, b: Code, names: Mapping[int, str], leading: Term) -> Code:
    """Write a `torch.einsum`; the summed labels get letters in the order of `leading`."""
    letter = letters(names)
    # torch sums letters in alphabetical order, capitals first; where that is the order of the
    # axes in memory, it joins them without a copy
    summed = [label for label in leading if all(label in term for term in op.terms)]
    summed = [label for label in summed if label not in op.out]
    letter.update(zip(summed, sorted(letter[label] for label in summed), strict=True))
    parts = ["".join(letter[label] for label in term) for term in (*op.terms, op.out)]
    return call("torch.einsum", f'"{parts[0]},{parts[1]}->{parts[2]}"', a.text, b.text)


def _product(a: Code, first: Term, b: Code, second: Term, out: Term) -> Code | None:
    """Multiply elementwise, with broadcasting, where nothing is summed and the axes stand in
    order."""
    left, right = aligned(a, first, out), aligned(b, second, out)
    if left is None or right is None or set(first) | set(second) != set(out):
        return None
    return Code(f"{left.at(PRODUCT)} * {right}", PRODUCT)


def aligned(x: Code, term: Term, out: Term) -> Code | None:
    """Give x an axis of size one for each axis that it lacks; leading ones need not be written."""
    if term != tuple(label for label in out if label in term):
        return None
    lacking = [label not in term for label in out]
    while lacking and lacking[0]:
        lacking.pop(0)
    if not any(lacking):
        return x
    parts = ["None" if lacks else ":" for lacks in lacking]
    tail = parts[parts.index("None") :]
    if ":" not in tail and len(parts) > len(tail) + 1:
        parts = ["...", *tail]
    return Code(f"{x}[{', '.join(parts)}]", ATOM, x.links + 1)


def _matmul(a: Code, first: Term, b: Code, second: Term, out: Term) -> Code | None:
    """Write `a @ b`, sides perhaps transposed: one summed label, batch labels equal or on one
    side."""
    summed = [label for label in first if label in second and label not in out]
    if len(summed) != 1:
        return None
    (k,) = summed
    left = _side(a, first, k, axis=-1)
    right = _side(b, second, k, axis=-2)
    if left is None or right is None:
        return None
    (x, batch_a, i), (y, batch_b, j) = left, right
    if {*batch_a, *i} & {*j} or {*batch_b, *j} & {*i}:
        return None
    if batch_a and batch_b and batch_a != batch_b:
        return None
    if (batch_b and not i and not batch_a) or (batch_b and not j):
        return None
    if out != (*(batch_a or batch_b), *i, *j):
        return None
    return Code(f"{x.at(PRODUCT)} @ {y}", PRODUCT)


def _side(
    x: Code, term: Term, k: int, *, axis: int
) -> tuple[Code, Sequence[int], Sequence[int]] | None:
    """The operand with label k at `axis` or alone, its batch labels, and the label that remains."""
    if len(term) == 1:
        return x, (), ()
    if k not in term[-2:]:
        return None
    other = term[-1] if term[-2] == k else term[-2]
    placed = x if term[axis] == k else Code(f"{x}.mT", ATOM, x.links + 1)
    return placed, term[:-2], (other,)


def write_masked(op: Masked, pattern: Code, x: Code, names: Mapping[int, str], helper: str) -> Code:
    """Write the contraction: with `helper`, unless all products are written out. `names` has the
    wire of each label, for its letter."""
    first, second = op.terms
    if not op.whole:
        letter = letters(names)
        parts = ["".join(letter[n] for n in term) for term in (first, second, op.out)]
        return call(helper, f'"{parts[0]},{parts[1]}->{parts[2]}"', pattern.text, x.text)
    left, right = aligned(pattern, first, op.every), aligned(x, second, op.every)
    assert left is not None, "a pattern's axes stand in order"
    assert right is not None, "the axes of what it masks stand in order"
    product = f"{left.at(PRODUCT)} * {right.at(PRODUCT)}" if op.counts else right.text
    masked = call("torch.where", f"{left.at(PRODUCT)} != 0", product, "0")
    summed = [str(n) for n in range(len(op.out), len(op.every))]
    if not summed:
        return masked
    return masked.method("sum", summed[0] if len(summed) == 1 else f"({', '.join(summed)})")
