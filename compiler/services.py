"""The table of verbs: what a value does that is defined above it, such as to compile or to draw.

A class of data declares the method, with its types and docstring, and leaves the work to the table:

    def simplify(self, /, **values: Any) -> Simplified:
        \"\"\"Rewrite by the standard pipeline.\"\"\"
        return verb(Diagram.simplify)(self, **values)

`verbs` fills the table when `diagrammar` is imported; only that module knows who does the work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

Given = ParamSpec("Given")
Result = TypeVar("Result")
Work = TypeVar("Work", bound=Callable[..., Any])

VERBS: dict[str, Callable[..., Any]] = {}
"""What does the work, by the qualified name of the method."""


def verb(method: Callable[Given, Result]) -> Callable[Given, Result]:
    """What does the work of a method; it takes and returns what the method does."""
    return cast(Callable[Given, Result], VERBS[method.__qualname__])


def does(*methods: str) -> Callable[[Work], Work]:
    """Register a function as what does the work of methods, given as `Class.method`."""

    def register(work: Work) -> Work:
        VERBS.update(dict.fromkeys(methods, work))
        return work

    return register
