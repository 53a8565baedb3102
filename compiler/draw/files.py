"""Pictures written to files, each whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: str | os.PathLike[str], text: str) -> Path:
    """Write a file beside its place, then move it there. Raises OSError if that cannot be done."""
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    return target
