"""The cost model: seconds from multiplications, bytes and calls.

`Machine` has the rates of one device; `cost.calibrate` measures them, `cost.device` keeps them.
The defaults are those of one core of a current x86 server, in float32. Structured steps cost what
they do: a view costs a call, a window the copy that its reader makes, a native convolution its
multiplications without the unfolded copy. `cost.pricing` reads shapes and strides off a program and
asks `moved`, `matmul` and `library`; `search.search`, which knows neither, asks the five methods
before those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Machine:
    """What a step costs, in seconds for one of each.

    call: a view. launch: a call that computes. library: a library convolution, without its work.
    byte: a byte read or written in order; scattered: in another order than it lies in; reorder: by
    a library convolution, which has a layout of its own. near: bytes that stay in the caches.
    fresh: a byte of a result above `large` bytes, which comes as new pages from the system.
    product: a multiplication of a matrix product; entry: an entry of its operands and result;
    matrix: each product of a batch; narrow: fewer columns take as long as these. convolution: a
    multiplication of a library convolution; image: each of its batch; weight: an entry of a weight
    gradient; strided: how many times longer an input gradient with stride takes; outer: so many
    output channels run at half the speed; many: so do weight gradients of a kernel of size one over
    so many positions; depthwise, depthwise_weight: a multiplication where each group has one
    channel; slow: how many times longer it takes without fast code; wide: so many times a weight
    gradient that `passes.split_kernel` calls wide. part: a turn of a program in parts, without its
    steps (near and part are not measured by `cost.calibrate`).

    A dense I×O×K pattern costs `dense_pattern` seconds: it is the last resort, never a choice.
    """

    call: float = 7e-7
    launch: float = 2e-6
    library: float = 1e-5
    image: float = 2.3e-7
    weight: float = 2e-9
    byte: float = 1 / 3.5e10
    scattered: float = 1 / 1.2e10
    reorder: float = 1 / 1.1e10
    near: int = 12 * 2**20
    fresh: float = 4.5e-10
    large: int = 32 * 2**20
    product: float = 1 / 4.8e10
    entry: float = 3e-10
    matrix: float = 1e-7
    narrow: int = 16
    convolution: float = 1 / 1.2e11
    strided: float = 1.4
    many: float = 4000.0
    outer: float = 10.0
    depthwise: float = 1 / 5.7e10
    slow: float = 27.0
    depthwise_weight: float = 1 / 3e10
    wide: float = 14.0
    part: float = 2e-5
    itemsize: int = 4
    dense_pattern: float = 1e6
    library_discount: float = 1.0

    # -- what the search asks ----------------------------------------------------------------------

    def contraction(self, multiplications: int, elements: int) -> float:
        """A pairwise contraction that reads and writes `elements` in all."""
        return multiplications * self.product + elements * self.entry + 2 * self.launch

    def copy(self, elements: int) -> float:
        """Something that writes `elements`."""
        return self.launch + elements * self.itemsize * self.scattered + self.new(elements)

    def summed(self, elements: int) -> float:
        """A sum that reads `elements`."""
        return self.launch + elements * self.itemsize * self.scattered

    def view(self) -> float:
        """Something that moves nothing."""
        return self.call

    def native(self, multiplications: int, elements: int, efficiency: float = 1.0) -> float:
        """A library convolution, at a part of the machine's speed."""
        return self.library_discount * (
            multiplications * self.convolution / efficiency
            + elements * self.itemsize * self.reorder
            + self.library
        )

    # -- what `pricing` asks -----------------------------------------------------------------------

    def new(self, elements: int) -> float:
        """The pages of a result of so many entries."""
        size = elements * self.itemsize
        return size * self.fresh if size > self.large else 0.0

    def moved(self, read: int, written: int, *, scattered: bool) -> float:
        """Something that reads and writes entries, in order or not."""
        rate = self.scattered if scattered else self.byte
        return self.launch + (read + written) * self.itemsize * rate + self.new(written)

    def matmul(self, multiplications: int, entries: int, written: int, batch: int) -> float:
        """A batch of products of matrices with so many entries in all, `written` of them new."""
        new = self.new(written)
        return (
            self.launch
            + multiplications * self.product
            + (entries - (written if new else 0)) * self.entry
            + batch * self.matrix
            + new
        )

    def reordered(self, entries: int) -> float:
        """What a library call reads and writes in a layout of its own: less where the caches have
        it all, more where they have little of it."""
        size = entries * self.itemsize
        if size <= self.near:
            return 0.75 * size * self.reorder
        return (1.4 if size > self.large else 1.0) * size * self.reorder

    def convolved(
        self, multiplications: int, channels: int, read: Sequence[int], written: int, images: int
    ) -> float:
        """A library convolution or transposed convolution of a batch of images with so many output
        channels a group; operands, with so many entries each, are reordered before, the result
        afterwards."""
        return (
            self.library
            + images * self.image
            + multiplications * self.convolution * (channels + self.outer) / channels
            + self.reordered(sum(read) + written)
            + sum(self.new(n) for n in read)
            + 2 * self.new(written)
        )

    def weighed(
        self,
        multiplications: int,
        channels: int,
        read: tuple[int, int],
        written: int,
        positions: int = 0,
    ) -> float:
        """A library weight gradient of input and cotangent with so many entries each; `positions`
        for a kernel of size one."""
        part = channels / (channels + self.outer) / (1 + min(positions / self.many, 1))
        return (
            self.library
            + multiplications * self.convolution / part
            + self.reordered(sum(read) + written)
            + written * self.weight
            + sum(self.new(n) for n in read)
            + self.new(3 * written)
        )

    def depthwise_call(self, multiplications: int, read: Sequence[int], written: int) -> float:
        """A library convolution with one channel a group, in and out."""
        moved = self.reordered(sum(read) + written)
        new = sum(self.new(n) for n in read) + 2 * self.new(written)
        return self.library + multiplications * self.depthwise + moved + new

    def depthwise_weights(self, multiplications: int, read: Sequence[int]) -> float:
        """Its weight gradient, for a kernel of a few columns."""
        moved = self.reordered(sum(read)) + sum(self.new(n) for n in read)
        return self.library + multiplications * self.depthwise_weight + moved


DEFAULT = Machine()
