"""Diagrams in notebooks: the cell magic `%%diagram`, which `%load_ext diagrammar` switches on.

    %%diagram conv --show Y,dW --set k=3
    tensor X[b, i]
    …

The text of the cell becomes a `Spec` in the variable `conv`, and its diagrams are shown. Notebooks
show other objects by their own `_repr_svg_` and `_repr_html_`.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NoReturn

from diagrammar.grammar.errors import DiagramError, near
from diagrammar.ir.diagram import Diagram
from diagrammar.language.spec import Spec, parse
from diagrammar.rewrite.engine import Trace


class _Mistake(Exception):
    """A line of the magic that cannot be carried out."""


class _Parser(argparse.ArgumentParser):
    """A parser that raises its errors."""

    def error(self, message: str) -> NoReturn:
        raise _Mistake(f"{message}\n{self.format_usage().rstrip()}")


def _parser() -> _Parser:
    """The options of the magic."""
    usage = "%(prog)s [VARIABLE] [--show Y,dW] [--simplify] [--steps] [--set k=3,s=2]"
    parser = _Parser(prog="%%diagram", add_help=False, usage=usage)
    parser.add_argument("variable", nargs="?", default="spec", metavar="VARIABLE")
    parser.add_argument("--show", default="", metavar="Y,dW")
    parser.add_argument("--simplify", action="store_true")
    parser.add_argument("--steps", action="store_true")
    parser.add_argument("--set", default="", dest="values", metavar="k=3,s=2")
    return parser


def diagram(line: str, cell: str, namespace: dict[str, Any]) -> list[Diagram | Trace]:
    """Show a `%%diagram` cell, and put its spec into the namespace.

    `--show` names definitions (without it the last one is shown), `--simplify` shows them
    simplified, `--steps` shows their derivation, `--set` gives sizes and parameters for both.
    Raises DiagramError for mistakes in the cell, ValueError for mistakes in the line.
    """
    try:
        options = _parser().parse_args(shlex.split(line))
        if not options.variable.isidentifier():
            raise _Mistake(f"'{options.variable}' is not the name of a variable")
        spec = parse(cell, f"<{options.variable}>")
        names = [name.strip() for name in options.show.split(",") if name.strip()]
        shown = list(_shown(spec, names, options))
    except _Mistake as mistake:
        raise ValueError(str(mistake)) from None
    namespace[options.variable] = spec
    return shown


def _shown(spec: Spec, names: list[str], options: argparse.Namespace) -> Iterator[Diagram | Trace]:
    """Yield the diagrams or derivations to show."""
    values = dict(_setting(text) for text in options.values.split(",") if text.strip())
    for name in names or list(spec)[-1:]:
        if name not in spec:
            help = near(name, spec) or f"there are {', '.join(spec)}"
            raise _Mistake(f"no definition '{name}' in this cell; {help}")
        if not (options.simplify or options.steps or values):
            yield spec[name]
            continue
        simplified = spec[name].simplify(**values)
        yield simplified.trace if options.steps else simplified.diagram


def _setting(text: str) -> tuple[str, int | str]:
    """Read one NAME=VALUE."""
    name, equals, value = (part.strip() for part in text.partition("="))
    if not (equals and name and value):
        raise _Mistake(f"--set takes NAME=VALUE, not '{text}'; write it as --set k=3")
    return name, int(value) if value.lstrip("-").isdigit() else value


def load_ipython_extension(shell: Any) -> None:
    """Register the magic; `%load_ext diagrammar` calls this."""

    def magic(line: str, cell: str) -> None:
        display = import_module("IPython.display").display
        try:
            shown = diagram(line, cell, shell.user_ns)
        except (DiagramError, ValueError) as error:
            print(error if isinstance(error, DiagramError) else f"error: {error}", file=sys.stderr)
            return
        for one in shown:
            display(one)

    magic.__doc__ = diagram.__doc__
    shell.register_magic_function(magic, magic_kind="cell", magic_name="diagram")
