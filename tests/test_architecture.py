"""Who may import whom, grammar, compiler and backends, and what importing leaves unloaded."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hanging import HANG

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "compiler": "diagrammar",
    "grammar": "diagrammar.grammar",
    "backends": "diagrammar.backends",
}
HEAVY = ("torch", "sympy", "networkx", "lark", "numpy", "opt_einsum", "rich", "typer")


def modules() -> dict[str, Path]:
    """Every module of the package, by the name that it is imported by."""
    found = {}
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join((package, *parts)).removesuffix(".__init__")
            found[name] = path
    return found


MODULES = modules()


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it: `from a import b` may be a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}, line {node.lineno}: a relative import"
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name in MODULES else str(node.module) for name in names)


def own(path: Path) -> set[str]:
    """What a file imports of diagrammar."""
    return {name for name in imports(path) if name.split(".")[0] == "diagrammar"}


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def test_the_walk_finds_modules_and_imports():
    assert {"diagrammar", "diagrammar.rewrite.rule", "diagrammar.grammar.parser"} <= MODULES.keys()
    assert "diagrammar.ir.relation" in own(MODULES["diagrammar.rewrite.rule"])
    assert "diagrammar.draw.steps" in own(MODULES["diagrammar.rewrite.engine"])  # inside a function


@pytest.mark.parametrize("name", [n for n in MODULES if within(n, "diagrammar.grammar")])
def test_grammar_knows_nothing_of_the_compiler(name: str):
    assert [n for n in own(MODULES[name]) if not within(n, "diagrammar.grammar")] == []


@pytest.mark.parametrize("name", [n for n in MODULES if within(n, "diagrammar.backends")])
def test_backends_see_only_a_program(name: str):
    allowed = ("diagrammar.backends", "diagrammar.program", "diagrammar.ir.scalar")
    assert [n for n in own(MODULES[name]) if not within(n, *allowed)] == []


NO_BACKENDS = (
    *("diagrammar.rules", "diagrammar.rewrite", "diagrammar.ir", "diagrammar.transform"),
    *("diagrammar.language", "diagrammar.program", "diagrammar.cost", "diagrammar.lowerings"),
    *("diagrammar.search", "diagrammar.plan", "diagrammar.draw"),
)


@pytest.mark.parametrize("name", [n for n in MODULES if within(n, *NO_BACKENDS)])
def test_diagrams_rules_and_plans_know_nothing_of_backends(name: str):
    assert [n for n in own(MODULES[name]) if within(n, "diagrammar.backends")] == []


@pytest.mark.parametrize("name", [n for n in MODULES if within(n, "diagrammar.program")])
def test_programs_and_their_passes_know_nothing_of_plans(name: str):
    assert [n for n in own(MODULES[name]) if within(n, "diagrammar.plan")] == []


PROGRAM = ("diagrammar.program.step", "diagrammar.program.program", "diagrammar.program.operations")


@pytest.mark.parametrize("name", [n for n in MODULES if within(n, *PROGRAM)])
def test_a_program_knows_nothing_else(name: str):
    assert [n for n in own(MODULES[name]) if not within(n, *PROGRAM, "diagrammar.ir.scalar")] == []


@pytest.mark.parametrize(
    "name", [n for n in MODULES if not within(n, "diagrammar.cli", "diagrammar.__main__")]
)
def test_the_library_knows_nothing_of_the_command_line(name: str):
    assert [
        n for n in own(MODULES[name]) if within(n, "diagrammar.cli", "diagrammar.__main__")
    ] == []


@pytest.mark.parametrize("name", [n for n in MODULES if not within(n, "diagrammar.integrations")])
def test_nobody_needs_an_integration(name: str):
    assert [n for n in own(MODULES[name]) if within(n, "diagrammar.integrations")] == []


def test_nobody_imports_a_folder_by_its_bare_name():
    everywhere = [
        p for folder in (*FOLDERS, "tests", "benchmarks") for p in (ROOT / folder).rglob("*.py")
    ]
    bare = {p.name: n for p in everywhere for n in imports(p) if n.split(".")[0] in FOLDERS}
    assert bare == {}


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_cannot_be_imported_by_its_bare_name(folder: str):
    done = python(f"import {folder}")
    assert done.returncode == 1
    message = done.stderr.splitlines()[-1]
    assert message == f"ImportError: import '{FOLDERS[folder]}', not the folder that holds it"


# -- what stays unloaded --------------------------------------------------------------------------


def python(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=HANG)


def loaded(code: str) -> set[str]:
    """The heavy packages that are loaded after some code."""
    done = python(f"import sys\n{code}\nprint('loaded:', *sys.modules)")
    assert done.returncode == 0, done.stderr
    names = done.stdout.splitlines()[-1].split()[1:]
    return {name for name in names if name in HEAVY}


@pytest.mark.parametrize("name", ["diagrammar", "diagrammar.grammar", "diagrammar.backends"])
def test_importing_loads_nothing_heavy(name: str):
    assert loaded(f"import {name}") == set()


def test_looking_into_the_package_loads_nothing_heavy():
    assert loaded("import diagrammar\ndir(diagrammar)\ndiagrammar.__version__") == set()


def test_help_loads_no_mathematics():
    assert loaded("from diagrammar.__main__ import main\nmain(['--help'])") <= {"rich", "typer"}


def test_check_show_and_compile_load_no_torch():
    run = "from diagrammar.__main__ import main\n"
    for line in (["check", "conv2d"], ["show", "conv2d", "dW", "--steps"], ["compile", "conv2d"]):
        assert "torch" not in loaded(f"{run}assert main({line!r}) == 0")


def test_specialising_and_reading_the_source_load_no_torch():
    code = "import diagrammar as dg\nf = dg.shipped('conv2d')['U'].compile()\n"
    assert "torch" not in loaded(f"{code}f.specialise(X=(1, 1, 4, 4)).source\n")


def test_no_module_loads_torch():
    lazily = "import importlib, diagrammar\n"
    names = [n for n in MODULES if not n.endswith("__main__")]
    names = [n for n in names if not within(n, "diagrammar.integrations")]  # on request only
    # what emitted modules take along is read as text
    names = [n for n in names if not n.startswith("diagrammar.backends.torch.helpers.")]
    names.remove("diagrammar.runtime.traced")  # in a trace, which is PyTorch's
    assert "torch" not in loaded(lazily + f"for n in {names!r}: importlib.import_module(n)")


def test_importing_loads_one_module_of_ours_and_none_of_others():
    """Beside a few of Python's own; benchmarks.overhead says how long that takes."""
    code = "import sys\nbefore = {*sys.modules}\nimport diagrammar\nprint(*{*sys.modules} - before)"
    done = python(code)
    names = done.stdout.split()
    assert "diagrammar" in names, done.stderr
    assert {name.split(".")[0] for name in names} - sys.stdlib_module_names == {"diagrammar"}
    assert [name for name in names if within(name, "diagrammar")] == ["diagrammar"]
    assert len(names) < 60


WORK = """
import contextlib, io, sys
from tests.work import counted
with counted() as work, contextlib.redirect_stdout(io.StringIO()):
    from diagrammar.__main__ import main
    assert main(["check", "conv2d"]) == 0
print(work.calls)
"""


def test_check_loads_what_it_needs():
    needed = {"lark", "networkx", "numpy", "sympy", "typer", "rich"}  # the last by older typers
    assert loaded("from diagrammar.__main__ import main\nmain(['check', 'conv2d'])") <= needed


def test_check_is_little_work():
    """A process of `check`: 1.75 million calls, of which 0.15 million after the imports."""
    done = python(WORK)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 3.5e6
