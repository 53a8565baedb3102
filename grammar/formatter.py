"""Syntax tree to text: the one canonical way to write each statement.

Parsing what is written here gives the same tree again, comments included. Blank lines stay where
they were, one for many; statements longer than a line are broken after `=`, before `+` and `-`, and
only then between factors or entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from diagrammar.grammar import comments, syntax

WIDTH: Final = 100
_INDENT: Final = "    "
_BINDING: Final = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "^": 4}
_NEGATIVE, _ATOM = 3, 5


def format_file(file: syntax.File) -> str:
    """A whole file, with its comments, and a blank line wherever one or more stood."""
    lines: list[str] = []
    run: list[tuple[str, str]] = []  # neighbouring lines with comments beside them
    for at, statement in enumerate(file.statements):
        after_comment = at > 0 and isinstance(file.statements[at - 1], syntax.Comment)
        gap = at > 0 and (at in file.gaps or after_comment)
        written = _written(statement)
        beside = statement.trailing if not isinstance(statement, syntax.Comment) else None
        if run and (gap or statement.doc or beside is None or len(written) > 1):
            lines.extend(_aligned(run))
            run = []
        if gap:
            lines.append("")
        lines.extend(comments.written(statement.doc))
        if beside is not None:
            lines.extend(written[:-1])
            run.append((written[-1], beside))
        else:
            lines.extend(written)
    lines.extend(_aligned(run))
    return "".join(f"{line}\n" for line in lines)


def format_statement(statement: syntax.AnyStatement) -> str:
    """One statement with its documentation and trailing comment, without a line end after it."""
    return format_file(syntax.File((statement,))).removesuffix("\n")


def _aligned(run: Sequence[tuple[str, str]]) -> list[str]:
    """Comments beside neighbouring lines in one column, where they fit so."""
    column = max((len(code) for code, _ in run), default=0)
    if any(column + len(comment) + 4 > WIDTH for _, comment in run):
        return [f"{code}  # {comment}" for code, comment in run]
    return [f"{code:<{column}}  # {comment}" for code, comment in run]


# -- statements ------------------------------------------------------------------------------------


def _written(statement: syntax.AnyStatement) -> list[str]:
    """The lines of a statement without its comments; each line after the first is indented."""
    match statement:
        case syntax.Comment():
            return []
        case syntax.Sizes():
            return _filled("size ", [_entry(entry) for entry in statement.entries])
        case syntax.Params():
            return _filled("param ", [_entry(entry) for entry in statement.entries])
        case syntax.Rank():
            return [f"rank {statement.rank}"]
        case syntax.Require():
            return _filled("require ", list(map(format_condition, statement.conditions)))
        case syntax.Use():
            path = _quoted(statement.path, '"')
            return [f"use {path} as {statement.alias}"]
        case syntax.Tensor():
            return _tensor(statement)
        case syntax.Pattern():
            return _pattern(statement)
        case syntax.Definition():
            return _definition(statement)
        case syntax.Derivative():
            return _derivative(statement)
        case syntax.Sample():
            words = [statement.of, statement.wire, *map(_option, statement.options)]
            return _filled(f"{statement.name} = sample(", words, ")")


def _tensor(statement: syntax.Tensor) -> list[str]:
    keyword = "constant" if statement.constant else "tensor"
    end = f"] = {statement.kind}" if statement.kind else "]"
    if statement.drawn is not None:
        end = f"] = {_call(statement.drawn)}"
    return _filled(f"{keyword} {statement.name}[", _axis_list(statement.axes), end)


def _derivative(statement: syntax.Derivative) -> list[str]:
    words = [statement.of, statement.by]
    if statement.direction is not None:
        name = "cotangent" if statement.kind == "vjp" else "tangent"
        words.append(f"{name}={statement.direction}")
    return _filled(f"{statement.name} = {statement.kind}(", words, ")")


def _call(call: syntax.Call) -> str:
    return f"{call.name}({', '.join(map(_option, call.options))})"


def _entry(entry: syntax.Assignment) -> str:
    name = entry.name + ("..." if entry.pack else "")
    if entry.value is None:
        return name
    return f"{name} {':=' if entry.definite else '='} {format_value(entry.value)}"


def _pattern(statement: syntax.Pattern) -> list[str]:
    head = f"pattern {statement.name}{format_axes(statement.axes)}"
    head += "... =" if statement.pack else " ="
    value = statement.value
    if isinstance(value, syntax.View):
        right = [f"view({value.wire} = {format_scalar(value.value)})"]
    elif isinstance(value, syntax.Call):
        words = [_option(option) for option in value.options]
        whole = f"{value.name}({', '.join(words)})"
        fits = len(head) + len(whole) < WIDTH
        right = [whole] if fits else _filled(f"{value.name}(", words, ")", _INDENT)
    else:
        right = [("+ " if at else "") + _bracket(item) for at, item in enumerate(value)]
        if len(head) + sum(map(len, right)) + len(right) <= WIDTH:
            right = [" ".join(right)]
    return _after(head, right)


def _definition(statement: syntax.Definition) -> list[str]:
    head = f"{statement.name}{format_axes(statement.axes)} ="
    terms = [_term(term, first=at == 0) for at, term in enumerate(statement.terms)]
    if len(head) + sum(map(len, terms)) + len(terms) <= WIDTH:
        return [" ".join([head, *terms])]
    lines: list[str] = []
    for term, text in zip(statement.terms, terms, strict=True):
        if len(text) + len(_INDENT) <= WIDTH:
            lines.append(text)
        else:
            first, *others = _factors(term, first=not lines)
            lines.extend(_filled(first, others, indent=_INDENT, separator=" "))
    return _after(head, lines)


def _after(head: str, right: Sequence[str]) -> list[str]:
    """The lines of a right-hand side below its head, beginning beside it if that fits."""
    first, *others = right
    if len(head) + 1 + len(first) <= WIDTH:
        return [f"{head} {first}", *(_INDENT + line for line in others)]
    return [head, *(_INDENT + line for line in right)]


def _filled(
    head: str, words: Sequence[str], tail: str = "", indent: str = "", separator: str = ", "
) -> list[str]:
    """Head and words on as many lines as needed; the lines after the first are indented."""
    lines: list[str] = []
    line = head
    for at, word in enumerate(words):
        last = at == len(words) - 1
        piece = word + (tail if last else separator.rstrip())
        bare = line.endswith(("(", "[", " "))
        space = "" if bare else " "
        if not bare and len(indent) + len(line) + 1 + len(piece) > WIDTH:
            lines.append(line)
            line = _INDENT + piece
        else:
            line += space + piece
    lines.append(line if words else line + tail)
    return lines


# -- sums of products ------------------------------------------------------------------------------


def _term(term: syntax.Product, *, first: bool) -> str:
    """A product with the sign that it needs as the first or a later term."""
    return " ".join(_factors(term, first=first))


def _factors(term: syntax.Product, *, first: bool) -> list[str]:
    """The factors with the signs before them; a divisor stands with what it divides."""
    sign = ("-" if term.negative else "") if first else ("- " if term.negative else "+ ")
    parts: list[str] = []
    for at, factor in enumerate(term.factors):
        value = factor.value
        text = _factor(value)
        if factor.divides and at > 0:
            parts[-1] += f"/{text}"
        else:
            parts.append(sign + text if at == 0 else f"* {text}")
    return parts


def _factor(value: syntax.Scalar | syntax.Reference) -> str:
    if isinstance(value, syntax.Reference):
        return format_reference(value)
    return _scalar(value, 4)


def format_reference(reference: syntax.Reference) -> str:
    """`X[b, (g ci)]`, with the dots of a pack and the power."""
    dots = "..." if reference.pack else ""
    power = f"^{reference.power}" if reference.power != 1 else ""
    return f"{reference.name}{format_axes(reference.axes)}{dots}{power}"


def format_axes(axes: Sequence[syntax.Axis]) -> str:
    """`[b, (g ci), i...]`, brackets included."""
    return f"[{', '.join(_axis_list(axes))}]"


def _axis_list(axes: Sequence[syntax.Axis]) -> list[str]:
    return [
        _index(axis)
        if isinstance(axis, syntax.Index)
        else f"({' '.join(_index(item) for item in axis.items)})"
        for axis in axes
    ]


def _index(index: syntax.Index) -> str:
    return f"{index.name}..." if index.pack else index.name


# -- right-hand sides of patterns ------------------------------------------------------------------


def _option(option: syntax.Option) -> str:
    return f"{option.name}={format_value(option.value)}"


def _bracket(bracket: syntax.Bracket) -> str:
    return f"[{', '.join(format_condition(condition) for condition in bracket.conditions)}]"


def format_condition(condition: syntax.Condition) -> str:
    """`0 <= o + k < 5`, or `i + 1 = k mod 3`."""
    first, *others = condition.operands
    text = format_scalar(first)
    for comparison, operand in zip(condition.comparisons, others, strict=True):
        text += f" {comparison} {format_scalar(operand)}"
    if condition.modulus is not None:
        text += f" mod {format_scalar(condition.modulus)}"
    return text


# -- scalars ---------------------------------------------------------------------------------------


def format_value(value: syntax.Value) -> str:
    """The value of a parameter or option: a scalar, `'same'`, or `(left, right)`."""
    if isinstance(value, syntax.Text):
        return _quoted(value.value, "'")
    if isinstance(value, syntax.Pair):
        return f"({format_scalar(value.left)}, {format_scalar(value.right)})"
    return format_scalar(value)


def format_scalar(scalar: syntax.Scalar) -> str:
    """A scalar with no more parentheses than its structure needs: `(|i1| - 1)//2 + 1`."""
    return _scalar(scalar, 0)


def _scalar(scalar: syntax.Scalar, least: int) -> str:
    """A scalar, in parentheses if it binds less tightly than its place demands."""
    binding = _ATOM
    match scalar:
        case syntax.Number():
            text = _number(scalar.value)
            binding = _NEGATIVE if text.startswith("-") else _ATOM
        case syntax.Name():
            text = f"{scalar.name}..." if scalar.pack else scalar.name
        case syntax.SizeOf():
            text = f"|{scalar.wire}...|" if scalar.pack else f"|{scalar.wire}|"
        case syntax.Negative():
            binding = _NEGATIVE
            text = f"-{_scalar(scalar.value, 4)}"
        case syntax.Binary():
            binding = _BINDING[scalar.operator]
            sign = f" {scalar.operator} " if binding == 1 else scalar.operator
            left = _scalar(scalar.left, _ATOM if binding == 4 else binding)
            right = _scalar(scalar.right, {1: 2, 2: 4, 4: _ATOM}[binding])
            if right.startswith("-"):  # two signs in a row read badly
                right = f"({right})"
            text = f"{left}{sign}{right}"
    return f"({text})" if binding < least else text


def _number(value: int | Decimal) -> str:
    text = str(value).lower()
    # "9223372037.1e9" is a decimal with an integer's digits
    return f"{text}.0" if isinstance(value, Decimal) and text.isdigit() else text


def _quoted(text: str, mark: str) -> str:
    """Text in quotes of the preferred kind, or of the other if it holds that one."""
    other = {"'": '"', '"': "'"}[mark]
    return f"{other}{text}{other}" if mark in text else f"{mark}{text}{mark}"
