"""curvlinops' own tests of KFAC, EKFAC and the inverse, with our operators in their place.

    python -m tests.integrations.peer_suite [--sdist FOLDER] [--file FILE] [PYTEST ARGUMENTS…]

Fetches the source distribution of the installed version by pip, unpacks it into a temporary folder,
and runs its tests there while `curvlinops.integrations.replaced` holds. Needs
`pip install 'diagrammar[curvlinops]'`, pytest, and what their tests import.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

NAME = "curvlinops-for-pytorch"
FILES = ("test/test_kfac.py", "test/test_ekfac.py", "test/test_inverse.py")


def counted(cls: Any, made: set[str]) -> None:
    """Add the operator's name to `made` whenever it computes factors."""
    compute = cls.compute_kronecker_factors

    def computing(self: object) -> None:
        made.add(cls.__name__)
        compute(self)

    cls.compute_kronecker_factors = computing


def fetched(folder: Path) -> Path:
    """The unpacked source distribution of the installed version."""
    wanted = f"{NAME}=={version(NAME)}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*pip, "--dest", str(folder), wanted], check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return next(path.parent.parent for path in folder.glob("*/test/test_kfac.py"))


def run(root: Path, arguments: list[str], files: list[str] | None = None) -> int:
    """Their tests in `root`; 0 where all pass, and where our operators computed factors in them."""
    import pytest

    from diagrammar.integrations import curvlinops as ours

    os.chdir(root)
    sys.path.insert(0, str(root))
    if (root / "curvlinops").exists():  # the installed one, not the unpacked
        (root / "curvlinops").rename(root / "not_imported")
    made: set[str] = set()
    for cls in (ours.KFACLinearOperator, ours.EKFACLinearOperator):
        counted(cls, made)
    options = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={root}"]
    with ours.replaced():  # before their conftest is imported, which imports the operators
        code = int(pytest.main([*options, *(files or FILES), *arguments]))
    print(f"our operators that computed factors: {', '.join(sorted(made)) or 'none'}")
    return code or int(not made)


def main() -> None:
    """Parse the command line, fetch, run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sdist", type=Path, help="an unpacked source distribution")
    parser.add_argument("--file", action="append", help=f"one of theirs; by default {FILES}")
    options, rest = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        root = options.sdist or fetched(Path(folder))
        sys.exit(run(root.resolve(), rest, options.file))


if __name__ == "__main__":
    main()
