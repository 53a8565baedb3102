"""A light turn of `benchmarks.soak`: nothing is lost, left behind or believed that cannot be."""

from __future__ import annotations

import pytest

from benchmarks.soak import seen
from benchmarks.soak_scenes import SCENES


@pytest.mark.parametrize("name", [name for name in SCENES if name != "20 writers"])
def test_nothing_is_lost(name: str) -> None:
    found = seen(name, 1, 0.04)
    assert found.good, found
    assert found.tries or found.note


def test_damage_is_really_done() -> None:
    """The scene of damaged files meets files that cannot be read, and ones that can."""
    from json import loads
    from random import Random

    from benchmarks.soak_scenes import _damage

    chance, readable = Random(0), 0
    data = b'{"version": 4, "plans": {"k": {"at": 1.5, "n": 2.5}}}'
    for _ in range(200):
        try:
            loads(_damage(data, chance))
            readable += 1
        except (ValueError, RecursionError):
            pass
    assert 20 < readable < 180
