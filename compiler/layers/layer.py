"""What every operation of a layer needs: hyper-parameters, what was compiled, layouts."""

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
        """Forget what was compiled for this layer so far. By itself a layer keeps the last 256
        definitions, each with the programs of its last 64 combinations of shapes."""
        self._run.clear()

    # -- operands, checked, in the layout of the library's files -----------------------------------

    def _input(self, name: str, x: Tensor) -> Tensor:
        """An input or its tangent as [b, c_in, *i]."""
        made = self._spread(name, x)
        check_channels(name, made.shape[1], self._inputs, self.geometry.groups, "in")
        return made

    def _output(self, name: str, v: Tensor) -> Tensor:
        """An output's cotangent or diagonal as [b, c_out, *o]."""
        made = self._spread(name, v)
        check_channels(name, made.shape[1], self._channels, self.geometry.groups, "out")
        return made

    def _stack(self, name: str, S: Tensor) -> Tensor:
        """A stack of cotangents as [n, b, c_out, *o]."""
        made = self._spread(name, S, 2)
        check_channels(name, made.shape[2], self._channels, self.geometry.groups, "out")
        return made

    def _stacked(
        self, first: str, x: Tensor, second: str, S: Tensor, bias: bool = False
    ) -> tuple[Tensor, Tensor]:
        """An input and a stack of cotangents."""
        check_flag("bias", bias)
        X, stack = self._input(first, x), self._stack(second, S)
        self._aligned(first, x, second, S, 2)
        return X, stack

    def _weight(self, name: str, weight: Tensor) -> Tensor:
        """A weight, or its tangent, with kernel axes."""
        check_tensor(name, weight)
        made, groups = self._kernel(name, weight), self.geometry.groups
        out, into = self._run.channels(made)
        check_channels(name, into, self._inputs, groups, "in")
        check_channels(name, out, self._channels, groups, "out")
        return made

    def _spread(self, name: str, x: Tensor, lead: int = 1) -> Tensor:
        """An input or output with `lead` axes before the channels, as [lead, c, *positions]."""
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
        return x.ndim == self.geometry.dims + lead + 1

    def _gathered(self, y: Tensor, like: Tensor, lead: int = 1) -> Tensor:
        """[…, b, c, *positions] in the layout of an operand `like`."""
        return y if self._batched(like, lead) else y.squeeze(lead - 1)

    def _size(
        self, size: Ints | None, output: Sequence[int], channels: int | None
    ) -> tuple[int, ...]:
        """The input size from what was given, whose channels are looked at, or the output's."""
        known = channels if self._inputs is None else self._inputs
        return self.geometry.input_size(size, output, known)

    def _by_output(self, jacobian: Tensor, like: Tensor) -> Tensor:
        """[b, c_out, *o, …] with the output's axes in the layout of an operand `like`."""
        return jacobian if self._batched(like) else jacobian.squeeze(0)

    def _positions_of(self, G: Tensor, channels: int) -> tuple[int, ...]:
        """The output's positions in a matrix [c_out·∏o, c_out·∏o], where they are all there is to
        an input's size."""
        return ()

    def _aligned(self, first: str, x: Tensor, second: str, v: Tensor, lead: int = 1) -> None:
        """Raise ValueError for an output with other positions than an input, where the layout of
        the library's files does not show it."""

    def _kernel(self, name: str, weight: Tensor) -> Tensor:
        """A weight with its kernel axes. Raises ValueError for one of another shape."""
        check_kernel(name, weight, self.geometry)
        return weight

    def _plain(self, weights: Tensor) -> Tensor:
        """Weight-shaped results in the weight's own shape."""
        return weights

    def _c_out(self, channels: int | None) -> int:
        check_count("channels", channels)
        found = channels if channels is not None else self._channels
        if found is None:
            raise ValueError("the number of output channels is not known; give channels=c_out")
        check_channels("channels=", found, self._channels, self.geometry.groups, "out")
        return found

    def output_size(self, size: Ints) -> tuple[int, ...]:
        """The spatial output size for a spatial input size. Raises ValueError for a size of other
        dimensions, and one that the kernel does not fit in."""
        found = self.geometry.input_size(size, ())
        made = self._run.output_size(found)
        if any(n < 1 for n in made):
            raise ValueError(f"the kernel does not fit into the padded input of size {found}")
        return made

    def compiled(self) -> tuple[Compiled, ...]:
        """The definitions that were compiled so far; each has its `diagram` and `function`."""
        return self._run.compiled()
