"""Identity of a loss and a network: plain data that can be compared, sent and saved.

Two results belong together where these agree: the loss with its options, every module's class and
geometry, and a digest of every parameter and buffer. Values that a custom `forward` reads from
elsewhere are not seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

DEPTH = 6
"""How deep attributes of attributes are described: objects may refer to themselves."""
PART = 1 << 24
"""Entries that are copied to the host at a time."""
COUNTERS = ("num_batches_tracked",)
"""Buffers on which no output depends."""


def tensor_digest(value: Tensor) -> str:
    """Digest a tensor's bits; equal on every device."""
    from torch import uint8

    if value.is_meta:
        return "none"
    digest = hashlib.sha256()
    dense = value.detach().resolve_conj().resolve_neg()
    flat: Any = (dense.to_dense() if dense.is_sparse else dense).reshape(-1)
    for part in flat.split(PART):
        digest.update(part.cpu().contiguous().view(uint8).numpy())
    return digest.hexdigest()[:16]


def loss_identity(loss: nn.Module | Callable[..., Any]) -> dict[str, Any]:
    """The class of a loss and its options (`reduction`, `ignore_index`, …, weights by digest), or
    the name of a function, with digests of its code and of the values that it closes over."""
    description = described(loss)
    return description if isinstance(description, dict) else {"value": description}


def network_identity(model: nn.Module) -> dict[str, dict[str, Any]]:
    """Every module of a network in words, and every parameter and buffer as [dtype, shape, digest],
    by name."""
    tensors = {
        name: [str(value.dtype).removeprefix("torch."), list(value.shape), tensor_digest(value)]
        for name, value in [*model.named_parameters(), *model.named_buffers()]
        if name.rpartition(".")[2] not in COUNTERS
    }
    modules = {name: _module(module) for name, module in model.named_modules()}
    return {"modules": modules, "tensors": tensors}


class Reduction:
    """Whether a loss's reduction matters. It does not where each example has one term: mean and sum
    are then equal. `terms` is the option of `vectors_of`."""

    def __init__(self, loss: Any, terms: str) -> None:
        from torch import nn

        self._classes = type(loss) is nn.CrossEntropyLoss  # all classes, on axis 1, are one term
        self._one = type(loss) in (nn.MSELoss, nn.BCEWithLogitsLoss) or self._classes
        self._one = self._one and terms == "joint" and loss.reduction in ("mean", "sum")
        if self._classes and loss.weight is not None:  # a mean divides by weights
            self._one = False

    def counting(self, vectors: Callable[..., Any]) -> Callable[..., Any]:
        """Make the function (f, y, rows=1) → vectors also count the terms in f [b·rows, …]."""

        def counted(f: Tensor, y: Any, rows: int = 1) -> Any:
            if f.numel():
                entries = f[0].numel() * rows
                self._one &= entries == (f.shape[1] if self._classes and f.ndim > 1 else 1)
            return vectors(f, y, rows)

        return counted

    def marked(self, identity: Mapping[str, Any]) -> dict[str, Any]:
        """Mark a reduction that does not matter as "any" in an identity."""
        loss = identity["loss"]
        return {**identity, "loss": {**loss, "reduction": "any"} if self._one else loss}


def identity_of(model: nn.Module, loss: Any) -> dict[str, Any]:
    """Identify loss and network, for `Curvature.identity`."""
    return {"loss": loss_identity(loss), **network_identity(model)}


def _module(module: nn.Module) -> str:
    """A module's class and options, as torch prints them; "training" where it is in that mode."""
    text = module.extra_repr()
    if not text and type(module).__module__.startswith("torch.nn."):  # MultiheadAttention, …
        text = ", ".join(
            f"{name}={getattr(value, '__name__', value)}"
            for name, value in sorted(vars(module).items())
            if not name.startswith("_") and name != "training" and _is_option(value)
        )
    return f"{type(module).__qualname__}({text}){', training' if module.training else ''}"


def _is_option(value: Any) -> bool:
    return isinstance(value, bool | int | float | str | FunctionType) and value != ""


def described(value: Any, depth: int = DEPTH) -> Any:
    """Describe a value as plain data: numbers and texts unchanged, tensors by digest, functions by
    name and code, modules with all that they hold, other objects by class."""
    from torch import Tensor

    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else repr(value)  # JSON has no infinity
    if isinstance(value, Tensor):
        return [str(value.dtype).removeprefix("torch."), list(value.shape), tensor_digest(value)]
    if depth == 0:
        return type(value).__qualname__
    if isinstance(value, list | tuple):
        return [described(entry, depth - 1) for entry in value]
    if isinstance(value, set | frozenset):
        return sorted(repr(entry) for entry in value)
    if isinstance(value, Mapping):
        return {str(name): described(entry, depth - 1) for name, entry in value.items()}
    return _callable(value, depth) if callable(value) else _object(value, depth)


def _callable(value: Any, depth: int) -> dict[str, Any]:
    """Describe a function, a method, a partial call, a module, a class or another callable."""
    from torch import nn

    match value:
        case MethodType():
            return {**described(value.__func__, depth - 1), "of": _class(value.__self__)}
        case partial():
            arguments = [described(part, depth - 1) for part in (value.args, value.keywords)]
            return {"partial": described(value.func, depth - 1), "given": arguments}
        case FunctionType():
            return _function(value, depth)
        case nn.Module():
            tensors = [*value.named_parameters(), *value.named_buffers()]
            inside = described(dict([*tensors, *value.named_children()]), depth - 1)
            return {**_object(value, depth), **inside}
    if hasattr(value, "__qualname__"):  # a class, a builtin
        return {"function": f"{getattr(value, '__module__', '')}.{value.__qualname__}"}
    return _object(value, depth)


def _object(value: Any, depth: int) -> dict[str, Any]:
    """Describe an object by its class, and a callable one also by its public attributes. Other
    objects, for example a trainer, hold values that differ from process to process."""
    if type(value).__module__ == "torch":  # a dtype, a device
        return {"class": _class(value), "value": str(value)}
    if not callable(value):
        return {"class": _class(value)}
    public = {n: v for n, v in vars(value).items() if not n.startswith("_") and n != "training"}
    return {"class": _class(value), **described(public, depth - 1)}


def _class(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _function(function: FunctionType, depth: int) -> dict[str, Any]:
    """Describe a function by name, code, defaults and the values that it closes over."""

    import platform

    names = function.__code__.co_freevars
    cells = zip(names, function.__closure__ or (), strict=True)
    closure = {name: cell.cell_contents for name, cell in cells if _filled(cell)}
    return {
        "function": f"{function.__module__}.{function.__qualname__}",
        "held": described(closure, depth - 1),
        "defaults": described([function.__defaults__, function.__kwdefaults__], depth - 1),
        "code": hashlib.sha256(_code(function.__code__).encode()).hexdigest()[:16],
        "python": ".".join(platform.python_version_tuple()[:2]),
    }


def _filled(cell: Any) -> bool:
    """Whether the name of a closure has a value yet."""
    try:
        return cell.cell_contents is not cell
    except ValueError:  # a name that has no value yet
        return False


def _code(code: CodeType) -> str:
    """The instructions and constants of a function, and of its inner functions."""
    constants = [_code(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return repr((code.co_code.hex(), code.co_names, constants))


# -- comparison ------------------------------------------------------------------------------------

WORDS = {
    "tensors": "parameter or buffer",
    "modules": "module",
    "shapes": "sum",
    "bases": "basis of",
}


def difference(first: Mapping[str, Any], second: Mapping[str, Any], path: str = "") -> str | None:
    """Say in words in what two descriptions differ, or None.

    Code of functions is compared within one version of Python only, since versions have different
    instructions. A reduction "any" (a loss of one term, for which mean and sum are equal) fits all.
    """
    for name in [*first, *(name for name in second if name not in first)]:
        a, b = (side.get(name, "missing") for side in (first, second))
        if a == b or _alike(name, first, second):
            continue
        here = f"{path} {name}".strip() if path in WORDS.values() else f"{path}.{name}".strip(".")
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            inner = difference(a, b, "" if name == "options" else WORDS.get(name, here))
            if inner:
                return inner
            continue
        return _in_words(path, here, a, b)
    return None


def _alike(name: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two values count as equal though they differ."""
    if name == "reduction":
        return "any" in (first.get(name), second.get(name))
    if name in ("code", "python") and "function" in first and "function" in second:
        return bool(first.get("python") != second.get("python"))
    return False


def _in_words(path: str, here: str, a: Any, b: Any) -> str:
    """Say how two values differ."""
    if here in ("loss", "modules", "tensors"):  # a result has all three or none
        return "one does not say which loss and network it is of; an older version saved it"
    tensors = isinstance(a, list) and isinstance(b, list) and len(a) == len(b) == 3
    if path == WORDS["tensors"] and tensors and a[:2] == b[:2]:
        return f"{here} has other values"
    if path in (WORDS["tensors"], WORDS["shapes"], WORDS["bases"]):
        a, b = ((v if isinstance(v, str) else f"{v[0]} {v[1]}") for v in (a, b))
        return f"{here} is {a} in one and {b} in the other"
    if path == WORDS["modules"]:
        here = f"module {here.partition(' ')[2]!r}".replace("module ''", "the network")
        return f"{here} is {a} in one and {b} in the other"
    sorted_too = isinstance(a, list) and isinstance(b, list) and a != b
    if sorted_too and sorted(map(str, a)) == sorted(map(str, b)):
        return f"{here} is {a!r} in one and {b!r} in the other: the same in another order"
    return f"{here} is {a!r} in one and {b!r} in the other"
