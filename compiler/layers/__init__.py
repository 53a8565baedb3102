"""The shipped operations on layers: `Conv(kernel_size, …)`, `Conv.of(module)`, `Linear`."""

from diagrammar.layers.conv import Conv, Linear

__all__ = ["Conv", "Linear"]
