"""Random files that mean something: stacked and shared convolutions, other relations, regrouped
axes, powers, sums, definitions by name, derivatives, samples.

`program` draws one from a `random.Random`, which hypothesis can shrink; every size of it is known.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

LETTERS = "abc"
SHAPES = ("shift", "flip", "cyclic", "bound", "step", "delta")


@dataclass
class Program:
    """A file, the definitions to look at, and the sizes of wires by base name."""

    text: str
    names: tuple[str, ...]
    sizes: dict[str, int]


@dataclass
class _Maker:
    chance: random.Random
    sizes: dict[str, int] = field(default_factory=dict)
    fixed: list[str] = field(default_factory=list)
    operands: list[str] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)
    factors: list[tuple[str, list[str]]] = field(default_factory=list)

    def wire(self, name: str, size: int) -> str:
        """A new wire whose size the file gives."""
        self.sizes[name] = size
        self.fixed.append(name)
        return name

    def some(self, least: int = 1, most: int = 4) -> list[str]:
        """Some different wires."""
        names = list(self.sizes)
        return self.chance.sample(names, min(len(names), self.chance.randint(least, most)))

    # -- relations ---------------------------------------------------------------------------------

    def convolution(self, number: int) -> bool:
        """A convolution, perhaps of the output of the last one, or with its kernel."""
        c = self.chance
        i, o, k = f"i{number}", f"o{number}", f"k{number}"
        if number and f"o{number - 1}" in self.sizes and c.random() < 0.35:
            i = f"o{number - 1}"
        if number and f"k{number - 1}" in self.sizes and c.random() < 0.25:
            k = f"k{number - 1}"
        extent = self.sizes.get(i) or c.randint(1, 8)
        kernel = self.sizes.get(k) or c.randint(1, 3)
        S, D = c.randint(1, 3), c.randint(1, 3)
        left, right = c.randint(0, 2), c.randint(0, 2)
        padding, boundary = f"({left}, {right})", ""
        if c.random() < 0.2:
            S, padding = 1, "'same'"
            left = D * (kernel - 1) // 2
            right = D * (kernel - 1) - left
        if extent > max(left, right) and c.random() < 0.2:
            boundary = f", boundary={c.choice(['circular', 'reflect', 'replicate'])}"
        count = (extent + left + right - D * (kernel - 1) - 1) // S + 1
        if count < 1:
            return False
        for name, size in ((i, extent), (k, kernel)):
            if name not in self.sizes:
                self.wire(name, size)
        self.sizes[o] = count
        options = f"stride={S}, padding={padding}, dilation={D}{boundary}"
        self.patterns.append(f"pattern P{number}[{i}, {o}, {k}] = conv({options})")
        self.factors.append((f"P{number}", [i, o, k]))
        for at, other in ((1, o), (2, k)):
            if c.random() < 0.2:
                wires = [i, o, k]
                wires[at] = f"{other}'"
                self.sizes[f"{other}'"] = self.sizes[other]
                self.factors.append((f"P{number}", wires))
        return True

    def bracket(self, number: int) -> None:
        """A relation of another kind between two wires."""
        c = self.chance
        i, j = c.choice(list(self.sizes)), self.wire(f"j{number}", c.randint(1, 5))
        n = c.randint(-2, 3)
        kind = c.choice(SHAPES)
        if kind == "delta":
            self.sizes[j] = self.sizes[i]
            self.factors.append(("delta", [i, j]))
            return
        conditions = {
            "shift": f"i = j + {n}" if n >= 0 else f"i = j - {-n}",
            "flip": f"i = |i| - 1 - j + {abs(n)}",
            "cyclic": f"i = j + {abs(n)} mod |i|",
            "bound": f"0 <= i - j < {abs(n) + 1}",
            "step": f"i = {abs(n) + 1}*j",
        }
        self.patterns.append(f"pattern R{number}[i, j] = [{conditions[kind]}]")
        self.factors.append((f"R{number}", [i, j]))

    # -- operands ----------------------------------------------------------------------------------

    def operand(self, number: int) -> None:
        """An operand with single and grouped axes, perhaps used with other groups."""
        c, name = self.chance, f"T{number}"
        wires = self.some()
        declared, used = [], []
        while wires:
            first = wires.pop()
            if wires and c.random() < 0.35:
                second = wires.pop()
                declared.append(f"({first} {second})")
                if c.random() < 0.5:
                    whole = f"w{number}{len(used)}"
                    self.sizes[whole] = self.sizes[first] * self.sizes[second]
                    self.fixed += [whole]
                    used.append(whole)
                else:
                    used.append(f"({first} {second})")
            else:
                declared.append(first.rstrip("'") if c.random() < 0.5 else f"d{number}{len(used)}")
                used.append(first)
        self.operands.append(f"tensor {name}[{', '.join(declared)}]")
        self.factors.append((name, used))

    # -- definitions -------------------------------------------------------------------------------

    def term(self) -> str:
        """A product of all factors, in any order, some of them squared."""
        c = self.chance
        parts = []
        for name, wires in self.factors:
            power = "^2" if name.startswith("T") and c.random() < 0.1 else ""
            parts.append(f"{name}[{', '.join(wires)}]{power}")
        c.shuffle(parts)
        scalar = c.choice(["", "", "1/2 * ", "2 * ", "p * ", f"|{c.choice(self.fixed)}| * "])
        return scalar + " * ".join(parts)

    def left(self) -> list[str]:
        """Some wires of the factors, grouped at random."""
        c = self.chance
        used = sorted({w.strip("()") for _, ws in self.factors for x in ws for w in x.split()})
        wires = c.sample(used, min(len(used), c.randint(0, 4)))
        axes = []
        while wires:
            if len(wires) > 1 and c.random() < 0.3:
                axes.append(f"({wires.pop()} {wires.pop()})")
            else:
                axes.append(wires.pop())
        return axes

    def program(self) -> Program:
        """A whole file."""
        c = self.chance
        for letter in LETTERS:
            self.wire(letter, c.randint(1, 4))
        for number in range(c.randint(0, 3)):
            if not self.convolution(number):
                break
        for number in range(c.choice([0, 0, 1, 2])):
            self.bracket(number)
        for number in range(c.randint(1, 3)):
            self.operand(number)
        axes = ", ".join(self.left())
        signs = ["", *(f" {c.choice('+-')} " for _ in range(c.choice([0, 0, 1])))]
        total = "".join(sign + self.term() for sign in signs)
        lines = [f"Y[{axes}] = {total}"]
        by = f"T{c.randrange(len(self.operands))}"
        other = f"T{c.randrange(len(self.operands))}"
        lines += [f"V = vjp(Y, {by})", f"F = jvp(Y, {by})", f"J = jacobian(Y, {by})"]
        lines += [f"VV = vjp(V, {other}, cotangent=C)", f"Z[{axes}] = Y[{axes}] * Y[{axes}]"]
        held = {w.rstrip("'") for _, ws in self.factors for x in ws for w in x.strip("()").split()}
        sampled = [f"S = sample(Y, {c.choice(sorted(held))}, keep=1/2, copies=independent)"]
        lines += sampled
        base = {w: n for w, n in self.sizes.items() if not w.endswith("'")}
        given = ", ".join(f"{w} = {base[w]}" for w in dict.fromkeys(self.fixed))
        text = "\n".join([f"size {given}", "param p = 3", *self.operands, *self.patterns, *lines])
        names = ("Y", "V", "F", "J", "VV", "Z", "S")
        return Program(text + "\n", names, base)


def program(chance: random.Random) -> Program:
    """A random file."""
    return _Maker(chance).program()
