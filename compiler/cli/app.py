"""The commands as typer sees them: arguments, options, help with examples.

Each command imports its modules when it runs, so that `--help` is quick.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diagrammar import __version__

if TYPE_CHECKING:
    from diagrammar.grammar.errors import Problem


def _examples(*lines: str) -> str:
    """Command lines that help shows at its end."""
    return "\n\n".join(("[bold]Examples[/]", *lines))


app = typer.Typer(
    name="diagrammar",
    help="Check, format, show, compile and verify tensor-network diagrams in .tn files.",
    epilog=_examples(
        "diagrammar check conv2d.tn",
        "diagrammar show conv2d A_reduce --steps",
        "diagrammar compile conv2d.tn -o ops.py",
    ),
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Format(StrEnum):
    """A format to show a diagram in."""

    text = "text"
    svg = "svg"
    html = "html"
    tikz = "tikz"
    dot = "dot"


class DeviceKind(StrEnum):
    """A kind of device that computes."""

    cpu = "cpu"
    cuda = "cuda"


def _complete_name(context: typer.Context, incomplete: str) -> list[str]:
    """The definitions of the file on the command line, for the shell to complete."""
    from diagrammar.cli.inputs import complete_definitions

    file = context.params.get("file")
    return complete_definitions(file, incomplete) if file and file != "-" else []


File = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="A .tn file, the name of a shipped one (conv2d), or - for standard input.",
    ),
]
Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE", help="Files with definitions; - is standard input."),
]
Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME", help="Definitions; all, if none is named.", autocompletion=_complete_name
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A size or parameter: --set k1=3,s=2 or p=same or p=1,2. May be repeated.",
    ),
]

Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="A definition of the file.", autocompletion=_complete_name),
]
Threads = Annotated[
    int, typer.Option("--threads", min=0, help="Threads of the processor; 0: as torch has it.")
]


def _shape(help: str) -> Any:
    """The option `--shape`, which may be repeated."""
    return typer.Option("--shape", metavar="X=8,64,56,56", help=help)


def _output(metavar: str, help: str) -> Any:
    """The option `--output`."""
    return typer.Option("--output", "-o", metavar=metavar, help=help)


def _show_version(value: bool) -> None:
    """Print the version and end, where `--version` is given."""
    if value:
        print(f"diagrammar {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _main(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Show help where there is no command."""
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


@app.command(
    epilog=_examples(
        "diagrammar check conv2d.tn",
        "diagrammar check *.tn",
        "cat conv2d.tn | diagrammar check -",
    )
)
def check(files: Files) -> None:
    """Report every error of the files, or a line per definition: operands, summed wires, sizes."""
    from diagrammar.cli.check import run

    raise typer.Exit(run(files))


@app.command(
    epilog=_examples(
        "diagrammar fmt conv2d.tn",
        "diagrammar fmt --check *.tn",
        "diagrammar fmt - < conv2d.tn",
    )
)
def fmt(
    files: Files,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Write nothing; list the files that would change, and exit with 1."
        ),
    ] = False,
) -> None:
    """Write files in their canonical form, in place. A file with syntax errors stays as it is."""
    from diagrammar.cli.fmt import run

    raise typer.Exit(run(files, check=check))


@app.command(
    epilog=_examples(
        "diagrammar show conv2d A_reduce --steps",
        "diagrammar show conv2d Y --set k1=1,k2=1,s=2,p=0 --steps",
        "diagrammar show conv2d U --format html --shape X=8,3,32,32 -o U.html",
    )
)
def show(
    file: File,
    name: Name,
    steps: Annotated[bool, typer.Option("--steps", help="Show every rewrite on the way.")] = False,
    format: Annotated[Format, typer.Option("--format", help="How to show it.")] = Format.text,
    values: Set = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="The diagram as it is written, not simplified.")
    ] = False,
    picture: Annotated[
        bool, typer.Option("--picture", help="Draw it above its text, for terminals.")
    ] = False,
    shape: Annotated[
        list[str] | None, _shape("The shape of an operand, for a report with --format html.")
    ] = None,
    output: Annotated[str, _output("FILE", "The file to write; - is standard output.")] = "-",
) -> None:
    """Show a diagram, simplified: as a file of definitions, drawn, or as a report of its
    function."""
    from diagrammar.cli.show import Showing, run

    wish = Showing(format.value, steps, picture, raw, tuple(shape or ()), output)
    raise typer.Exit(run(file, name, wish, values or ()))


@app.command(
    epilog=_examples(
        "diagrammar compile conv2d -o ops.py",
        "diagrammar compile conv2d A_reduce -o ops.py --set s=2",
        "diagrammar compile conv2d dW -o - --shape X=8,64,56,56 --shape dY=8,128,56,56",
    )
)
def compile(
    file: File,
    names: Names = None,
    output: Annotated[str, _output("OPS.py", "The module to write; - is standard output.")] = "-",
    values: Set = None,
    shape: Annotated[
        list[str] | None, _shape("The shape of an operand; without any, functions take all shapes.")
    ] = None,
) -> None:
    """Write a Python module of functions that needs torch only."""
    from diagrammar.cli.emit import run

    raise typer.Exit(run(file, names or (), output, values or (), shape or ()))


@app.command(
    epilog=_examples(
        "diagrammar verify conv2d.tn",
        "diagrammar verify conv2d A_expand A_reduce --cases 100",
        "diagrammar verify conv2d.tn --seed 7",
    )
)
def verify(
    file: File,
    names: Names = None,
    cases: Annotated[
        int, typer.Option("--cases", min=1, help="Random cases for each definition.")
    ] = 10,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Makes a run repeatable.")] = 0,
) -> None:
    """Compare all rewrites and emitted functions with the dense oracle, on random operands."""
    from diagrammar.cli.prove import run

    raise typer.Exit(run(file, names or (), cases=cases, seed=seed))


@app.command(
    epilog=_examples(
        "diagrammar calibrate",
        "diagrammar calibrate --threads 1",
        "diagrammar calibrate --show",
    )
)
def calibrate(
    device: Annotated[
        DeviceKind, typer.Option("--device", help="What to measure.")
    ] = DeviceKind.cpu,
    threads: Threads = 0,
    show: Annotated[
        bool, typer.Option("--show", help="Show what is stored; measure nothing.")
    ] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Remove all stored rates: plan with the defaults.")
    ] = False,
) -> None:
    """Measure how fast this machine multiplies, copies and convolves, for later plans."""
    from diagrammar.cli.calibrate import run

    raise typer.Exit(run(device.value, threads, show=show, forget=forget))


@app.command(
    epilog=_examples(
        "diagrammar bench conv2d A_reduce --shape X=8,16,14,14",
        "diagrammar bench conv2d A_expand --shape X=8,16,14,14 --threads 1",
        "diagrammar bench conv2d U --shape X=8,16,14,14 --dtype float64",
    )
)
def bench(
    file: File,
    name: Name,
    shape: Annotated[list[str] | None, _shape("The shape of an operand, for each.")] = None,
    values: Set = None,
    threads: Threads = 0,
    dtype: Annotated[str, typer.Option("--dtype", help="The operands' dtype.")] = "float32",
    device: Annotated[DeviceKind, typer.Option("--device", help="Where to run.")] = DeviceKind.cpu,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.01, help="How long to measure in all.")
    ] = 2.0,
) -> None:
    """Time all candidate programs of a definition side by side, and the naive einsum."""
    from diagrammar.cli.bench import Measuring, run

    wish = Measuring(threads, dtype, device.value, seconds)
    raise typer.Exit(run(file, name, shape or (), values or (), wish))


def run(arguments: list[str]) -> int:
    """Run a command line; the exit status. Mistakes are shown, never raised."""
    from diagrammar.cli.inputs import Misuse
    from diagrammar.cli.output import complain
    from diagrammar.grammar.errors import DiagramError, Problem

    command = typer.main.get_command(app)
    wrong_use: Any = typer.BadParameter.__mro__[1]  # click's UsageError; typer's path to it varies
    try:
        status = command.main(arguments, prog_name="diagrammar", standalone_mode=False)
        sys.stdout.flush()
    except Misuse as error:
        complain([error.problem])
        return 2
    except DiagramError as error:
        complain(error.errors)
        return 1
    except wrong_use as error:
        complain([_misuse(error)])
        return 2
    except typer.Abort:
        return 130
    except BrokenPipeError:  # the reader, for example `head`, has stopped
        _close_output()
        return 141
    except OSError as error:
        _close_output()
        place = error.filename or "standard output"
        complain([Problem(f"{place}: {error.strerror or error}")])
        return 1
    return int(status or 0)


def _close_output() -> None:
    """Send the rest of the output nowhere, also at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _misuse(error: Any) -> Problem:
    """Put an error that typer found into our own form."""
    from diagrammar.grammar.errors import Problem, near

    place = f" {error.ctx.info_name}" if error.ctx and error.ctx.parent else ""
    option = getattr(error, "option_name", "")
    if option:
        message, suggestion = f"no option '{option}'", near(option, error.possibilities or ())
    else:
        message = error.format_message().rstrip(".").replace("Value error, ", "")
        message, _, suggestion = message.partition(". Did you mean ")
        suggestion = suggestion and f"did you mean {suggestion}"
    help = suggestion or f"see diagrammar{place} --help"
    return Problem(message[:1].lower() + message[1:], help=help)
