"""Batches (x, y) of loaders, and parts of x: a tensor, or a nest of tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

Batch = tuple[Any, Any]


def batches(data: Any, progress: bool) -> Iterator[Batch]:
    """Yield the pairs (x, y) of a loader, or the one given pair; with a progress bar where wanted.

    A tuple or list of two is one batch if a tensor or a mapping is in it and its second entry is no
    pair: a DataLoader gives its batches as lists [x, y]. Raises TypeError for other data, and
    ValueError for batches that are no pairs.
    """
    if _is_pair(data):
        data = [data]
    elif not isinstance(data, Iterable) or isinstance(data, (str, bytes)) or _is_tensor(data):
        raise TypeError(f"data must be a loader of batches (x, y), or one, not {_named(data)}")
    elif isinstance(data, Mapping):
        raise TypeError(f"data is {_named(data)}, not batches (x, y); {_way_out(data)}")
    if progress:
        from rich.progress import track

        data = track(data, "curvature", total=len(data) if isinstance(data, Sized) else None)
    for number, batch in enumerate(data):
        yield _pair(batch, number)


def _is_tensor(value: Any) -> bool:
    from torch import Tensor

    return isinstance(value, Tensor)


def _is_pair(data: Any) -> bool:
    """Whether data is one batch, and not several."""
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        return False
    first, second = data
    if isinstance(second, (tuple, list)) and len(second) == 2:
        return False  # two batches of a loader
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return isinstance(data, tuple)  # a list of two mappings is two batches
    return _is_tensor(first) or _is_tensor(second) or isinstance(first, Mapping)


def _pair(batch: Any, number: int) -> Batch:
    """Read a batch as (x, y). Raises ValueError where it is no pair."""
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        return batch[0], batch[1]
    raise ValueError(f"batch {number} is {_named(batch)}, not a pair (x, y); {_way_out(batch)}")


def _named(value: Any) -> str:
    """Describe a value for an error."""
    if _is_tensor(value):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, Mapping):
        return f"a mapping with the keys {', '.join(map(repr, value))}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def _way_out(batch: Any) -> str:
    """Say how to make pairs of batches."""
    if isinstance(batch, Mapping):
        first, *rest = (*map(repr, batch), "'label'")
        return f"give pairs: data = ((batch[{first}], batch[{rest[0]}]) for batch in loader)"
    return "give pairs: data = ((batch[0], batch[1]) for batch in loader)"


# -- examples --------------------------------------------------------------------------------------


def leading(x: Any) -> int | None:
    """The size of the first axis of the first tensor in a nest of tuples, lists and mappings."""
    return next((len(t) for t in _tensors(x) if t.ndim), None)


def _tensors(x: Any) -> Iterator[Tensor]:
    """Yield the tensors of a nest."""
    if _is_tensor(x):
        yield x
    elif isinstance(x, Mapping):
        for value in x.values():
            yield from _tensors(value)
    elif isinstance(x, (tuple, list)):
        for value in x:
            yield from _tensors(value)


def axes_of_size(x: Any, size: int) -> list[int]:
    """The axes of this size, after the first axis, of the first tensor in a nest."""
    first = next((t for t in _tensors(x) if t.ndim), None)
    return [] if first is None else [a for a in range(1, first.ndim) if first.shape[a] == size]


def taken(x: Any, axis: int, part: slice) -> Any:
    """Take `part` along an axis of all tensors in a nest whose axis has the size of the first
    tensor's."""
    first = next(t for t in _tensors(x) if t.ndim)
    size = first.shape[axis]

    def cut(value: Any) -> Any:
        if _is_tensor(value):
            fits = value.ndim > axis and value.shape[axis] == size
            return value[(slice(None),) * axis + (part,)] if fits else value
        if isinstance(value, Mapping):
            entries = {name: cut(v) for name, v in value.items()}
            return entries if type(value) is dict else type(value)(entries)  # type: ignore[call-arg]
        if isinstance(value, (tuple, list)):
            parts = [cut(v) for v in value]
            return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
        return value

    return cut(x)


def usable(x: Any) -> Any:
    """Copy tensors that were made under `inference_mode`, which autograd cannot keep."""
    from torch import Tensor

    if isinstance(x, Tensor):
        return x.clone() if x.is_inference() else x
    if type(x) in (tuple, list):
        return type(x)(usable(v) for v in x)
    if type(x) is dict:
        return {name: usable(v) for name, v in x.items()}
    return x
