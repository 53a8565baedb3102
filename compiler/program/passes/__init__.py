"""Passes that replace steps of a program by cheaper ones of the same value, one file each.

Importing this registers every module of the folder.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
