"""Random files that mean something, each definition held against the dense oracle and its own text:
`python -m tests.language.fuzz`.

Emitted functions, for shapes and for all shapes, must give what the oracle gives on small integers;
`str` of a diagram, as written and simplified, must parse to the same diagram; and no mistake may be
anything but a DiagramError.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from typing import Any

import numpy as np
import torch
from rich.console import Console

import diagrammar as dg
from diagrammar.ir.diagram import Diagram
from diagrammar.ir.scalar import expand, nonnegative
from diagrammar.rules.passes import fixed
from diagrammar.transform.values import missing
from tests import oracle
from tests.language.programs import program


def check(diagram: Diagram, chance: random.Random, *, generic: bool = False) -> None:
    """Hold a diagram against its text and the oracle. AssertionError for what differs, DiagramError
    where it cannot be compiled."""
    if not diagram.equalities:  # which of two equal formulas a wire gets is not kept
        round_trip(diagram)
    known = fixed(diagram, {})
    if unknown := missing(known):
        raise dg.DiagramError(unknown)
    operands = oracle.operands(known, seed=chance.randrange(2**31), whole=True)
    if sum(np.log2(max(int(n), 1)) for t in known.terms for n in t.sizes.values()) > 40:
        return  # the oracle would not end
    expected = oracle.value(known, operands)
    given = {n: torch.from_numpy(x.copy()) for n, x in operands.items()}
    native = chance.random() < 0.5
    function = diagram.compile(native=native)
    same(expected, function(**given), f"native={native}")
    if generic:
        order = [given[o.name] for o in function.operands]
        same(expected, function.generic()(*order), "for all shapes")
    simple = diagram.simplify().diagram
    if not simple.equalities:
        round_trip(simple)


def round_trip(diagram: Diagram) -> None:
    """`parse(str(d))[d.name] == d`, with the same requirements."""
    text = str(diagram)
    try:
        again = dg.parse(text)[diagram.name]
    except dg.DiagramError as error:
        raise AssertionError(f"{error.errors[0].message}, in a diagram's text:\n{text}") from error
    assert again == diagram, f"another diagram after str:\n{text}"
    assert str(again) == text, f"another text after str:\n{text}\n{again}"
    assert open_requirements(again) == open_requirements(diagram), f"in its text:\n{text}"


def opened(text: str, chance: random.Random) -> str:
    """The text of a random file with some of its sizes left open."""
    first, rest = text.split("\n", 1)
    kept = [e for e in first.removeprefix("size ").split(", ") if chance.random() < 0.3]
    return (f"size {', '.join(kept)}\n" if kept else "") + rest


def check_text(diagram: Diagram) -> None:
    """Hold a diagram with open sizes, as written and simplified, against its text."""
    for each in (diagram, diagram.simplify().diagram):
        if not each.equalities:  # which of two equal formulas a wire gets is not always kept
            round_trip(each)


def open_requirements(diagram: Diagram) -> set[tuple[Any, Any, int]]:
    """What a diagram requires that is not certain."""
    return {
        (r.value, r.least, r.slack)
        for r in diagram.requirements
        if not r.implied and not nonnegative(expand(r.value - r.least - r.slack - 1))
    }


def same(expected: Any, found: torch.Tensor, how: str) -> None:
    """Equal shapes and values; all are sums of small integers and halves."""
    assert tuple(found.shape) == expected.shape, f"{how}: shape {tuple(found.shape)}"
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    wrong = float(np.abs(found.numpy() - expected).max(initial=0.0))
    assert wrong <= 1e-9 * scale, f"{how}: wrong by {wrong}"


def run(seconds: float, seed: int, *, console: Console) -> Counter[str]:
    """Files for so many seconds; what was seen."""
    seen: Counter[str] = Counter()
    start, number = time.monotonic(), 0
    while time.monotonic() - start < seconds:
        number += 1
        chance = random.Random(f"{seed}/{number}")
        made = program(chance)
        name = chance.choice(made.names)
        try:
            check(dg.parse(made.text)[name], chance, generic=number % 4 == 0)
            seen[name] += 1
            if number % 4 == 1:
                check_text(dg.parse(opened(made.text, chance))[name])
        except dg.DiagramError as error:
            seen["refused"] += 1
            seen[f"refused: {error.errors[0].message.split(':')[0]}"] += 1
        except Exception as error:
            seen["wrong"] += 1
            first = str(error).partition("\n")[0]
            console.print(f"case {seed}/{number}, {name}: {type(error).__name__}: {first}")
            console.print(made.text, highlight=False, markup=False, soft_wrap=True)
    return seen


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    console = Console()
    seen = run(given.seconds, given.seed, console=console)
    checked = sum(n for name, n in seen.items() if len(name) <= 2)
    console.print(f"{checked} checked, {seen['refused']} refused, {seen['wrong']} wrong")
    for message, count in seen.most_common():
        if message.startswith("refused:"):
            console.print(f"  {count} {message}", highlight=False, markup=False)
    return 1 if seen["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
