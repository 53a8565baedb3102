"""Write lowered operations as expressions of torch, one method for each operation.

`layout` decides which expressions share a line, and names the variables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import sympy

from diagrammar import program as ops
from diagrammar.backends.torch.constants import ModuleConstants
from diagrammar.backends.torch.convolutions import dimensions, geometry, one_tap
from diagrammar.backends.torch.einsum import write_einsum, write_masked
from diagrammar.backends.torch.expression import ATOM, PRODUCT, SUM, Code, call
from diagrammar.backends.torch.indicator import write_indicator
from diagrammar.backends.torch.joining import Flips, Range, Slices
from diagrammar.backends.torch.lower import same
from diagrammar.backends.torch.names import Names, atom, safe_identifier
from diagrammar.ir import scalar
from diagrammar.program import Dim, Step

_DTYPES = ("float16", "bfloat16", "float32", "float64", "complex32", "complex64", "complex128")


@dataclass
class ExpressionWriter:
    """Writes operations, and collects the helpers and constants that they need."""

    steps: Sequence[Step | None]
    scope: Names
    constants: ModuleConstants

    def __post_init__(self) -> None:
        self.helpers: set[str] = set()
        self.used: dict[str, str] = {}  # names of constants by their definitions

    def write(self, step: Step, inputs: Sequence[Code]) -> Code:
        """Write the step's expression, from the expressions of its inputs."""
        return _METHODS[type(step.operation)](self, step.operation, step, *inputs)

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

    def _indicator(self, op: ops.Indicator, step: Step, like: Code | None = None) -> Code:
        written = write_indicator(op, step, self.scope)
        if isinstance(written, bool):
            number, size = "ones" if written else "zeros", self.scope.tuple(step.shape)
            return Code(
                f"torch.{number}({size})" if like is None else f"{like}.new_{number}({size})"
            )
        if written.helper:
            self.helper(written.helper)
        if not step.is_constant:
            text = written.constant() if like is None else written.inline(like.text)
            return Code(text, word=written.word)
        axes = "_".join(safe_identifier(axis) for axis in step.axes)
        hint = f"_{written.word}_{axes}".upper()
        name = self.used.get(written.constant())
        if name is None:
            name = self.constants.name(written.constant(), hint, self.scope.taken)
            self.scope.taken.add(name)
            self.used[written.constant()] = name
        return Code(name if like is None else f"{name}.to({like})", word=written.word)

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
        to_end = scalar.nonnegative(start + length * step - size)
        stop = start + length if scalar.equal(step, 1) else start + (length - 1) * step + 1
        if scalar.equal(length, 0):
            stop, to_end = start, False
        text = "" if scalar.equal(start, 0) else self.scope.size(start)
        text += ":" if to_end else f":{self.scope.size(scalar.expand(stop))}"
        return text if scalar.equal(step, 1) else f"{text}:{self.scope.size(step)}"

    def _pad(self, op: ops.Pad, step: Step, x: Code) -> Code:
        pairs = list(op.padding)
        while pairs and all(scalar.equal(p, 0) for p in pairs[0]):
            pairs.pop(0)
        amounts = self.scope.tuple([p for pair in reversed(pairs) for p in pair])
        return call("torch.nn.functional.pad", x.text, amounts)

    def _window(self, op: ops.Window, step: Step, x: Code) -> Code:
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
        options = {"stride": op.stride, "dilation": op.dilation, "padding": op.padding}
        written = [f"{name}={self.scope.size(value)}" for name, value in options.items()]
        return call(self.helper("_fold"), x.text, f"size={self.scope.size(op.size)}", *written)

    def _place(self, op: ops.Place, step: Step, x: Code) -> Code:
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
        return x.method("flip", _axes(op.axes))

    def _expand(self, op: ops.Expand, step: Step, x: Code) -> Code:
        return x.method("expand", self.scope.shape(step.shape))

    def _sum(self, op: ops.Sum, step: Step, x: Code) -> Code:
        return x.method("sum", _axes(op.axes))

    def _scale(self, op: ops.Scale, step: Step, x: Code) -> Code:
        """Multiply by a factor; dividing by its denominator saves one of two roundings."""
        factor = sympy.together(scalar.rational(op.factor))
        if not factor.is_finite and not factor.free_symbols:
            raise ValueError(f"{op.factor} is no factor")
        n, d = sympy.fraction(factor)
        if n.could_extract_minus_sign() and n.is_Integer:
            n, d = -n, -d
        if d == -1:
            n, d = -n, 1
        if d == 1:
            if n == -1:
                return Code(f"-{x.atom}", SUM)
            return Code(f"{atom(self._number(n))} * {x.atom}", PRODUCT)
        if n == 1:
            return Code(f"{x.at(PRODUCT)} / {self._divisor(d)}", PRODUCT)
        return Code(f"{x.at(PRODUCT)} * ({atom(self._number(n))} / {self._divisor(d)})", PRODUCT)

    def _divisor(self, d: sympy.Expr) -> str:
        """Write a divisor, at least one if a size may be zero: the average of nothing is zero."""
        counts = sympy.Mul(*(f for f in sympy.Mul.make_args(d) if f.free_symbols and f.is_positive))
        if counts == 1:
            return str(d) if d.is_Integer and abs(d) < 2**53 else atom(self._number(d))
        counted = f"max({self._number(counts)}, 1)"
        rest = d / counts
        return counted if rest == 1 else f"({counted} * {atom(self._number(rest))})"

    def _number(self, e: sympy.Expr) -> str:
        """Write a factor; an integer of 2⁵³ or more, too large for a tensor, as a float."""
        if e.is_Integer and abs(e) >= 2**53:
            return repr(float(e))
        return self.scope.factor(e)

    def _cast(self, op: ops.Cast, step: Step, x: Code, like: Code | None = None) -> Code:
        if like is not None:
            return x.method("to", f"{like}.dtype")
        if op.dtype not in _DTYPES:
            raise ValueError(f"unknown dtype {op.dtype!r}")
        if op.dtype.startswith("complex"):
            return x.method("to", f"torch.{op.dtype}")
        return call(self.helper("_cast"), x.text, f"torch.{op.dtype}")

    def _add(self, op: ops.Add, step: Step, *values: Code) -> Code:
        text = values[0].text
        for value in values[1:]:
            negative = value.level == SUM and value.text.startswith("-")
            text += f" - {value.text[1:]}" if negative else f" + {value.text}"
        return Code(text, SUM)

    def _concat(self, op: ops.Concat, step: Step, *values: Code) -> Code:
        return call("torch.cat", f"[{', '.join(v.text for v in values)}]", *_dim(op.axis))

    def _stack(self, op: ops.Stack, step: Step, *values: Code) -> Code:
        return call("torch.stack", f"[{', '.join(v.text for v in values)}]", *_dim(op.axis))

    def _blocks(self, op: ops.Blocks, step: Step, *values: Code) -> Code:
        texts = [v.text for v in values]
        rows = [texts[n : n + op.columns] for n in range(0, len(texts), op.columns)]
        written = ", ".join(f"[{', '.join(row)}]" for row in rows)
        return call(self.helper("_blocks"), f"[{written}]", f"axes={op.axes}")

    def _einsum(self, op: ops.Einsum, step: Step, a: Code, b: Code) -> Code:
        names = self._labels(op.values, op.terms)
        sizes = [prod(n for n in self.of(v).shape if isinstance(n, int)) for v in op.values]
        return write_einsum(op, (a, b), names, larger=int(sizes[1] > sizes[0]))

    def _labels(self, values: Sequence[int], terms: Sequence[Sequence[int]]) -> dict[int, str]:
        """The wire of each label."""
        names: dict[int, str] = {}
        for value, term in zip(values, terms, strict=True):
            for label, axis in zip(term, self.of(value).axes, strict=True):
                names.setdefault(label, axis)
        return names

    def _masked(self, op: ops.Masked, step: Step, pattern: Code, x: Code) -> Code:
        helper = "" if op.whole else self.helper("_masked")
        return write_masked(op, pattern, x, self._labels(op.values, op.terms), helper)

    def _finite(self, op: ops.Finite, step: Step, x: Code) -> Code:
        return call("torch.nan_to_num", x.text, "0.0", "0.0", "0.0")

    def _marked(self, op: ops.Marked, step: Step, x: Code) -> Code:
        return call(self.helper("_present" if op.present else "_not_finite"), x.text)

    def _spoiled(self, op: ops.Spoiled, step: Step, x: Code, counts: Code) -> Code:
        return call(self.helper("_spoiled"), x.text, counts.text)

    def _gram(self, op: ops.Gram, step: Step, x: Code) -> Code:
        return call(self.helper("_gram"), x.text, f"block={op.block}")

    def _window_sums(self, op: ops.WindowSums, step: Step, x: Code) -> Code:
        written = x.text
        for axis, stretches, stride in zip(op.axes, op.stretches, op.stride, strict=True):
            last = [f"step={stride}"] if stride != 1 else []
            size = self.scope.size(step.shape[axis])
            written = call(
                self.helper("_window_sums"), written, str(axis), size, str(stretches), *last
            ).text
        return Code(written)

    def _window_gram(self, op: ops.WindowGram, step: Step, x: Code) -> Code:
        options = {"kernel": op.kernel, "stretches": op.stretches}
        options |= {"stride": op.stride, "dilation": op.dilation}
        written = [f"{name}={value}" for name, value in options.items()]
        written += [f"groups={op.groups}"] if op.groups != 1 else []
        written += [] if op.scale == 1 else [f"scale={self._ratio(op.scale)}"]
        if op.groups > 1 and scalar.equal(step.shape[1], 1):
            written.append(f"gradient={self.helper('_depthwise_gradient')}")
        return call(self.helper("_window_gram"), x.text, *written)

    def _ratio(self, factor: Dim) -> str:
        """Write a factor as a quotient."""
        n, d = sympy.fraction(sympy.together(scalar.rational(factor)))
        return self._number(n) if d == 1 else f"{self._number(n)} / {atom(self._number(d))}"

    def _convolution(
        self, op: ops.Convolution, step: Step, x: Code, weight: Code, *bias: Code
    ) -> Code:
        name = f"torch.nn.functional.conv{dimensions(op)}d"
        values = [v.text for v in (x, weight, *bias)]
        if not same(op.dilation, [1] * len(op.dilation)) and one_tap(op, self._shape(op.weight)):
            return call(self.helper("_one_tap"), *values, *self._options([], op.groups))
        return call(name, *values, *self._options(geometry(op), op.groups))

    def _transposed(self, op: ops.TransposedConvolution, step: Step, x: Code, weight: Code) -> Code:
        options = geometry(op)
        if op.backward:
            written = self._options(options, op.groups)
            size = f"size={self.scope.tuple(step.shape)}"
            return call(self.helper("_input_gradient"), x.text, weight.text, size, *written)
        name = f"torch.nn.functional.conv_transpose{dimensions(op)}d"
        options.insert(2, ("output_padding", op.output_padding, 0))
        return call(name, x.text, weight.text, *self._options(options, op.groups))

    def _weight_gradient(self, op: ops.WeightGradient, step: Step, x: Code, v: Code) -> Code:
        dimensions(op)
        options = self._options(geometry(op), op.groups)
        size = f"size={self.scope.tuple(step.shape)}"
        name = self.helper("_depthwise_gradient" if op.narrow else "_weight_gradient")
        return call(name, x.text, v.text, size, *options)

    def _options(self, options: Sequence[tuple[str, Sequence[Dim], int]], groups: Dim) -> list[str]:
        """Write the keywords that differ from their defaults; one number where all agree."""
        written = []
        for name, values, default in options:
            if same(values, [default] * len(values)):
                continue
            equal = same(values, [values[0]] * len(values))
            written.append(
                f"{name}={self.scope.size(values[0]) if equal else self.scope.tuple(values)}"
            )
        return written + ([] if scalar.equal(groups, 1) else [f"groups={self.scope.size(groups)}"])


def _agree(a: Sequence[Dim], b: Sequence[Dim]) -> int:
    """Count the leading sizes that are equal."""
    pairs = list(zip(a, b, strict=False))
    return next((n for n, (p, q) in enumerate(pairs) if not scalar.equal(p, q)), len(pairs))


def _dim(axis: int) -> tuple[str, ...]:
    """Write the argument `dim`, unless it is the first axis."""
    return (f"dim={axis}",) if axis else ()


def _axes(axes: Sequence[int]) -> str:
    """Write an axis, or a tuple of axes."""
    return str(axes[0]) if len(axes) == 1 else f"({', '.join(map(str, axes))})"


_METHODS: dict[type, Callable[..., Code]] = {
    ops.Indicator: ExpressionWriter._indicator,
    ops.Reshape: ExpressionWriter._reshape,
    ops.Contiguous: ExpressionWriter._contiguous,
    ops.Copy: ExpressionWriter._copy,
    ops.Permute: ExpressionWriter._permute,
    Slices: ExpressionWriter._index,
    ops.Pad: ExpressionWriter._pad,
    ops.Window: ExpressionWriter._window,
    ops.Fold: ExpressionWriter._fold,
    ops.Place: ExpressionWriter._place,
    ops.Gather: ExpressionWriter._gather,
    ops.Scatter: ExpressionWriter._scatter,
    ops.Diagonal: ExpressionWriter._diagonal,
    Flips: ExpressionWriter._flips,
    ops.Expand: ExpressionWriter._expand,
    ops.Sum: ExpressionWriter._sum,
    ops.Scale: ExpressionWriter._scale,
    ops.Cast: ExpressionWriter._cast,
    ops.Add: ExpressionWriter._add,
    ops.Concat: ExpressionWriter._concat,
    ops.Stack: ExpressionWriter._stack,
    ops.Blocks: ExpressionWriter._blocks,
    ops.Einsum: ExpressionWriter._einsum,
    ops.Masked: ExpressionWriter._masked,
    ops.Finite: ExpressionWriter._finite,
    ops.Marked: ExpressionWriter._marked,
    ops.Spoiled: ExpressionWriter._spoiled,
    ops.Gram: ExpressionWriter._gram,
    ops.WindowSums: ExpressionWriter._window_sums,
    ops.WindowGram: ExpressionWriter._window_gram,
    ops.Convolution: ExpressionWriter._convolution,
    ops.TransposedConvolution: ExpressionWriter._transposed,
    ops.WeightGradient: ExpressionWriter._weight_gradient,
}
