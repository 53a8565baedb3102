"""A short run of `python -m tests.grammar.fuzz`."""

from tests.grammar.fuzz import fuzz


def test_two_thousand_mutated_programs() -> None:
    findings = fuzz(2000, seed=1)
    assert findings.parsed > 100
    assert findings.problems > 1000
