"""The quick columns of the table of uses; `python -m tests.integrations.uses` has all of them."""

from __future__ import annotations

import pytest

from tests.integrations.uses import QUICK, Subject, subjects, tried

SUBJECTS = subjects()


@pytest.mark.parametrize("use", QUICK)
@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda s: s.name)
def test_use(use: str, subject: Subject):
    assert tried(use, subject) is None
