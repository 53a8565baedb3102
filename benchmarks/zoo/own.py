"""A network of the user's own, from a function that makes it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.zoo.network import Problem


def loaded(where: str) -> Problem:
    """The problem of `module:function`, which returns (model, (x, y), loss) or a `Problem`.

    Parameters and data are taken to float64. Raises ValueError for anything else.
    """
    module, _, function = where.partition(":")
    if not module or not function:
        raise ValueError(f"{where!r} is not module:function, such as mine:network")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        made = getattr(importlib.import_module(module), function)()
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{where}: {error}") from None
    if isinstance(made, Problem):
        return made
    try:
        model, (x, y), loss = made
    except (TypeError, ValueError):
        raise ValueError(f"{where} does not return (model, (x, y), loss)") from None
    if not isinstance(model, nn.Module):
        raise ValueError(f"{where} returns a {type(model).__name__} for the model")
    if isinstance(loss, nn.Module):
        loss = loss.double()
    return Problem(model.double(), (_double(x), _double(y)), loss)


def _double(value: Any) -> Any:
    """Real tensors in float64, in dicts, tuples and lists, too."""
    if isinstance(value, dict):
        return {key: _double(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(map(_double, value))
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.to(torch.float64)
    return value
