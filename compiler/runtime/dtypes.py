"""What a function is computed in, and operands that it cannot be computed with.

One rule for all functions, whatever their sizes are and whatever is emitted. Operands have one
dtype and one device. Of float16, bfloat16, float32, float64, complex64 and complex128 results are
of that dtype. Integers, and bool as 0 and 1, are computed in int64; in float64 where the definition
has factors that are no integers, such as averages, and where it draws masks. PyTorch's library
calls know no integers, so their programs have products only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import sympy
from numpy import asarray

from diagrammar.backends.registry import Backend
from diagrammar.grammar.errors import Problem
from diagrammar.ir.diagram import Declared
from diagrammar.ir.scalar import substitute
from diagrammar.runtime.options import DTYPES
from diagrammar.runtime.values import Computation

if TYPE_CHECKING:
    import torch

WHOLE = ("bool", "uint8", "uint16", "uint32", "int8", "int16", "int32", "int64")
"""Dtypes whose values are all in int64."""


def is_whole(x: Any) -> bool:
    """Whether the entries of a tensor are integers, or true and false."""
    return not (x.dtype.is_floating_point or x.dtype.is_complex)


@dataclass(frozen=True)
class InDtype:
    """A call with operands that are cast first."""

    dtype: torch.dtype
    call: Callable[..., Any]

    def __call__(self, *operands: Any) -> Any:
        """The result for the operands in this dtype."""
        return self.call(*[x.to(self.dtype) for x in operands])

    @property
    def constants(self) -> int:
        """The bytes that the call holds between calls."""
        return getattr(self.call, "constants", 0)


def computed_in(computation: Computation) -> torch.dtype:
    """The dtype that integers are computed in: float64 where some factor is no integer for all
    sizes."""
    import torch

    scalars = (
        sympy.sympify(substitute(term.scalar, known.symbols))
        for diagram, known in zip(computation.diagrams, computation.resolved, strict=True)
        for term in diagram.terms
    )
    whole = all(scalar.is_integer is True for scalar in scalars)
    return torch.int64 if whole else torch.float64


def unfit(declared: Sequence[Declared], operands: Sequence[Any], backend: Backend) -> list[Problem]:
    """What is wrong with operands by themselves and beside each other; shapes aside."""
    values = dict(zip((d.name for d in declared), operands, strict=False))
    if not backend.tensors:
        return _each(_no_array, values)
    masks = {d.name for d in declared if d.keep is not None}
    factors = {name: x for name, x in values.items() if name not in masks}
    return (
        _each(_unfit_kind, values)
        or _each(_unfit_dtype, factors)
        or [*_mixed(factors), *_apart(values)]
    )


def _each(
    problem: Callable[[str, Any], Problem | None], values: Mapping[str, Any]
) -> list[Problem]:
    """The problems of operands by themselves."""
    return [wrong for name, x in values.items() if (wrong := problem(name, x)) is not None]


def _no_array(name: str, value: Any) -> Problem | None:
    """A problem for what numpy makes no array of, such as a tensor of bfloat16."""
    try:
        asarray(value)
    except (TypeError, RuntimeError):
        kind = getattr(value, "dtype", type(value).__name__)
        way = f"give an array, or convert it: {name}.float()"
        return Problem(f"operand '{name}' is of {kind}, which numpy has no arrays of", help=way)
    return None


def _name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def _unfit_kind(name: str, x: Any) -> Problem | None:
    """A problem for what is no dense tensor."""
    import torch

    if not isinstance(x, torch.Tensor):
        return _no_tensor(name, x)
    if x.is_nested:
        way = f"give each tensor by itself, or pad them: {name}.to_padded_tensor(0)"
        return Problem(f"operand '{name}' is nested, not dense", help=way)
    if x.layout is not torch.strided:
        kind = "sparse" if x.is_sparse else _name(x.layout)
        return Problem(
            f"operand '{name}' is {kind}, not dense", help=f"make it dense: {name}.to_dense()"
        )
    return None


def _no_tensor(name: str, value: Any) -> Problem:
    kind = type(value).__name__
    if type(value).__module__ == "numpy":
        way = f"torch.from_numpy({name}) makes one; compile(backend='numpy') takes arrays"
        return Problem(f"operand '{name}' is a numpy {kind}, not a tensor", help=way)
    way = f"make one: torch.as_tensor({name})"
    return Problem(f"operand '{name}' is of type {kind}, not a tensor", help=way)


def _unfit_dtype(name: str, x: Any) -> Problem | None:
    """A problem for a dtype that nothing is computed in."""
    dtype = _name(x.dtype)
    if dtype in DTYPES or dtype in WHOLE:
        return None
    if x.is_quantized:
        way = f"{name}.dequantize()"
    elif dtype == "uint64":
        way = f"{name}.long(), if all entries are below 2^63"
    elif x.is_complex():
        way = f"{name}.to(torch.complex64)"
    else:
        way = f"{name}.float()" if "float" in dtype else f"{name}.to(torch.int64)"
    message = f"operand '{name}' is of {dtype}, which nothing is computed in"
    return Problem(message, help=f"convert it: {way}")


def _mixed(values: Mapping[str, Any]) -> list[Problem]:
    """Operands of several dtypes, outside of autocast."""
    dtypes = {name: x.dtype for name, x in values.items()}
    if len(set(dtypes.values())) < 2 or is_cast([*values.values()]):
        return []
    way = f"convert them: {_conversion(dtypes)}"
    shown = ", ".join(f"{n} {_name(d)}" for n, d in dtypes.items())
    return [Problem(f"operands have different dtypes: {shown}", help=way)]


def _apart(values: Mapping[str, Any]) -> list[Problem]:
    """Operands on several devices, or real beside fake."""
    problems = []
    devices = {name: str(x.device) for name, x in values.items()}
    if len(set(devices.values())) > 1:
        first, *others = devices
        other = next(name for name in others if devices[name] != devices[first])
        shown = ", ".join(f"{n} {d}" for n, d in devices.items())
        way = f"move them: {other}.to({first}.device)"
        problems.append(Problem(f"operands are on different devices: {shown}", help=way))
    fake = [name for name, x in values.items() if _is_fake(x)]
    if fake and len(fake) < len(values):
        message = f"operands are real and fake tensors: {', '.join(fake)} without entries"
        problems.append(Problem(message, help="give all of one kind"))
    return problems


def is_cast(operands: Sequence[Any]) -> bool:
    """Whether PyTorch casts floating operands of this call: its autocast is on."""
    import torch

    if not all(x.is_floating_point() for x in operands):
        return False
    kind = operands[0].device.type  # such as meta, which has no autocast
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def _conversion(dtypes: dict[str, Any]) -> str:
    """How one operand gets the dtype that holds all: `X.to(torch.float32)`."""
    import torch

    try:
        wide = reduce(torch.promote_types, dtypes.values())
    except RuntimeError:  # there is none for unsigned integers
        wide = torch.int64
    narrow = next(name for name, dtype in dtypes.items() if dtype != wide)
    return f"{narrow}.to({wide})"


def has_entries(x: Any) -> bool:
    """Whether a tensor has values that can be looked at: a meta or fake one has none."""
    return not (x.is_meta or _is_fake(x))


def _is_fake(x: Any) -> bool:
    module = sys.modules.get("torch._subclasses.fake_tensor")
    return module is not None and isinstance(x, module.FakeTensor)
