"""Throw broken texts and raw bytes at the language's front end: `python -m tests.grammar.fuzz`.

Every input must end as a syntax tree or as problems that can be shown: no exception, none of the
parser's own words, no more calls of functions than MOST_CALLS, no memory kept. What parses without
a problem must also be the same after formatting.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benchmarks import results
from diagrammar.grammar.errors import DiagramError
from diagrammar.grammar.formatter import format_file
from diagrammar.grammar.parser import decode, parse
from diagrammar.grammar.source import Source
from tests.grammar import golden
from tests.grammar.test_broken import FILES, internal_words
from tests.work import counted

MOST_CALLS = 1_000_000
"""Calls of functions, Python's own among them, that one input may make."""

PIECES = (
    "size", "param", "rank", "use", "tensor", "constant", "pattern", "conv", "view", "vjp",
    "jvp", "jacobian", "sample", "mod", "as", "delta", "ones", "[", "]", "(", ")", "+", "-",
    "*", "/", "//", "^", "=", ":=", "==", "<", "<=", ">", ">=", ",", "...", "..", ".", "|", "'",
    '"', "#", "{", "}", ";", ":", "!", "\\", "@", "**", "->", "0", "1", "64", "65", "0.5",
    "1e-3", "9999999999999999999", "X", "Y[b]", "W[(g co), ci]", "i...", "i.0", "i'", "layer.U",
    "|b|", "|i...|", "'same'", "((((((((", "))))))))", "[[[[", "------", "\xe9", "\u03bb",
    "\xd7", "\u2026", "\u2019", "\xb2", "\u5f20", "\u2603", "\xa0", "\u200b", "\u2028",
    "\ufeff", "\x00", "\x1b", "\r", "\t", "\x0c", "\x0b", "\n", "\n\n", "\n    ", " ",
    "# why\n", "\n# why\n",
)  # fmt: skip


@dataclass
class Findings:
    """What a run has seen."""

    inputs: int = 0
    parsed: int = 0
    problems: int = 0
    most_calls: int = 0
    """Those of one input: each is read, its problems are written, and what parses is formatted."""
    memory_before: int = 0
    memory_after: int = 0

    def __str__(self) -> str:
        grown = (self.memory_after - self.memory_before) / 2**20
        return (
            f"{self.inputs:,} inputs: {self.parsed:,} without a problem, "
            f"{self.problems:,} problems in the others, "
            f"at most {self.most_calls:,} calls for one, "
            f"memory grown by {grown:.1f} MiB"
        )


def seeds() -> list[str]:
    """The shipped programs, as often as the broken ones of the tests."""
    library = resources.files("diagrammar.library").iterdir()
    shipped = [path.read_text("utf-8") for path in library if path.name.endswith(".tn")]
    broken = [golden.split(path)[0] for path in FILES]
    return [*shipped * (len(broken) // len(shipped)), *broken]


def mutated(texts: Sequence[str], chance: random.Random) -> bytes:
    """One input: some lines of a program with a few changes, or bytes."""
    if chance.random() < 0.05:
        return chance.randbytes(chance.randrange(200))
    lines = chance.choice(texts).splitlines(keepends=True)
    first = chance.randrange(len(lines))
    text = "".join(lines[first : first + chance.randint(1, 8)])
    for _ in range(chance.choice([0, 1, 1, 2, 3, 8])):
        start = chance.randrange(len(text) + 1)
        stop = min(len(text), start + chance.choice([0, 0, 1, 1, 2, 5, 20]))
        piece = chance.choice(
            [
                "",
                chance.choice(PIECES),
                chr(chance.randrange(0x20, 0x7F)),
                text[start:stop] * 2,
                chance.choice(texts)[start : start + 30],
            ]
        )
        text = text[:start] + piece + text[stop:]
    data = text.encode("utf-8", "surrogatepass")
    if chance.random() < 0.02 and data:
        at = chance.randrange(len(data))
        data = data[:at] + chance.randbytes(2) + data[at + 1 :]
    return data


def check(data: bytes, findings: Findings) -> None:
    """Look at all that comes of one input and count the work; raises if something is wrong."""
    findings.inputs += 1
    with counted() as work:
        _check(data, findings)
    assert work.calls < MOST_CALLS, f"{work.calls:,} calls"
    findings.most_calls = max(findings.most_calls, work.calls)


def _check(data: bytes, findings: Findings) -> None:
    """Parse, write the problems, format and parse again."""
    try:
        source = decode(data, "fuzz.tn")
    except DiagramError as error:
        findings.problems += len(error.errors)
        return
    parsed = parse(source)
    for problem in parsed.problems:
        assert str(problem)
        words = internal_words(f"{problem.message} {problem.label} {problem.help}")
        assert not words, f"{words} in {problem.message!r}"
    findings.problems += len(parsed.problems)
    if not parsed.problems:
        findings.parsed += 1
        text = format_file(parsed.file)
        again = parse(Source(text))
        assert not again.problems, text
        assert again.file == parsed.file, text
        assert format_file(again.file) == text


def memory() -> int:
    """The bytes that the process holds (Linux), else 0."""
    gc.collect()
    status = Path("/proc/self/statm")
    pages = int(status.read_text().split()[1]) if status.exists() else 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def fuzz(inputs: int, seed: int, *, quiet: bool = True) -> Findings:
    """So many inputs, the same for a seed. Raises RuntimeError with the input that fails."""
    chance, texts, findings = random.Random(seed), seeds(), Findings()
    for number in track(range(inputs), "fuzzing", disable=quiet):
        data = mutated(texts, chance)
        try:
            check(data, findings)
        except Exception as reason:
            message = f"input {number} of seed {seed}: {data!r}"
            raise RuntimeError(message) from reason
        if number == inputs // 5:
            findings.memory_before = memory()
    findings.memory_after = memory()
    return findings


def save(findings: Findings, seed: int) -> None:
    """Keep what a run has seen, with its command and the machine."""
    seen = asdict(findings)
    grown = (findings.memory_after - findings.memory_before) / 2**20
    sheet = results.Sheet(
        "mutated programs and raw bytes, given to the front end",
        ("inputs", "without a problem", "problems in the others", "most calls", "memory, MiB"),
        (
            (
                f"{findings.inputs:,}",
                f"{findings.parsed:,}",
                f"{findings.problems:,}",
                f"{findings.most_calls:,}",
                f"{grown:+.1f}",
            ),
        ),
        labels=0,
        notes=(
            f"Calls of functions that one input made; limit: {MOST_CALLS:,}. Memory grown after "
            "the first fifth of the inputs; limit: 16 MiB. Any exception ends the run: there was "
            "none.",
        ),
    )
    command = f"python -m tests.grammar.fuzz --inputs {findings.inputs} --seed {seed} --save"
    results.save("fuzz", command, [sheet], [seen])


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, help="check these instead")
    parser.add_argument("--inputs", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/fuzz.md")
    given = parser.parse_args()
    if given.files:
        findings = Findings()
        for path in given.files:
            check(path.read_bytes(), findings)
    else:
        findings = fuzz(given.inputs, given.seed, quiet=False)
    Console().print(str(findings), highlight=False)
    if given.save:
        save(findings, given.seed)
    return 0 if findings.memory_after - findings.memory_before < 16 * 2**20 else 1


if __name__ == "__main__":
    sys.exit(main())
