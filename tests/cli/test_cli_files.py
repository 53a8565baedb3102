"""What commands read and write: never an output over an input, names of any bytes, files that do
not end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from diagrammar.__main__ import main
from diagrammar.grammar import parser
from diagrammar.library import names

TEXT = 'use "layer.tn" as layer\ntensor X[b, c]\nY[b] = X[b, c]\n'
LAYER = "tensor V[b, c]\nZ[b] = V[b, c]\n"

COMMANDS = {
    "compile": ["compile", "{}"],
    "compile for shapes": ["compile", "{}", "Y", "--shape", "X=2,3"],
    "show": ["show", "{}", "Y"],
    "steps": ["show", "{}", "Y", "--steps"],
    "svg": ["show", "{}", "Y", "--format", "svg"],
    "html": ["show", "{}", "Y", "--format", "html"],
    "raw": ["show", "{}", "Y", "--raw"],
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("layer.tn").write_text(LAYER)
    for name in ("net.tn", "net.txt", "net", "NET.TN", "net.py"):
        Path(name).write_text(TEXT)
    Path("link.py").symlink_to("net.txt")
    os.link("net.txt", "hard.py")
    Path("layer.py").symlink_to("layer.tn")
    os.mkdir("d")
    return tmp_path


PAIRS = [
    *((n, n) for n in ("net.tn", "net.txt", "net", "NET.TN", "net.py")),
    *(("net.txt", n) for n in ("./net.txt", "d/../net.txt", "link.py", "hard.py")),
    *(("link.py", "net.txt"), ("net.tn", "layer.py"), ("net.txt", "layer.py")),
]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("file", "output"), PAIRS)
def test_no_output_takes_the_place_of_an_input(
    file: str, output: str, command: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main([*(part.format(file) for part in COMMANDS[command]), "-o", output])
    assert status == 2
    assert "overwritten" in capsys.readouterr().err
    assert Path(file).read_text() == TEXT
    assert Path("layer.tn").read_text() == LAYER
    assert Path("link.py").is_symlink()


@pytest.mark.parametrize("command", COMMANDS)
def test_an_absolute_path_and_another_file(command: str, here: Path) -> None:
    line = [part.format("net.txt") for part in COMMANDS[command]]
    assert main([*line, "-o", str(here / "net.txt")]) == 2
    assert main([*line, "-o", str(here / "other.txt")]) == 0
    assert Path("net.txt").read_text() == TEXT


def test_standard_input_and_output_that_are_the_file(here: Path) -> None:
    run = [sys.executable, "-m", "diagrammar"]
    with open("net.txt") as given:
        done = subprocess.run([*run, "compile", "-", "-o", "net.txt"], stdin=given, check=False)
    assert done.returncode == 2
    with open("net.txt", "a") as into:
        done = subprocess.run([*run, "show", "net.txt", "Y"], stdout=into, check=False)
    assert done.returncode == 2
    assert Path("net.txt").read_text() == TEXT


def test_shipped_files_are_no_outputs(here: Path) -> None:
    from importlib.resources import files

    shipped = Path(str(files("diagrammar.library"))) / "conv2d.tn"
    before = shipped.read_bytes()
    Path("out.txt").symlink_to(shipped)
    try:
        assert main(["show", "conv2d", "Y", "-o", "out.txt"]) == 2
    finally:
        assert shipped.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes on POSIX only")
@pytest.mark.parametrize("command", [["check"], ["fmt", "--check"], ["compile"], ["verify"]])
def test_names_that_are_not_utf8(command: list[str], tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/n\xff.tn"
    run = [os.fsencode(part) for part in (sys.executable, "-m", "diagrammar", *command)]
    missing = subprocess.run([*run, name], capture_output=True, check=False)
    assert missing.returncode == 2
    assert b"n\\udcff.tn'" in missing.stderr
    assert b"Traceback" not in missing.stderr
    with open(name, "w") as file:
        file.write("tensor  X[b]\nY[b] = X[b]\n")
    done = subprocess.run([*run, name], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (int("--check" in command), b"")
    wrong = subprocess.run([*run, "x.tn", b"--\xff"], capture_output=True, check=False)
    assert wrong.returncode == 2
    assert b"Traceback" not in wrong.stderr


def test_a_module_of_a_file_whose_name_is_not_utf8(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    with open(folder + b"/n\xff.tn", "w") as file:
        file.write("tensor X[b]\nY[b] = X[b]\n")
    run = [os.fsencode(part) for part in (sys.executable, "-m", "diagrammar", "compile")]
    out = folder + b"/o\xff.py"
    subprocess.run([*run, folder + b"/n\xff.tn", b"-o", out], check=True)
    with open(out, encoding="utf-8") as file:
        text = file.read()
    assert text.startswith('"""Functions of n\\\\udcff.tn, ')
    compile(text, "o.py", "exec")


@pytest.mark.parametrize("command", [["check"], ["fmt"], ["compile"], ["verify"]])
def test_files_without_end_are_refused(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    if not os.path.exists("/dev/zero"):
        pytest.skip("there is no /dev/zero")
    assert main([*command, "/dev/zero"]) == 1
    assert "'/dev/zero' is larger than 16 MiB" in capsys.readouterr().err


def test_the_largest_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = "tensor X[b]\nY[b] = X[b]\n"
    (tmp_path / "a.tn").write_text(text)
    monkeypatch.setattr(parser, "MAX_BYTES", len(text))
    assert main(["check", str(tmp_path / "a.tn")]) == 0
    monkeypatch.setattr(parser, "MAX_BYTES", len(text) - 1)
    assert main(["check", str(tmp_path / "a.tn")]) == 1


@pytest.mark.parametrize("name", names())
def test_what_compile_asks_for_it_takes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Shipped files of open rank say `--set rank=2`, and with that no more is said of it."""
    main(["compile", name, "-o", os.devnull])
    said = capsys.readouterr().err
    if "--set rank=2" in said:
        main(["compile", name, "--set", "rank=2", "-o", os.devnull])
        assert "rank" not in capsys.readouterr().err
    else:
        assert "rank" not in said


@pytest.mark.parametrize("format", ["text", "svg", "html"])
def test_show_takes_a_rank(format: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "convnd", "Y", "--set", "rank=1", "--format", format]) == 0
    out, err = capsys.readouterr()
    assert "i.1" not in out
    assert "rank" not in err
