"""Check that a library is installed, in a version that an integration was made for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version


def need(extra: str, distribution: str, least: str, below: str) -> None:
    """Raise ImportError unless `distribution` is installed with least ≤ version < below.

    `extra` is the name of both the integration and the optional dependency of diagrammar.
    """
    wanted = f"diagrammar.integrations.{extra} needs {distribution} >= {least}, < {below}"
    command = f"pip install 'diagrammar[{extra}]'"
    try:
        installed = version(distribution)
    except PackageNotFoundError:
        raise ImportError(f"{wanted}, which is not installed: {command}") from None
    if not _numbers(least) <= _numbers(installed) < _numbers(below):
        raise ImportError(f"{wanted}; installed is {installed}: {command}")


def offers(extra: str, distribution: str, names: Sequence[str]) -> None:
    """Raise ImportError unless a library has every one of `names`, each "module:name" or
    "module:Class.method". A development version may have the number of a release but other code."""
    missing = [name for name in names if not _has(*name.split(":"))]
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ImportError(
            f"diagrammar.integrations.{extra} uses {missing[0].replace(':', '.')}{others}, which "
            f"the {distribution} {version(distribution)} that is installed does not have; a "
            f"release has it: pip install --force-reinstall 'diagrammar[{extra}]'"
        )


def _has(module: str, path: str) -> bool:
    """Whether a module has an attribute, by a path with dots."""
    try:
        value = import_module(module)
    except ImportError:
        return False
    for name in path.split("."):
        if not hasattr(value, name):
            return False
        value = getattr(value, name)
    return True


def _numbers(text: str) -> tuple[int, ...]:
    """The numbers of a release: (3, 0, 1) for "3.0.1.dev4"."""
    return tuple(int(n) for n in re.findall(r"\d+", re.split(r"[a-z+]|\.dev|\.post", text)[0]))
