"""Measured choices on disk: a versioned JSON file in the user's cache directory.

Nothing is executed when it is read; a file that is damaged or of another version counts as empty.
It is replaced as a whole, so that a reader never sees half of it. `DIAGRAMMAR_CACHE` names another
directory.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VERSION = 4


def folder() -> Path:
    """Where choices are kept."""
    given = os.environ.get("DIAGRAMMAR_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "diagrammar"
    try:
        return Path.home() / ".cache" / "diagrammar"
    except RuntimeError:  # a user without a home, as in some containers
        return Path(tempfile.gettempdir()) / "diagrammar"


class Store:
    """Choices by key; `path` is `folder()/plans.json` unless given."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or folder() / "plans.json"

    def entries(self) -> dict[str, Any]:
        """All that is stored; nothing if the file is missing, damaged or of another version."""
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(data, dict) or data.get("version") != VERSION:
            return {}
        found = data.get("plans")
        return found if isinstance(found, dict) else {}

    def get(self, key: str) -> dict[str, Any] | None:
        """What was stored under a key."""
        found = self.entries().get(key)
        return found if isinstance(found, dict) else None

    def put(self, key: str, value: Mapping[str, Any]) -> bool:
        """Store under a key, beside what others stored; False where the disk does not allow it."""
        data = {"version": VERSION, "plans": {**self.entries(), key: dict(value)}}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=".plans", suffix=".json")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(data, file, indent=1, sort_keys=True)
                os.replace(name, self.path)
            except BaseException:
                os.unlink(name)
                raise
        except OSError:
            return False
        return True
