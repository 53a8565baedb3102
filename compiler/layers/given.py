"""Check the arguments of layers' methods, and explain errors in the caller's words.

Each tensor is checked by itself before a call: its kind, axes and channels. Compiled functions
check how tensors fit each other; where one raises, `explained` says it without the names of wires.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from diagrammar.layers.geometry import Geometry
    from diagrammar.layers.operations import Operations

NAMES = {
    "X": "x", "V": "v", "S": "S", "W": "weight", "T_X": "t", "T_W": "t", "h": "h", "H": "G",
    "F": "G", "R": "u", "X_2": "x2", "S_2": "S2", "bias": "bias", "Q_A": "Q_A", "Q_B": "Q_B",
}  # fmt: skip
"""The arguments of methods, by the operands of the library's files."""

INPUTS, OUTPUTS, WEIGHTS = ("X", "T_X", "X_2"), ("V", "h", "S", "S_2"), ("W", "T_W")
STACKS = ("S", "S_2")


def check_tensor(name: str, x: Any) -> None:
    """Raise TypeError unless x is a dense tensor of real or complex numbers."""
    from torch import Tensor, strided

    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, not {_a(type(x).__name__)}")
    if x.layout != strided:
        raise TypeError(f"{name} is sparse; give {name}.to_dense()")
    if not (x.is_floating_point() or x.is_complex()):
        raise TypeError(f"{name} is of {_dtype(x)}; give real or complex numbers: {name}.float()")


def check_flag(name: str, value: Any) -> None:
    """Raise TypeError unless the value is True or False; a tensor is neither."""
    if value is not True and value is not False:
        raise TypeError(f"{name} must be True or False, not {_a(type(value).__name__)}")


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Raise TypeError unless the value is an integer or None, ValueError below `least`."""
    if value is None:
        return
    known = isinstance(value, int) or hasattr(
        value, "__index__"
    )  # an integer in a trace lacks __index__
    if isinstance(value, bool) or not known:
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")


def check_channels(name: str, count: int, known: int | None, groups: int, side: str) -> None:
    """Raise ValueError for a number of channels that the layer does not have: `known` is the
    module's number, where there is a module; `side` is "in" or "out"."""
    if known is not None and count != known:
        raise ValueError(f"{name} has {count} channels; this layer has {known} {side}put channels")
    if groups > 1 and count % groups:
        raise ValueError(f"{name} has {count} channels, not a multiple of the {groups} groups")


def check_kernel(name: str, weight: Tensor, geometry: Geometry) -> None:
    """Raise ValueError for a weight with other axes than the layer's."""
    kernel = geometry.kernel_size
    if weight.ndim == len(kernel) + 2 and tuple(weight.shape[2:]) == kernel:
        return
    first = ("c_in", "c_out") if geometry.transposed else ("c_out", "c_in")
    second = first[1] if geometry.groups == 1 else f"{first[1]}/{geometry.groups}"
    wanted = ", ".join((first[0], second, *map(str, kernel)))
    raise ValueError(f"{name} has shape {tuple(weight.shape)}; that of this layer is [{wanted}]")


def check_matrix(name: str, matrix: Any, size: int | None = None) -> None:
    """Raise unless this is a square matrix, of the given size where that is known."""
    check_tensor(name, matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name} must be a square matrix, not of shape {tuple(matrix.shape)}")
    if size is not None and len(matrix) != size:
        raise ValueError(f"{name} is {len(matrix)}×{len(matrix)}, not {size}×{size}, c_out·∏o")


def integers(name: str, given: Any) -> tuple[int, ...]:
    """Read sizes: an integer or several. Raises TypeError for other values, ValueError below 1."""
    try:
        values = (given,) if hasattr(given, "__index__") else tuple(given)
        sizes = tuple(int(n) for n in values)
        wrong = isinstance(given, str) or any(isinstance(n, bool) for n in values)
        wrong = wrong or any(int(n) != n for n in values)
    except (TypeError, ValueError):
        wrong = True
    if wrong:
        raise TypeError(f"{name} must be an integer or several, such as x.shape, not {given!r}")
    if any(n < 1 for n in sizes):
        raise ValueError(f"{name} must have integers of at least 1, not {given!r}")
    return sizes


def check_alike(tensors: Mapping[str, Tensor], words: Mapping[str, str] | None) -> None:
    """Raise ValueError for operands on several devices, or of several dtypes without autocast."""
    several = iter(tensors.values())
    first = next(several)
    for x in several:
        if x.device != first.device:
            names = NAMES | dict(words or {})
            each = ", ".join(f"{names[n]} on {x.device}" for n, x in tensors.items() if n in names)
            raise ValueError(f"all tensors must be on one device: {each}")
        if x.dtype != first.dtype and not _casts(first):
            names = NAMES | dict(words or {})
            arguments = {n: x for n, x in tensors.items() if n in names}
            raise ValueError(_dtypes(arguments, names))


def _casts(x: Tensor) -> bool:
    from torch import is_autocast_enabled

    return is_autocast_enabled(x.device.type)


# -- what did not fit ------------------------------------------------------------------------------


def explained(
    operations: Operations,
    tensors: Mapping[str, Tensor],
    input_size: Sequence[int] | None,
    error: Exception,
    words: Mapping[str, str] | None = None,
) -> Exception:
    """Make a ValueError that says which operands do not fit, in the layer's own layouts; the error
    itself where nothing is found."""
    names = NAMES | dict(words or {})
    arguments = {n: x for n, x in tensors.items() if n in names}
    parts = (
        _dtypes(arguments, names),
        _batches(arguments, names),
        _channels(operations, arguments, names),
        _positions(operations, arguments, input_size, names),
        _bases(arguments, names),
    )
    reasons = [part for part in parts if part]
    return ValueError("; ".join(reasons)) if reasons else error


def _dtypes(arguments: Mapping[str, Tensor], names: Mapping[str, str]) -> str | None:
    """Say which dtypes differ, if any do."""
    if len({x.dtype for x in arguments.values()}) < 2:
        return None
    each = ", ".join(f"{names[n]} {_dtype(x)}" for n, x in arguments.items())
    return f"all tensors must have one dtype: {each}"


def _batches(arguments: Mapping[str, Tensor], names: Mapping[str, str]) -> str | None:
    """Say which numbers of examples differ, if any do."""
    for group in (("X", "V", "h", "S", "T_X"), ("X_2", "S_2")):
        counts = {n: arguments[n].shape[1 if n in STACKS else 0] for n in group if n in arguments}
        if len(set(counts.values())) > 1:
            each = " and ".join(f"{count} in {names[n]}" for n, count in counts.items())
            return f"the numbers of examples differ: {each}"
    return None


def _channels(
    operations: Operations, arguments: Mapping[str, Tensor], names: Mapping[str, str]
) -> str | None:
    """Say which numbers of channels differ, if any do."""
    into = {names[n]: arguments[n].shape[1] for n in INPUTS if n in arguments}
    out = {names[n]: arguments[n].shape[2 if n in STACKS else 1] for n in OUTPUTS if n in arguments}
    for n in WEIGHTS:
        if n in arguments:
            out[names[n]], into[names[n]] = operations.channels(arguments[n])
    if "bias" in arguments:
        out[names["bias"]] = arguments["bias"].numel()
    for side, counts in (("input", into), ("output", out)):
        if len(set(counts.values())) > 1:
            each = " and ".join(f"{count} by {name}" for name, count in counts.items())
            return f"the numbers of {side} channels differ: {each}"
    return None


def _positions(
    operations: Operations,
    arguments: Mapping[str, Tensor],
    input_size: Sequence[int] | None,
    names: Mapping[str, str],
) -> str | None:
    """Say which positions do not fit the layer's geometry, if any."""
    sizes = {names[n]: tuple(arguments[n].shape[2:]) for n in INPUTS if n in arguments}
    if input_size is not None:
        sizes["input_size"] = tuple(input_size)
    for name, size in sizes.items():
        outputs = operations.output_size(size)
        if any(n < 1 for n in outputs):
            return (
                f"the kernel does not fit into the padded input: {name} has {_times(size)} "
                f"positions, the kernel is {_times(operations.geometry.kernel_size)} with dilation "
                f"{_times(operations.geometry.dilation)}; give a larger input or more padding"
            )
        second = name == names["X_2"]
        for n in OUTPUTS:
            if n not in arguments or (n == "S_2") != second:
                continue
            positions = tuple(arguments[n].shape[3 if n in STACKS else 2 :])
            if positions != outputs:
                return (
                    f"{names[n]} has {_times(positions)} positions, but for {name} of "
                    f"{_times(size)} the output has {_times(outputs)}"
                )
    return None


def _bases(arguments: Mapping[str, Tensor], names: Mapping[str, str]) -> str | None:
    """The shapes of eigenvectors that do not fit."""
    shapes = [
        f"{names[n]} has shape {tuple(arguments[n].shape)}"
        for n in ("Q_A", "Q_B")
        if n in arguments
    ]
    if not shapes:
        return None
    return f"{' and '.join(shapes)}, not [groups, d, d] and [groups, c_out/groups, c_out/groups]"


def _times(sizes: Sequence[int]) -> str:
    return "×".join(map(str, sizes)) or "no"


def _dtype(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def _a(name: str) -> str:
    """Put the article before a noun."""
    if name == "NoneType":
        return "None"
    return f"an {name}" if name[0] in "aeiounAEIOU" else f"a {name}"
