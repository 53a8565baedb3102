"""Write programs as readable PyTorch source, and load that source as functions.

Emission needs no torch, and the emitted source needs nothing else: `emit_module` writes a module
that runs without diagrammar; `load` turns source into functions whose lines tracebacks can quote.
"""

from __future__ import annotations

import hashlib
import linecache
import re
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import RLock
from typing import Any, ClassVar

from diagrammar.backends.torch.chunks import helpers, loops
from diagrammar.backends.torch.constants import ModuleConstants
from diagrammar.backends.torch.helpers import HELPERS, with_uses
from diagrammar.backends.torch.layout import BodyLayout, Line, break_line, format_lines
from diagrammar.backends.torch.lower import lower
from diagrammar.backends.torch.names import (
    Names,
    atom,
    docstring,
    function_name,
    function_names,
    listed,
    one_line,
    words,
)
from diagrammar.backends.torch.operations import ExpressionWriter
from diagrammar.ir import scalar
from diagrammar.program import Dim, Parameter, Program, SizeBinding, SizeLimit


@dataclass(frozen=True, slots=True)
class FunctionSource:
    """The text of one function, and the helpers and constants (by name) that it needs.

    `origins` has, for each line of the text, the steps of the program that the line computes.
    """

    name: str
    text: str
    helpers: tuple[str, ...]
    constants: Mapping[str, str]
    origins: tuple[frozenset[int], ...] = ()


def emit_function(
    program: Program, *, checked: bool, constants: ModuleConstants | None = None
) -> FunctionSource:
    """Write the program as a function; if `checked`, it compares its operands' shapes with the
    program's.

    Functions of one module share their `constants`. Raises ValueError where torch lacks an
    operation, a size is not bound, or a name is no identifier.
    """
    program = replace(program, name=function_name(program.name))
    scope, constants = Names(program), constants or ModuleConstants([program.name])
    if program.cuts:
        return _in_parts(program, scope, constants)
    lowered = lower(program)
    writer = ExpressionWriter(lowered.steps, scope, constants)
    body_lines = BodyLayout(program, lowered, writer, scope).body()
    lines = [*_head(program, scope, writer, body_lines, checked=checked), *body_lines]
    head = _signature(program, scope)
    body = format_lines(lines)
    text = "\n".join([*head, *(line for line, _ in body)]) + "\n"
    origins = tuple(frozenset[int]() for _ in text.splitlines()[: -len(body)])
    origins += tuple(steps for _, steps in body)
    used = {name: definition for definition, name in writer.used.items()}
    return FunctionSource(program.name, text, with_uses(writer.helpers), used, origins)


def _in_parts(program: Program, scope: Names, constants: ModuleConstants) -> FunctionSource:
    """Write the function of one part, and the function that calls it."""
    name = program.part.name
    while name in constants.functions or name in scope.taken:
        name += "_"
    constants.functions.add(name)
    inner = replace(program.part, name=name, doc=f"One part of {program.name}.", facts={})
    part = emit_function(inner, checked=False, constants=constants)
    head = _signature(program, scope)
    text = "\n".join([*head, *loops(program, scope, name)]) + "\n"
    whole = f"{part.text}\n\n{text}"
    behind = len(whole.splitlines()) - len(part.origins)
    origins = part.origins + (frozenset[int](),) * behind
    named = with_uses({*part.helpers, *helpers(program)})
    return replace(part, name=program.name, text=whole, helpers=named, origins=origins)


def _signature(program: Program, scope: Names) -> list[str]:
    """Write the lines above the body."""
    signature = ", ".join(f"{name}: Tensor" for name in scope.parameters)
    count = len(program.results)
    result = "Tensor" if count == 1 else f"tuple[{', '.join(['Tensor'] * count) or '()'}]"
    return [
        *break_line(f"def {program.name}({signature}) -> {result}:"),
        *docstring(_documentation(program, scope), "    "),
    ]


def emit_module(programs: Sequence[Program], header: str, *, checked: bool = True) -> str:
    """Write a module that needs torch only: the docstring `header`, helpers, constants and
    functions.

    A function has the name of its program where Python and the module leave that name free (see
    `names.function_names`).
    """
    wanted = [program.name for program in programs]
    if len(set(wanted)) < len(wanted):
        raise ValueError(f"two functions of one name among {', '.join(wanted)}")
    named = function_names(wanted)
    names = list(named.values())
    programs = [replace(program, name=named[program.name]) for program in programs]
    constants = ModuleConstants(names)
    functions = [emit_function(p, checked=checked, constants=constants) for p in programs]
    helpers = with_uses(name for f in functions for name in f.helpers)
    defined = {name: text for f in functions for name, text in f.constants.items()}
    text = "".join(f"\n\n{HELPERS[name]}" for name in helpers)
    if defined:
        lines = [line for item in defined.items() for line in break_line(" = ".join(item))]
        text += "\n\n" * bool(helpers) + "\n" * (not helpers) + "\n".join(lines) + "\n"
    text += "".join(f"\n\n{f.text}" for f in functions)
    return "\n".join(_top(header, names, text)) + text


def _top(header: str, names: Sequence[str], text: str) -> list[str]:
    """Write the lines above a module's text: its docstring, the imports of the text, `__all__`."""
    code = re.sub(r'""".*?"""', "", text, flags=re.DOTALL)
    abstract = [kind for kind in ("Callable", "Iterator") if f"{kind}[" in code]
    imported = ["from torch import Tensor"]
    if re.search(r"\btorch\.[a-z]", code):
        imported.insert(0, "import torch")
    listing = break_line(f"__all__ = [{', '.join(_quoted(name) for name in listed(names))}]")
    return [
        *(["\n".join(docstring([header], "")) + "\n"] if header.strip() else []),
        "from __future__ import annotations\n",
        *([f"from collections.abc import {', '.join(abstract)}\n"] if abstract else []),
        "\n".join(imported) + "\n",
        "\n".join(listing) + "\n",
    ]


def line_origins(program: Program, *, checked: bool) -> tuple[frozenset[int], ...]:
    """List, for each line of `emit_module([program], "")`, the steps of the program that it
    computes."""
    lines = emit_module([program], "", checked=checked).splitlines()
    own = emit_function(program, checked=checked).origins
    return (frozenset[int](),) * (len(lines) - len(own)) + own


def load(source: str, name: str) -> dict[str, Callable[..., Any]]:
    """Run emitted source, and return its functions by name; tracebacks and `inspect` show their
    lines."""
    digest = hashlib.sha256(source.encode()).hexdigest()[:8]
    filename = f"<diagrammar {one_line(name)} {digest}>"
    namespace: dict[str, Any] = {"__lines__": _Lines(filename, source)}
    exec(compile(source, filename, "exec", dont_inherit=True), namespace)
    return {function: namespace[function] for function in namespace["__all__"]}


class _Lines:
    """The lines of a module in linecache, for as long as one of its functions lives."""

    _uses: ClassVar[Counter[str]] = Counter()
    _lock: ClassVar[RLock] = RLock()  # garbage collection may call `_left` inside

    def __init__(self, filename: str, source: str) -> None:
        lines = source.splitlines(keepends=True)
        with self._lock:
            self._uses[filename] += 1
            linecache.cache[filename] = (len(source), None, lines, filename)
        weakref.finalize(self, self._left, filename).atexit = False

    @classmethod
    def _left(cls, filename: str) -> None:
        with cls._lock:
            cls._uses[filename] -= 1
            if not cls._uses[filename]:
                del cls._uses[filename]
                linecache.cache.pop(filename, None)


def load_one(source: str, name: str) -> Callable[..., Any]:
    """Load a module with one function; `name` is the module's name in tracebacks."""
    (function,) = load(source, name).values()
    return function


def _documentation(program: Program, scope: Names) -> list[str]:
    """Write the function's docstring: what it computes, operands and results with axes and
    sizes."""
    lines = [program.doc.strip() or f"{program.name}.", ""]
    if program.parameters:
        lines.append("Args:")
        named = zip(scope.parameters, program.parameters, strict=True)
        lines += [f"    {name}: {_layout(p.axes, p.shape, scope)}" for name, p in named]
        lines.append("")
    lines.append("Returns:")
    for number, (name, value) in enumerate(zip(program.result_names, program.results, strict=True)):
        step = program.steps[value]
        axes = program.result_axes[number] if program.result_axes else step.axes
        lines.append(f"    {one_line(name)}: {_layout(axes, program.result_shape(number), scope)}")
    if program.facts:
        lines += [
            "",
            *(f"{one_line(key)}: {one_line(fact)}" for key, fact in program.facts.items()),
        ]
    return lines


def _layout(axes: Sequence[str], shape: Sequence[Dim], scope: Names) -> str:
    """Write `[b, i] of size 8 × 3`; axes alone where no size is known."""
    names = f"[{', '.join(map(one_line, axes))}]"
    if not any(isinstance(size, int) for size in shape):
        return names if shape else "a scalar"
    return f"{names} of size {' × '.join(map(scope.size, shape))}"


def _head(
    program: Program, scope: Names, writer: ExpressionWriter, body: Sequence[Line], *, checked: bool
) -> list[Line]:
    """Write the lines that bind and check sizes: the sizes that are compared, or that the body
    reads."""
    lines: list[Line] = []
    checks: list[Line] = []
    bound = {size.operand for size in program.sizes}
    for p in program.parameters if checked else ():
        if p.name in bound or not p.shape:
            writer.helper("_check_axes")
            name = scope.operands[p.name]
            lines.append(Line(f'_check_axes({name}, "{p.name}", {_strings(p.axes)})'))
    for limit in program.limits if checked else ():
        checks.append(Line(f"if {_broken(limit, scope)}:"))
        checks.append(Line(f"    raise ValueError({_quoted(limit.message)})"))
    for p in program.parameters if checked else ():
        sizes = ["None" if n is None else scope.size(n) for n in _expected(program, p)]
        if set(sizes) - {"None"}:
            writer.helper("_check")
            known = f"({', '.join(sizes)}{',' * (len(sizes) == 1)})"
            name = scope.operands[p.name]
            checks.append(Line(f'_check({name}, "{p.name}", {_strings(p.axes)}, {known})'))
    read = {word for line in (*checks, *body) for word in words(line.code)}
    return [*lines, *_bindings(program, scope, read), *checks]


def _broken(limit: SizeLimit, scope: Names) -> str:
    """Write the condition under which a limit does not hold."""
    value, least = scope.size(limit.value), scope.size(limit.least)
    if limit.rule == "multiple":
        return f"{atom(value)} % {atom(least)}"
    return f"{value} {'<=' if limit.rule == 'above' else '=='} {least}"


def _expected(program: Program, p: Parameter) -> list[Dim | None]:
    """List, for each axis, the size that it must have, or None."""
    stated = {c.axis: c.expected for c in program.checks if c.operand == p.name}
    bound = {s.axis for s in program.sizes if s.operand == p.name and _is_whole(s)}
    return [stated.get(n, None if n in bound else size) for n, size in enumerate(p.shape)]


def _bindings(program: Program, scope: Names, read: set[str]) -> list[Line]:
    """Bind the sizes that are read: `b, n, i1, i2 = X.shape` for several of an operand, quotients
    one a line. `read` has the words of the lines that follow."""
    parts: list[Line] = []
    for size in reversed([size for size in program.sizes if not _is_whole(size)]):
        name = scope.sizes[size.name]
        if name in read:
            parts.insert(0, Line(f"{name} = {_quotient(size, scope)}"))
            read = read | words(parts[0].code)
    lines: list[Line] = []
    ranks = {p.name: len(p.shape) for p in program.parameters}
    whole: dict[str, dict[int, str]] = {}
    for size in program.sizes:
        if _is_whole(size) and scope.sizes[size.name] in read:
            whole.setdefault(size.operand, {}).setdefault(size.axis, scope.sizes[size.name])
    for operand, names in whole.items():
        if len(names) > 1:
            targets = [names.get(axis, "_") for axis in range(ranks[operand])]
            lines.append(Line(f"{', '.join(targets)} = {scope.operands[operand]}.shape"))
        else:
            name = scope.operands[operand]
            lines += [Line(f"{n} = {name}.shape[{axis}]") for axis, n in names.items()]
    for size in program.sizes:
        name = scope.sizes[size.name]
        if _is_whole(size) and name in read and whole[size.operand][size.axis] != name:
            lines.append(Line(f"{name} = {scope.operands[size.operand]}.shape[{size.axis}]"))
    return lines + parts


def _quotient(size: SizeBinding, scope: Names) -> str:
    """Write a size that is a part of an axis."""
    extent = f"{scope.operands[size.operand]}.shape[{size.axis}]"
    if not scalar.equal(size.offset, 0):
        extent = f"{extent} - {atom(scope.size(size.offset))}"
    if not scalar.equal(size.divisor, 1):
        extent = extent if scalar.equal(size.offset, 0) else f"({extent})"
        extent = f"{extent} // {atom(scope.size(size.divisor))}"
    return extent


def _is_whole(size: SizeBinding) -> bool:
    """Whether the size is the whole size of an axis."""
    return scalar.equal(size.divisor, 1) and scalar.equal(size.offset, 0)


def _quoted(text: str) -> str:
    """Quote a text as Python does."""
    escaped = one_line(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _strings(texts: Sequence[str]) -> str:
    """Write a tuple of texts."""
    return f"({', '.join(map(_quoted, texts))}{',' * (len(texts) == 1)})"
