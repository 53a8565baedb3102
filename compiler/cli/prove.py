"""`diagrammar verify`: compare rewrites and emitted functions with the oracle, as a table."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from diagrammar.cli.inputs import chosen, load
from diagrammar.cli.output import note
from diagrammar.language.spec import Spec
from diagrammar.verify import Mismatch, Report, verify


def run(file: str, names: Sequence[str], *, cases: int, seed: int) -> int:
    """Verify a file's definitions; the exit status."""
    spec = load(file)
    selected = chosen(spec, names)
    report = _with_progress(spec, selected, cases, seed)
    print(report)
    kinds: dict[tuple[str, str], list[Mismatch]] = {}
    for mismatch in report.mismatches:
        kinds.setdefault((mismatch.definition, mismatch.what), []).append(mismatch)
    for first, *others in kinds.values():
        note(f"\nmismatch: {first}" + f"\n  and {len(others)} more like it" * bool(others))
    return 0 if report.ok else 1


def _with_progress(spec: Spec, names: Sequence[str], cases: int, seed: int) -> Report:
    """Verify; on a terminal, with a progress bar."""
    if not sys.stderr.isatty():
        return verify(spec, cases, seed, names=names)
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("verify", total=cases * len(names))
        return verify(
            spec,
            cases,
            seed,
            names=names,
            progress=lambda name: bar.update(task, advance=1, description=name),
        )
