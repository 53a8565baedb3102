"""Names and texts that are safe in emitted source: identifiers, sizes, comments, docstrings.

Everything that a user wrote (operands, wires, documentation) passes through here before it becomes
Python.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import sympy

from diagrammar.backends.torch.helpers import HELPERS
from diagrammar.ir import scalar
from diagrammar.program import Dim, Program

_READ = frozenset({"torch", "Tensor", "max", "float", "range", "zip", "ValueError"})
"""Names that the body of an emitted function may read, besides its own and the helpers."""
_WORDS = frozenset(keyword.kwlist) | {"__debug__"}
_BUILTINS = frozenset(dir(builtins))
_IMPORTED = frozenset({"annotations", "Callable", "Iterator", "Tensor", "torch"})
_AMBIGUOUS = frozenset({"l", "O", "I"})
"""Names that linters refuse, since they look like digits."""
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def function_names(names: Sequence[str]) -> dict[str, str]:
    """Name the functions of one module: as their definitions, with underscores behind a name that
    Python or the module already has (`len_`).

    Raises ValueError for a name that is no identifier.
    """
    return _clear(names, "function", _is_of_a_module)


def function_name(name: str) -> str:
    """Name a function that is alone in its module."""
    return function_names([name])[name]


def _is_of_a_module(name: str) -> bool:
    """Whether a function of this name would hide something from the rest of its module."""
    special = re.fullmatch(r"__[A-Za-z0-9]+(?:_[A-Za-z0-9]+)*__", name)
    return bool(special) or name in _WORDS | _BUILTINS | _IMPORTED or name in HELPERS


def _is_of_a_body(name: str) -> bool:
    """Whether an operand of this name would hide something from the body of its function."""
    return name in _WORDS | _READ | {"_"} or name in HELPERS


def _clear(names: Sequence[str], what: str, taken: Callable[[str], bool]) -> dict[str, str]:
    """Find a free name for each: itself, or with enough underscores behind it."""
    free_names: dict[str, str] = {}
    for name in names:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError(f"{what} {name!r} is not a Python identifier")
        free = name
        while taken(free) or (free != name and (free in names or free in free_names.values())):
            free += "_"
        free_names[name] = free
    return free_names


def safe_identifier(text: str) -> str:
    """Find an identifier near the text: `k1'` becomes k1_, `i.0` i0, `(ci k1)` ci_k1."""
    text = text.replace("'", "_").replace(".", "")
    name = re.sub(r"[^A-Za-z0-9_]+", "_", text.strip("() ")) or "n"
    return f"n{name}" if name[0].isdigit() else name


class Names:
    """The names of one emitted function: the taken ones, and the names of operands and sizes.

    Operands keep their names, except where the body itself reads that name (`max_`).
    """

    def __init__(self, program: Program) -> None:
        names = [p.name for p in program.parameters]
        if len(set(names)) < len(names):
            raise ValueError(f"{program.name}: two operands have one name")
        self.operands = _clear(names, "operand", _is_of_a_body)
        self.parameters = list(self.operands.values())
        self.taken = {*self.parameters, *_WORDS, *_BUILTINS, *_READ, *keyword.softkwlist}
        self.taken |= {*HELPERS, *_AMBIGUOUS}
        self.sizes: dict[str, str] = {}
        for size in program.sizes:
            self.sizes[size.name] = self.fresh(safe_identifier(size.name))

    def fresh(self, hint: str, free: Callable[[str], bool] = lambda name: False) -> str:
        """Take a name: the hint, with a number where it is taken and `free` does not free it."""
        for name in chain([hint], (f"{hint}{n}" for n in range(2, 10_000))):
            if name not in self.taken or free(name):
                self.taken.add(name)
                return name
        raise ValueError(f"no free name like {hint!r}")

    def size(self, value: Dim) -> str:
        """Write a size in Python; all divisions are exact or FloorDiv, so that each is `//`."""
        return str(value) if isinstance(value, int) else self.factor(_whole(value))

    def factor(self, value: Any) -> str:
        """Write a number in Python."""
        text = scalar.text(self._shielded(sympy.sympify(value)), self._symbol, power="**")
        return re.sub(r"(?<!\*)\*(?!\*)|//?", r" \g<0> ", text)

    def _shielded(self, e: sympy.Expr) -> sympy.Expr:
        """Write quotients inside products first, in parentheses, and treat them as symbols."""
        if e.is_Atom:
            return e
        parts = [self._shielded(part) for part in e.args]
        if isinstance(e, scalar.FloorDiv):
            return scalar.FloorDiv(*parts, evaluate=False)
        if e.is_Mul:
            parts = [
                scalar.size(f"({scalar.text(part, self._symbol, power='**')})")
                if isinstance(part, scalar.FloorDiv)
                else part
                for part in parts
            ]
        return e.func(*parts)

    def shape(self, sizes: Sequence[Dim]) -> str:
        """Write sizes, separated by commas."""
        return ", ".join(map(self.size, sizes))

    def tuple(self, sizes: Sequence[Dim]) -> str:
        """Write sizes as a tuple."""
        return f"({self.shape(sizes)},)" if len(sizes) == 1 else f"({self.shape(sizes)})"

    def _symbol(self, symbol: sympy.Symbol) -> str:
        """The variable of a size. Raises ValueError for a size that nothing binds."""
        if symbol.name.startswith("("):  # a quotient, written by `_shielded`
            return str(symbol.name)
        if symbol.name not in self.sizes:
            raise ValueError(f"nothing binds the size {symbol.name!r}")
        return self.sizes[symbol.name]


def _whole(e: sympy.Expr) -> sympy.Expr:
    """Rewrite every exact division of an integer expression as FloorDiv."""
    if e.is_Atom:
        return e
    if not isinstance(e, scalar.FloorDiv):
        numerator, denominator = sympy.fraction(sympy.together(e))
        if denominator == 1:
            return e.func(*map(_whole, e.args))
        e = scalar.FloorDiv(numerator, denominator, evaluate=False)
    return scalar.FloorDiv(*map(_whole, e.args), evaluate=False)


def atom(text: str) -> str:
    """The text, in parentheses unless it is one name or number."""
    return text if re.fullmatch(r"[\w.]+", text) else f"({text})"


def words(code: str) -> set[str]:
    """The names that a statement reads or writes, without texts, attributes and keywords."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", code)
    return set(re.findall(r"(?<![\w.])[A-Za-z_]\w*+(?!=[^=])", bare))


def listed(names: Iterable[str]) -> list[str]:
    """Sort names as in `__all__`: constants, classes, others; digits by their value."""

    def place(name: str) -> tuple[int, list[tuple[int, str]]]:
        kind = 0 if len(name) > 1 and name.isupper() else 1 if name[0].isupper() else 2
        parts = re.findall(r"(\d+)|(\D)", name)
        return kind, [(int(digits or 0), other or "0") for digits, other in parts]

    return sorted(names, key=place)


def letters(names: Mapping[int, str]) -> dict[int, str]:
    """Choose a letter for each label: the first letter of its wire's name where that is free.

    Raises ValueError for more labels than there are letters.
    """
    if len(names) > len(_LETTERS):
        raise ValueError(f"{len(names)} labels, but only {len(_LETTERS)} letters")
    chosen: dict[int, str] = {}
    left = dict.fromkeys(_LETTERS)
    for label, name in names.items():
        own = [c for c in name if c in _LETTERS]
        wanted = own[:1] + [c.swapcase() for c in own[:1]] + own[1:]
        letter = next((c for c in (*wanted, *left) if c in left), "")
        del left[letter]
        chosen[label] = letter
    return chosen


def one_line(text: str) -> str:
    """Make text safe for a comment: no line ends, no control characters."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def docstring(lines: Iterable[str], indent: str) -> list[str]:
    """Write the lines of a docstring, quoted and escaped, the first on the line of the quotes."""
    written = [_escaped(line.rstrip()) for text in lines for line in text.split("\n")]
    while written and not written[-1]:
        written.pop()
    first, *rest = written or [""]
    if not rest:
        return [f'{indent}"""{first}"""']
    body = [f"{indent}{line}" if line else "" for line in rest]
    return [f'{indent}"""{first}', *body, f'{indent}"""']


def _escaped(line: str) -> str:
    """Escape backslashes, quotes and control characters."""
    quotes = len(line) - len(line.rstrip('"'))
    line = line.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
    return f'{line[:-1]}\\"' if quotes % 3 else line
