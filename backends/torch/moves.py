"""Write operations that move entries as expressions of torch: shapes, axes, slices, windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from diagrammar import program as ops
from diagrammar.backends.torch.constants import ModuleConstants
from diagrammar.backends.torch.expression import ATOM, Code, call
from diagrammar.backends.torch.joining import Flips, Range, Slices
from diagrammar.backends.torch.names import Names
from diagrammar.ir import scalar
from diagrammar.program import Dim, Step


@dataclass
class EntryWriter:
    """Writes operations that move entries, and collects the helpers and constants in use."""

    steps: Sequence[Step | None]
    scope: Names
    constants: ModuleConstants

    def __post_init__(self) -> None:
        self.helpers: set[str] = set()
        self.used: dict[str, str] = {}  # names of constants by their definitions

    def of(self, value: int) -> Step:
        """An earlier step."""
        step = self.steps[value]
        assert step is not None
        return step

    def _shape(self, value: int) -> tuple[Dim, ...]:
        return self.of(value).shape

    def helper(self, name: str) -> str:
        """Note that a helper is needed; its name."""
        self.helpers.add(name)
        return name

    def _reshape(self, op: ops.Reshape, step: Step, x: Code) -> Code:
        """Write `flatten`, `unflatten`, `unsqueeze` or `squeeze` where one of them does it."""
        old, new = self._shape(op.x), step.shape
        start = _agree(old, new)
        end = _agree(old[start:][::-1], new[start:][::-1])
        before, after = old[start : len(old) - end], new[start : len(new) - end]
        if not scalar.equal(prod(before), prod(after)):  # an equal axis has size zero
            return x.method("reshape", self.scope.shape(new))
        if len(after) == 1 and len(before) > 1:
            return x.method("flatten", str(start), str(start + len(before) - 1))
        if len(before) == 1 and len(after) > 1 and not any(scalar.equal(n, 1) for n in after):
            # the method `unflatten` has no type annotations
            return call("torch.unflatten", x.text, str(start), self.scope.tuple(after))
        if not before and after == (1,):
            return x.method("unsqueeze", str(start))
        if not after and before == (1,):
            return x.method("squeeze", str(start))
        return x.method("reshape", self.scope.shape(new) if new else "()")

    def _contiguous(self, op: ops.Contiguous, step: Step, x: Code) -> Code:
        return x.method("contiguous")

    def _copy(self, op: ops.Copy, step: Step, x: Code) -> Code:
        return x.method("clone", *["memory_format=torch.contiguous_format"] * op.ordered)

    def _permute(self, op: ops.Permute, step: Step, x: Code) -> Code:
        """Write `mT`, `transpose` or `movedim` where one of them does it, else `permute`."""
        rank = len(op.order)
        moved = [n for n in range(rank) if op.order[n] != n]
        if not moved:
            return x
        if len(moved) == 2:
            return (
                Code(f"{x.atom}.mT", ATOM, x.links + 1)
                if moved == [rank - 2, rank - 1]
                else (x.method("transpose", *map(str, moved)))
            )
        for source, target in ((op.order[moved[-1]], moved[-1]), (op.order[moved[0]], moved[0])):
            rest = [n for n in range(rank) if n != source]
            if (*rest[:target], source, *rest[target:]) == op.order:
                return x.method("movedim", str(source), str(target))
        return x.method("permute", *map(str, op.order))

    def _index(self, op: Slices, step: Step, x: Code) -> Code:
        return x.indexed(self._ranges(op.ranges, self._shape(op.x)))

    def _ranges(self, ranges: Sequence[Range | None], shape: Sequence[Dim]) -> list[str]:
        """Write the parts of an index expression, one for each axis."""
        return [
            ":" if r is None else self._range(*r, size=n)
            for r, n in zip(ranges, shape, strict=True)
        ]

    def _range(self, start: Dim, length: Dim, step: Dim, *, size: Dim) -> str:
        """Write a slice; its stop is left out where it is the end."""
        to_end = scalar.nonnegative(start + length * step - size)
        stop = start + length if scalar.equal(step, 1) else start + (length - 1) * step + 1
        if scalar.equal(length, 0):
            stop, to_end = start, False
        text = "" if scalar.equal(start, 0) else self.scope.size(start)
        text += ":" if to_end else f":{self.scope.size(scalar.expand(stop))}"
        return text if scalar.equal(step, 1) else f"{text}:{self.scope.size(step)}"

    def _pad(self, op: ops.Pad, step: Step, x: Code) -> Code:
        """Write `pad`, which counts axes from the last."""
        pairs = list(op.padding)
        while pairs and all(scalar.equal(p, 0) for p in pairs[0]):
            pairs.pop(0)
        amounts = self.scope.tuple([p for pair in reversed(pairs) for p in pair])
        return call("torch.nn.functional.pad", x.text, amounts)

    def _window(self, op: ops.Window, step: Step, x: Code) -> Code:
        """Write `unfold`, cut to the number of windows and thinned by the dilation."""
        n = self._shape(op.x)[op.axis]
        reach = scalar.expand(op.dilation * (op.size - 1) + 1)
        x = x.method("unfold", str(op.axis), self.scope.size(reach), self.scope.size(op.stride))
        parts = [":"] * len(step.shape)
        windows = scalar.floor_div(scalar.expand(n - reach), op.stride) + 1
        if not scalar.equal(windows, op.count):
            parts[op.axis] = f":{self.scope.size(op.count)}"
        if not scalar.equal(op.dilation, 1):
            parts[-1] = f"::{self.scope.size(op.dilation)}"
        return x if set(parts) == {":"} else x.indexed(parts)

    def _fold(self, op: ops.Fold, step: Step, x: Code) -> Code:
        """Write the helper that adds windows up where they overlap."""
        options = {"stride": op.stride, "dilation": op.dilation, "padding": op.padding}
        written = [f"{name}={self.scope.size(value)}" for name, value in options.items()]
        return call(self.helper("_fold"), x.text, f"size={self.scope.size(op.size)}", *written)

    def _place(self, op: ops.Place, step: Step, x: Code) -> Code:
        """Write the helper that puts entries at start + step·n among zeros."""
        numbers = [f"({', '.join(map(self.scope.size, n))},)" for n in (op.step, op.start)]
        size = self.scope.tuple(step.shape)
        written = [n.replace(",)", ")") if len(step.shape) > 1 else n for n in numbers]
        return call(
            self.helper("_place"), x.text, size, f"step={written[0]}", f"start={written[1]}"
        )

    def _runs(self, runs: Sequence[tuple[Dim, Dim, Dim]]) -> str:
        written = [f"({', '.join(map(self.scope.size, run))})" for run in runs]
        return f"({', '.join(written)}{',' * (len(written) == 1)})"

    def _gather(self, op: ops.Gather, step: Step, x: Code) -> Code:
        return call(self.helper("_pick"), x.text, str(op.axis), self._runs(op.runs))

    def _scatter(self, op: ops.Scatter, step: Step, x: Code) -> Code:
        size = self.scope.size(op.size)
        return call(self.helper("_return"), x.text, str(op.axis), size, self._runs(op.runs))

    def _diagonal(self, op: ops.Diagonal, step: Step, x: Code) -> Code:
        return x.method("diagonal", "0", str(op.first), str(op.second))

    def _flips(self, op: Flips, step: Step, x: Code) -> Code:
        return x.method("flip", axes_text(op.axes))

    def _expand(self, op: ops.Expand, step: Step, x: Code) -> Code:
        return x.method("expand", self.scope.shape(step.shape))


def _agree(a: Sequence[Dim], b: Sequence[Dim]) -> int:
    """Count the leading sizes that are equal."""
    pairs = list(zip(a, b, strict=False))
    return next((n for n, (p, q) in enumerate(pairs) if not scalar.equal(p, q)), len(pairs))


def axes_text(axes: Sequence[int]) -> str:
    """Write an axis, or a tuple of axes."""
    return str(axes[0]) if len(axes) == 1 else f"({', '.join(map(str, axes))})"
