"""The hyper-parameters of a convolution as PyTorch's layers take them, made plain.

Each becomes one number for each dimension and side. Errors say what to give instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from diagrammar.layers.given import integers

Ints = int | Sequence[int]
Padding = int | str | Sequence[int | tuple[int, int]]

MODES = ("zeros", "circular", "reflect", "replicate")


@dataclass(frozen=True)
class Geometry:
    """Kernel size, stride, dilation, padding left and right, output padding (of a transposed
    convolution), each with one entry for each dimension; groups and padding mode."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    padding_mode: str
    transposed: bool
    output_padding: tuple[int, ...]

    @staticmethod
    def of(
        kernel_size: Ints,
        stride: Ints,
        padding: Padding,
        dilation: Ints,
        groups: int,
        padding_mode: str,
        transposed: bool,
        output_padding: Ints,
        dims: int | None,
    ) -> Geometry:
        """Read a layer's arguments. Raises ValueError for values that no layer can have."""
        if isinstance(kernel_size, int):
            if dims is None:
                raise ValueError(
                    "kernel_size is one number, which fits any number of dimensions; "
                    "give a tuple, kernel_size=(3, 3), or dims=2"
                )
        elif dims is not None and dims != len(tuple(kernel_size)):
            raise ValueError(f"kernel_size {kernel_size} has not dims={dims} entries")
        rank = dims if isinstance(kernel_size, int) else len(tuple(kernel_size))
        if not rank:
            raise ValueError(
                "a convolution has at least one dimension; for a linear layer, use Conv.of(module)"
            )
        kernel = each("kernel_size", kernel_size, rank, 1)
        strides = each("stride", stride, rank, 1)
        dilations = each("dilation", dilation, rank, 1)
        extra = each("output_padding", output_padding, rank, 0)
        if groups < 1:
            raise ValueError(f"groups must be at least 1, not {groups}")
        if padding_mode not in MODES:
            raise ValueError(f"padding_mode must be one of {', '.join(MODES)}, not {padding_mode}")
        if transposed:
            _check_transposed(padding, padding_mode, extra, strides, dilations)
        elif any(extra):
            raise ValueError("output_padding is for transposed convolutions: give transposed=True")
        sides = _sides(padding, kernel, strides, dilations)
        left, right = tuple(a for a, _ in sides), tuple(b for _, b in sides)
        return Geometry(
            kernel, strides, left, right, dilations, groups, padding_mode, transposed, extra
        )

    @property
    def dims(self) -> int:
        """The number of spatial dimensions."""
        return len(self.kernel_size)

    @property
    def taps(self) -> int:
        """The number of kernel entries, ∏k."""
        return prod(self.kernel_size)

    @property
    def boundary(self) -> str:
        """The padding mode where there is padding; without padding all modes are "zeros"."""
        return self.padding_mode if any(self.left + self.right) else "zeros"

    def meets_once(self, size: Sequence[int]) -> bool:
        """Whether a circular padding connects each output with an input by at most one kernel
        entry."""
        reach = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
        return self.boundary == "circular" and all(map(int.__lt__, reach, size))

    def input_size(
        self, given: Ints | None, output: Sequence[int], channels: int | None = None
    ) -> tuple[int, ...]:
        """The spatial input size: from `given` (an int, spatial sizes or a whole shape, whose
        channels are checked where they are known), else from the output's size where only one input
        size fits."""
        if given is not None:
            if hasattr(given, "__index__"):
                return integers("input_size", given) * self.dims
            several: Any = given
            size = tuple(several) if hasattr(several, "__iter__") else several
            extra = len(size) - self.dims if isinstance(size, tuple) else 0
            if extra not in (0, 1, 2):
                raise ValueError(
                    f"input_size {size} has {len(size)} entries; give the {self.dims} spatial "
                    "ones, or the whole shape"
                )
            if extra and channels is not None and size[extra - 1] != channels:
                raise ValueError(
                    f"input_size {size} has {size[extra - 1]} channels, not {channels}"
                )
            return integers("input_size", size[extra:] if extra else size)
        sizes = []
        for n, o in enumerate(output):
            reach = self.dilation[n] * (self.kernel_size[n] - 1)
            sides, s = self.left[n] + self.right[n], self.stride[n]
            if self.transposed:
                sizes.append((o + sides - reach - self.output_padding[n] - 1) // s + 1)
            elif s == 1:
                sizes.append(o - sides + reach)
            else:
                raise ValueError(
                    f"with stride {s} several input sizes have this output size; "
                    "give input_size=x.shape"
                )
        return tuple(sizes)


def positions_of(given: Ints | None, count: int | None, channels: int | None) -> int:
    """Count the positions of a linear layer's input.

    `given` is their number, their axes *t, or a whole shape [b, *t, c_in]; `count` is the number of
    the output's positions, where that is known. Raises ValueError for sizes that do not fit, and
    for sizes that can be read in two ways.
    """
    if given is None:
        return 1 if count is None else count
    several: Any = given
    if hasattr(given, "__index__") or not hasattr(several, "__iter__"):
        return _as_many(given, prod(integers("input_size", given)), count)
    axes = tuple(several)
    by_shape = _positions_of_shape(axes, channels)
    if by_shape is not None and (by_shape == count or (count is None and _is_shape(given))):
        return by_shape
    if by_shape is None and _is_shape(given):
        raise ValueError(f"input_size {axes} does not end in {channels} input channels")
    by_axes = _as_many(given, prod(integers("input_size", axes)), count)
    if count is None and by_shape not in (None, by_axes):
        raise ValueError(
            f"input_size {given} may be axes of positions or a whole shape; give the number of "
            "positions, or x.shape as torch has it"
        )
    return by_axes


def _is_shape(given: Any) -> bool:
    """Whether these axes are the shape of a tensor, a torch.Size."""
    from torch import Size

    return isinstance(given, Size)


def _positions_of_shape(axes: Sequence[int], channels: int | None) -> int | None:
    """Read axes as a shape [b, *t, c_in]: ∏t, or None where they are another shape."""
    if not axes or channels not in (None, axes[-1]):
        return None
    return prod(integers("input_size", axes[1:-1]))


def _as_many(given: Any, positions: int, count: int | None) -> int:
    """The number of positions. Raises ValueError where the output has another number."""
    if count not in (None, positions):
        raise ValueError(
            f"input_size {given} is not that of {count} positions; give their number or x.shape"
        )
    return positions


def each(name: str, value: Ints, rank: int, least: int) -> tuple[int, ...]:
    """Expand a hyper-parameter to one number for each dimension. Raises ValueError for a wrong
    length, and for numbers that are no integers of at least `least`."""
    numbers = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(numbers) == 1:
        numbers *= rank
    if len(numbers) != rank:
        raise ValueError(f"{name} {value} has {len(numbers)} entries for {rank} dimensions")
    if any(isinstance(n, bool) or int(n) != n or n < least for n in numbers):
        raise ValueError(f"{name} must be integers of at least {least}, not {value}")
    return tuple(int(n) for n in numbers)


def _sides(
    padding: Padding, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[tuple[int, int]]:
    """Expand padding to pairs (left, right), one for each dimension."""
    rank = len(kernel)
    if isinstance(padding, str):
        return _named_sides(padding, kernel, stride, dilation)
    entries: list[Any] = [padding] * rank if isinstance(padding, int) else list(padding)
    if len(entries) == 1:
        entries *= rank
    if len(entries) != rank:
        raise ValueError(
            f"padding {padding} has {len(entries)} entries for {rank} dimensions; "
            "a tuple runs over dimensions, a pair inside it is (left, right)"
        )
    sides = [(p, p) if isinstance(p, int) else tuple(p) for p in entries]
    if any(len(pair) != 2 or any(int(p) != p or p < 0 for p in pair) for pair in sides):
        raise ValueError(f"padding must be numbers of at least 0 or pairs of them, not {padding}")
    return [(int(a), int(b)) for a, b in sides]


def _named_sides(
    padding: str, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[tuple[int, int]]:
    """Padding by its name: 'valid' pads nothing, 'same' ⌊D(K−1)/2⌋ left and the rest right."""
    if padding == "valid":
        return [(0, 0)] * len(kernel)
    if padding != "same":
        raise ValueError(f"padding must be a number, a tuple, 'same' or 'valid', not {padding!r}")
    if any(s != 1 for s in stride):
        raise ValueError(f"padding 'same' needs stride 1, not {tuple(stride)}; give numbers")
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    return [(r // 2, r - r // 2) for r in reach]


def _check_transposed(
    padding: Padding,
    mode: str,
    more: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> None:
    """Raise ValueError for a padding or an output padding that no transposed convolution has."""
    if isinstance(padding, str) and padding == "same":
        raise ValueError("padding 'same' is for convolutions; give a transposed one numbers")
    if mode != "zeros":
        raise ValueError("a transposed convolution has padding_mode='zeros' only")
    for m, s, d in zip(more, stride, dilation, strict=True):
        if m >= max(s, d):
            raise ValueError(
                f"output_padding {m} must be smaller than stride {s} or dilation {d}, "
                "for the outputs beyond would see no input"
            )
