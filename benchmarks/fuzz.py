"""Random values everywhere: files, names, numbers, parameters, options, sizes, dtypes, operands.

Every case must end with a result or a DiagramError, within a bound of work, and every module that
is emitted must run alone and be clean for ruff and `mypy --strict`. Cases run in blocks, each in a
process of its own, so that one that ends its process is a finding and not the end of the search;
with `--keep FILE` what was done is read again and the search goes on behind it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import results
from benchmarks.fuzz_cases import MOST_CALLS, case
from benchmarks.progress import tracked
from benchmarks.results import Sheet

BLOCK = 200
"""Cases of one process."""
SECONDS = 1200
"""After which a block counts as one that does not come back."""
MEMORY = 8 * 2**30
"""Bytes of addresses that a block may take."""
ALONE = """
import importlib, json, sys, torch
sys.path.insert(0, sys.argv[1])
for about in json.load(sys.stdin):
    try:
        module = importlib.import_module(about["name"])
        if about["called"]:
            (function,) = (getattr(module, name) for name in module.__all__)
            kinds = [getattr(torch, d) for _, d in about["operands"]]  # integers are cast before
            kinds = [d if d.is_floating_point or d.is_complex else torch.float64 for d in kinds]
            shapes = [s for s, _ in about["operands"]]
            function(*(torch.ones(s, dtype=d) for s, d in zip(shapes, kinds, strict=True)))
    except Exception as error:  # any is a fault of the module, and a row
        print(json.dumps([about["name"], f"{type(error).__name__}: {error}"[:200]]))
if "diagrammar" in sys.modules:
    print(json.dumps(["all", "diagrammar was imported"]))
"""
Row = Mapping[str, Any]


def block(first: int, count: int, seed: int) -> list[Row]:
    """The rows of some cases, run elsewhere; a case that ends its process is a fault of its own."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        while len(rows) < count:
            start, stop = first + len(rows), first + count
            rows += _attempt(start, stop, seed, folder)
        bad = list(_modules_at_fault(Path(folder), rows))
    by_case: dict[int, list[str]] = {}
    for name, said in bad:
        by_case.setdefault(int(name[1:].partition("_")[0]), []).append(said)
    for row in rows:
        if row["number"] in by_case and row["ends"] == "result":
            said = by_case[row["number"]][0]
            row |= {"ends": "fault", "stage": "alone", "said": said, "where": "emitted module"}
    return rows


def _attempt(start: int, stop: int, seed: int, folder: str) -> list[Row]:
    """Cases up to the first that ends its process, with that."""
    code = (
        "import sys; from benchmarks.fuzz import work; work(*map(int, sys.argv[1:4]), sys.argv[4])"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(start), str(stop), str(seed), folder]
    said, ended = "", 0
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        said, ended = done.stdout, done.returncode
    except subprocess.TimeoutExpired as late:
        said, ended = (late.stdout or b"").decode(), -1
    rows = [json.loads(line) for line in said.splitlines(keepends=True) if line.endswith("\n")]
    if start + len(rows) < stop:
        what = "does not come back" if ended == -1 else f"the process ends with {ended}"
        rows.append({**_empty(start + len(rows)), "ends": "fault", "said": what})
    return rows


def _empty(number: int) -> dict[str, Any]:
    from benchmarks.fuzz_cases import Case

    return Case(number, where="the process", stage="unknown").row()


def work(start: int, stop: int, seed: int, folder: str) -> None:
    """What the process of a block does: a line of JSON for each case."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no row
    for number in range(start, stop):
        print(json.dumps(case(number, seed, Path(folder)).row()), file=out, flush=True)


def _modules_at_fault(folder: Path, rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """Modules that do not run alone, and those that linters or type checkers complain of."""
    modules = [about for row in rows for about in row["modules"]]
    if not modules:
        return
    done = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", "-c", ALONE, str(folder)],
        input=json.dumps(modules), capture_output=True, text=True, check=False,
    )  # fmt: skip
    for line in done.stdout.splitlines():
        name, said = json.loads(line)
        yield name, f"alone: {said}"
    if done.returncode:
        yield modules[0]["name"], f"alone: ends with {done.returncode}: {done.stderr[-200:]}"
    names = [f"{about['name']}.py" for about in modules]
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--output-format", "concise"]
    mypy = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir"]
    cache = str(Path(tempfile.gettempdir()) / "diagrammar-fuzz-mypy")
    for tool in ([*ruff, *names], [*mypy, cache, *names]):
        done = subprocess.run(tool, capture_output=True, text=True, cwd=folder, check=False)
        for line in done.stdout.splitlines():
            file, found, said = line.partition(".py:")
            if found and ": note: " not in said:
                yield file, f"{tool[2]}: {said.split(' ', 1)[-1][:150]}"
        if done.returncode > 1:
            yield modules[0]["name"], f"{tool[2]}: {done.stderr[-200:]}"


def sheets(rows: Sequence[Row]) -> list[Sheet]:
    """How cases end, by what they were at; what was drawn; and the faults."""
    ends = Counter((row["ends"], row["stage"]) for row in rows)
    drawn: Counter[str] = Counter()
    for row in rows:
        drawn.update(row["drawn"])
    faults: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        if row["ends"] in ("fault", "work"):
            faults.setdefault((row["where"], row["said"][:70]), []).append(row["number"])
    modules = sum(len(row["modules"]) for row in rows)
    most = max((row["calls"] for row in rows), default=0)
    tables = [
        Sheet(
            f"how {len(rows):,} cases end",
            ("ends", "at", "cases"),
            tuple((e, at, f"{n:,}") for (e, at), n in sorted(ends.items())),
            labels=2,
            notes=(
                f"{modules:,} emitted modules, each run alone, ruff and mypy --strict; "
                f"at most {most:,} calls of functions for a case, {MOST_CALLS:,} are allowed",
            ),
            bad=frozenset(n for n, (e, _) in enumerate(sorted(ends)) if e in ("fault", "work")),
        ),
        Sheet(
            f"{drawn.total():,} values drawn",
            ("value", "drawn"),
            tuple((what, f"{n:,}") for what, n in sorted(drawn.items())),
        ),
    ]
    if faults:
        listed = sorted(faults.items(), key=lambda item: -len(item[1]))
        cells = tuple((where, said, str(len(at)), str(at[0])) for (where, said), at in listed)
        tables.append(Sheet("faults", ("where", "what", "cases", "first"), cells, labels=2))
    return tables


def _kept(keep: Path | None) -> list[Row]:
    """Rows that an earlier run kept, whole lines only."""
    if keep is None or not keep.exists():
        return []
    lines = keep.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def main(
    values: Annotated[int, typer.Option(min=1, help="Go on until so many were drawn.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Makes a run repeatable.")] = 0,
    keep: Annotated[Path | None, typer.Option(help="Keep rows here, and go on from them.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Blocks side by side.")] = 1,
    only: Annotated[int | None, typer.Option("--case", help="Run and show this case only.")] = None,
    save: Annotated[bool, typer.Option(help="Write results/fuzz_values.md and .json.")] = False,
) -> None:
    """Put random values into files, parameters, operands and names; exits with 1 on any fault.

    For example `python -m benchmarks.fuzz --values 5000`, or `--case 17` for one case.
    """
    console = results.console()
    if only is not None:
        console.print(case(only, seed, show=True).row(), markup=False)
        return
    rows = _kept(keep)
    done = {row["number"] // BLOCK for row in rows}
    drawn = sum(sum(row["drawn"].values()) for row in rows)
    following = (n for n in range(10**9) if n not in done)
    with tracked(console) as progress, ThreadPoolExecutor(processes) as pool:
        task = progress.add_task("values", total=values, completed=drawn)
        count = processes if drawn < values else 0
        running = {pool.submit(block, next(following) * BLOCK, BLOCK, seed) for _ in range(count)}
        while running:
            finished = next(as_completed(running))
            running.remove(finished)
            rows += finished.result()
            drawn += sum(sum(row["drawn"].values()) for row in finished.result())
            progress.update(task, completed=min(drawn, values))
            if keep is not None:
                with open(keep, "a", encoding="utf-8") as stream:
                    stream.writelines(json.dumps(row) + "\n" for row in finished.result())
            if drawn < values:
                running.add(pool.submit(block, next(following) * BLOCK, BLOCK, seed))
    tables = sheets(sorted(rows, key=lambda row: row["number"]))
    for table in tables:
        console.print(table.rich())
    if save:
        command = f"python -m benchmarks.fuzz --values {values} --seed {seed}"
        faults = [row for row in rows if row["ends"] in ("fault", "work")]
        console.print("written:", *results.save("fuzz_values", command, tables, faults))
    sys.exit(any(row["ends"] in ("fault", "work") for row in rows))


if __name__ == "__main__":
    typer.run(main)
