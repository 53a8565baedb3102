"""Who may import whom, grammar, compiler and backends, and what importing leaves unloaded.

All imports are read, also those inside functions and those for types only.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import networkx
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


class Import(NamedTuple):
    """A module that is imported: where, and whether in a function or for types only."""

    name: str
    line: int
    inside: bool = False
    types: bool = False


def imports(text: str) -> Iterator[Import]:
    """Every module that a file imports, anywhere in it: `from a import b` may be a.b."""
    yield from _below(ast.parse(text), inside=False, types=False)


def _below(node: ast.AST, *, inside: bool, types: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(a.name, child.lineno, inside, types) for a in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: a relative import"
            for name in (f"{child.module}.{alias.name}" for alias in child.names):
                found = name if name in MODULES else str(child.module)
                yield Import(found, child.lineno, inside, types)
        elif isinstance(child, ast.If):
            only = "TYPE_CHECKING" in ast.unparse(child.test)
            for part in child.body:
                yield from _below(ast.Module([part], []), inside=inside, types=types or only)
            for part in child.orelse:
                yield from _below(ast.Module([part], []), inside=inside, types=types)
        else:
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _below(child, inside=inside or function, types=types)


def read(path: Path) -> tuple[Import, ...]:
    return tuple(imports(path.read_text(encoding="utf-8")))


def own(path: Path) -> set[str]:
    """What a file imports of diagrammar."""
    return {i.name for i in read(path) if i.name.split(".")[0] == "diagrammar"}


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def test_the_walk_finds_modules_and_imports():
    assert {"diagrammar", "diagrammar.rewrite.rule", "diagrammar.grammar.parser"} <= MODULES.keys()
    assert "diagrammar.ir.relation" in own(MODULES["diagrammar.rewrite.rule"])
    assert "diagrammar.draw.steps" in own(MODULES["diagrammar.verbs"])  # inside a function


def test_the_walk_tells_where_an_import_stands():
    text = """
import a
if TYPE_CHECKING:
    import b
else:
    import c
def f():
    import d
    if x:
        from diagrammar import verbs
class C:
    def g(self):
        try:
            import e
        except ImportError:
            pass
"""
    assert list(imports(text)) == [
        Import("a", 2),
        Import("b", 4, types=True),
        Import("c", 6),
        Import("d", 8, inside=True),
        Import("diagrammar.verbs", 10, inside=True),
        Import("e", 14, inside=True),
    ]


# -- the order ------------------------------------------------------------------------------------

ORDER = (
    *("services", "replacing", "grammar", "ir", "transform", "rewrite", "rules", "library"),
    *("language", "program", "lowerings", "cost", "search", "plan", "backends", "runtime"),
    *("verify", "factorised", "draw", "notebook", "layers", "networks", "integrations", "verbs"),
    *("__init__", "cli", "__main__"),
)
"""Folders, and modules that stand in none: each imports only those before it, and itself."""
UPWARDS_FOR_TYPES = {
    ("diagrammar.ir.diagram", "diagrammar.rewrite.engine"),  # what verbs return
    ("diagrammar.ir.diagram", "diagrammar.runtime.function"),
    ("diagrammar.language.spec", "diagrammar.runtime.function"),
    ("diagrammar.runtime.traced", "diagrammar.layers.operations"),  # whose functions it makes, too
}
LARK = ("mistakes", "tokens", "tree", "words")
INSIDE_FUNCTIONS = {
    *(("diagrammar.grammar.parser", f"diagrammar.grammar.{name}") for name in LARK),  # import lark
    ("diagrammar.draw", "diagrammar.draw.formats"),  # imports sympy and networkx
    ("diagrammar.runtime.function", "diagrammar.runtime.traced"),  # imports torch
    ("diagrammar.layers.operations", "diagrammar.runtime.traced"),
}
"""Beside those of `verbs`, which imports services when they are asked for, and the command line."""

Arrow = tuple[str, Import]


def place(name: str) -> str:
    """The folder of a module, or the module itself where it stands in none."""
    return name.split(".")[1] if "." in name else "__init__"


def arrows() -> list[Arrow]:
    """All imports of ours by ours."""
    return [
        (module, found)
        for module, path in MODULES.items()
        for found in read(path)
        if found.name in MODULES and found.name != module
    ]


ARROWS = arrows()


def upwards(found: list[Arrow]) -> set[tuple[str, str]]:
    """Imports of what comes later in the order."""
    at = {name: n for n, name in enumerate(ORDER)}
    return {(m, i.name) for m, i in found if at[place(i.name)] > at[place(m)]}


def circles(found: list[Arrow]) -> list[set[str]]:
    """Modules that import each other, directly or by others; types need no import at run time."""
    graph = networkx.DiGraph((m, i.name) for m, i in found if not i.types)
    return [group for group in networkx.strongly_connected_components(graph) if len(group) > 1]


def test_the_order_names_all_folders_and_modules_without_one():
    assert {place(name) for name in MODULES} == set(ORDER)


def test_the_order_stands_in_contributing():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = page.partition("## Where things are")[2].partition("\n## ")[0]
    rows = [line for line in table.replace("\\", "").splitlines() if line.startswith("| ")]
    firsts = [row.split("|")[1] for row in rows[1:]]
    named = [n for first in firsts for n in re.findall(r"(\w+)(?:/|\.py)(?!\w)", first)]
    assert tuple(named) == ORDER


def test_no_arrow_leads_up():
    assert upwards([a for a in ARROWS if not a[1].types]) == set()
    assert upwards([a for a in ARROWS if a[1].types]) == UPWARDS_FOR_TYPES


def test_there_is_no_circle():
    assert circles(ARROWS) == []


def test_imports_inside_functions_are_for_verbs_and_the_command_line():
    inside = {(m, i.name) for m, i in ARROWS if i.inside}
    doors = ("diagrammar.verbs", "diagrammar.cli", "diagrammar.__main__")
    assert {a for a in inside if not within(a[0], *doors)} == INSIDE_FUNCTIONS


def test_an_arrow_up_and_a_circle_are_seen():
    up = ("diagrammar.ir.diagram", Import("diagrammar.draw.svg", 1, inside=True))
    assert upwards([*ARROWS, up]) >= {("diagrammar.ir.diagram", "diagrammar.draw.svg")}
    assert {"diagrammar.ir.diagram", "diagrammar.draw.svg"} <= set().union(*circles([*ARROWS, up]))


# -- who may import whom, more closely -------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in MODULES if within(n, "diagrammar.grammar")])
def test_grammar_knows_nothing_of_the_compiler(name: str):
    assert [n for n in own(MODULES[name]) if not within(n, "diagrammar.grammar")] == []


@pytest.mark.parametrize("name", [n for n in MODULES if within(n, "diagrammar.backends")])
def test_backends_see_only_a_program(name: str):
    allowed = ("diagrammar.backends", "diagrammar.program", "diagrammar.ir.scalar")
    allowed += ("diagrammar.cost.device",)  # where a backend says what its devices are
    assert [n for n in own(MODULES[name]) if not within(n, *allowed)] == []


@pytest.mark.parametrize("name", [n for n in MODULES if within(n, "diagrammar.draw")])
def test_pictures_know_nothing_of_backends(name: str):
    assert [n for n in own(MODULES[name]) if within(n, "diagrammar.backends")] == []


@pytest.mark.parametrize("name", [n for n in MODULES if within(n, "diagrammar.program")])
def test_programs_and_their_passes_know_nothing_of_plans(name: str):
    assert [n for n in own(MODULES[name]) if within(n, "diagrammar.plan")] == []


PROGRAM = ("diagrammar.program.step", "diagrammar.program.program", "diagrammar.program.operations")


@pytest.mark.parametrize("name", [n for n in MODULES if within(n, *PROGRAM)])
def test_a_program_knows_nothing_else(name: str):
    sizes = [f"diagrammar.ir.{name}" for name in ("scalar", "estimate", "covering")]
    assert [n for n in own(MODULES[name]) if not within(n, *PROGRAM, *sizes)] == []


@pytest.mark.parametrize("name", [n for n in MODULES if not within(n, "diagrammar.integrations")])
def test_nobody_needs_an_integration(name: str):
    assert [n for n in own(MODULES[name]) if within(n, "diagrammar.integrations")] == []


def test_nobody_imports_a_folder_by_its_bare_name():
    everywhere = [
        p for folder in (*FOLDERS, "tests", "benchmarks") for p in (ROOT / folder).rglob("*.py")
    ]
    bare = {p.name: i for p in everywhere for i in read(p) if i.name.split(".")[0] in FOLDERS}
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


def test_importing_loads_the_verbs_and_nothing_of_others():
    """Beside a few of Python's own; benchmarks.overhead says how long that takes."""
    code = "import sys\nbefore = {*sys.modules}\nimport diagrammar\nprint(*{*sys.modules} - before)"
    done = python(code)
    names = done.stdout.split()
    assert "diagrammar" in names, done.stderr
    assert {name.split(".")[0] for name in names} - sys.stdlib_module_names == {"diagrammar"}
    ours = {name for name in names if within(name, "diagrammar")}
    assert ours == {"diagrammar", "diagrammar.services", "diagrammar.verbs"}
    assert len(names) < 60


PARSE = """
import sys, diagrammar as dg
dg.parse("tensor A[i, k]\\nC[i] = A[i, k]")
print(*(name for name in sys.modules if name.split(".")[0] == "diagrammar"))
"""


def test_parsing_loads_no_service():
    """Nothing that rewrites, plans, computes or draws; a fifth of all modules."""
    done = python(PARSE)
    assert done.returncode == 0, done.stderr
    ours = done.stdout.split()
    front = {"services", "verbs", "__init__", "grammar", "ir", "transform", "library", "language"}
    assert {place(name) for name in ours} == front
    assert len(ours) <= len(MODULES) / 5


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
