"""Mistakes in what follows what: statements, sums and products.

Each function looks for one kind of mistake where the parser stopped and returns the problem, or
None if it is not that.
"""

from __future__ import annotations

from typing import Final

from diagrammar.grammar.calls import DERIVATIVES, MATRIX_KINDS
from diagrammar.grammar.errors import Problem, near
from diagrammar.grammar.stop import SIGNS, Stop
from diagrammar.grammar.tokens import OPERANDS
from diagrammar.grammar.words import quote, span_of

_OPERATIONS: Final = (*DERIVATIVES, "sample")
_STARTS: Final = frozenset({"NAME", "NUMBER", "SIZE_OF", "LEFT"})


# -- declarations ----------------------------------------------------------------------------------


def entries(stop: Stop) -> Problem | None:
    """`size k 3`, `param s := 1`, `size k = 'same'`: an entry that is not `name = value`."""
    if stop.keyword not in ("SIZE", "PARAM") or stop.open is not None:
        return None
    if stop.kind_before() in ("SIZE", "PARAM", "_COMMA") and stop.found is not None:
        message = f"{stop.name()} cannot name a {stop.tokens[0]}"
        return stop.problem(message, help=f"write '{stop.tokens[0]} name = value'")
    if stop.kind == "DEFINES":
        return stop.problem("':=' fixes sizes, not parameters", help="write '='")
    if stop.kind == "STRING" and stop.keyword == "SIZE":
        return stop.problem("a size is a number, not a text", help="texts are values of parameters")
    if stop.kind == "OPEN" and "EQUALS" in stop.could:
        message = "a size or parameter has no axes"
        return stop.problem(message, help="a pack of them is written 's...'")
    if "EQUALS" in stop.could and stop.kind in _STARTS | {"STRING"}:
        return stop.problem(f"'=' is missing before {stop.name()}")
    return None


def axes_of_tensor(stop: Stop) -> Problem | None:
    """`tensor X`, `tensor X(b, i)`, `tensor X[b], Y[b]`, `tensor X[b] = …`."""
    if stop.keyword not in ("TENSOR", "CONSTANT", "PATTERN") or stop.open is not None:
        return None
    word = stop.tokens[0]
    if stop.at == 1:
        return stop.problem(f"a {word} needs a name", help=f"write '{word} X[b, i]'")
    if stop.at == 2:
        return _wires_of_tensor(stop)
    if stop.kind == "_COMMA":
        way = f"write '{word}' on a new line"
        return stop.problem(f"one statement declares one {word}", help=way)
    sign = next((t for t in stop.tokens[: stop.at + 1] if t.type == "EQUALS"), None)
    if sign is not None and stop.keyword != "PATTERN":
        known = " or ".join(f"'= {kind}'" for kind in MATRIX_KINDS)
        way = f"to define {quote(stop.tokens[1])}, leave out '{word}'"
        if stop.keyword == "CONSTANT":
            way = f"it may be declared {known}; {way}"
        message = f"a {word} is given from outside and has no value here"
        return stop.problem(message, span=span_of(sign), help=way)
    if stop.kind == "DOTS":
        message = f"a {word} cannot be a pack"
        return stop.problem(message, help="its wires can: 'tensor X[b, i...]'")
    return None


def _wires_of_tensor(stop: Stop) -> Problem:
    """Say what should follow the name of a tensor, a constant or a pattern: `tensor X(b, i)`."""
    word, name = stop.tokens[:2]
    bare = quote(name)[1:-1]
    example = f"{bare}[{'i, o' if stop.keyword == 'PATTERN' else 'b, i'}]"
    if stop.kind == "LEFT":
        return stop.problem("wires stand in square brackets", help=f"write '{example}'")
    if stop.kind == "DOTS":
        return stop.problem("the dots of a pack stand at the end", help="write 'P[i, o, k]...'")
    way = f"write '{word} {example}'"
    if word == "constant":
        way += f"; a number is a 'param {bare} = 3'"
    return stop.problem(f"the wires of {quote(name)} are missing", span=span_of(name), help=way)


def use_statement(stop: Stop) -> Problem | None:
    """`use conv2d.tn`, `use "conv2d.tn"`."""
    if stop.keyword != "USE":
        return None
    way = "write 'use \"conv2d.tn\" as layer'"
    if stop.at == 1:
        return stop.problem("the name of a file stands in quotes", help=way)
    if stop.at in (2, 3):
        return stop.problem("a file is used under a name of its own", help=way)
    return None


def rank_statement(stop: Stop) -> Problem | None:
    """`rank d`."""
    if stop.keyword != "RANK" or stop.at != 1:
        return None
    way = "write 'rank 2', or leave it to the operands"
    return stop.problem("a rank is a number", help=way)


def pattern_value(stop: Stop) -> Problem | None:
    """`pattern P[i, o]`, `pattern P[i, o] = X[i] * …`, `= [i = o] - [i = 0]`."""
    if stop.keyword != "PATTERN" or stop.open is not None:
        return None
    way = "write 'conv(stride=s, padding=p)', 'view(i = 2*o)' or brackets: '[i = 2*o + k]'"
    if "EQUALS" in stop.could:
        return stop.problem(f"'=' is missing {_where(stop)}", help=way)
    if stop.kind in SIGNS | {"OPEN"} and stop.kind_before() == "CLOSE":
        return stop.problem("a pattern is a sum of disjoint brackets", help="join them with '+'")
    return stop.problem("a pattern is a call or a sum of brackets", help=way)


# -- definitions -----------------------------------------------------------------------------------


def left_side(stop: Stop) -> Problem | None:
    """`Y = X[b]`, `Y(b) = …`, `Y[b] := …`, `Y[b] X[b]`: a definition without wires or `=`."""
    if stop.keyword != "NAME" or stop.open is not None:
        return None
    if stop.at == 1 and stop.kind in SIGNS | {"LEFT", "LESS", "_COMMA"}:
        return _behind_name(stop)
    if stop.kind == "DEFINES":
        way = "write '='; ':=' fixes sizes: 'size o := 2*k'"
        return stop.problem("a definition is written '='", help=way)
    if stop.kind == "DOTS" and "EQUALS" in stop.could:
        way = "its wires can; a pack of patterns is declared 'pattern P[i, o, k]... = …'"
        return stop.problem("a definition cannot be a pack", help=way)
    if stop.at >= 2 and stop.tokens[1].type == "EQUALS":
        wrong = _sum_without_wires(stop)
        if wrong is not None:
            return wrong
    if "EQUALS" in stop.could and stop.at > 2:
        return stop.problem(f"'=' is missing {_where(stop)}")
    return None


def _behind_name(stop: Stop) -> Problem:
    """`Y(b) = …`, `Y, Z = …`, `Y + Z`: a sign right behind the name of a definition."""
    name = quote(stop.tokens[0])
    if stop.kind == "LEFT":
        return stop.problem("wires stand in square brackets", help=f"write '{name[1:-1]}[b, i]'")
    if stop.kind == "_COMMA":
        return stop.problem("one statement defines one diagram", help="write a line for each")
    return stop.problem(
        f"{stop.name()} cannot follow {name} here",
        help="a definition names its wires, then '=': 'Y[b, o] = …'",
    )


def _sum_without_wires(stop: Stop) -> Problem | None:
    """`Y = X[b]`, `G = 2 * vjp(Y, W)`: '=' follows the bare name, and an operation may follow."""
    if "$END" in stop.could:
        way = "give it a name, and use that: 'G[…] = 2 * dW[…]'"
        return stop.problem("an operation stands alone", help=way)
    if not stop.tokens[2:3]:
        return None
    name = stop.tokens[0]
    bare = quote(name)[1:-1]
    return stop.problem(
        f"the wires of {quote(name)} are missing",
        span=span_of(name),
        help=f"write '{bare}[b, …] = …', or '{bare}[] = …' for a scalar",
    )


def operation_in_sum(stop: Stop) -> Problem | None:
    """`dW[o, i] = vjp(Y, W)`, `Y[b] = relu(X)`: a call where a tensor should stand."""
    name = stop.before()
    if stop.keyword != "NAME" or stop.kind != "LEFT" or name is None or name.type != "NAME":
        return None
    if stop.at == 1:
        return None
    if name in _OPERATIONS:
        if stop.at == 1 + _equals(stop) + 1:
            message = f"the wires of {quote(name)} follow from its operands"
            left = quote(stop.tokens[0])[1:-1]
            return stop.problem(message, span=span_of(name), help=f"write '{left} = {name}(…)'")
        message = f"{quote(name)} makes a diagram, not a factor"
        return stop.problem(message, span=span_of(name), help=f"name it first: 'dW = {name}(…)'")
    if name in ("conv", "view"):
        way = f"declare it: 'pattern P[i, o, k] = {name}(…)'"
        return stop.problem(f"{quote(name)} makes a pattern", span=span_of(name), help=way)
    return stop.problem(
        f"{quote(name)} cannot be called here",
        span=span_of(name),
        help=near(name, _OPERATIONS)
        or "wires stand in square brackets, 'X[b, i]'; of functions there are powers, 'X[b]^2'",
    )


def _where(stop: Stop) -> str:
    return f"before {stop.name()}" if stop.found is not None else "at the end"


def _equals(stop: Stop) -> int:
    return next((at for at, token in enumerate(stop.tokens) if token.type == "EQUALS"), 0)


def tensor_in_parentheses(stop: Stop) -> Problem | None:
    """`2 * (X[i] + Z[i])`: parentheses around tensors."""
    name, opening = stop.before(), stop.open
    if stop.kind != "OPEN" or stop.inside != "scalar" or name is None or opening is None:
        return None
    if stop.keyword != "NAME" or name.type != "NAME":
        return None
    if not stop.closes(opening):
        return stop.problem(
            "'(' is never closed",
            span=span_of(stop.tokens[opening]),
            label="no ')' for this",
            help="put ')' behind the last number, parameter or size that belongs to it",
        )
    return stop.problem(
        f"parentheses group scalars, not tensors such as {quote(name)}",
        span=span_of(stop.tokens[opening]),
        help="write the sum out, or give it a name: 'Z[…] = …'",
    )


def tensor_in_scalar(stop: Stop) -> Problem | None:
    """`size n = X[i]`: a tensor where only scalars stand."""
    name = stop.before()
    if stop.kind != "OPEN" or name is None or name.type != "NAME" or "POWER" not in stop.could:
        return None
    return stop.problem(
        "only numbers, parameters and sizes can stand here", span=span_of(name).to(stop.here())
    )


def missing_times(stop: Stop) -> Problem | None:
    """`2 X[i]`, `X[i] Z[i]`: two factors with nothing between."""
    found, before = stop.found, stop.before()
    if found is None or before is None or before.type not in OPERANDS:
        return None
    if "TIMES" not in stop.could or found.type not in _STARTS:
        return None
    if found.type == "LEFT" and before.type == "NAME":
        message = f"{quote(before)} is a number and cannot be called"
        return stop.problem(message, span=span_of(before), help="write '*' before '('")
    return stop.problem(f"'*' is missing before {stop.name()}", help="factors are joined by '*'")


def brackets_in_sum(stop: Stop) -> Problem | None:
    """`Y[i] = [i = 2*o]`: conditions outside a pattern."""
    if stop.keyword != "NAME" or stop.kind != "OPEN" or stop.kind_before() == "NAME":
        return None
    way = "declare 'pattern P[i, o] = [i = 2*o]' and write 'P[i, o]'"
    return stop.problem("brackets of conditions belong to a pattern", help=way)


def floor_in_product(stop: Stop) -> Problem | None:
    """`n//2 * X[i]`."""
    if stop.kind != "FLOOR" or "TIMES" not in stop.could:
        return None
    way = "put the quotient in parentheses: '(n//2) * X[i]'"
    return stop.problem("'//' stands between scalars in parentheses only", help=way)


def signs_in_a_row(stop: Stop) -> Problem | None:
    """`X[i] * -2`, `= + X[i]`, `X[i] + + Z[i]`."""
    if stop.kind not in SIGNS or stop.kind_before() not in SIGNS | {"EQUALS", "DEFINES", "LEFT"}:
        return None
    before = stop.before()
    if stop.kind_before() in SIGNS - {"PLUS", "MINUS"} and stop.kind == "MINUS":
        way = "put the sign before the term, or parentheses around the number: '(-2)'"
        return stop.problem(f"a sign cannot follow '{before}'", help=way)
    if stop.kind == "PLUS" and stop.kind_before() in ("EQUALS", "DEFINES", "LEFT"):
        return stop.problem("the first term has no '+'", help="delete it")
    what = "term" if {stop.kind, stop.kind_before()} <= {"PLUS", "MINUS"} else "factor"
    return stop.problem(f"a {what} is missing between '{before}' and {stop.name()}")


def missing_operand(stop: Stop) -> Problem | None:
    """`Y[b] = X[b] +`, `(2 * )`, `[i = ]`: nothing behind a sign."""
    if stop.kind not in ("END", "_COMMA", "CLOSE", "RIGHT"):
        return None
    if stop.kind_before() not in SIGNS | {"EQUALS", "DEFINES", "LESS", "MOD"}:
        return None
    what = {"PLUS": "a term", "MINUS": "a term", "TIMES": "a factor"}.get(stop.kind_before())
    return stop.problem(f"{what or 'a value'} is missing after '{stop.before()}'")


def exponents(stop: Stop) -> Problem | None:
    """`X[i]^n`, `2^-1`, `2^2^2`."""
    if stop.kind_before() == "POWER":
        return stop.problem(
            "an exponent is an integer from 0 to 64",
            help="write 'X[i]^2'; for a negative exponent divide: '1/|b|^2'",
        )
    if stop.kind == "POWER" and stop.kind_before(2) == "POWER":
        return stop.problem(
            "powers do not chain", help="multiply the exponents, or use parentheses"
        )
    return None
