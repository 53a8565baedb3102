"""Which steps of a derivation are shown, and what stands above each picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from diagrammar.draw.layout import Layout
from diagrammar.draw.picture import Picture
from diagrammar.draw.story import Frame
from diagrammar.draw.words import law, reasons, where

Steps = int | Literal["all", "ends", "last"]


@dataclass(frozen=True)
class Scene:
    """A picture with a heading and the reason below it."""

    number: int
    title: str
    because: str
    picture: Picture


def scenes(layout: Layout, steps: Steps) -> tuple[Scene, ...]:
    """The pictures that are wanted. What a step touched is shown only beside the step before it, or
    where one step was asked for.

    Raises ValueError for steps that there are not.
    """
    numbers = _numbers(len(layout.pictures) - 1, steps)
    found = []
    for number in numbers:
        picture = layout.pictures[number]
        if number - 1 in numbers or isinstance(steps, int):
            title, because = _heading(number, layout.story.frames[number])
        else:
            title, because = _jump(number, layout)
            picture = _plain(picture)
        found.append(Scene(number, title, because, picture))
    return tuple(found)


def _numbers(last: int, steps: Steps) -> list[int]:
    named = {"all": list(range(last + 1)), "ends": sorted({0, last}), "last": [last]}
    if isinstance(steps, int) and -last - 1 <= steps <= last:
        return [steps % (last + 1)]
    if not isinstance(steps, str) or steps not in named:
        raise ValueError(f"no steps {steps!r}; there are 0 to {last}, 'all', 'ends' and 'last'")
    return named[steps]


def _heading(number: int, frame: Frame) -> tuple[str, str]:
    if number == 0:
        return "start", ""
    if frame.step is None:
        return f"{number}. like terms merged", ""
    step = frame.step
    title = f"{number}. {step.rule.name} at {where(step)}: {law(frame)}"
    return title, f"because {reasons(step.because)}"


def _jump(number: int, layout: Layout) -> tuple[str, str]:
    """The heading of a picture that is several steps after the one above it."""
    if number == 0:
        return "start", ""
    frames = layout.story.frames[1 : number + 1]
    rules = dict.fromkeys(f"{f.step.rule.name}: {law(f)}" for f in frames if f.step is not None)
    return f"after {number} steps", "; ".join(rules)


def _plain(picture: Picture) -> Picture:
    nodes = tuple(replace(n, touched=False) for n in picture.nodes if not n.gone)
    return replace(picture, nodes=nodes)
