"""What every operation of a layer needs: hyper-parameters, what was compiled, layouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from diagrammar.layers.geometry import Geometry, Ints, Padding
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
    ) -> None:
        self.geometry = Geometry.of(
            kernel_size, stride, padding, dilation, groups, padding_mode, transposed,
            output_padding, dims,
        )  # fmt: skip
        options: dict[str, Any] = {"memory": memory, "accumulate": accumulate}
        if plan != "cost":
            options["plan"] = plan
        self._run = Operations(self.geometry, options)
        self._channels: int | None = None
        self._folded_size: tuple[int, ...] | None = None

    def __repr__(self) -> str:
        g = self.geometry
        kind = "transposed, " if g.transposed else ""
        return f"<{type(self).__name__} {kind}kernel {g.kernel_size}, stride {g.stride}>"

    def _spread(self, x: Tensor, lead: int = 1) -> Tensor:
        """An input or output with `lead` axes before the channels, as [lead, c, *positions]."""
        dims = self.geometry.dims
        if x.ndim == dims + lead:
            return x.unsqueeze(lead - 1)
        if x.ndim == dims + lead + 1:
            return x
        axes = ["b", "n, b", ""][lead - 1]
        raise ValueError(
            f"an operand of shape {tuple(x.shape)} has {x.ndim} axes, not {dims + lead + 1} "
            f"([{axes}, c, *{dims} spatial]), or one less unbatched"
        )

    def _batched(self, x: Tensor, lead: int = 1) -> bool:
        return x.ndim == self.geometry.dims + lead + 1

    def _gathered(self, y: Tensor, like: Tensor, lead: int = 1) -> Tensor:
        """[…, b, c, *positions] in the layout of an operand `like`."""
        return y if self._batched(like, lead) else y.squeeze(lead - 1)

    def _size(self, size: Ints | None, output: Sequence[int]) -> tuple[int, ...]:
        return self.geometry.input_size(size, output)

    def _kernel(self, weight: Tensor) -> Tensor:
        """A weight with its kernel axes."""
        return weight

    def _plain(self, weights: Tensor) -> Tensor:
        """Weight-shaped results in the weight's own shape."""
        return weights

    def _c_out(self, channels: int | None) -> int:
        found = channels if channels is not None else self._channels
        if found is None:
            raise ValueError("the number of output channels is not known; give channels=c_out")
        return found

    def output_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """The spatial output size for a spatial input size."""
        return self._run.output_size(tuple(size))

    def compiled(self) -> tuple[Compiled, ...]:
        """The definitions that were compiled so far; each has its `diagram` and `function`."""
        return self._run.compiled()
