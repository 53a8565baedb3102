"""What a command prints and keeps: tables, as rich text and as Markdown, and rows as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.timing import machine

FOLDER = Path(__file__).parent / "results"
WIDE = 120
"""Columns of a table that is not written to a terminal."""


def console() -> Console:
    """Where a command prints: as wide as the terminal, and wide enough for tables elsewhere."""
    made = Console()
    return made if made.is_terminal else Console(width=WIDE)


@dataclass(frozen=True)
class Sheet:
    """A table of text: `labels` columns of words, then numbers; `bad` rows are marked."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int = 1
    notes: tuple[str, ...] = ()
    bad: frozenset[int] = frozenset()

    def rich(self) -> Table:
        """For the terminal."""
        caption = "\n".join(self.notes) or None
        table = Table(title=self.title, caption=caption, caption_justify="left")
        for n, name in enumerate(self.columns):
            table.add_column(name, justify="left" if n < self.labels else "right", no_wrap=n == 0)
        for n, row in enumerate(self.rows):
            table.add_row(*row, style="bold red" if n in self.bad else "")
        return table

    def markdown(self) -> str:
        """For a document."""
        rule = ["---" if n < self.labels else "---:" for n in range(len(self.columns))]
        lines = [self.columns, rule, *self.rows]
        table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        return "\n\n".join([f"**{self.title}**", table, *self.notes]) + "\n"


def save(
    name: str, command: str, sheets: Sequence[Sheet], rows: Iterable[Mapping[str, Any]]
) -> tuple[Path, Path]:
    """Write `results/NAME.md` and `.json`, with the command and the machine; their paths."""
    FOLDER.mkdir(exist_ok=True)
    facts = machine()
    said = ", ".join(f"{key} {value}" for key, value in facts.items())
    head = f"`{command}`\n\n{said}\n"
    markdown, data = FOLDER / f"{name}.md", FOLDER / f"{name}.json"
    markdown.write_text("\n".join([head, *(s.markdown() for s in sheets)]), encoding="utf-8")
    lines = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in rows)
    about = f'"command": {json.dumps(command)},\n "machine": {json.dumps(facts)}'
    data.write_text(f'{{{about},\n "rows": [\n{lines}\n ]}}\n', encoding="utf-8")
    return markdown, data
