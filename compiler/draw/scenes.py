"""Choose the steps of a derivation to show, and write the heading above each picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from diagrammar.draw.layout import Storyboard
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


def scenes(layout: Storyboard, steps: Steps) -> tuple[Scene, ...]:
    """Choose the pictures. Changes of a step are marked only beside the picture before it, or where
    one step was asked for.

    Raises ValueError for steps that do not exist.
    """
    numbers = _numbers(len(layout.pictures) - 1, steps)
    chosen = []
    for number in numbers:
        picture = layout.pictures[number]
        if number - 1 in numbers or isinstance(steps, int):
            title, because = _heading(number, layout.story.frames[number])
        else:
            title, because = _jump(number, layout)
            picture = _plain(picture)
        chosen.append(Scene(number, title, because, picture))
    return tuple(chosen)


def _numbers(last: int, steps: Steps) -> list[int]:
    """The numbers of the wanted steps."""
    named = {"all": list(range(last + 1)), "ends": sorted({0, last}), "last": [last]}
    if isinstance(steps, int) and -last - 1 <= steps <= last:
        return [steps % (last + 1)]
    if not isinstance(steps, str) or steps not in named:
        raise ValueError(f"no steps {steps!r}; there are 0 to {last}, 'all', 'ends' and 'last'")
    return named[steps]


def _heading(number: int, frame: Frame) -> tuple[str, str]:
    """The heading of a picture, and its reason."""
    if number == 0:
        return "start", ""
    if frame.step is None:
        return f"{number}. like terms merged", ""
    step = frame.step
    title = f"{number}. {step.rule.name} at {where(step)}: {law(frame)}"
    return title, f"because {reasons(step.because)}"


def _jump(number: int, layout: Storyboard) -> tuple[str, str]:
    """The heading of a picture that is several steps after the one above it."""
    if number == 0:
        return "start", ""
    frames = layout.story.frames[1 : number + 1]
    rules = dict.fromkeys(f"{f.step.rule.name}: {law(f)}" for f in frames if f.step is not None)
    return f"after {number} steps", "; ".join(rules)


def _plain(picture: Picture) -> Picture:
    """A picture without marks and ghosts."""
    nodes = tuple(replace(n, touched=False) for n in picture.nodes if not n.gone)
    return replace(picture, nodes=nodes)
