"""What is known of the libraries below PyTorch: where a call takes longer than its multiplications
say, with the version, the device and the source of each fact.

A fact is a factor on the multiplications of a library call. It says how calls of one device compare
with each other; how fast the device is, rates say (`diagrammar.cost`). `python -m
benchmarks.library` times a call of each fact beside a plain one and fails where a library has
changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from diagrammar.cost.device import DEVICES, Model, Rates, processor
from diagrammar.program.operations.work import ITEM, LibraryCall, Work, fresh
from diagrammar.program.passes.split_kernel import columns, is_wide

LANES = {"AVX512": 16, "AVX2": 8}
"""Entries of float32 in a register, by the instruction set that PyTorch names; 4 elsewhere."""
NEAR = 12 * 2**20
"""Bytes that stay in the caches between two passes of a library call (EPYC of 2024, Xeon of 2023:
2 MiB of a core and a share of what all cores have)."""
PAGE = 32 * 2**20
"""Bytes above which glibc asks the system for new pages (its `DEFAULT_MMAP_THRESHOLD_MAX`)."""
MEMBER = 0.05
"""Calls that a product of a batch takes: 4,096 products of 4×4 take as long as 200 calls."""
IMAGE = 0.005
"""Library calls that an image takes: 64 images of 8 channels of 6×6 take 20 µs longer than two do,
a call takes 55 µs (Xeon of 2023, one thread)."""
KERNEL = 5.5
"""How often the result of a weight gradient is reordered: it is summed in blocks of 16 by 16
channels, one set a thread."""
FEW = 16
"""Channels of a group that fill a block of oneDNN's layout."""


@dataclass(frozen=True)
class Fact:
    """A library call that takes longer, or less long, than its multiplications say.

    factor: how many times as long, for any call; 1.0 where the fact does not apply. example, plain:
    two calls to time, one with the fact and one without.
    """

    name: str
    version: str
    source: str
    factor: Callable[[LibraryCall], float]
    example: LibraryCall
    plain: LibraryCall


def _written(call: LibraryCall) -> int:
    """The channels of a group that the call writes, in blocks: of several groups it fills a quarter
    of a block."""
    outer = call.inner if call.kind == "input gradient" else call.outer
    return outer if call.groups == 1 else max(outer // 4, 1)


def _few_written(call: LibraryCall) -> float:
    channels = _written(call)
    return 1.0 if call.depthwise else (channels + 10) / channels


def _few_read(call: LibraryCall) -> float:
    few = call.kind == "weight gradient" and call.outer < FEW and not call.depthwise
    return (call.inner + 10) / call.inner if few else 1.0


def _short_rows(call: LibraryCall) -> float:
    if call.kind != "weight gradient" or not call.positions:
        return 1.0
    return (call.positions[-1] + 2) / call.positions[-1]


def _many_positions(call: LibraryCall) -> float:
    one = call.kind == "weight gradient" and prod(call.kernel) == 1 and not call.depthwise
    return 1 + min(prod(call.positions) / 4000, 1) if one else 1.0


def _strided_gradient(call: LibraryCall) -> float:
    strided = call.kind == "input gradient" and any(s > 1 for s in call.stride)
    return (0.28 if call.backward else 1.4) if strided else 1.0


def _small_gradient(call: LibraryCall) -> float:
    small = call.kind == "input gradient" and call.groups == 1
    small = small and max(call.inner, call.outer) < FEW and all(s == 1 for s in call.stride)
    return 1.8 if small else 1.0


def _wide_depthwise(call: LibraryCall) -> float:
    wide = call.depthwise and call.kind == "convolution" and call.kernel[-1] > 14
    return 27.0 if wide else 1.0


def _dilated_depthwise(call: LibraryCall) -> float:
    if not call.depthwise or call.kind != "input gradient":
        return 1.0
    slow = len(call.stride) > 2 or any(d > 1 for d in call.dilation)
    return (27.0 if slow else 1.0) * (1.2 if len(call.stride) == 2 else 1.0)


def _depthwise_weight(call: LibraryCall) -> float:
    if not call.depthwise or call.kind != "weight gradient":
        return 1.0
    dilated, wide = any(d > 1 for d in call.dilation), is_wide(call.kernel)
    fast = not dilated and (call.narrow or not wide)
    return 1.9 if fast else 1.9 * 14.0


def _call(
    kind: str, channels: tuple[int, int], kernel: int, size: int, **more: object
) -> LibraryCall:
    """A call in two dimensions, of eight images."""
    facts: dict[str, object] = {
        "images": 8, "groups": 1, "stride": (1, 1), "dilation": (1, 1), **more
    }  # fmt: skip
    inner, outer = channels
    return LibraryCall(
        kind=kind,  # type: ignore[arg-type]
        inner=inner,
        outer=outer,
        kernel=(kernel, kernel),
        positions=(size, size),
        **facts,  # type: ignore[arg-type]
    )


_CONV, _GRADIENT, _WEIGHT = "convolution", "input gradient", "weight gradient"
_TORCH = "torch 2.13 with oneDNN 3.12"
_ONEDNN = "oneDNN: layouts are blocks of 16 channels (nChw16c), others are padded to them"
_DEPTHWISE = "benchmarks/results/depthwise.md"
FACTS: tuple[Fact, ...] = (
    Fact(
        "few output channels",
        _TORCH,
        _ONEDNN,
        _few_written,
        _call(_CONV, (64, 8), 3, 28),
        _call(_CONV, (64, 128), 3, 28),
    ),
    Fact(
        "weight gradient with few channels on both sides",
        _TORCH,
        _ONEDNN,
        _few_read,
        _call(_WEIGHT, (8, 8), 3, 56),
        _call(_WEIGHT, (64, 8), 3, 56),
    ),
    Fact(
        "weight gradient over short rows",
        _TORCH,
        "oneDNN: kernels of weight gradients are unrolled along a row",
        _short_rows,
        _call(_WEIGHT, (128, 128), 3, 4),
        _call(_WEIGHT, (128, 128), 3, 28),
    ),
    Fact(
        "weight gradient of one tap over many positions",
        _TORCH,
        "benchmarks/results/planner.md: layers of one tap at 56 and more",
        _many_positions,
        _call(_WEIGHT, (64, 64), 1, 56),
        _call(_WEIGHT, (64, 64), 1, 7),
    ),
    Fact(
        "input gradient with stride",
        _TORCH,
        "oneDNN: rows that meet no window are computed and dropped",
        _strided_gradient,
        _call(_GRADIENT, (128, 128), 3, 28, stride=(2, 2)),
        _call(_GRADIENT, (128, 128), 3, 28),
    ),
    Fact(
        "input gradient with few channels on both sides",
        _TORCH,
        _ONEDNN,
        _small_gradient,
        _call(_GRADIENT, (8, 8), 3, 56),
        _call(_CONV, (8, 8), 3, 56),
    ),
    Fact(
        "one channel a group, a kernel of more than 14 columns",
        _TORCH,
        _DEPTHWISE,
        _wide_depthwise,
        _call(_CONV, (1, 1), 15, 28, groups=96),
        _call(_CONV, (1, 1), 13, 28, groups=96),
    ),
    Fact(
        "one channel a group, input gradient with dilation or in three dimensions",
        _TORCH,
        _DEPTHWISE,
        _dilated_depthwise,
        _call(_GRADIENT, (1, 1), 3, 28, groups=96, dilation=(2, 2)),
        _call(_GRADIENT, (1, 1), 3, 28, groups=96),
    ),
    Fact(
        "one channel a group, weight gradient of more than three columns",
        _TORCH,
        _DEPTHWISE,
        _depthwise_weight,
        _call(_WEIGHT, (1, 1), 7, 28, groups=96),
        _call(_WEIGHT, (1, 1), 3, 28, groups=96),
    ),
)
"""Of oneDNN, on CPUs."""


@dataclass(frozen=True)
class Libraries:
    """The facts of a device, as counting asks for them (`program.operations.work.Library`).

    images: fewer than these make a convolution of one plain tap a product of matrices; PyTorch 2.13
    decides so on one thread (`use_mkldnn`, aten/src/ATen/native/Convolution.cpp).
    """

    lanes: int = 16
    page: float = PAGE
    near: float = NEAR
    member: float = MEMBER
    image: float = IMAGE
    kernel: float = KERNEL
    images: int = 16
    facts: tuple[Fact, ...] = FACTS

    def convolved(self, call: LibraryCall, read: Sequence[int], written: int) -> Work:
        """The work of a library call whose operands and result have these numbers of entries."""
        if call.kind == "weight gradient":
            return self._weighed(call, read, written)
        twice = call.kind == "input gradient" and any(s > 1 for s in call.stride)
        moved = sum(read) + written * (2 if twice else 1)
        swept = self._swept(call)
        product = call.images < self.images and call.one_tap and all(d == 1 for d in call.dilation)
        return Work(
            products=swept if product else 0,
            library=0 if product or call.depthwise else swept,
            depthwise=swept if call.depthwise and not product else 0,
            reordered=self._reordered(moved),
            fresh=sum(fresh(n, self) for n in read) + 2 * fresh(written, self),
            library_calls=1 + call.images * (0 if call.depthwise else self.image),
        )

    def unfolded(self, call: LibraryCall, sides: int) -> float:
        """oneDNN is built for neither groups nor thousands of channels of a weight gradient."""
        if sides == 2:
            return 50.0
        return 20.0 if call.groups > 1 else 10.0 if call.outer > 2048 else 1.0

    def _weighed(self, call: LibraryCall, read: Sequence[int], written: int) -> Work:
        """The work of a weight gradient; with one channel a group, and a wide kernel, in several
        calls on padded parts."""
        swept, new = self._swept(call), sum(fresh(n, self) for n in read)
        if not call.depthwise:
            return Work(
                library=swept,
                reordered=self._reordered(sum(read) + written) + self.kernel * ITEM * written,
                fresh=new + fresh(3 * written, self),
                library_calls=1,
            )
        cut = call.narrow and is_wide(call.kernel)
        calls = columns(call.kernel) if cut else 1
        padded = (calls + 1) * read[0] if cut and len(call.kernel) > 1 else 0
        return Work(
            depthwise=swept,
            streamed=2 * ITEM * padded,
            reordered=calls * self._reordered(sum(read)),
            fresh=calls * new + (calls + 1) * fresh(read[0], self) * bool(padded),
            calls=(calls + 1) * bool(padded),
            library_calls=calls,
        )

    def _swept(self, call: LibraryCall) -> float:
        """Multiplications, times what facts say."""
        return call.multiplications * prod(fact.factor(call) for fact in self.facts)

    def _reordered(self, entries: int) -> float:
        """Bytes in a layout of the library's own: less where the caches have them all, more where
        they have little of them."""
        size = ITEM * entries
        return size * (0.75 if size <= self.near else 1.4 if size > self.page else 1.0)


def _here() -> Libraries:
    """The facts for PyTorch's present threads and instruction set."""
    import torch

    lanes = LANES.get(torch.backends.cpu.get_cpu_capability(), 4)
    return Libraries(lanes=lanes, images=16 if torch.get_num_threads() == 1 else 0)


LIMITS = ("ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
"""Variables of the environment that lower the instruction set of the libraries."""


def _name() -> str:
    """The processor, its threads and instruction set, and torch's version."""
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    limits = [f"{v}={os.environ[v]}" for v in LIMITS if v in os.environ]
    threads = torch.get_num_threads()
    said = f"{processor()} {capability}, {os.cpu_count()} cores, {threads} threads"
    return ", ".join([said, f"torch {torch.__version__}", *limits])


RATES = Rates(
    products=1 / 5.1e10,
    library=1 / 1.6e11,
    depthwise=1 / 6.7e10,
    streamed=1 / 5.8e10,
    strided=1 / 2.3e10,
    reordered=1 / 1.3e10,
    fresh=1 / 1e10,
    views=7e-7,
    calls=1e-6,
    library_calls=1e-5,
)
"""One thread of an EPYC of 2024 with AVX-512: near a fit to benchmarks/results/planner.json."""

DEVICES["cpu"] = Model(RATES, Libraries(), _here, _name)
