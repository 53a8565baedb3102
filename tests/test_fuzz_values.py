"""A light turn of `benchmarks.fuzz`: random values end as results or as DiagramErrors."""

from __future__ import annotations

import pytest

from benchmarks.fuzz_cases import MOST_CALLS, case


@pytest.mark.filterwarnings("ignore")
def test_cases_are_the_same_for_a_seed() -> None:
    first, second = case(3, 5).row(), case(3, 5).row()
    assert {**first, "calls": 0} == {**second, "calls": 0}  # caches save some
    assert (
        case(4, 5).row()["drawn"] != first["drawn"] or case(5, 5).row()["drawn"] != first["drawn"]
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("start", [0, 10])
def test_random_values_end_in_words_or_results(start: int) -> None:
    for number in range(start, start + 10):
        found = case(number, 2026)
        assert found.ends in ("result", "refused"), found
        assert found.calls < MOST_CALLS
