"""Whether a library is there, in a version that an integration was made for."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version


def need(extra: str, distribution: str, least: str, below: str) -> None:
    """Raise ImportError unless `distribution` is installed with least ≤ version < below.

    `extra` is the name of both the integration and the optional dependency of diagrammar.
    """
    wanted = f"diagrammar.integrations.{extra} needs {distribution} >= {least}, < {below}"
    command = f"pip install 'diagrammar[{extra}]'"
    try:
        found = version(distribution)
    except PackageNotFoundError:
        raise ImportError(f"{wanted}, which is not installed: {command}") from None
    if not _numbers(least) <= _numbers(found) < _numbers(below):
        raise ImportError(f"{wanted}; installed is {found}: {command}")


def _numbers(text: str) -> tuple[int, ...]:
    """The release of a version: (3, 0, 1) of "3.0.1.dev4"."""
    return tuple(int(n) for n in re.findall(r"\d+", re.split(r"[a-z+]|\.dev|\.post", text)[0]))
