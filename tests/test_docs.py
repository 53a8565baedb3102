"""Documents and docstrings are true: their code runs and prints what they show.

In README.md, CONTRIBUTING.md and all pages below docs, in the order of the page and in one folder,
empty at first:

- a ```python block runs, all blocks of a page in one namespace. A ```text block right after it is
  what it prints. A line `expression  # → value` is evaluated, and the value is as it would be
  printed.
- in a ```console block, each line that begins with `$ ` runs in bash; the lines up to the next one
  are what it prints, on either stream. Blocks marked sh or bash are not run.
- a block marked with a file's name, as in ```tn file=mine.tn, is written to that file.
- `…` in what is shown stands for anything. `<!-- not run: reason -->` above a block leaves it out.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib
import io
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import diagrammar as dg
from tests.hanging import HANG

ROOT = Path(__file__).parents[1]
PAGES = [p for p in (ROOT / "README.md", ROOT / "CONTRIBUTING.md") if p.exists()]
PAGES += sorted((ROOT / "docs").rglob("*.md"))


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what else stands on the fence, its text and first line."""

    language: str
    info: str
    text: str
    line: int
    follows: bool
    """Whether nothing but blank lines stands between it and the block before."""


FENCE = re.compile(r"^( *)```(\S*)[ \t]*(.*)\n((?:.*\n)*?)\1```[ \t]*$", re.MULTILINE)


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page that are not left out."""
    end = 0
    for found in FENCE.finditer(text):
        between = text[end : found.start()].strip()
        end = found.end()
        if re.search(r"<!-- not run: .+ -->$", between):
            continue
        indent, language, info, body = found.groups()
        plain = re.sub(f"^{indent}", "", body, flags=re.MULTILINE)
        line = text.count("\n", 0, found.start()) + 2
        yield Block(language, info, plain, line, follows=not between)


def agrees(shown: str, printed: str) -> bool:
    """Whether what is shown is what was printed; `…` is anything, blanks at line ends nothing."""
    wanted, found = (
        "\n".join(line.rstrip() for line in text.strip("\n").splitlines())
        for text in (shown, printed)
    )
    pattern = ".*".join(re.escape(part) for part in wanted.split("…"))
    return re.fullmatch(pattern, found, re.DOTALL) is not None


class Page:
    """Runs the blocks of a page; AssertionError says which one is not true."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.namespace: dict[str, Any] = {"__name__": "__main__"}

    def run(self) -> int:
        """Run all; the number of blocks that were."""
        found = list(blocks(self.path.read_text(encoding="utf-8")))
        ran = 0
        for block, after in zip(found, [*found[1:], None], strict=False):
            shown = after.text if after and after.follows and after.language == "text" else None
            if block.info.startswith("file="):
                Path(block.info.removeprefix("file=")).write_text(block.text, encoding="utf-8")
            if block.language == "python":
                self._python(block, shown)
                ran += 1
            elif block.language == "console":
                self._console(block)
                ran += 1
        return ran

    def _where(self, line: int) -> str:
        return f"{self.path.name}, line {line}"

    def _python(self, block: Block, shown: str | None) -> None:
        lines = block.text.splitlines()
        printed = io.StringIO()
        source = "\n" * (block.line - 1) + block.text
        with contextlib.redirect_stdout(printed):
            for statement in ast.parse(source, str(self.path)).body:
                last = lines[(statement.end_lineno or 0) - block.line]
                result = re.search(r"# → (.*)$", last)
                code = ast.Module([statement], [])
                if result and isinstance(statement, ast.Expr):
                    value = eval(
                        compile(ast.Expression(statement.value), self.path, "eval"), self.namespace
                    )
                    where = self._where(statement.lineno)
                    assert agrees(result[1], str(value)), f"{where}: shows {result[1]}, is {value}"
                else:
                    exec(compile(code, str(self.path), "exec"), self.namespace)
        if shown is not None:
            self._compare(shown, printed.getvalue(), block.line)

    def _console(self, block: Block) -> None:
        parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
        assert not parts[0].strip(), f"{self._where(block.line)}: no command"
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        for part in parts[1:]:
            command, _, shown = part.partition("\n")
            done = subprocess.run(
                ["bash", "-c", command],
                env={**os.environ, "PATH": path, "COLUMNS": "80"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=HANG,
            )
            self._compare(shown, done.stdout, block.line)

    def _compare(self, shown: str, printed: str, line: int) -> None:
        where = self._where(line)
        assert agrees(shown, printed), f"{where} shows\n{shown}\nbut it prints\n{printed}"


@pytest.mark.parametrize("page", PAGES, ids=[p.name for p in PAGES])
def test_a_page_is_true(page: Path, tmp_path: Path) -> None:
    """In a process of its own: a page may register rules and operations."""
    command = [sys.executable, str(Path(__file__)), str(page)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=HANG
    )
    if done.returncode and "pip install 'diagrammar[" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])  # which says what to install
    assert done.returncode == 0, done.stderr


MODULES = [
    m.name for m in pkgutil.walk_packages(dg.__path__, "diagrammar.") if "__main__" not in m.name
]


@pytest.mark.parametrize("name", ["diagrammar", *MODULES])
def test_docstrings_are_true(name: str) -> None:
    if name.startswith(("diagrammar.integrations.", "diagrammar.runtime.traced")):
        try:
            importlib.import_module(name)
        except ImportError as error:
            pytest.skip(str(error))  # which says what to install
    assert doctest.testmod(importlib.import_module(name)).failed == 0


# -- the runner itself ----------------------------------------------------------------------------


def run_text(text: str, folder: Path) -> int:
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    return Page(page).run()


def test_the_runner_runs_what_it_should(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = """
```python
x = 3
x + 1  # → 4
print("a\\nb\\nc")
```

```text
a
…
c
```

```txt file=note.txt
hello
```

```console
$ cat note.txt
hello
$ python -c "import diagrammar"; echo $?
0
```

<!-- not run: it would take a week -->
```python
raise SystemExit
```

```bash
rm -rf everything
```
"""
    assert run_text(page, tmp_path) == 2


@pytest.mark.parametrize(
    "page",
    [
        "```python\n1 + 1  # → 3\n```\n",
        "```python\nprint(1)\n```\n\n```text\n2\n```\n",
        "```console\n$ echo one\ntwo\n```\n",
        "```console\n$ echo one\n```\n",
    ],
)
def test_the_runner_finds_what_is_not_true(tmp_path: Path, page: str) -> None:
    with pytest.raises(AssertionError, match=r"page.md, line 2"):
        run_text(page, tmp_path)


if __name__ == "__main__":
    Page(Path(sys.argv[1])).run()
