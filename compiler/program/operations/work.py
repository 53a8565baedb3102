"""Counted work of a step: the only thing that operations, passes, the search and reports say about
cost. `cost.device` turns it into seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal, NamedTuple, Protocol

ITEM = 4
"""Bytes of an entry: work is counted in float32, whatever the operands are."""


class Work(NamedTuple):
    """What a step does, counted from shapes and strides.

    Multiplications by who does them, after the library's own facts (`Library`): `products` of
    matrices, `library` convolutions, `depthwise` ones with one channel a group. Bytes by how they
    are touched: `streamed` in the order in which they lie, `strided` in another one (also what a
    product of matrices packs), `reordered` by a library convolution, `fresh` as new pages from the
    system. Calls: `views`, `calls` that compute, `library_calls`.
    """

    products: float = 0
    library: float = 0
    depthwise: float = 0
    streamed: float = 0
    strided: float = 0
    reordered: float = 0
    fresh: float = 0
    views: float = 0
    calls: float = 0
    library_calls: float = 0


VIEW = Work(views=1)
"""The work of a value that is not written."""


def total(works: Iterable[Work]) -> Work:
    """The sum of all."""
    return Work(*map(sum, zip(Work(), *works, strict=True)))


def times(work: Work, count: float) -> Work:
    """The work of `count` equal steps."""
    return Work(*(count * n for n in work))


Kind = Literal["convolution", "input gradient", "weight gradient"]


@dataclass(frozen=True, slots=True)
class LibraryCall:
    """A library convolution, or one of its gradients, by what its speed depends on: channels of a
    group on both sides, sizes of the kernel, positions of the output along each dimension.

    backward: an input gradient by the library's backward pass. narrow: a weight gradient by some
    columns of the kernel at a time.
    """

    kind: Kind
    images: int
    groups: int
    inner: int
    outer: int
    kernel: tuple[int, ...]
    positions: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    backward: bool = False
    narrow: bool = False

    @property
    def depthwise(self) -> bool:
        """Whether there are several groups of one channel each."""
        return self.groups > 1 and self.inner == self.outer == 1

    @property
    def one_tap(self) -> bool:
        """Whether the kernel has one entry, and there is no stride."""
        return prod(self.kernel) == 1 and all(s == 1 for s in self.stride)

    @property
    def multiplications(self) -> int:
        """Those that the definition needs."""
        entries = self.images * self.groups * self.outer * prod(self.positions)
        return entries * self.inner * prod(self.kernel)


class Library(Protocol):
    """What is known of the libraries of a device that counting needs; each backend has its own."""

    @property
    def lanes(self) -> int:
        """Columns of a product of matrices that take as long as one."""

    @property
    def page(self) -> float:
        """Bytes above which a result comes as new pages from the system."""

    @property
    def member(self) -> float:
        """Calls that each product of a batch of products takes."""

    def convolved(self, call: LibraryCall, read: Sequence[int], written: int) -> Work:
        """The work of a library call whose operands and result have these numbers of entries."""

    def unfolded(self, call: LibraryCall, sides: int) -> float:
        """How many times as long a weight gradient takes of which one side, or both, are windows:
        its channels are those times the kernel."""


def fresh(entries: int, library: Library) -> float:
    """The bytes of a result of `entries` that come as new pages."""
    size = ITEM * entries
    return size if size > library.page else 0


def moved(read: int, written: int, library: Library, *, scattered: bool) -> Work:
    """A call that reads and writes entries, in order or not."""
    size, new = ITEM * (read + written), fresh(written, library)
    if scattered:
        return Work(strided=size, fresh=new, calls=1)
    return Work(streamed=size, fresh=new, calls=1)


def copied(entries: int, library: Library) -> Work:
    """Entries written in another order than they lie in."""
    return moved(entries, entries, library, scattered=True)


def multiplied(
    multiplications: int, read: int, written: int, library: Library, batch: int = 1
) -> Work:
    """A batch of products of matrices that read and write entries."""
    new = fresh(written, library)
    size = ITEM * read + (0 if new else ITEM * written)
    return Work(products=multiplications, strided=size, fresh=new, calls=2 + batch * library.member)
