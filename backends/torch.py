"""Programs as readable PyTorch source, and that source as functions.

Emission needs no torch, and the emitted source nothing else: `emit_module` writes a module that
runs without diagrammar; `load` turns source into functions that tracebacks can quote.
"""

from __future__ import annotations

import hashlib
import linecache
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from diagrammar import scalar
from diagrammar.backends.torch_helpers import HELPERS
from diagrammar.backends.torch_layout import Layout, Line, break_line, format_lines
from diagrammar.backends.torch_lowering import lower
from diagrammar.backends.torch_names import Scope, atom, checked_name, docstring, one_line
from diagrammar.backends.torch_operations import Constants, Writer
from diagrammar.backends.torch_parts import helpers, loops
from diagrammar.program import Dim, Parameter, Program, SizeBinding, SizeLimit


@dataclass(frozen=True, slots=True)
class FunctionSource:
    """The text of one function, and what it needs at module level: helpers, constants by name.

    `origins` has, for each line of the text, the steps of the program that it does.
    """

    name: str
    text: str
    helpers: tuple[str, ...]
    constants: Mapping[str, str]
    origins: tuple[frozenset[int], ...] = ()


def emit_function(
    program: Program, *, checked: bool, constants: Constants | None = None
) -> FunctionSource:
    """The program as a function; if `checked`, it compares its operands' shapes with the program's.

    Functions of one module share their `constants`. Raises ValueError where torch has no such
    operation, a size is not bound, or a name cannot stand in Python source.
    """
    checked_name(program.name, "function")
    scope = Scope(program)
    if program.cuts:
        return _in_parts(program, scope, constants)
    lowered = lower(program)
    writer = Writer(lowered.steps, scope, constants or Constants())
    lines = [*_head(program, scope, writer, checked=checked)]
    lines += Layout(program, lowered, writer, scope).body()
    head = _signature(program, scope)
    body = format_lines(lines)
    text = "\n".join([*head, *(line for line, _ in body)]) + "\n"
    origins = tuple(frozenset[int]() for _ in text.splitlines()[: -len(body)])
    origins += tuple(steps for _, steps in body)
    helpers = tuple(name for name in HELPERS if name in writer.helpers)
    return FunctionSource(program.name, text, helpers, dict(writer.used), origins)


def _in_parts(program: Program, scope: Scope, constants: Constants | None) -> FunctionSource:
    """The function of one part, and the one that calls it."""
    inner = replace(program.part, doc=f"One part of {program.name}.", facts={})
    part = emit_function(inner, checked=False, constants=constants)
    head = _signature(program, scope)
    text = "\n".join([*head, *loops(program, scope)]) + "\n"
    whole = f"{part.text}\n\n{text}"
    behind = len(whole.splitlines()) - len(part.origins)
    origins = part.origins + (frozenset[int](),) * behind
    used = {*part.helpers, *helpers(program)}
    named = tuple(name for name in HELPERS if name in used)
    return replace(part, name=program.name, text=whole, helpers=named, origins=origins)


def _signature(program: Program, scope: Scope) -> list[str]:
    """The lines up to the body."""
    signature = ", ".join(f"{name}: Tensor" for name in scope.parameters)
    count = len(program.results)
    result = "Tensor" if count == 1 else f"tuple[{', '.join(['Tensor'] * count) or '()'}]"
    return [
        *break_line(f"def {program.name}({signature}) -> {result}:"),
        *docstring(_documentation(program, scope), "    "),
    ]


def emit_module(programs: Sequence[Program], header: str, *, checked: bool = True) -> str:
    """A module that needs torch only: `header` as its docstring, what programs need, and they."""
    names = [program.name for program in programs]
    if len(set(names)) < len(names):
        raise ValueError(f"two functions of one name among {', '.join(names)}")
    constants = Constants()
    functions = [emit_function(p, checked=checked, constants=constants) for p in programs]
    helpers = [name for name in HELPERS if any(name in f.helpers for f in functions)]
    abstract = [
        kind
        for kind in ("Callable", "Iterator")
        if any(f"{kind}[" in HELPERS[name] for name in helpers)
    ]
    defined = {name: text for f in functions for name, text in f.constants.items()}
    blocks = [
        *(["\n".join(docstring([header], "")) + "\n"] if header.strip() else []),
        "from __future__ import annotations\n",
        *([f"from collections.abc import {', '.join(abstract)}\n"] if abstract else []),
        "import torch\nfrom torch import Tensor\n",
        "\n".join(break_line(f"__all__ = [{', '.join(_quoted(name) for name in names)}]")) + "\n",
    ]
    text = "\n".join(blocks)
    text += "".join(f"\n{HELPERS[name]}" for name in helpers)
    if defined:
        lines = [line for item in defined.items() for line in break_line(" = ".join(item))]
        text += "\n\n" * bool(helpers) + "\n" * (not helpers) + "\n".join(lines) + "\n"
    return text + "".join(f"\n\n{f.text}" for f in functions)


def line_origins(program: Program, *, checked: bool) -> tuple[frozenset[int], ...]:
    """For each line of `emit_module([program], "")`, the steps of the program that it does."""
    lines = emit_module([program], "", checked=checked).splitlines()
    own = emit_function(program, checked=checked).origins
    return (frozenset[int](),) * (len(lines) - len(own)) + own


def load(source: str, name: str) -> dict[str, Callable[..., Any]]:
    """The functions of emitted source, by name; tracebacks and `inspect` show their lines."""
    digest = hashlib.sha256(source.encode()).hexdigest()[:8]
    filename = f"<diagrammar {one_line(name)} {digest}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace: dict[str, Any] = {}
    exec(compile(source, filename, "exec", dont_inherit=True), namespace)
    return {function: namespace[function] for function in namespace["__all__"]}


def _documentation(program: Program, scope: Scope) -> list[str]:
    """What the function computes, its operands and its results with their axes and sizes."""
    lines = [program.doc.strip() or f"{program.name}.", ""]
    if program.parameters:
        lines.append("Args:")
        lines += [f"    {p.name}: {_layout(p.axes, p.shape, scope)}" for p in program.parameters]
        lines.append("")
    lines.append("Returns:")
    for at, (name, value) in enumerate(zip(program.result_names, program.results, strict=True)):
        step = program.steps[value]
        axes = program.result_axes[at] if program.result_axes else step.axes
        lines.append(f"    {one_line(name)}: {_layout(axes, program.result_shape(at), scope)}")
    if program.facts:
        lines += [
            "",
            *(f"{one_line(key)}: {one_line(fact)}" for key, fact in program.facts.items()),
        ]
    return lines


def _layout(axes: Sequence[str], shape: Sequence[Dim], scope: Scope) -> str:
    """`[b, i] of size 8 × 3`; axes alone where no size is known."""
    names = f"[{', '.join(map(one_line, axes))}]"
    if not any(isinstance(size, int) for size in shape):
        return names if shape else "a scalar"
    return f"{names} of size {' × '.join(map(scope.size, shape))}"


def _head(program: Program, scope: Scope, writer: Writer, *, checked: bool) -> list[Line]:
    """The lines that bind and check sizes."""
    lines: list[Line] = []
    bound = {size.operand for size in program.sizes}
    for p in program.parameters if checked else ():
        if p.name in bound or not p.shape:
            writer.helper("_check_axes")
            lines.append(Line(f'_check_axes({p.name}, "{p.name}", {_strings(p.axes)})'))
    lines += _bindings(program, scope)
    for limit in program.limits if checked else ():
        lines.append(Line(f"if {_broken(limit, scope)}:"))
        lines.append(Line(f"    raise ValueError({_quoted(limit.message)})"))
    for p in program.parameters if checked else ():
        sizes = ["None" if n is None else scope.size(n) for n in _expected(program, p)]
        if set(sizes) - {"None"}:
            writer.helper("_check_axes")
            writer.helper("_check")
            known = f"({', '.join(sizes)}{',' * (len(sizes) == 1)})"
            lines.append(Line(f'_check({p.name}, "{p.name}", {_strings(p.axes)}, {known})'))
    return lines


def _broken(limit: SizeLimit, scope: Scope) -> str:
    """The condition under which a limit does not hold."""
    value, least = scope.size(limit.value), scope.size(limit.least)
    if limit.rule == "multiple":
        return f"{atom(value)} % {atom(least)}"
    return f"{value} {'<=' if limit.rule == 'above' else '=='} {least}"


def _expected(program: Program, p: Parameter) -> list[Dim | None]:
    """For each axis, the size that it must have, if it is stated."""
    stated = {c.axis: c.expected for c in program.checks if c.operand == p.name}
    bound = {s.axis for s in program.sizes if s.operand == p.name and _is_whole(s)}
    return [stated.get(n, None if n in bound else size) for n, size in enumerate(p.shape)]


def _bindings(program: Program, scope: Scope) -> list[Line]:
    """`b, n, i1, i2 = X.shape` where it names several sizes; quotients one a line."""
    lines: list[Line] = []
    ranks = {p.name: len(p.shape) for p in program.parameters}
    whole: dict[str, dict[int, str]] = {}
    for size in program.sizes:
        if _is_whole(size):
            whole.setdefault(size.operand, {}).setdefault(size.axis, scope.sizes[size.name])
    for operand, names in whole.items():
        if len(names) > 1:
            targets = [names.get(axis, "_") for axis in range(ranks[operand])]
            lines.append(Line(f"{', '.join(targets)} = {operand}.shape"))
        else:
            lines += [Line(f"{n} = {operand}.shape[{axis}]") for axis, n in names.items()]
    for size in program.sizes:
        name = scope.sizes[size.name]
        if not _is_whole(size):
            extent = f"{size.operand}.shape[{size.axis}]"
            if not scalar.equal(size.offset, 0):
                extent = f"{extent} - {atom(scope.size(size.offset))}"
            if not scalar.equal(size.divisor, 1):
                extent = extent if scalar.equal(size.offset, 0) else f"({extent})"
                extent = f"{extent} // {atom(scope.size(size.divisor))}"
            lines.append(Line(f"{name} = {extent}"))
        elif whole[size.operand][size.axis] != name:  # a second name of the axis
            lines.append(Line(f"{name} = {size.operand}.shape[{size.axis}]"))
    return lines


def _is_whole(size: SizeBinding) -> bool:
    """Whether the size is that of an axis, as it is."""
    return scalar.equal(size.divisor, 1) and scalar.equal(size.offset, 0)


def _quoted(text: str) -> str:
    escaped = one_line(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _strings(texts: Sequence[str]) -> str:
    return f"({', '.join(map(_quoted, texts))}{',' * (len(texts) == 1)})"
