"""Write lowered operations as expressions of torch, one method for each operation.

`layout` decides which expressions share a line, and names the variables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import sympy

from diagrammar import program as ops
from diagrammar.backends.torch.convolutions import dimensions, geometry, one_tap
from diagrammar.backends.torch.einsum import write_einsum, write_masked
from diagrammar.backends.torch.expression import PRODUCT, SUM, Code, call
from diagrammar.backends.torch.indicator import write_indicator
from diagrammar.backends.torch.joining import Flips, Slices
from diagrammar.backends.torch.lower import same
from diagrammar.backends.torch.moves import EntryWriter, axes_text
from diagrammar.backends.torch.names import atom, safe_identifier
from diagrammar.ir import scalar
from diagrammar.program import Dim, Step

_DTYPES = ("float16", "bfloat16", "float32", "float64", "complex32", "complex64", "complex128")


class ExpressionWriter(EntryWriter):
    """Writes all operations, and collects the helpers and constants that they need."""

    def write(self, step: Step, inputs: Sequence[Code]) -> Code:
        """Write the step's expression, from the expressions of its inputs."""
        return METHODS[type(step.operation)](self, step.operation, step, *inputs)

    def _indicator(self, op: ops.Indicator, step: Step, like: Code | None = None) -> Code:
        """Write ones, zeros, a constant at module level, or an indicator from its conditions."""
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

    def _sum(self, op: ops.Sum, step: Step, x: Code) -> Code:
        return x.method("sum", axes_text(op.axes))

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
        """Write a cast, to the dtype of a value `like` where there is one. Raises ValueError for an
        unknown dtype."""
        if like is not None:
            return x.method("to", f"{like}.dtype")
        if op.dtype not in _DTYPES:
            raise ValueError(f"unknown dtype {op.dtype!r}")
        if op.dtype.startswith("complex"):
            return x.method("to", f"torch.{op.dtype}")
        return call(self.helper("_cast"), x.text, f"torch.{op.dtype}")

    def _add(self, op: ops.Add, step: Step, *values: Code) -> Code:
        """Write a sum; terms that begin with a minus are subtracted."""
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
        """Write sums of windows, one axis inside the other."""
        written = x.text
        for axis, stretches, stride in zip(op.axes, op.stretches, op.stride, strict=True):
            last = [f"step={stride}"] if stride != 1 else []
            size = self.scope.size(step.shape[axis])
            written = call(
                self.helper("_window_sums"), written, str(axis), size, str(stretches), *last
            ).text
        return Code(written)

    def _window_gram(self, op: ops.WindowGram, step: Step, x: Code) -> Code:
        """Write a Gram matrix of windows, with the options that differ from their defaults."""
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
        """Write torch's convolution; with a kernel of one tap and dilation, the helper
        `_one_tap`."""
        name = f"torch.nn.functional.conv{dimensions(op)}d"
        values = [v.text for v in (x, weight, *bias)]
        if not same(op.dilation, [1] * len(op.dilation)) and one_tap(op, self._shape(op.weight)):
            return call(self.helper("_one_tap"), *values, *self._options([], op.groups))
        return call(name, *values, *self._options(geometry(op), op.groups))

    def _transposed(self, op: ops.TransposedConvolution, step: Step, x: Code, weight: Code) -> Code:
        """Write torch's transposed convolution, or for backward passes the helper
        `_input_gradient`."""
        options = geometry(op)
        if op.backward:
            written = self._options(options, op.groups)
            size = f"size={self.scope.tuple(step.shape)}"
            return call(self.helper("_input_gradient"), x.text, weight.text, size, *written)
        name = f"torch.nn.functional.conv_transpose{dimensions(op)}d"
        options.insert(2, ("output_padding", op.output_padding, 0))
        return call(name, x.text, weight.text, *self._options(options, op.groups))

    def _weight_gradient(self, op: ops.WeightGradient, step: Step, x: Code, v: Code) -> Code:
        """Write the helper for weight gradients; `_depthwise_gradient` takes a few kernel columns
        at a time."""
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


def _dim(axis: int) -> tuple[str, ...]:
    """Write the argument `dim`, unless it is the first axis."""
    return (f"dim={axis}",) if axis else ()


METHODS: dict[type, Callable[..., Code]] = {
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
