"""Patterns of the syntax tree as index relations: `conv(…)`, `view(…)` and brackets.

A convolution with another boundary than zeros is two relations: an index map from the input to the
padded input, and the convolution of that without padding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import sympy

from diagrammar.grammar import syntax
from diagrammar.grammar.errors import Place, near
from diagrammar.ir.diagram import Network, Requirement
from diagrammar.ir.names import suffixed
from diagrammar.ir.relation import Equation, Linear, Piece, Relation, conv
from diagrammar.ir.scalar import Dim, equal, expand, floor_div, integral, nonnegative
from diagrammar.language.evaluate import Attempts, Forms, mistake, scalar, whole
from diagrammar.language.scope import indices

if TYPE_CHECKING:
    from diagrammar.grammar.source import Source
    from diagrammar.ir.sizes import SizeTable

Lookup = Callable[[syntax.Name | syntax.SizeOf], Dim]

OPTIONS = ("stride", "padding", "dilation", "boundary", "output_padding")
OTHERS = {"padding_mode": "did you mean 'boundary'?", "pad": "did you mean 'padding'?"}
"""Words of other libraries for an option."""
BOUNDARIES = ("zeros", "circular", "reflect", "replicate")


class PatternBuilder:
    """Builds one use of a declared pattern; `requirements` are what its numbers must obey."""

    def __init__(
        self,
        pattern: syntax.Pattern,
        source: Source,
        table: SizeTable,
        lookup: Lookup,
        params: Mapping[str, syntax.Assignment],
    ) -> None:
        self.pattern = pattern
        self.source = source
        self.table = table
        self.outer = lookup
        self.params = params
        self.names: Mapping[str, str] = {}
        self.requirements: list[Requirement] = []

    def network(self, node: syntax.Reference, fresh: Callable[[str, Dim], str]) -> Network:
        """The relations with the wires of a reference; `fresh` names inner wires."""
        wires = [i.name for i in indices(node.axes)]
        if len(wires) != len(node.axes):
            raise mistake(
                self.source, node.span, "the axes of a pattern are single wires", "a group",
            )  # fmt: skip
        own = tuple(i.name for i in self.pattern.axes)
        self.names = dict(zip(own, wires, strict=True))
        sizes = {w: self.table.of(w) for w in wires}
        value = self.pattern.value
        if isinstance(value, syntax.Call):
            return self._conv(value, fresh)
        if isinstance(value, syntax.View):
            form = Linear.of({value.wire: 1})
            form -= self._forms(own).linear(value.value)
            relation = Relation(
                self.pattern.name, own, (Piece((Equation(form),)),), view=value.wire
            )
        else:
            attempts, forms = Attempts(), self._forms(own)
            made = [attempts(forms.bracket, bracket) for bracket in value]
            attempts.done()
            pieces = tuple(piece for piece in made if piece is not None)
            relation = Relation(self.pattern.name, own, pieces)
        return Network(sympy.Integer(1), (relation.rename(self.names),), sizes)

    def lookup(self, node: syntax.Name | syntax.SizeOf) -> Dim:
        """Sizes by the pattern's own wire names, the rest as in the definition."""
        if isinstance(node, syntax.SizeOf) and node.wire in self.names:
            return self.table.of(self.names[node.wire])
        return self.outer(node)

    def _forms(self, own: tuple[str, ...]) -> Forms:
        """Reads scalars of brackets; what they demand becomes a requirement."""
        return Forms(frozenset(own), self.lookup, self.source, self.requirements.append)

    # -- convolutions ------------------------------------------------------------------------------

    def _conv(self, call: syntax.Call, fresh: Callable[[str, Dim], str]) -> Network:
        attempts = Attempts()
        options = self._options(call, attempts)
        name = self.pattern.name
        i, o, k = (self.names[index.name] for index in self.pattern.axes)
        I, O, K = (self.table.of(w) for w in (i, o, k))  # noqa: E741  # the paper's letters
        S = attempts(self._positive, options.get("stride"), "stride") or 1
        D = attempts(self._positive, options.get("dilation"), "dilation") or 1
        sides = attempts(self._padding, options.get("padding"), S, D, K)
        more = None
        if "output_padding" in options:
            more = attempts(self._scalar, options["output_padding"], "output padding")
        boundary = attempts(self._boundary, options.get("boundary")) or "zeros"
        attempts.done()
        assert sides is not None
        left, right = sides
        if more is not None:
            reach = S * (O - 1) + D * (K - 1) + 1 - left - right + more
            self.table.equate(I, reach, f"input size of '{name}'")
        else:
            held, reach = I + left + right, D * (K - 1) + 1
            extent = floor_div(held - reach, S) + 1
            self.table.equate(O, extent, f"output size of '{name}'")
            self._fits(held, reach)
        one = sympy.Integer(1)
        if boundary == "zeros" or (equal(left, 0) and equal(right, 0)):
            relation = conv(
                name, i, o, k, stride=integral(S), dilation=integral(D), padding=integral(left)
            )
            return Network(one, (relation,), {w: self.table.of(w) for w in (i, o, k)})
        if "output_padding" in options:
            raise mistake(
                self.source, call.span, "output padding goes with zeros at the boundary",
                f"boundary is {boundary}", "leave one of them out",
            )  # fmt: skip
        I = self.table.of(i)  # noqa: E741
        self._require(boundary, i, I, left, right)
        extent = expand(I + left + right)
        j = fresh(padded(i), extent)
        self.table.equate(self.table.of(j), extent, f"wire '{j}'")
        tensors = (
            Relation(boundary, (i, j), BORDERS[boundary](i, j, integral(left), I)),
            conv(name, j, o, k, stride=integral(S), dilation=integral(D), padding=0),
        )
        return Network(one, tensors, {w: self.table.of(w) for w in (i, j, o, k)})

    def _options(self, call: syntax.Call, attempts: Attempts) -> dict[str, syntax.Value]:
        """The options that there are, by name; those that there are not become problems."""
        if call.name != "conv":
            raise mistake(
                self.source, call.name_span, f"unknown pattern '{call.name}'", "no such pattern",
                near(call.name, ["conv", "view"]) or "write conv(…), view(…) or a bracket […]",
            )  # fmt: skip
        if len(self.pattern.axes) != 3:
            raise mistake(
                self.source, self.pattern.span,
                f"conv takes 3 wires, not {len(self.pattern.axes)}", "",
                f"write it as {self.pattern.name}[i, o, k]: input, output, kernel",
            )  # fmt: skip
        for option in call.options:
            if option.name not in OPTIONS:
                wrong = mistake(
                    self.source, option.span, f"conv has no option '{option.name}'", "unknown",
                    OTHERS.get(option.name) or near(option.name, OPTIONS)
                    or f"it takes {', '.join(OPTIONS)}",
                )  # fmt: skip
                attempts.problems += wrong.problems
        return {
            option.name: self._said(option.value)
            if option.name in ("padding", "boundary")
            else option.value
            for option in call.options
        }

    def _said(self, value: syntax.Value) -> syntax.Value:
        """A value, or that of a parameter which is no number, in its place."""
        if isinstance(value, syntax.Name) and value.name in self.params:
            given = self.params[value.name].value
            if isinstance(given, syntax.Text | syntax.Pair):
                return replace(given, span=value.span)
        return value

    def _integer(self, value: syntax.Value, what: str) -> Dim:
        """The value of an option, which must be an integer."""
        demand = self.requirements.append
        number = scalar(value, self.lookup, self.source, demand)
        assert not isinstance(value, syntax.Text | syntax.Pair)  # no scalars
        what = f"the {what} of pattern '{self.pattern.name}'"
        return whole(value, number, what, self.source, demand)

    def _scalar(self, value: syntax.Value, what: str = "padding") -> Dim:
        number = self._integer(value, what)
        help = "to leave entries out, read a part of the input: pattern C[i, j] = [i = j + 1]"
        if isinstance(number, int) and number < 0:
            label = f"is {number}"
            raise mistake(self.source, value.span, f"a {what} is at least 0", label, help)
        if not nonnegative(number):
            message = f"the {what} of pattern '{self.pattern.name}' is {{value}}"
            place = Place(value.span, f"a {what} is at least 0", self.source)
            self.requirements.append(
                Requirement(number, 0, message, help, slack=-1, place=place, implied=True)
            )
        return number

    def _positive(self, value: syntax.Value | None, what: str) -> Dim:
        if value is None:
            return 1
        number = self._integer(value, what)
        if isinstance(number, int) and number < 1:
            raise mistake(self.source, value.span, f"a {what} is at least 1", f"is {number}")
        if not isinstance(number, int):
            message = f"the {what} of pattern '{self.pattern.name}' is {{value}}"
            self.requirements.append(Requirement(number, 0, message, f"a {what} is at least 1"))
        return number

    def _fits(self, held: Dim, reach: Dim) -> None:
        """A window must fit into the padded input, as PyTorch asks, too."""
        message = f"the kernel of pattern '{self.pattern.name}' reaches over {{least}} entries, "
        message += "and the padded input has {value}"
        help = "give a larger input or more padding"
        self.requirements.append(Requirement(held, reach, message, help, slack=-1, implied=True))

    def _padding(self, value: syntax.Value | None, S: Dim, D: Dim, K: Dim) -> tuple[Dim, Dim]:
        match value:
            case None | syntax.Text(value="valid"):
                return 0, 0
            case syntax.Text(value="same"):
                if isinstance(S, int) and S != 1:
                    raise mistake(
                        self.source, value.span, "padding 'same' needs stride 1",
                        f"stride is {S}", "give the padding in numbers",
                    )  # fmt: skip
                if not isinstance(S, int):
                    message = "padding 'same' needs stride 1, "
                    message += f"but that of pattern '{self.pattern.name}' is {{least}}"
                    self.requirements.append(
                        Requirement(2, S, message, "give the padding in numbers")
                    )
                total = D * (K - 1)
                return floor_div(total, 2), total - floor_div(total, 2)
            case syntax.Text():
                raise mistake(
                    self.source, value.span, f"unknown padding '{value.value}'",
                    "no such padding", "write a number, (left, right), 'same' or 'valid'",
                )  # fmt: skip
            case syntax.Pair():
                attempts = Attempts()
                sides = [attempts(self._scalar, side) for side in (value.left, value.right)]
                attempts.done()
                left, right = (side for side in sides if side is not None)
                return left, right
        number = self._scalar(value)
        return number, number

    def _boundary(self, value: syntax.Value | None) -> str:
        match value:
            case None:
                return "zeros"
            case syntax.Name(name=word) | syntax.Text(value=word) if word in BOUNDARIES:
                return word
            case syntax.Name(name=word) | syntax.Text(value=word):
                raise mistake(
                    self.source, value.span, f"unknown boundary '{word}'", "no such boundary",
                    near(word, BOUNDARIES) or f"write {', '.join(BOUNDARIES)}",
                )  # fmt: skip
        raise mistake(
            self.source, value.span, "a boundary is a word", "not a word",
            f"write {', '.join(BOUNDARIES)}",
        )  # fmt: skip

    def _require(self, boundary: str, wire: str, extent: Dim, left: Dim, right: Dim) -> None:
        """What PyTorch asks for, too: reflection needs an entry more than it pads, a circle as
        many."""
        if boundary == "replicate":
            return
        least = 0 if boundary == "reflect" else -1
        words = "smaller than" if boundary == "reflect" else "at most"
        for side in (left, right):
            message = (
                f"pattern '{self.pattern.name}' pads wire '{wire}', of size {{value}}, by {{least}}"
            )
            self.requirements.append(
                Requirement(
                    extent,
                    side,
                    message,
                    f"with boundary={boundary}, a padding is {words} the size",
                    slack=least,
                )
            )


def padded(wire: str) -> str:
    """A name for the padded axis of a wire: `i1` has `i1_pad`, `i.0` has `i_pad.0`."""
    bare = wire.rstrip("'")
    return suffixed(bare, "_pad") + wire[len(bare) :]


def _circular(i: str, j: str, left: Dim, extent: Dim) -> tuple[Piece, ...]:
    """i ≡ j − P mod I."""
    return (Piece((Equation(Linear.of({i: 1, j: -1}, left), extent),)),)


def _inside(i: str, j: str, left: Dim) -> Piece:
    """i = j − P, where that is in the range of i."""
    return Piece((Equation(Linear.of({i: 1, j: -1}, left)),))


def _reflect(i: str, j: str, left: Dim, extent: Dim) -> tuple[Piece, ...]:
    """i = P − j before, i = 2(I − 1) + P − j behind."""
    before, behind = _sides(j, left, extent)
    turn = expand(-left - 2 * (extent - 1))
    return (
        Piece((Equation(Linear.of({i: 1, j: 1}, -left)),), (before,)),
        _inside(i, j, left),
        Piece((Equation(Linear.of({i: 1, j: 1}, turn)),), (behind,)),
    )


def _replicate(i: str, j: str, left: Dim, extent: Dim) -> tuple[Piece, ...]:
    """i = 0 before, i = I − 1 behind."""
    before, behind = _sides(j, left, extent)
    return (
        Piece((Equation(Linear.of({i: 1})),), (before,)),
        _inside(i, j, left),
        Piece((Equation(Linear.of({i: 1}, expand(1 - extent))),), (behind,)),
    )


def _sides(j: str, left: Dim, extent: Dim) -> tuple[Linear, Linear]:
    """j < P, and j ≥ P + I."""
    return Linear.of({j: -1}, expand(left - 1)), Linear.of({j: 1}, expand(-left - extent))


BORDERS: Mapping[str, Callable[[str, str, Dim, Dim], tuple[Piece, ...]]] = {
    "circular": _circular,
    "reflect": _reflect,
    "replicate": _replicate,
}
