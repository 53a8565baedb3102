"""Random networks of relations that no layer has: for rules, whatever a user may write.

Maps behind each other and behind windows, boundaries in a row, sums of pieces that share entries or
do not, wires that stand twice, sizes of one. Small enough to be enumerated.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

WIRES = "ijklm"
KINDS = ("map", "map", "window", "pieces", "pieces", "conv", "step", "delta", "any")


def text(chosen: random.Random) -> str:
    """A file with one definition, Y, all sizes fixed."""
    sizes = {w: chosen.choice((1, 1, 2, 3, 4, 5, 6)) for w in WIRES} | {"n": chosen.choice((1, 2))}
    relations = [_relation(chosen, sizes) for _ in range(chosen.randint(1, 3))]
    if chosen.random() < 0.3:
        relations.append(_again(chosen, chosen.choice(relations)))
    used = sorted({w for wires, _ in relations for w in wires})
    operands = [_operand(chosen, used) for _ in range(chosen.randint(0, 2))]
    factors, lines = [], []
    for number, (wires, said) in enumerate(relations):
        lines.append(f"pattern P{number}[{', '.join(dict.fromkeys(wires))}] = {said}")
        factors.append(f"P{number}[{', '.join(dict.fromkeys(wires))}]")
    for name, wires in zip("XV", operands, strict=False):
        lines.append(f"tensor {name}[{', '.join(wires)}]")
        factors.append(f"{name}[{', '.join(wires)}]")
    chosen.shuffle(factors)
    left = sorted({w for wires in (*operands, used) for w in wires})
    opened = [w for w in left if chosen.random() < 0.35]
    given = [f"size {w} := {sizes[w]}" for w in left]
    return "\n".join([*given, *lines, f"Y[{', '.join(opened)}] = {' * '.join(factors)}"])


def _operand(chosen: random.Random, used: Sequence[str]) -> list[str]:
    wires = chosen.sample(used, min(len(used), chosen.randint(1, 2)))
    return [*(["n"] if chosen.random() < 0.5 else []), *wires]


def _relation(chosen: random.Random, sizes: dict[str, int]) -> tuple[list[str], str]:
    """Wires and brackets."""
    wires = chosen.sample(WIRES, 2)
    a, b = wires
    n, c = sizes[a], chosen.randint(-2, 3)
    match chosen.choice(KINDS):
        case "map":
            return wires, _map(chosen, a, b, sizes)
        case "window":
            low = f"{a} >= {b}" if chosen.random() < 0.7 else f"{a} - {c} >= {b}"
            return wires, f"[{low}, {a} <= {b} + {chosen.randint(0, 4)}]"
        case "step":
            return wires, f"[{a} = {chosen.randint(1, 3)}*{b} + {abs(c)}]"
        case "delta":
            sizes[b] = n
            return wires, f"[{a} = {b}]"
        case "conv":
            k = chosen.choice([w for w in WIRES if w not in wires])
            s, d = chosen.randint(1, 3), chosen.randint(1, 3)
            modulus = f" mod {n}" if chosen.random() < 0.2 else ""
            return [*wires, k], f"[{a} = {s}*{b} + {d}*{k} - {chosen.randint(0, 3)}{modulus}]"
        case "pieces":
            wires = chosen.sample(WIRES, chosen.choice((2, 2, 3)))
            parts = [_piece(chosen, wires) for _ in range(chosen.randint(2, 3))]
            return wires, " + ".join(parts)
        case _:
            wires = chosen.sample(WIRES, chosen.randint(1, 4))
            return wires, _piece(chosen, wires)


def _map(chosen: random.Random, a: str, b: str, sizes: dict[str, int]) -> str:
    """a read at b, for all b: a boundary, a shift, a flip, a repetition."""
    n, p = sizes[a], chosen.randint(0, 3)
    match chosen.choice(("circular", "reflect", "replicate", "flip", "constant", "overlap")):
        case "circular":
            return f"[{a} = {b} - {p} mod {n}]"
        case "reflect":
            p = min(p, n - 1)
            sizes[b] = n + 2 * p
            left, right = f"[{a} = {p} - {b}, {b} < {p}]", f"[{a} = {2 * n - 2 + p} - {b}"
            return f"{left} + [{a} = {b} - {p}] + {right}, {b} >= {n + p}]"
        case "replicate":
            sizes[b] = n + 2 * p
            left = f"[{a} = 0, {b} < {p}]"
            return f"{left} + [{a} = {b} - {p}] + [{a} = {n - 1}, {b} >= {n + p}]"
        case "flip":
            sizes[b] = n
            return f"[{a} = {n - 1} - {b}]"
        case "constant":
            return f"[{a} = {min(p, n - 1)}]"
        case _:
            return f"[{a} = {b}] + [{a} = {p} - {b}]"


def _piece(chosen: random.Random, wires: Sequence[str]) -> str:
    """A bracket of one to three conditions."""
    found = []
    for _ in range(chosen.choice((1, 1, 2, 3))):
        some = chosen.sample(list(wires), chosen.randint(1, len(wires)))
        form = " + ".join(f"{chosen.choice((-2, -1, -1, 1, 1, 1, 2, 3))}*{w}" for w in some)
        form = form.replace("+ -", "- ")
        constant = chosen.randint(-2, 4)
        end = f" mod {chosen.randint(1, 4)}" if chosen.random() < 0.25 else ""
        found.append(
            f"{form} = {constant}{end}"
            if chosen.random() < 0.6
            else f"{form} {chosen.choice(('>=', '<='))} {constant}"
        )
    return f"[{', '.join(found)}]"


def _again(chosen: random.Random, relation: tuple[list[str], str]) -> tuple[list[str], str]:
    """The same brackets on the same wires, or with one exchanged for another."""
    wires, said = relation
    free = [w for w in WIRES if w not in wires]
    if not free or chosen.random() < 0.5:
        return relation
    old, new = chosen.choice(wires), chosen.choice(free)
    return [new if w == old else w for w in wires], re.sub(rf"\b{old}\b", new, said)
