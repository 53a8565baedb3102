"""Name the constants of an emitted module."""

from __future__ import annotations

from collections.abc import Iterable


class ModuleConstants:
    """Constants at module level: equal definitions share a name, and no function of the module has
    it."""

    def __init__(self, functions: Iterable[str] = ()) -> None:
        self.names: dict[str, str] = {}
        self.functions = set(functions)

    def name(self, definition: str, hint: str, taken: set[str]) -> str:
        """Return the constant's name, which differs from all names in the function that reads
        it."""
        if self.names.get(definition, hint) in taken or definition not in self.names:
            used = {*self.names.values(), *self.functions, *taken}
            tried = (hint, *(f"{hint}_{n}" for n in range(2, 10_000)))
            self.names[definition] = next(name for name in tried if name not in used)
        return self.names[definition]
