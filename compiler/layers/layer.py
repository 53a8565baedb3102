"""Shared parts of all operations of a layer: hyper-parameters, compiled definitions, layouts of
operands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from diagrammar.layers.geometry import Geometry, Ints, Padding
from diagrammar.layers.given import (
    check_channels,
    check_count,
    check_flag,
    check_kernel,
    check_tensor,
)
from diagrammar.layers.operations import Compiled, Operations

if TYPE_CHECKING:
    from torch import Tensor


class Layer:
    """Hyper-parameters, and the operations compiled for them."""

    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: int = 1,
        padding_mode: str = "zeros",
        transposed: bool = False,
        output_padding: Ints = 0,
        dims: int | None = None,
        plan: str = "cost",
        memory: int | str | None = None,
        accumulate: str | None = None,
        nonfinite: str = "contained",
    ) -> None:
        self.geometry = Geometry.of(
            kernel_size, stride, padding, dilation, groups, padding_mode, transposed,
            output_padding, dims,
        )  # fmt: skip
        options: dict[str, Any] = {"memory": memory, "accumulate": accumulate}
        if plan != "cost":
            options["plan"] = plan
        if nonfinite != "contained":
            options["nonfinite"] = nonfinite
        self._run = Operations(self.geometry, options)
        self._channels: int | None = None
        self._inputs: int | None = None
        self._folded_size: tuple[int, ...] | None = None

    def __repr__(self) -> str:
        g = self.geometry
        kind = "transposed, " if g.transposed else ""
        return f"<{type(self).__name__} {kind}kernel {g.kernel_size}, stride {g.stride}>"

    def clear(self) -> None:
        """Forget the definitions that were compiled for this layer. By itself a layer keeps the
        last 256 definitions, each with the programs of its last 64 combinations of shapes."""
        self._run.clear()

    # -- operands, checked, in the layout of the library's files -----------------------------------

    def _input(self, name: str, x: Tensor) -> Tensor:
        """Check an input or its tangent, and lay it out as [b, c_in, *i]."""
        spread = self._spread(name, x)
        check_channels(name, spread.shape[1], self._inputs, self.geometry.groups, "in")
        return spread

    def _output(self, name: str, v: Tensor) -> Tensor:
        """Check an output's cotangent or diagonal, and lay it out as [b, c_out, *o]."""
        spread = self._spread(name, v)
        check_channels(name, spread.shape[1], self._channels, self.geometry.groups, "out")
        return spread

    def _stack(self, name: str, S: Tensor) -> Tensor:
        """Check a stack of cotangents, and lay it out as [n, b, c_out, *o]."""
        spread = self._spread(name, S, 2)
        check_channels(name, spread.shape[2], self._channels, self.geometry.groups, "out")
        return spread

    def _stacked(
        self, first: str, x: Tensor, second: str, S: Tensor, bias: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Check an input and a stack of cotangents together."""
        check_flag("bias", bias)
        X, stack = self._input(first, x), self._stack(second, S)
        self._aligned(first, x, second, S, 2)
        return X, stack

    def _weight(self, name: str, weight: Tensor) -> Tensor:
        """Check a weight, or its tangent, and give it kernel axes."""
        check_tensor(name, weight)
        kernel, groups = self._kernel(name, weight), self.geometry.groups
        out, into = self._run.channels(kernel)
        check_channels(name, into, self._inputs, groups, "in")
        check_channels(name, out, self._channels, groups, "out")
        return kernel

    def _spread(self, name: str, x: Tensor, lead: int = 1) -> Tensor:
        """Lay an input or output with `lead` axes before the channels out as [lead, c,
        *positions]."""
        check_tensor(name, x)
        dims = self.geometry.dims
        if x.ndim == dims + lead:
            return x.unsqueeze(lead - 1)
        if x.ndim == dims + lead + 1:
            return x
        axes = ["b", "n, b"][lead - 1]
        raise ValueError(
            f"{name} of shape {tuple(x.shape)} has {x.ndim} axes, not {dims + lead + 1} "
            f"([{axes}, c, *{dims} spatial]), or one less unbatched"
        )

    def _batched(self, x: Tensor, lead: int = 1) -> bool:
        """Whether an operand has the axis b."""
        return x.ndim == self.geometry.dims + lead + 1

    def _by_example(self, values: Tensor, like: Tensor) -> Tensor:
        """Drop the axis b, the first, where the operand `like` came without it."""
        return values if self._batched(like) else values.squeeze(0)

    def _gathered(self, y: Tensor, like: Tensor, lead: int = 1) -> Tensor:
        """Lay […, b, c, *positions] out like an operand `like`."""
        return y if self._batched(like, lead) else y.squeeze(lead - 1)

    def _size(
        self, size: Ints | None, output: Sequence[int], channels: int | None
    ) -> tuple[int, ...]:
        """The input size from `size`, whose channels are checked, or from the output's."""
        known = channels if self._inputs is None else self._inputs
        return self.geometry.input_size(size, output, known)

    def _by_output(self, jacobian: Tensor, like: Tensor) -> Tensor:
        """Lay [b, c_out, *o, …] out with the output's axes like an operand `like`."""
        return jacobian if self._batched(like) else jacobian.squeeze(0)

    def _positions_of(self, G: Tensor, channels: int) -> tuple[int, ...]:
        """The output's positions in a matrix [c_out·∏o, c_out·∏o], for layers whose input size is
        just that."""
        return ()

    def _aligned(self, first: str, x: Tensor, second: str, v: Tensor, lead: int = 1) -> None:
        """Raise ValueError for an output with other positions than an input's, where the layout of
        the library's files hides them."""

    def _kernel(self, name: str, weight: Tensor) -> Tensor:
        """Give a weight its kernel axes. Raises ValueError for a weight of another shape."""
        check_kernel(name, weight, self.geometry)
        return weight

    def _plain(self, weights: Tensor) -> Tensor:
        """Give weight-shaped results the weight's own shape."""
        return weights

    def _c_out(self, channels: int | None) -> int:
        """The number of output channels. Raises ValueError where it is not known."""
        check_count("channels", channels)
        known = channels if channels is not None else self._channels
        if known is None:
            raise ValueError("the number of output channels is not known; give channels=c_out")
        check_channels("channels=", known, self._channels, self.geometry.groups, "out")
        return known

    def output_size(self, size: Ints) -> tuple[int, ...]:
        """The spatial output size for a spatial input size. Raises ValueError for a size of other
        dimensions, or one that the kernel does not fit into."""
        inputs = self.geometry.input_size(size, ())
        outputs = self._run.output_size(inputs)
        if any(n < 1 for n in outputs):
            raise ValueError(f"the kernel does not fit into the padded input of size {inputs}")
        return outputs

    def compiled(self) -> tuple[Compiled, ...]:
        """The definitions that were compiled so far; each has its `diagram` and `function`."""
        return self._run.compiled()
