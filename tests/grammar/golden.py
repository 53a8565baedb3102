"""Golden files of mistakes: a broken text, and below a line of its own everything that is said of
it.

`pytest --update` rewrites what is said; the difference is for reading. The compiler's mistakes are
kept in the same form: `check(path, report, update=…)` with a `report` of one's own.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from diagrammar.grammar.errors import Problem
from diagrammar.grammar.source import Source

MARK = "# -- what is said of it "
_RULE = MARK + "-" * (100 - len(MARK))


def check(path: Path, report: Callable[[Source], Iterable[Problem]], *, update: bool) -> None:
    """Compare all that `report` says of a broken file with what stands below it."""
    text, expected = split(path)
    problems = list(report(Source(text, path.name)))
    assert problems, f"nothing is wrong with {path.name}"
    said = "\n\n".join(str(problem) for problem in problems)
    if update:
        path.write_text(text + join(said), encoding="utf-8", newline="")
    else:
        assert said == expected


def split(path: Path) -> tuple[str, str]:
    """The broken text of a golden file, and what is expected to be said of it."""
    text, _, below = path.read_bytes().decode("utf-8").partition(MARK)
    lines = below.split("\n")[1:]
    return text, "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines).rstrip("\n")


def join(said: str) -> str:
    """What is said, as comment lines under the mark."""
    lines = (f"# {line}" if line else "#" for line in said.split("\n"))
    return "\n".join([_RULE, *lines, ""])
