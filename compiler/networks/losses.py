"""Vectors at a network's output whose outer products sum to a loss's Hessian there.

For outputs f and targets y of b examples, a vector v has f's shape; its rows of an example belong
to that example alone. The *loss of one example*, l_n, is the loss of a batch of that example alone.
Vectors are

- exact: Σ_v v[n] v[n]ᵀ = ∇² l_n;
- mc: the same in expectation: gradients for targets drawn from the model's distribution;
- empirical: the gradient of l_n for the given target, one vector.

`loss_formulas` has formulas for torch's losses; `loss_by_autograd` differentiates every other loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any, Protocol

from diagrammar.networks.loss_by_autograd import AskedLoss
from diagrammar.networks.loss_calls import check_gradients, check_outputs, name_of
from diagrammar.networks.loss_formulas import FORMULAS, Terms

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

KINDS = ("exact", "mc", "empirical")
TERMS = ("joint", "separate", "curvlinops")


class Vectors(Protocol):
    """The function (f, y) → vectors of f's shape. `rows` consecutive rows of f make one example."""

    def __call__(self, f: Tensor, y: Any, rows: int = 1) -> Iterator[Tensor]:
        """Yield the vectors; none for a batch without examples."""
        ...


@dataclass(frozen=True)
class VectorChoice:
    """The vectors to take: their kind, the number of draws, and how terms are put together."""

    kind: str
    samples: int
    generator: Generator | None
    terms: str


def vectors_of(
    loss: nn.Module | Callable[[Tensor, Any], Any],
    kind: str = "exact",
    samples: int = 1,
    generator: Generator | None = None,
    terms: str = "joint",
) -> Vectors:
    """Make the function (f, y, rows=1) → vectors of a loss, of f's shape and dtype.

    MSELoss, CrossEntropyLoss and BCEWithLogitsLoss have formulas, with all their options, and so
    have the functions of torch.nn.functional of the same names, also in a functools.partial. The
    formulas are compared with the loss's own gradient in the first batch. Autograd differentiates
    every other module or function that gives one number, or one for each example: this takes one
    derivative and one eigendecomposition for each output entry. Vectors that a function gives, a
    list or a tensor [n, *f.shape], are not checked.

    An example whose positions are all ignored has zeros for vectors; a batch without examples has
    no vectors. `terms`, for kind "empirical" and reduction "mean", says what is squared: "joint",
    the gradient of the example's mean loss; "separate", the gradients of each of the T terms, in T
    vectors whose squares are averaged; "curvlinops", the joint gradient times √T, as in curvlinops.

    Raises ValueError for unknown options and TypeError for values that are no loss; the function
    raises both for outputs, targets and losses that do not fit.
    """
    from torch import nn

    for name, value, known in (("vectors", kind, KINDS), ("terms", terms, TERMS)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}")
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise ValueError(f"samples must be an integer of at least 1, not {samples!r}")
    if terms != "joint" and kind != "empirical":
        raise ValueError(f"terms={terms!r} is for vectors='empirical', not {kind!r}")
    if isinstance(loss, type):
        raise TypeError(f"the loss is the class {loss.__name__}; give an instance of it")
    if not callable(loss):
        raise TypeError(f"a loss must be a torch.nn module or a function, not {loss!r}")
    wanted = VectorChoice(kind, samples, generator, terms)
    known_loss = _known(loss)
    if known_loss is not None:
        return _Known(loss, known_loss, wanted)
    if isinstance(loss, nn.NLLLoss) or loss is nn.functional.nll_loss:
        raise TypeError(
            f"{name_of(loss)} is linear in the network's output: all its curvature is in the "
            "log_softmax before it. End the network in logits, and give CrossEntropyLoss"
        )
    if terms != "joint":
        raise ValueError(
            f"terms={terms!r} needs a loss whose terms are known, {' or '.join(FORMULAS)}, "
            f"not {name_of(loss)}"
        )
    return AskedLoss(loss, kind, samples, generator)


def _known(loss: Any) -> Any:
    """The module of torch with a loss's options; None for a loss that is not torch's own."""
    from torch import nn

    functions: dict[Any, Any] = {
        nn.functional.mse_loss: nn.MSELoss,
        nn.functional.cross_entropy: nn.CrossEntropyLoss,
        nn.functional.binary_cross_entropy_with_logits: nn.BCEWithLogitsLoss,
    }
    options: dict[str, Any] = {}
    if isinstance(loss, partial) and not loss.args:
        loss, options = loss.func, loss.keywords
    if not isinstance(loss, nn.Module):
        cls = next((cls for function, cls in functions.items() if loss is function), None)
        if cls is None or not options.keys() <= signature(cls).parameters.keys():
            return None
        return cls(**options)
    hooked = loss._forward_hooks or loss._forward_pre_hooks or "forward" in vars(loss)
    for cls in functions.values():
        is_plain = type(loss).forward is cls.forward and type(loss).__call__ is nn.Module.__call__
        if isinstance(loss, cls) and is_plain and not hooked and not options:
            return loss
    return None


class _Known:
    """The vectors of a loss of torch, by its formulas."""

    def __init__(self, loss: Any, options: Any, wanted: VectorChoice) -> None:
        if options.reduction not in ("mean", "sum", "none"):
            raise ValueError(f"reduction must be 'mean' or 'sum', not {options.reduction!r}")
        self._loss, self._options, self._wanted = loss, options, wanted
        self._formula = next(
            formula for name, formula in FORMULAS.items() if name in _names(type(options))
        )
        self._checked = False

    def __call__(self, f: Tensor, y: Any, rows: int = 1) -> Iterator[Tensor]:
        """Compute the vectors, in float32 for outputs of half precision."""
        from torch import float32

        check_outputs(f, rows)
        if not len(f):
            return iter(())
        outputs = f.detach()
        wide = outputs.float() if f.dtype.itemsize < float32.itemsize else outputs
        terms = self._formula(self._options, wide, y, rows)
        if not self._checked:
            check_gradients(self._loss, outputs, y, rows, terms.gradient())
            self._checked = True
        return (v.to(f.dtype) for v in self._vectors(terms))

    def _vectors(self, terms: Terms) -> Iterator[Tensor]:
        """Take the vectors of the wanted kind from a loss's terms."""
        wanted = self._wanted
        if wanted.kind == "exact":
            return terms.exact()
        if wanted.kind == "mc":
            scale = wanted.samples**-0.5
            draws = range(wanted.samples)
            return (terms.drawn(wanted.generator) * scale for _ in draws)
        if wanted.terms == "separate":
            return terms.apart()
        joint = terms.gradient()
        return iter([joint * terms.count().sqrt() if wanted.terms == "curvlinops" else joint])


def _names(cls: type) -> set[str]:
    """The names of a class and its bases."""
    return {c.__name__ for c in cls.__mro__}
