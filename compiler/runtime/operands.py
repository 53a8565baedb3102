"""The stage of operands: those of a call in order, by position and by name, and what a call is
known by. Which dtypes and devices fit together says `runtime.dtypes`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from diagrammar.grammar.errors import DiagramError, Problem, near
from diagrammar.grammar.words import MAX_INTEGER
from diagrammar.ir.diagram import Declared
from diagrammar.ir.numbers import integer, written
from diagrammar.plan.planner import axis_names


def in_order(
    function: str,
    operands: Sequence[Declared],
    positional: Sequence[Any],
    named: Mapping[str, Any],
) -> tuple[Any, ...]:
    """The operands of a call, some of them given by name. Raises DiagramError."""
    names = [o.name for o in operands]
    problems = [
        Problem(
            f"'{function}' has no operand '{n}'",
            help=near(n, names) or f"it takes {', '.join(names)}",
        )
        for n in named
        if n not in names
    ]
    values = dict(zip(names, positional, strict=False))
    problems += [Problem(f"operand '{n}' is given twice") for n in named if n in values]
    values.update(named)
    if len(positional) > len(names):
        message = f"'{function}' takes {len(names)} operands, not {len(positional)}"
        help = f"they are {', '.join(f'{o.name}{shown_axes(o)}' for o in operands)}"
        problems.append(Problem(message, help=help if names else ""))
    problems += [
        Problem(f"operand '{o.name}' is missing", help=f"its axes are {shown_axes(o)}")
        for o in operands
        if o.name not in values
    ]
    if problems:
        raise DiagramError(problems)
    return tuple(values[n] for n in names)


def shape_of(name: str, shape: Any) -> tuple[int, ...]:
    """The shape of an operand, as a caller gives it. Raises DiagramError for what is none."""
    tensor = getattr(shape, "ndim", 1) != 1
    if not tensor:
        with suppress(TypeError):
            sizes = [integer(n) for n in shape]
            if not any(n is None or not 0 <= n <= MAX_INTEGER for n in sizes):
                return tuple(n for n in sizes if n is not None)
    said = "a tensor" if tensor else written(shape)
    message = f"the shape of '{name}' must be a sequence of integers, not {said}"
    way = f"{name}={name}.shape" if tensor else f"{name}=(8, 3)"
    raise DiagramError([Problem(message, help=f"give it as {way}")])


def signature(operands: Sequence[Any]) -> tuple[Any, ...]:
    """The shapes, dtypes and devices."""
    return tuple([(x.shape, x.dtype, x.device) for x in operands])


class Kind(NamedTuple):
    """What a program depends on besides shapes: the bytes of an entry and the kind of device."""

    itemsize: int = 4
    device: str = "cpu"


def kind_of(operands: Sequence[Any], *, sized: bool) -> Kind:
    """The kind of some operands; `sized`: the bytes of an entry count, since there is a budget.
    Tensors without memory are planned for a processor."""
    sizes = [x.element_size() for x in operands] if sized else []
    devices = [getattr(getattr(x, "device", None), "type", "cpu") for x in operands]
    others = [device for device in devices if device not in ("cpu", "meta")]
    return Kind(max(sizes, default=4), others[0] if others else "cpu")


def shown_axes(operand: Declared) -> str:
    """The axes of an operand as a file has them: `[b, (g c), i]`."""
    return f"[{', '.join(axis_names(operand.axes))}]"
