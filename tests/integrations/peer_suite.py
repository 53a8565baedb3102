"""curvlinops' own tests of KFAC, EKFAC and the inverse, with our operators in their place.

    python -m tests.integrations.peer_suite [--sdist FOLDER] [PYTEST ARGUMENTS…]

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

NAME = "curvlinops-for-pytorch"
FILES = ("test/test_kfac.py", "test/test_ekfac.py", "test/test_inverse.py")


class Plugin:
    """What pytest is given: the operators are replaced before their tests are imported."""

    def __init__(self) -> None:
        self.made: set[str] = set()

    def pytest_configure(self, config: object) -> None:
        """Replace the operators, and count what is made of them."""
        from diagrammar.integrations import curvlinops as ours

        self._context = ours.replaced()
        self._context.__enter__()
        for cls in (ours.KFACLinearOperator, ours.EKFACLinearOperator):
            self._count(cls)

    def _count(self, cls: type) -> None:
        plugin, compute = self, cls.compute_kronecker_factors  # type: ignore[attr-defined]

        def counted(self: object) -> None:
            plugin.made.add(cls.__name__)
            compute(self)

        cls.compute_kronecker_factors = counted  # type: ignore[attr-defined]

    def pytest_unconfigure(self) -> None:
        """Give the operators back."""
        self._context.__exit__(None, None, None)


def fetched(folder: Path) -> Path:
    """The unpacked source distribution of the installed version."""
    wanted = f"{NAME}=={version(NAME)}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*pip, "--dest", str(folder), wanted], check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return next(path.parent.parent for path in folder.glob("*/test/test_kfac.py"))


def run(root: Path, arguments: list[str]) -> int:
    """Their tests in `root`; 0 where all pass, and where our operators computed factors in them."""
    import pytest

    os.chdir(root)
    sys.path.insert(0, str(root))
    if (root / "curvlinops").exists():  # the installed one, not the unpacked
        (root / "curvlinops").rename(root / "not_imported")
    plugin = Plugin()
    options = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={root}"]
    code = int(pytest.main([*options, *FILES, *arguments], plugins=[plugin]))
    print(f"our operators that computed factors: {', '.join(sorted(plugin.made)) or 'none'}")
    return code or int(len(plugin.made) < 2)


def main() -> None:
    """Parse the command line, fetch, run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sdist", type=Path, help="an unpacked source distribution")
    options, rest = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        root = options.sdist or fetched(Path(folder))
        sys.exit(run(root.resolve(), rest))


if __name__ == "__main__":
    main()
