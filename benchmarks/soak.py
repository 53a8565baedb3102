"""Files under stress: many writers, processes killed at random moments, full disks, damage.

Caches and outputs must lose nothing: every entry that a writer was told is stored stays, a file is
the old text or the new one, nothing is left behind, and no damage is believed.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Annotated

import typer

from benchmarks import results
from benchmarks.progress import tracked
from benchmarks.results import Sheet
from benchmarks.soak_scenes import SCENES, Seen


def seen(name: str, seed: int, turns: float) -> Seen:
    """One scene in an empty folder; a part of its rounds if `turns` is below one."""
    scene, rounds, _ = SCENES[name]
    with tempfile.TemporaryDirectory() as folder:
        return scene(Path(folder), Random(f"{seed} {name}"), max(1, round(rounds * turns)))


def sheet(rows: Iterable[tuple[str, Seen]]) -> Sheet:
    """A row a scene."""
    listed = list(rows)
    cells = tuple(
        (name, f"{s.tries} {SCENES[name][2]}", str(s.lost), str(s.litter), str(s.wrong), s.note)
        for name, s in listed
    )
    return Sheet(
        "caches and outputs under stress",
        ("scene", "tries", "lost", "left behind", "wrong", "note"),
        cells,
        notes=(
            "lost: entries that were stored, or files that are neither the old nor the new text; "
            "wrong: crashes, and values that were believed and cannot be",
        ),
        bad=frozenset(n for n, (_, s) in enumerate(listed) if not s.good),
    )


def main(
    turns: Annotated[float, typer.Option(min=0.01, help="How many times the usual rounds.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Makes moments and places repeatable.")] = 0,
    only: Annotated[str, typer.Option(help="Scenes whose name contains this.")] = "",
    save: Annotated[bool, typer.Option(help="Write results/soak.md and .json.")] = False,
) -> None:
    """Put caches and outputs under stress; exits with 1 if anything is lost, left or wrong.

    For example `python -m benchmarks.soak --turns 0.1 --only killed`. It takes minutes.
    """
    console = results.console()
    names = [name for name in SCENES if only in name]
    rows: list[tuple[str, Seen]] = []
    with tracked(console) as progress:
        for name in progress.track(names, description="scenes"):
            rows.append((name, seen(name, seed, turns)))
    table = sheet(rows)
    console.print(table.rich())
    if save:
        data = ({"scene": name, **vars(s)} for name, s in rows)
        command = f"python -m benchmarks.soak --turns {turns:g} --seed {seed}"
        console.print("written:", *results.save("soak", command, [table], data))
    sys.exit(0 if rows and all(s.good for _, s in rows) else 1)


if __name__ == "__main__":
    typer.run(main)
