"""From the place where the parser stopped to a message in the user's words.

The functions of `misspelt`, `brackets` and `misplaced` are asked in order; the first that knows the
mistake names it. What none of them knows is put as what stands there and what could.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from lark import Token

from diagrammar.grammar import brackets, misplaced, misspelt
from diagrammar.grammar.errors import Problem
from diagrammar.grammar.source import Source
from diagrammar.grammar.stop import Stop

_MISTAKES: Final[tuple[Callable[[Stop], Problem | None], ...]] = (
    misspelt.open_quote,
    misspelt.not_ascii,
    misspelt.foreign_sign,
    misspelt.bad_start,
    misspelt.unknown_statement,
    misspelt.keyword_as_name,
    misspelt.second_statement,
    brackets.wrong_bracket,
    misplaced.tensor_in_parentheses,
    brackets.unclosed,
    brackets.groups,
    brackets.slices_and_expressions,
    brackets.missing_comma,
    brackets.missing_entry,
    brackets.pair_of_many,
    misplaced.operation_in_sum,
    misplaced.exponents,
    misplaced.missing_operand,
    brackets.call_arguments,
    brackets.conditions,
    misplaced.entries,
    misplaced.axes_of_tensor,
    misplaced.use_statement,
    misplaced.rank_statement,
    misplaced.pattern_value,
    misplaced.left_side,
    misplaced.brackets_in_sum,
    misplaced.floor_in_product,
    misplaced.signs_in_a_row,
    misplaced.tensor_in_scalar,
    misplaced.missing_times,
)

# what could have stood there, in the user's words; in this order
WORDS: Final = {
    "NAME": "a name",
    "NUMBER": "a number",
    "SIZE_OF": "a size such as |b|",
    "STRING": "a text in quotes",
    "SIZE": "'size'",
    "PARAM": "'param'",
    "RANK": "'rank'",
    "REQUIRE": "'require'",
    "USE": "'use'",
    "TENSOR": "'tensor'",
    "CONSTANT": "'constant'",
    "PATTERN": "'pattern'",
    "AS": "'as'",
    "EQUALS": "'='",
    "DEFINES": "':='",
    "_COMMA": "','",
    "CLOSE": "']'",
    "RIGHT": "')'",
    "OPEN": "'['",
    "LEFT": "'('",
    "PLUS": "'+'",
    "MINUS": "'-'",
    "TIMES": "'*'",
    "OVER": "'/'",
    "FLOOR": "'//'",
    "POWER": "'^'",
    "LESS": "a comparison",
    "MOD": "'mod'",
    "DOTS": "'...'",
    "$END": "the end of the statement",
}


def explain(
    tokens: Sequence[Token], stop: Token, could: Collection[str], source: Source
) -> Problem:
    """What is wrong with a statement in which the parser stopped at a token."""
    place = Stop.of(tokens, stop, could, source)
    for mistake in _MISTAKES:
        problem = mistake(place)
        if problem is not None:
            return problem
    if place.found is None:
        return place.problem("this statement ends too early", label=_expected(place))
    if "$END" in place.could:
        return place.problem(
            f"{place.name()} does not belong to this statement any more",
            help="a new statement begins on a line of its own",
        )
    return place.problem(f"{place.name()} cannot stand here", label=_expected(place))


def _expected(stop: Stop) -> str:
    """`expected a name or ']'`, if that is short enough to help."""
    words = [word for kind, word in WORDS.items() if kind in stop.could]
    if not 1 <= len(words) <= 5:
        return ""
    return "expected " + " or ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)
