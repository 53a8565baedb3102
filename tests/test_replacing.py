"""Files that are replaced whole or not at all: links, modes, pipes, long names, many writers."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

import diagrammar as dg
from diagrammar import replacing as module
from diagrammar.__main__ import main
from diagrammar.networks.result import Curvature
from diagrammar.replacing import replacing, write

Writer = Callable[[Path, int], None]
TEXT = "tensor X[b]\nY[b] = {} * X[b]\n"


def by_text(path: Path, number: int) -> None:
    write(path, TEXT.format(number) * 500)


def by_report(path: Path, number: int) -> None:
    dg.parse(TEXT.format(number))["Y"].compile().to_html(path)


def by_curvature(path: Path, number: int) -> None:
    sums = {"layer": {"kfac_expand.A": torch.full((50, 50), float(number))}}
    Curvature(sums, number, {"layers": ["layer"], "what": ["kfac_expand"]}, {}).save(path)


def by_command(path: Path, number: int) -> None:
    assert main(["show", "conv2d", "Y", "--set", f"s={number}", "-o", str(path)]) == 0


NAMELESS = module._nameless
WRITERS = [by_text, by_report, by_curvature, by_command]


@pytest.fixture(params=["without a name", "with a name"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on a system that has files without names, and on one that has none."""
    if request.param == "with a name":
        monkeypatch.setattr(module, "_nameless", lambda _folder: nullcontext(None))
    return tmp_path


@pytest.mark.parametrize("writer", WRITERS)
def test_a_new_file_has_the_mode_of_the_processs_mask(writer: Writer, folder: Path) -> None:
    before = os.umask(0o027)
    try:
        writer(folder / "new", 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "new").stat().st_mode) == 0o640
    assert os.listdir(folder) == ["new"]


@pytest.mark.parametrize("writer", WRITERS)
def test_links_and_modes_stay(writer: Writer, folder: Path) -> None:
    (folder / "inner").mkdir()
    real, link = folder / "inner" / "real", folder / "link"
    real.write_text("before")
    real.chmod(0o664)
    link.symlink_to("inner/real")
    writer(link, 2)
    assert link.is_symlink()
    assert real.read_bytes() not in (b"before", b"")
    assert stat.S_IMODE(real.stat().st_mode) == 0o664
    dangling = folder / "dangling"
    dangling.symlink_to("inner/made")
    writer(dangling, 2)
    assert dangling.is_symlink()
    assert (folder / "inner" / "made").stat().st_size > 0
    assert sorted(os.listdir(folder / "inner")) == ["made", "real"]


@pytest.mark.parametrize("writer", WRITERS)
def test_pipes_and_devices_are_written_into(writer: Writer, folder: Path) -> None:
    plain, pipe = folder / "plain", folder / "pipe"
    writer(plain, 3)
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    writer(pipe, 3)
    reader.join(60)
    assert read == [plain.read_bytes()]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    writer(Path(os.devnull), 3)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


@pytest.mark.parametrize("writer", WRITERS)
def test_names_may_be_as_long_as_the_system_takes(writer: Writer, folder: Path) -> None:
    writer(folder / ("n" * 250), 4)
    assert os.listdir(folder) == ["n" * 250]


@pytest.mark.parametrize("writer", [by_text, by_curvature])
def test_sixteen_threads_may_write_one_file(writer: Writer, folder: Path) -> None:
    """Readers see one of the texts, whole; nothing is left beside it."""
    expected = set()
    for number in range(16):
        writer(folder / "one", number)
        expected.add((folder / "one").read_bytes())
    failed: list[BaseException] = []
    seen: set[bytes] = set()

    def work(number: int) -> None:
        try:
            for _ in range(5):
                writer(folder / "one", number)
                seen.add((folder / "one").read_bytes())
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert seen <= expected
    assert os.listdir(folder) == ["one"]


@pytest.mark.parametrize("what", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_fails_changes_nothing(what: BaseException, folder: Path) -> None:
    (folder / "kept").write_text("kept")

    def half() -> None:
        with replacing(folder / "kept") as part:
            part.write_text("half")
            raise what

    with pytest.raises(type(what)):
        half()
    assert (folder / "kept").read_text() == "kept"
    assert os.listdir(folder) == ["kept"]


@pytest.mark.parametrize("writer", WRITERS)
def test_what_a_killed_writer_left_is_taken_away(writer: Writer, folder: Path) -> None:
    target = folder / "one"
    prefix = module._prefix(target)
    (folder / f"{prefix}.part").write_text("killed before it was moved")
    (folder / f"{prefix}-0123").mkdir()
    (folder / f"{prefix}-0123" / "part").write_text("killed while it wrote")
    with replacing(target, named=True) as part:  # somebody is still writing here
        part.write_text("slow")
        for number in (1, 2):
            writer(target, number)
            write(target, "text")
        assert part.read_text() == "slow"
    assert target.read_text() == "slow"
    with replacing(target, named=True) as part:
        part.write_text("last")
    write(target, "text")
    left = (
        {f"{prefix}.part"} if module._nameless is not NAMELESS else set()
    )  # no such system has it
    assert set(os.listdir(folder)) - {"one"} <= left


def test_a_system_that_gives_no_name_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "link", refused)
    by_text(tmp_path / "one", 5)
    assert os.listdir(tmp_path) == ["one"]
    assert "5 * X" in (tmp_path / "one").read_text()


@pytest.mark.parametrize("writer", WRITERS[:3])
def test_a_full_device_and_a_folder_are_errors_of_the_system(writer: Writer, folder: Path) -> None:
    with pytest.raises(OSError, match="directory"):
        writer(folder, 6)
    with pytest.raises(OSError, match="No such file"):
        writer(folder / "missing" / "file", 6)
    if os.path.exists("/dev/full"):
        with pytest.raises(OSError, match="No space left"):
            writer(Path("/dev/full"), 6)
