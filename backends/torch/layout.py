"""Lay lowered steps out as lines: shared lines, names of variables, places of comments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from diagrammar import program as ops
from diagrammar.backends.torch.expression import SUM, Code
from diagrammar.backends.torch.joining import Flips, Slices
from diagrammar.backends.torch.lower import Lowered
from diagrammar.backends.torch.names import Names, one_line, safe_identifier, words
from diagrammar.backends.torch.operations import ExpressionWriter
from diagrammar.program import Program, Step

WIDTH = 100
_INNER = 63
"""The most characters of an expression that is written inside the next one."""
_SHORT = 30
"""Expressions shorter than this may be factors of a sum, or indicators inside a contraction."""
_ALIGNED = 60
"""The most characters of a statement whose comment is aligned with the others."""
_HINT = 12
"""The most characters of a variable that is named after several operands."""
_VIEWS = (ops.Reshape, ops.Permute, Slices, ops.Window, ops.Diagonal, ops.Expand, Flips)
_SHARING = (ops.Permute, Slices, ops.Window, ops.Diagonal, ops.Expand)
"""Views: their results keep the memory of their inputs."""
_METHODS = (*_VIEWS, ops.Contiguous, ops.Copy, ops.Sum, ops.Cast)
_CONTRACTIONS = (
    ops.Einsum,
    ops.Masked,
    ops.Gram,
    ops.WindowGram,
    ops.Convolution,
    ops.TransposedConvolution,
    ops.WeightGradient,
)


@dataclass(frozen=True, slots=True)
class Line:
    """A statement, the comment behind it, the remarks above it, and the program's steps that it
    computes."""

    code: str
    comment: str = ""
    remarks: tuple[str, ...] = ()
    origins: frozenset[int] = frozenset()


class BodyLayout:
    """Writes the body of one function, one step at a time.

    In its methods `at` is the number of a step, and so of its value.
    """

    def __init__(
        self, program: Program, lowered: Lowered, writer: ExpressionWriter, scope: Names
    ) -> None:
        self.program, self.steps, self.results = program, lowered.steps, lowered.results
        self.origins = list(lowered.origins)  # later with the origins of values written inside
        self.writer, self.scope = writer, scope
        self.lines: list[Line] = []
        self.codes: dict[int, Code] = {}
        self.hints: dict[int, str] = {}
        self.roots: dict[int, tuple[str, ...]] = {}
        self.holder: dict[str, int] = {}  # the value of each variable
        self.assigned: set[int] = set()
        self.remarks: list[str] = []
        self.uses: dict[int, int] = {}
        self.last: dict[int, int] = {}
        for number, step in enumerate(self.steps):
            for value in step.operation.inputs if step else ():
                self.uses[value] = self.uses.get(value, 0) + 1
                self.last[value] = number
        for value in self.results:
            self.uses[value] = self.uses.get(value, 0) + 1
            self.last[value] = len(self.steps)

    def body(self) -> list[Line]:
        """Write the lines from the first step to the return."""
        for at, step in enumerate(self.steps):
            if step is None:
                continue
            if isinstance(step.operation, ops.Operand):
                self._operand(at, step.operation)
                continue
            self._name(at, step)
            if not isinstance(step.operation, ops.Indicator):  # its operand only gives the dtype
                self.origins[at] |= self._inside(step.operation.inputs)
            code = self.writer.write(step, [self.codes[value] for value in step.operation.inputs])
            self.hints[at] = code.word or self.hints[at]
            self.remarks += [one_line(text) for text in step.remark.splitlines() if text.strip()]
            self.codes[at] = (
                code if self._joins_next(at, step, code) else self._assign(at, step, code)
            )
        comment = "" if len(self.results) > 1 else self._comment(self.results[0])
        returned = ", ".join(self.codes[value].text for value in self.results) or "()"
        inside = self._inside(self.results)
        self.lines.append(Line(f"return {returned}", comment, tuple(self.remarks), inside))
        return freed(self.lines, self.scope.parameters) if self.program.frees else self.lines

    def _inside(self, values: Iterable[int]) -> frozenset[int]:
        """The steps that are computed where these values are written: none for a value in a
        variable."""
        return frozenset().union(*(self.origins[v] for v in values if v not in self.assigned))

    def _operand(self, at: int, op: ops.Operand) -> None:
        """Note the variable of an operand. Raises ValueError for an operand that is no
        parameter."""
        if op.name not in self.scope.operands:
            raise ValueError(f"{self.program.name}: {op.name!r} is not among its parameters")
        name = self.scope.operands[op.name]
        self.codes[at] = Code(name)
        self.hints[at], self.roots[at] = op.name.lower(), (op.name,)
        self.holder.setdefault(name, at)

    def _assign(self, at: int, step: Step, code: Code) -> Code:
        """Write a line that puts the value into a variable."""
        name = self.scope.fresh(self.hints[at] or "value", lambda name: self._is_free(name, at))
        self.holder[name] = at
        remarks = tuple(self.remarks)
        self.lines.append(
            Line(f"{name} = {code.text}", self._comment(at), remarks, self.origins[at])
        )
        self.assigned.add(at)
        self.remarks.clear()
        return Code(name)

    def _is_free(self, name: str, at: int) -> bool:
        """Whether the variable holds a value that no step after number `at` reads."""
        return name in self.holder and self.last[self.holder[name]] <= at

    def _comment(self, value: int) -> str:
        """Write the axes of a value."""
        step = self.steps[value]
        assert step is not None
        return one_line(" ".join(step.axes)) or "a scalar"

    def _joins_next(self, at: int, step: Step, code: Code) -> bool:
        """Whether the next step, and nothing else, reads the value and may contain its
        expression."""
        if self.uses[at] != 1:
            return False
        if (at,) == self.results:
            return True
        after = (n for n in range(at + 1, len(self.steps)) if self.steps[n] is not None)
        following = next((n for n in after if not self._is_operand(n)), None)
        if self.program.frees and not isinstance(step.operation, _SHARING):
            inputs = step.operation.inputs
            if any(v in self.assigned and self.last[v] == at for v in inputs):
                return False  # its input is freed before the next step
        if isinstance(step.operation, ops.Indicator):
            return self._joins_later(at, step.operation, code)
        if following is None or self.last[at] != following:
            return False
        reader = self.steps[following]
        assert reader is not None
        return _may_join(step.operation, reader.operation, code) and not reader.remark

    def _joins_later(self, at: int, op: ops.Indicator, code: Code) -> bool:
        """Whether a constant is written inside the contraction that reads it, some lines below."""
        if self.last[at] == len(self.steps):
            return False  # a result
        reader = self.steps[self.last[at]]
        if reader is None or len(code.text) > _SHORT:
            return False
        if not isinstance(reader.operation, ops.Einsum | ops.Masked):
            return False
        if op.like is not None:  # the contraction reads the dtype of `like`
            self.last[op.like] = max(self.last[op.like], self.last[at])
        return True

    def _is_operand(self, at: int) -> bool:
        step = self.steps[at]
        return step is not None and isinstance(step.operation, ops.Operand)

    def _name(self, at: int, step: Step) -> None:
        """Choose a hint for the value's variable, from the operands behind it and the operation."""
        inputs = step.operation.inputs
        sources = [value for value in inputs if self.roots[value]] or list(inputs)
        roots = dict.fromkeys(root for value in sources for root in self.roots[value])
        self.roots[at] = tuple(roots)
        if at in self.results and len(self.results) > 1:
            result = self.program.result_names[self.results.index(at)]
            self.hints[at] = safe_identifier(result)
        else:
            if isinstance(step.operation, ops.Indicator):
                self.roots[at] = ()
            self.hints[at] = self._hint(at, step.operation, sources)

    def _hint(self, at: int, op: ops.Operation, sources: Sequence[int]) -> str:
        """Choose the hint for a value that is no named result; `sources` are the inputs that come
        from operands."""
        match op:
            case ops.Indicator():
                return "ones"
            case ops.Window():
                return self._windows_of(self.roots[at])
            case ops.Add():
                return "total"
        if len(op.inputs) == 2 and len(set(op.inputs)) == len(set(sources)) == 1:
            return "gram"
        if len(sources) == 1 or len({self.hints[value] for value in sources}) == 1:
            return self.hints[sources[0]].lower()
        return _joint(self.roots[at])

    def _windows_of(self, roots: tuple[str, ...]) -> str:
        """`windows`, or `x_windows` where there are windows of other operands."""
        others = {hint for value, hint in self.hints.items() if self.roots[value] != roots}
        name = "_".join(root.lower() for root in roots)
        return f"{name}_windows" if "windows" in others else "windows"


def freed(lines: Sequence[Line], parameters: Sequence[str]) -> list[Line]:
    """Put a `del` behind the last line that reads a variable."""
    assigned = [line.code.split(" = ", 1)[0] if " = " in line.code else "" for line in lines]
    read = [words(line.code.split(" = ", 1)[-1]) for line in lines]
    result: list[Line] = []
    held: dict[str, None] = {}
    for number, line in enumerate(lines):
        result.append(line)
        over = [
            name
            for name in held
            if name in read[number]
            and name != assigned[number]
            and _is_over(name, assigned, read, number + 1)
        ]
        if assigned[number].isidentifier() and assigned[number] not in parameters:
            held[assigned[number]] = None
        held = {name: None for name in held if name not in over}
        if over and number + 1 < len(lines):
            result.append(Line(f"del {', '.join(over)}", origins=line.origins))
    return result


def _is_over(name: str, assigned: Sequence[str], read: Sequence[set[str]], start: int) -> bool:
    """Whether no line from `start` on reads the variable's value."""
    for later in range(start, len(assigned)):
        if name in read[later]:
            return False
        if name == assigned[later]:
            return True
    return True


def _joint(roots: Sequence[str]) -> str:
    """Join the names of operands; `product` where that is too long."""
    names = [root.lower() for root in roots]
    joint = ("" if all(len(name) == 1 for name in names) else "_").join(names)
    return joint if len(joint) <= _HINT else "product"


def _may_join(first: ops.Operation, second: ops.Operation, code: Code) -> bool:
    """Whether an expression reads well inside the next one."""
    if len(code.text) > _INNER:
        return False
    if isinstance(second, ops.Scale):
        return not isinstance(first, (ops.Add, ops.Scale))
    if isinstance(second, ops.Add):
        return (
            isinstance(first, (ops.Scale, ops.Einsum))
            and len(code.text) < _SHORT
            and code.level > SUM
        )
    if isinstance(first, ops.Scale):
        return isinstance(second, (ops.Reshape, ops.Permute)) and len(code.text) < _SHORT
    if isinstance(second, _METHODS):
        if isinstance(first, ops.Window) and not isinstance(second, ops.Window):
            return code.links < 2
        chained = isinstance(first, _METHODS) and code.links < 3
        return chained or isinstance(first, _CONTRACTIONS)
    return False


Text = tuple[str, frozenset[int]]
"""A line of text, and the program's steps that it computes."""


def format_lines(lines: Iterable[Line], indent: str = "    ") -> list[Text]:
    """Write text lines: remarks above, comments behind and aligned, long statements broken."""
    lines = list(lines)
    short = [len(line.code) for line in lines if line.comment and len(line.code) <= _ALIGNED]
    column = max(short, default=0)
    text: list[Text] = []
    for line in lines:
        written = [f"{indent}# {remark}" for remark in line.remarks]
        code = f"{indent}{line.code}"
        behind = f"{code:<{len(indent) + column}}  # {line.comment}" if line.comment else code
        if len(behind) <= WIDTH:
            written.append(behind)
        else:
            written += [f"{indent}# {line.comment}"[:WIDTH]] if line.comment else []
            written += break_line(code)
        text += [(row, line.origins) for row in written]
    return text


def break_line(code: str) -> list[str]:
    """Break a statement that is longer than `WIDTH`, inside its longest brackets."""
    if len(code) <= WIDTH:
        return [code]
    groups = _groups(code)
    if not groups:
        return [code]
    start, end = max(groups, key=lambda group: group[1] - group[0])
    indent = code[: len(code) - len(code.lstrip())]
    inner, deeper = code[start + 1 : end], f"{indent}    "
    head, tail = code[: start + 1], f"{indent}{code[end:]}"
    if len(deeper) + len(inner) <= WIDTH:
        return [head, f"{deeper}{inner}", tail]
    parts = _arguments(inner)
    if len(parts) == 1:
        return [head, *break_line(f"{deeper}{inner}"), tail]
    broken = [line for part in parts for line in break_line(f"{deeper}{part},")]
    return [head, *broken, tail]


def _groups(code: str) -> list[tuple[int, int]]:
    """Find where the outermost brackets open and close."""
    groups: list[tuple[int, int]] = []
    starts: list[int] = []

    def visit(at: int, char: str) -> None:
        if char in "([{":
            starts.append(at)
        elif char in ")]}":
            start = starts.pop()
            if not starts:
                groups.append((start, at))

    _outside_strings(code, visit)
    return groups


def _arguments(inner: str) -> list[str]:
    """Split at the commas outside of brackets and strings."""
    cuts: list[int] = []
    depth = 0

    def visit(at: int, char: str) -> None:
        nonlocal depth
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            cuts.append(at)

    _outside_strings(inner, visit)
    ends = [*cuts, len(inner)]
    starts = [0, *(cut + 1 for cut in cuts)]
    return [p for s, e in zip(starts, ends, strict=True) if (p := inner[s:e].strip())]


def _outside_strings(code: str, visit: Callable[[int, str], None]) -> None:
    """Visit each character, with its position, that stands in no string."""
    inside = ""
    skip = False
    for at, char in enumerate(code):
        if skip:
            skip = False
        elif inside:
            skip = char == "\\"
            inside = "" if char == inside else inside
        elif char in "\"'":
            inside = char
        else:
            visit(at, char)
