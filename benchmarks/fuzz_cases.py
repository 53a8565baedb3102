"""One random case of `benchmarks.fuzz`: a file, what it is compiled with, what it is called with.

Every draw is counted by what it is: file, name, number, parameter, option, shape, dtype, operand.
A case ends with a result or with a DiagramError; whatever else is raised is a fault.
"""

from __future__ import annotations

import re
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

import diagrammar as dg
from diagrammar.backends.torch.emit import emit_module
from diagrammar.grammar.parser import decode
from diagrammar.ir.diagram import Diagram
from diagrammar.ir.sizes import base
from diagrammar.ir.symbols import names_of
from diagrammar.library import names as shipped_names
from diagrammar.rules.passes import fixed
from tests.grammar.fuzz import mutated, seeds
from tests.language.programs import program
from tests.work import counted

MOST_CALLS = 200_000_000
"""Calls of functions, Python's own among them, that one case may make."""

NAMES = (
    *("len", "all", "max", "zip", "range", "tuple", "print", "torch", "Tensor", "annotations"),
    *("self", "path", "rule", "values", "match", "type", "_", "__", "__all__", "__debug__"),
    *("__getattr__", "_check", "_check_axes", "_gram", "_total", "_Y_part", "_WINDOW_I_K", "len_"),
    *("l", "O", "I", "x", "ValueError", "float", "None_", "part", "total", "device", "generator"),
    *("n" * 200, "operands", "shapes", "name", "lambda", "None", "class", "kept_a", "mask_a"),
    *("backend", "memory", "constants", "ones", "delta", "size", "tensor", "use", "mod", "conv"),
)
NUMBERS = (0, 1, 2, 3, 5, 7, 10, 64, 65, 1000, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 10**30)
VALUES: tuple[Any, ...] = (
    *(0, 1, 1, 2, 2, 3, 4, 7, -1, -5, 2**40, 2**62, 2**63, 10**50, 0.5, 1.0, -0.0, 1e-9, 1e300),
    *(float("nan"), float("inf"), -float("inf"), True, False, None, "same", "valid", "circular"),
    *("", "k", "1", "x" * 999, (1, 2), (1,), (), [1, 2], {}, b"1", Fraction(1, 2), Decimal("0.5")),
    *(np.int64(3), np.float32(0.5), np.array([1, 2]), 1j, object, print, Fraction(-7, 3)),
    *((0, 2**70), ("same", 1), (1, (2, 3)), ((1, 2), (3, 4)), range(2), {1}, "1/2", "a", "nan"),
)
OPTIONS: dict[str, tuple[Any, ...]] = {
    "backend": ("torch", "numpy", "jax", None, 3),
    "memory": ("1MiB", "2GiB", 1, 10**6, "1", 0, -1, "x", 2.5, None, "1e3KiB"),
    "accumulate": ("float32", "float64", "float16", "int8", "complex64", None, 5),
    "native": (True, False, None, 0),
    "plan": ("cost", "cost", "fast", None),
    "without": ((), ("dense",), "pointwise", "nothing", 3, None),
    "rank": (1, 2, 3, 0, -1, 64, 65, 2.0, "2", None, True),
    "constants": ({}, {"C": torch.ones(2, 2)}, None, 3),
}
DTYPES = tuple(sorted({d for d in vars(torch).values() if isinstance(d, torch.dtype)}, key=str))
USUAL = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64, torch.int64)


def _of_dtype(shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """Ones, where torch can make them; bytes in place of bits and quantised numbers. Strides of an
    empty tensor have to fit into 64 bits, too."""
    if np.prod([max(n, 1) for n in shape], dtype=float) > 2.0**60:
        shape = [min(n, 2) for n in shape]
    try:
        return torch.ones(tuple(shape), dtype=torch.int32).to(dtype)
    except (RuntimeError, NotImplementedError):  # torch makes no ones of this dtype
        return torch.empty(tuple(shape), dtype=torch.uint8)


KINDS: dict[str, Callable[[tuple[int, ...]], Any]] = {
    "transposed": lambda s: torch.randn(s[::-1]).permute(tuple(range(len(s))[::-1])),
    "expanded": lambda s: torch.randn(()).expand(s),
    "strided": lambda s: torch.randn((*s, 2))[..., 0],
    "wants a gradient": lambda s: torch.randn(s, requires_grad=True),
    "parameter": lambda s: torch.nn.Parameter(torch.randn(s)),
    "meta": lambda s: torch.empty(s, device="meta"),
    "sparse": lambda s: torch.ones(s).to_sparse(),
    "nested": lambda s: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    "quantised": lambda s: torch.quantize_per_tensor(torch.ones(s), 0.1, 0, torch.qint8),
    "negated": lambda s: torch.randn(s, dtype=torch.complex64).conj().imag,
    "conjugated": lambda s: torch.randn(s, dtype=torch.complex64).conj(),
    "not finite": lambda s: torch.full(s, float("nan")),
    "inference": lambda s: _in_inference(s),
    "array": lambda s: np.ones(s),
    "list": lambda s: np.ones(s).tolist(),
    "number": lambda s: 1.5,
    "text": lambda s: "x",
    "nothing": lambda s: None,
    "type": lambda s: torch.Tensor,
    "storage": lambda s: torch.ones(s).untyped_storage(),
}


def _in_inference(shape: tuple[int, ...]) -> torch.Tensor:
    with torch.inference_mode():
        return torch.randn(shape)


@dataclass
class Case:
    """What became of one case: `ends` is result, refused, fault or work; `said` and `where` are the
    error's first line and the innermost place in our code."""

    number: int
    ends: str = "result"
    stage: str = ""
    said: str = ""
    where: str = ""
    calls: int = 0
    drawn: dict[str, int] = field(default_factory=dict)
    modules: list[dict[str, Any]] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """For a line of JSON."""
        return asdict(self)


def case(number: int, seed: int, folder: Path | None = None, *, show: bool = False) -> Case:
    """Run one case; emitted modules go to `folder`."""
    made = _Run(number, seed, folder, show)
    with counted() as work:
        try:
            made.run()
        except dg.DiagramError as error:
            made.case.ends, made.case.said = "refused", _first(error)
            if not str(error).strip():
                made.case.ends, made.case.where = "fault", _where(error)
        except Exception as error:  # which is what the search is for
            made.case.ends, made.case.said = "fault", f"{type(error).__name__}: {_first(error)}"
            made.case.where = _where(error)
            if show:
                traceback.print_exc()
    made.case.calls = work.calls
    if work.calls > MOST_CALLS:
        made.case.ends = "work"
    made.case.drawn = dict(made.drawn)
    return made.case


def _first(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _where(error: BaseException) -> str:
    """The innermost line of our own code, by its function."""
    ours = [f for f in traceback.extract_tb(error.__traceback__) if "/diagrammar/" in f.filename]
    if not ours:
        return "emitted code or torch"
    return f"{ours[-1].filename.rpartition('/diagrammar/')[2]}:{ours[-1].name}"


class _Run:
    def __init__(self, number: int, seed: int, folder: Path | None, show: bool) -> None:
        self.chance = Random(f"{seed} {number}")
        self.folder, self.show = folder, show
        self.case = Case(number)
        self.drawn: Counter[str] = Counter()
        self.sizes: dict[str, int] = {}
        torch.manual_seed(number)

    def draw(self, what: str, among: Sequence[Any]) -> Any:
        self.drawn[what] += 1
        return self.chance.choice(among)

    def run(self) -> None:
        self.case.stage = "file"
        data = self.text()
        if self.show:
            print(data.decode("utf-8", "replace"))
        spec = dg.parse(decode(data, "fuzz.tn").text)
        names = list(spec)
        if not names:
            return
        diagram = spec[self.draw("name", names)]
        if self.chance.random() < 0.2:
            self.case.stage = "text"
            str(diagram), repr(diagram)
        self.case.stage = "compile"
        values = self.values(diagram)
        if self.show:
            print(diagram.name, values)
        function = diagram.compile(**values)
        self.case.stage = "call"
        operands = self.operands(function)
        if self.show:
            print(
                [(type(x), getattr(x, "shape", None), getattr(x, "dtype", None)) for x in operands]
            )
        if self.chance.random() < 0.5:
            named = dict(zip((o.name for o in function.operands), operands, strict=True))
            found = function(**named)
        else:
            found = function(*operands)
        assert found is not None
        self.case.stage = "module"
        self.keep(function, operands)

    def text(self) -> bytes:
        """A random program, a shipped file or a broken one, with other names and numbers."""
        self.drawn["file"] += 1
        kind = self.chance.random()
        if kind < 0.08:
            return mutated(seeds(), self.chance)
        if kind < 0.3:
            name = self.draw("name", shipped_names())
            text = (files("diagrammar.library") / f"{name}.tn").read_text("utf-8")
        else:
            made = program(self.chance)
            text, self.sizes = made.text, dict(made.sizes)
        if self.chance.random() < 0.4:
            text = self.renamed(text)
        for _ in range(self.chance.choice([0, 0, 0, 1])):
            numbers = list(re.finditer(r"(?<![\w.])\d+", text))
            if numbers:
                at = self.chance.choice(numbers)
                new = str(self.draw("number", NUMBERS[: self.chance.choice([6, 15])]))
                text = text[: at.start()] + new + text[at.end() :]
        return text.encode()

    def renamed(self, text: str) -> str:
        """Some names of the file are other ones, everywhere."""
        words = sorted(set(re.findall(r"(?<![\w.'\"])[A-Za-z_]\w*", re.sub("#.*", "", text))))
        for _ in range(self.chance.randint(1, 2)):
            old, new = self.chance.choice(words), self.draw("name", NAMES)
            text = re.sub(rf"(?<![\w.'\"]){old}(?!\w)", new, text)
            if old in self.sizes:
                self.sizes[new] = self.sizes.pop(old)
        return text

    def values(self, diagram: Diagram) -> dict[str, Any]:
        values: dict[str, Any] = {}
        known = names_of(diagram)
        for _ in range(self.chance.choice([0, 0, 0, 0, 1, 1, 2])):
            name = self.chance.choice([*known, "unknown"]) if known else "unknown"
            values[name] = self.draw("parameter", VALUES)
        if self.chance.random() < 0.15:
            name = self.chance.choice(list(OPTIONS))
            values[name] = self.draw("option", OPTIONS[name])
        return values

    def shape(self, operand: Any) -> tuple[int, ...]:
        """The product of the sizes of each axis' wires: those that the file fixes, else one size a
        wire; another shape now and then."""
        shape = []
        for axis in operand.axes:
            extent = 1
            for wire in axis:
                size = operand.sizes[wire]
                if not isinstance(size, int):
                    size = self.sizes.get(base(wire))
                if size is None:
                    size = self.draw("size", (0, 1, 2, 2, 3, 3, 4, 5))
                    self.sizes[base(wire)] = size
                extent *= int(size)
            shape.append(min(extent, 10_000))
        if self.chance.random() < 0.03:
            change = self.draw("shape", ("longer", "shorter", "other"))
            shape = [*shape, 1] if change == "longer" else shape[:-1]
        while np.prod(shape, dtype=float) > 1e6:
            shape = [max(1, n // 2) for n in shape]
        return tuple(shape)

    def operands(self, function: Any) -> tuple[Any, ...]:
        dtype = self.draw("dtype", USUAL if self.chance.random() < 0.7 else DTYPES)
        made = []
        known: dict[str, Any] = {}
        with suppress(dg.DiagramError):
            for diagram in function.diagrams:
                known |= {o.name: o for o in fixed(diagram, function.values).operands}
        for operand in function.operands:
            shape, kind = self.shape(known.get(operand.name, operand)), self.chance.random()
            if kind < 0.04:
                made.append(KINDS[self.draw("operand", list(KINDS))](shape))
            elif kind < 0.08:
                made.append(_of_dtype(shape, self.draw("dtype", DTYPES)))
            else:
                made.append(_of_dtype(shape, dtype))
        return tuple(made)

    def keep(self, function: Any, operands: Sequence[Any]) -> None:
        """The emitted modules, for shapes and for all shapes, with what they are called with."""
        if self.folder is None or function.options.backend != "torch":
            return
        plain = [type(x) is torch.Tensor and x.device.type == "cpu" for x in operands]
        programs = [special.program for special in function.specialised()[-1:]]
        with suppress(dg.DiagramError):  # no operand has some size
            programs.append(function.generic().program)
        for at, made in enumerate(programs):
            name = f"m{self.case.number}_{at}"
            text = emit_module([made], "A module of the search.")
            (self.folder / f"{name}.py").write_text(text, encoding="utf-8")
            given = dict(zip((o.name for o in function.operands), operands, strict=True))
            called = all(plain) and all(p.name in given for p in made.parameters)
            order = [given[p.name] for p in made.parameters] if called else []
            about = [[list(x.shape), str(x.dtype).removeprefix("torch.")] for x in order]
            self.case.modules.append({"name": name, "called": called, "operands": about})
