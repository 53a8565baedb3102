"""The cost model: seconds from multiplications, bytes and calls.

The numbers are those of one core of a current x86 server; only their ratios matter for a choice.
Structured steps cost what they do: a view costs a call, a window costs the copy that its reader
makes, a native convolution its multiplications without the unfolded copy.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Machine:
    """What a step costs: seconds a multiplication, a byte, a call.

    A dense I×O×K pattern costs `dense_pattern` seconds: it is the last resort, never a choice.
    """

    multiplication: float = 1 / 3.0e10
    byte: float = 1 / 6.0e9
    call: float = 4e-6
    itemsize: int = 4
    dense_pattern: float = 1e6
    product: float = 1 / 4.2e10
    thin: float = 8.0
    convolution: float = 1 / 1.0e11
    gradient: float = 1 / 1.0e11
    few: float = 12.0
    many: float = 4000.0
    scattered: float = 1 / 1.5e9
    reorder: float = 1 / 2.2e9
    library_discount: float = 1.0

    def contraction(self, multiplications: int, elements: int) -> float:
        """A pairwise contraction that reads and writes `elements` in all."""
        return (
            multiplications * self.multiplication
            + elements * self.itemsize * self.byte
            + 2 * self.call
        )

    def copy(self, elements: int) -> float:
        """Something that writes `elements`."""
        return elements * self.itemsize * self.byte + self.call

    def view(self) -> float:
        """Something that moves nothing."""
        return self.call

    def native(self, multiplications: int, elements: int, efficiency: float = 1.0) -> float:
        """A library convolution, at a part of the machine's speed."""
        return self.library_discount * (
            multiplications * self.multiplication / efficiency
            + elements * self.itemsize * self.byte
            + 2 * self.call
        )

    # -- what `pricing` asks -----------------------------------------------------------------------

    def moved(self, elements: int, *, scattered: bool) -> float:
        """Something that reads and writes `elements` in all, in order or not."""
        rate = self.scattered if scattered else self.byte
        return elements * self.itemsize * rate + self.call

    def matmul(self, multiplications: int, rows: int, columns: int, depth: int) -> float:
        """A product of matrices (or a batch of them); thin ones are slower."""
        part = min(rows, columns) / (min(rows, columns) + self.thin) * depth / (depth + self.thin)
        return multiplications * self.product / part

    def library(
        self,
        kind: str,
        multiplications: int,
        inner: int,
        outer: int,
        kernel: int,
        positions: int,
        groups: int,
        elements: int,
    ) -> float:
        """A library convolution with so many channels a group; few channels are slower, and so are
        weight gradients of size one over many positions."""
        few = self.few if groups == 1 else self.few / 4
        rate = self.convolution if kind != "WeightGradient" else self.gradient
        if kernel == 1 and kind == "WeightGradient":
            rate *= 1 + positions / self.many
        part = inner * kernel / (inner * kernel + few) * outer / (outer + few)
        return (
            multiplications * rate / part + elements * self.itemsize * self.reorder + 8 * self.call
        )


DEFAULT = Machine()

HINTS = {"b": 16, "n": 16, "g": 1, "o": 28, "i": 28, "k": 3, "c": 64}
"""Typical sizes for wires of unknown size, by the first letter of their name; for cost only."""


def hint(name: str) -> int:
    """A typical size for a wire, to compare plans of a shape-generic program."""
    return HINTS.get(name[0].lower(), 32)
