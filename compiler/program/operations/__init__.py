"""The operations of a program, one file a family.

Every file of this folder is imported, which registers its operations in `OPERATIONS`.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from diagrammar.program.operations.base import OPERATIONS
from diagrammar.program.operations.base import Base as Operation

__all__ = ["OPERATIONS", "Operation"]

for _module in iter_modules([str(Path(__file__).parent)]):
    import_module(f"{__name__}.{_module.name}")
