"""Values of parameters that are no numbers, given by keyword: `compile(p="same")`, `p=(1, 2)`.

They change what a pattern is, so the definition is built again with them (`Diagram.reword`); what
is left are numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diagrammar.grammar import syntax
from diagrammar.grammar.errors import DiagramError, Problem
from diagrammar.grammar.words import MAX_INTEGER
from diagrammar.ir.diagram import Diagram
from diagrammar.ir.numbers import integer, written


def reworded(diagram: Diagram, values: Mapping[str, Any]) -> tuple[Diagram, dict[str, Any]]:
    """The diagram with the values that are no numbers, and the values that are left.

    A text or a pair is the value of a parameter; of a pack, a text is that of each member, and a
    sequence has one for each. DiagramError for what does not fit.
    """
    rest = dict(values)
    if diagram.reword is None or diagram.family is not None:
        return diagram, rest
    words: dict[str, syntax.Value] = {}
    for name, value in values.items():
        members = _members(name, value, diagram.reword.names)
        if any(_is_word(v) or m in diagram.reword.worded for m, v in members.items()):
            del rest[name]
            words.update({m: _value(name, v) for m, v in members.items()})
    return (diagram.reword.make(words), rest) if words else (diagram, rest)


def _members(name: str, value: Any, names: frozenset[str]) -> dict[str, Any]:
    """A parameter, or the members of a pack, with their values; nothing for another name."""
    if name in names:
        return {name: value}
    count = 0
    while f"{name}.{count}" in names:
        count += 1
    if not isinstance(value, Sequence) or isinstance(value, str):
        return {f"{name}.{n}": value for n in range(count)}
    if len(value) != count:  # which is said where numbers are read
        return {}
    return {f"{name}.{n}": v for n, v in enumerate(value)}


def _is_word(value: Any) -> bool:
    return isinstance(value, str | Sequence) and not isinstance(value, bytes | bytearray)


def _value(name: str, value: Any) -> syntax.Value:
    """A value as the syntax tree has it."""
    if isinstance(value, str):
        return syntax.Text(value)
    pair = value if isinstance(value, Sequence) else (value,)
    sides = [integer(v) for v in pair[:3]]
    if len(sides) not in (1, 2) or any(n is None or not 0 <= n <= MAX_INTEGER for n in sides):
        message = f"'{name}' must be an integer of at least 0, a pair of them, or a text"
        help = f"give it as {name}=3, {name}=(1, 2) or {name}='same'"
        raise DiagramError([Problem(f"{message}, not {written(value)}", help=help)])
    numbers = [syntax.Number(n) for n in sides if n is not None]
    return syntax.Pair(numbers[0], numbers[1]) if len(pair) == 2 else numbers[0]
