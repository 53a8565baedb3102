"""`use "conv2d.tn" as layer`: finding and loading other files, and taking their names into a file.

What another file defines is written `layer.U`. Its operands and parameters keep their names where
those are free in the using file, else they get the alias before them, `layer_X`; so nothing is ever
captured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diagrammar.grammar import syntax
from diagrammar.grammar.errors import DiagramError, Problem, near
from diagrammar.grammar.parser import decode, read_source
from diagrammar.ir.diagram import Declared, Diagram, Operand, Tensor
from diagrammar.ir.scalar import Dim, parameter
from diagrammar.language.scope import Scope, mask_names
from diagrammar.library import names as library

if TYPE_CHECKING:
    from diagrammar.grammar.source import Source
    from diagrammar.language.build import Builder


class Unreadable(Exception):
    """A file that `use` names and that cannot be had: why, and what may help."""

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(message)
        self.message, self.help = message, help


def find(path: str, source: Source, instead: Mapping[str, Source]) -> tuple[str, Source]:
    """A file beside the one that uses it, else a shipped one: its identity, and its text. What is
    in `instead` by its path takes the place of both.

    Raises Unreadable, or DiagramError for bytes that are no text.
    """
    if not path:
        raise Unreadable("no file is named here", 'write it as use "conv2d.tn" as layer')
    if path in instead:
        return f"instead:{path}", instead[path]
    folder = Path(source.name).parent if source.name.endswith(".tn") else Path()
    beside = folder / path
    try:
        if beside.is_file():
            return str(beside.resolve()), read_source(beside)
        shipped = files("diagrammar.library") / path
        if "/" not in path and "\\" not in path and path.endswith(".tn") and shipped.is_file():
            return f"library:{path}", decode(shipped.read_bytes(), path)
        names = [entry.name for entry in folder.glob("*.tn")]
    except DiagramError:
        raise
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise Unreadable(f"cannot read '{path}': {reason}") from None
    names += [f"{name}.tn" for name in library()]
    way = near(path, names) or "files are looked for beside this one, then among the shipped ones"
    raise Unreadable(f"no file '{path}'", way)


@dataclass(frozen=True)
class Used:
    """Another file as one file sees it; `names` are new names of its operands and parameters."""

    alias: str
    builder: Builder
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def scope(self) -> Scope:
        """What the file declares."""
        return self.builder.scope

    def name(self, own: str) -> str:
        """An operand or parameter of the file as it is called here."""
        return self.names.get(own, own)

    def diagram(self, name: str) -> Diagram:
        """One of its definitions, with names as here; raises Broken."""
        return renamed(self.builder.build(name), self.names)

    def declared(self, name: str) -> Declared:
        """One of its tensors."""
        return replace(self.builder.declared(name), name=self.name(name))


def renamed(diagram: Diagram, names: Mapping[str, str]) -> Diagram:
    """A diagram with operands and parameters renamed."""

    def tensor(t: Tensor) -> Tensor:
        return replace(t, name=names.get(t.name, t.name)) if isinstance(t, Operand) else t

    symbols: dict[Any, Dim] = {
        parameter(p): parameter(names[p]) for p in diagram.parameters if p in names
    }
    moved = diagram.substitute(symbols)
    return replace(
        moved,
        terms=tuple(
            replace(term, tensors=tuple(map(tensor, term.tensors))) for term in moved.terms
        ),
        operands=tuple(
            replace(
                o,
                name=names.get(o.name, o.name),
                keep=names.get(o.keep, o.keep) if isinstance(o.keep, str) else o.keep,
            )
            for o in moved.operands
        ),
        parameters=tuple(names.get(p, p) for p in diagram.parameters),
        defaults={
            names.get(n, n) if n in diagram.parameters else n: v
            for n, v in diagram.defaults.items()
        },
    )


def operand_names(scope: Scope, used: Iterable[Used] = ()) -> dict[str, None]:
    """The names of a file's operands, those of derivatives and of the files that it uses too."""
    found = dict.fromkeys(scope.tensors)
    for node in scope.definitions.values():
        if isinstance(node, syntax.Derivative) and node.kind != "jacobian":
            kind, what = ("t", node.by) if node.kind == "jvp" else ("d", node.of)
            found[node.direction or kind + what.rpartition(".")[2]] = None
        elif isinstance(node, syntax.Sample):
            found.update(dict.fromkeys(mask_names(node)))
    for file in used:
        found.update(dict.fromkeys(map(file.name, file.builder.operands)))
    return found


def renaming(alias: str, builder: Builder, scope: Scope, earlier: Iterable[Used]) -> dict[str, str]:
    """New names for the operands and parameters of a file that are not free in another."""
    earlier = tuple(earlier)
    operands = operand_names(scope, earlier)
    taken = {*scope.params, *scope.sizes, *scope.definite, *scope.wires}
    taken |= {file.name(p) for file in earlier for p in file.builder.parameters}
    names: dict[str, str] = {}
    for own, clash in ((builder.operands, operands), (builder.parameters, taken)):
        for name in own:
            if name in clash:
                new = f"{alias}_{name}"
                while new in clash or new in names.values():
                    new += "_"
                names[name] = new
    return names


def circle(chain: Iterable[str], again: str) -> str:
    """`a.tn → b.tn → a.tn`."""
    names = [Path(name.removeprefix("library:")).name for name in chain]
    return " → ".join([*names, Path(again.removeprefix("library:")).name])


def unreadable(node: syntax.Use, source: Source, message: str, help: str = "") -> Problem:
    """The problem of a `use` that fails."""
    return Problem(message, node.span, source, "", help)
