"""The passes of one batch: forward, the check, and a backward pass for each vector."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from diagrammar.networks.checks import Visit, check_gradients, find_rows, needs_rows
from diagrammar.networks.collect import Collector, uncalled
from diagrammar.networks.examples import Alone, BatchReading, read, readings
from diagrammar.networks.rows import Shared
from diagrammar.networks.site import Site

if TYPE_CHECKING:
    from torch import Tensor, nn

Roots = Callable[["Tensor", "Tensor", int], "Iterator[Tensor]"]


class Passes:
    """Runs batches through a network, one after the other."""

    def __init__(self, model: nn.Module, collector: Collector, roots: Roots, check: str) -> None:
        self.model, self.collector, self.roots, self.check = model, collector, roots, check
        self.reading: BatchReading | None = None
        self.checked = check == "off"

    def batch(self, x: Any, y: Any) -> int:
        """Run one batch; its number of examples."""
        collector = self.collector
        with computed_weights(self.model), collector.forward():
            f = output_of(self.model(x))
        if collector.anchor is None:
            raise RuntimeError(uncalled([site.name for site in collector.sites]))
        self._check_recorded(f)
        reading = self._reading(x, f)
        f, y = reading.ordered(f), ordered_labels(reading, y)
        self._look(f, reading)
        vectors = self._vectors(f, y, reading)
        collector.finish_batch(vectors, reading.examples)
        return reading.examples

    def _check_recorded(self, f: Tensor) -> None:
        """Raise RuntimeError for an output without gradients."""
        if not f.requires_grad:
            raise RuntimeError(
                "the network's output does not depend on its layers by operations that have "
                "gradients (it may be detached, rounded, or made of numbers)"
            )

    # -- whose rows are whose ----------------------------------------------------------------------

    def _reading(self, x: Any, f: Tensor) -> BatchReading:
        """Read the batch: like the one before, or as one example alone confirms."""
        from torch import random

        if self.reading is not None and self.check != "every":
            again = self.reading.again(x, f)
            if again is not None:
                return again
        usual = next(readings(x, f), None)
        plain = usual is not None and usual.rows == 1 and usual.examples == len(f)
        if plain and self.check == "off":
            assert usual is not None
            self.reading = usual
            return usual
        with random.fork_rng():  # the caller's random numbers do not change
            alone = read(x, f, self._alone, self.collector.low)
        confirmed = alone.reading
        if confirmed is None:
            confirmed = unconfirmed(alone, usual if plain else None, f)
            for site in self.collector.sites:
                site.alone = None
        self.reading = confirmed if confirmed.examples > 1 else None
        return confirmed

    def _alone(self, x: Any) -> Tensor:
        """The network's output for one example, without gradients; its buffers do not change."""
        from torch import no_grad
        from torch.func import functional_call

        for site in self.collector.sites:
            site.alone = None
        trained = any(m.training for m in self.model.modules())
        buffers = {n: b.clone() for n, b in self.model.named_buffers()} if trained else {}
        with no_grad(), self.collector.alone():
            return output_of(functional_call(self.model, buffers, (x,)))

    def _look(self, f: Tensor, reading: BatchReading) -> None:
        """Check the first batch, and find to which examples rows belong where that is not known."""
        from torch import Generator, randn

        examples, sites = reading.examples, self.collector.called()
        due = not self.checked
        unknown = [s for s in sites if due or needs_rows(s, examples)]
        if not unknown:
            return
        generator = Generator().manual_seed(0)
        v = randn(f.shape, generator=generator, dtype=f.real.dtype).to(f)
        if due:
            check_gradients(
                self.collector, lambda visit, by: self._backward(f, v, visit, by, keep=True)
            )

        def backward(v: Tensor, visit: Visit) -> None:
            self._backward(f, v, visit, [], keep=True)

        find_rows(unknown, v, reading.rows, backward)
        self.checked = self.check == "off" or (self.check == "first" and examples > 1)

    # -- backward passes ---------------------------------------------------------------------------

    def _backward(
        self, f: Tensor, v: Tensor, visit: Visit, by: list[Tensor], *, keep: bool
    ) -> list[Tensor | None]:
        """Run a backward pass for a cotangent v; the gradients by the tensors `by`."""
        from torch import autograd

        assert self.collector.anchor is not None
        with self.collector.gradients(visit), uncheckpointed():
            results = autograd.grad(
                f, [self.collector.anchor, *by], v, retain_graph=keep, allow_unused=True
            )
        return list(results[1:])

    def _vectors(self, f: Tensor, y: Any, reading: BatchReading) -> int:
        """Run a backward pass for each vector; the number of vectors."""
        shared = [s for s in self.collector.called() if isinstance(s.layout, Shared)]
        waiting, count = self.roots(f, y, reading.rows), 0
        v = next(waiting, None)
        while v is not None:
            if v.shape != f.shape:
                raise ValueError(f"a vector of shape {tuple(v.shape)} for outputs {tuple(f.shape)}")
            v = v.to(f.dtype)
            for one in each_example(v, reading) if shared else ():
                self._backward(f, one, keep_shared, [], keep=True)
            for site in shared:
                site.add_shared(reading.examples)
            following = next(waiting, None)
            self._backward(f, v, add_own, [], keep=following is not None)
            v, count = following, count + 1
        return count


def add_own(site: Site, grad: Tensor) -> None:
    """Add a vector's gradient to the sums of a layer whose rows belong to single examples."""
    if not isinstance(site.layout, Shared):
        site.add_vector(grad)


def keep_shared(site: Site, grad: Tensor) -> None:
    """Keep one example's gradient by a layer whose rows all examples use."""
    if isinstance(site.layout, Shared):
        site.shared.append(site.batched(grad.detach()))


def each_example(v: Tensor, reading: BatchReading) -> Iterator[Tensor]:
    """Yield v with one example's rows, and zeros elsewhere."""
    from torch import zeros_like

    for n in range(reading.examples):
        one = zeros_like(v)
        part = slice(n * reading.rows, (n + 1) * reading.rows)
        one[part] = v[part]
        yield one


def output_of(output: Any) -> Tensor:
    """Check a network's output. Raises TypeError unless it is a tensor, ValueError where it has no
    axis of examples."""
    from torch import Tensor

    if not isinstance(output, Tensor):
        named = isinstance(output, Mapping)
        parts = f"with the fields {', '.join(map(str, output))}" if named else ""
        if isinstance(output, (tuple, list)):
            parts = f"with {len(output)} entries"
        first = f"[{next(iter(output), 0)!r}]" if named else "[0]" if parts else ""
        raise TypeError(
            f"the network returns a value of type {type(output).__name__} {parts}".rstrip()
            + ", not one "
            "tensor [b, …]; give a module whose forward returns the tensor that the loss takes"
            + (f", such as self.inner(x){first}" if parts else "")
        )
    if output.ndim < 1:
        raise ValueError(
            "the network's output is a single number, not [b, …]: give the network without its loss"
        )
    return output


def ordered_labels(reading: BatchReading, y: Any) -> Any:
    """Put labels into the order of the output's rows."""
    from torch import Tensor

    rows = reading.examples * reading.rows
    if reading.strided and isinstance(y, Tensor) and y.ndim and len(y) == rows:
        return reading.ordered(y)
    return y


def unconfirmed(alone: Alone, usual: BatchReading | None, f: Tensor) -> BatchReading:
    """The usual reading, for a network that one example alone says nothing about. Raises ValueError
    where it shows that examples are coupled, or where there is no usual reading."""
    if alone.coupled:
        raise ValueError(
            "the last example alone has another output than in its batch, by "
            f"{alone.problem}: examples depend on each other, as where statistics of the batch are "
            "used, or the first axis of the input or output is not the examples', but time"
        )
    if usual is None:
        raise ValueError(
            f"it cannot be seen which rows of the network's output {tuple(f.shape)} belong to "
            f"which example ({alone.problem or 'no reading fits'}); let it return [b, …]"
        )
    return usual


@contextmanager
def computed_weights(model: nn.Module) -> Iterator[None]:
    """A context in which parametrisations compute weights once, so that the layer's call uses the
    tensor that hooks see."""
    from torch.nn.utils import parametrize

    with ExitStack() as stack:
        if any(parametrize.is_parametrized(m) for m in model.modules()):
            stack.enter_context(parametrize.cached())
        yield


@contextmanager
def uncheckpointed() -> Iterator[None]:
    """A context that explains errors of reentrant checkpoints."""
    try:
        yield
    except RuntimeError as error:
        if "heckpoint" not in str(error):
            raise
        raise NotImplementedError(
            "the network checkpoints activations in a way that cannot be differentiated more than "
            "once, or by a part of its tensors; switch it off, or use "
            f"torch.utils.checkpoint(…, use_reentrant=False). PyTorch says: {error}"
        ) from error
