"""Ways to compute a contraction or to apply a relation, written as steps of a program.

Importing this registers every module of the folder.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
