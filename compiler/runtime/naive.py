"""A diagram as one einsum of dense arrays: what the candidates of a plan are compared with.

Patterns are 0/1 arrays in full, made beforehand; opt_einsum orders the contraction. The oracle of
tests is `backends.numpy`; this is the same thing in torch, for the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import opt_einsum

from diagrammar import program as ops
from diagrammar.backends.numpy import evaluate

MOST_MULTIPLICATIONS = 10**11
MOST_ENTRIES = 2**28


class TooLarge(Exception):
    """The einsum would not end, or not fit; the message says which."""


def naive(program: ops.Program, operands: Mapping[str, Any]) -> Callable[[], Any]:
    """The call without arguments for a dense program (`planner.dense`) and its operands.

    Raises TooLarge where it takes more than 10¹¹ multiplications or 2²⁸ entries.
    """
    constants: dict[int, Any] = {}
    for at, step in enumerate(program.steps):
        if isinstance(step.operation, ops.Indicator):
            constants[at] = _array(program, at, next(iter(operands.values())))
        elif isinstance(step.operation, ops.Einsum):
            _check(program, step.operation)
    return partial(_run, program, operands, constants)


def _array(program: ops.Program, at: int, like: Any) -> Any:
    import torch

    step = program.steps[at]
    entries = 1
    for n in step.shape:
        entries *= int(n)
    if entries > MOST_ENTRIES:
        raise TooLarge(f"a pattern of {entries:,} entries")
    assert isinstance(step.operation, ops.Indicator)
    alone = replace(step, operation=ops.Indicator(step.operation.pieces, None))
    one = ops.Program("pattern", (), (alone,), (0,), ("pattern",))
    (array,) = evaluate(one, {})
    return torch.from_numpy(array).to(like)


def _check(program: ops.Program, op: ops.Einsum) -> None:
    """Whether the contraction can be done at all."""
    shapes = [tuple(int(n) for n in program.steps[v].shape) for v in op.values]
    _, info = opt_einsum.contract_path(_equation(op), *shapes, shapes=True)
    if info.opt_cost > MOST_MULTIPLICATIONS:
        raise TooLarge(f"{int(info.opt_cost):,} multiplications")
    if info.largest_intermediate > MOST_ENTRIES:
        raise TooLarge(f"an intermediate of {int(info.largest_intermediate):,} entries")


def _equation(op: ops.Einsum) -> str:
    """The contraction as opt_einsum reads it, which has a symbol for any number of labels."""
    terms = ["".join(map(opt_einsum.get_symbol, term)) for term in (*op.terms, op.out)]
    return f"{','.join(terms[:-1])}->{terms[-1]}"


def _run(
    program: ops.Program, operands: Mapping[str, Any], constants: Mapping[int, Any]
) -> tuple[Any, ...]:
    values: list[Any] = []
    for at, step in enumerate(program.steps):
        values.append(constants[at] if at in constants else _step(step, values, operands))
    return tuple(values[r] for r in program.results)


def _step(step: ops.Step, values: Sequence[Any], operands: Mapping[str, Any]) -> Any:
    op = step.operation
    shape = tuple(int(n) for n in step.shape)
    match op:
        case ops.Operand():
            return operands[op.name]
        case ops.Reshape():
            return values[op.x].reshape(shape)
        case ops.Permute():
            return values[op.x].permute(op.order)
        case ops.Diagonal():
            return values[op.x].diagonal(0, op.first, op.second)
        case ops.Expand():
            return values[op.x].expand(shape)
        case ops.Scale():
            return values[op.x] * float(op.factor)
        case ops.Sum():
            return values[op.x].sum(op.axes)
        case ops.Add():
            return sum(values[v] for v in op.values)
        case ops.Einsum():
            return opt_einsum.contract(_equation(op), *(values[v] for v in op.values))
    raise TooLarge(f"{type(op).__name__} has no dense form")
