"""Weight gradients in float32 and bfloat16, which libraries compute by code of their own, against
float64: wide, tall and long kernels, with one channel a group or more."""

from __future__ import annotations

import pytest
from hand_programs import Builder
from hypothesis import given, settings
from hypothesis import strategies as st

from diagrammar import program as ops
from diagrammar.backends.torch.emit import emit_module, load
from tests.weight_gradients import TOLERANCE, WRONG, Case, error


def check(case: Case, *, narrow: bool) -> None:
    """The emitted gradient against that in float64."""
    x, v = case.operands()
    ones = (1,) * len(case.kernel)
    b = Builder("f")
    places = " ".join(f"i{m}" for m in range(len(ones)))
    at = b.operand("X", f"b c {places}", *x.shape), b.operand("V", f"b d {places}", *v.shape)
    made = ops.WeightGradient(*at, case.stride, case.padding, ones, case.groups, narrow)
    source = emit_module([b.program(b.put(made, case.size))], "A test.")
    found = load(source, "f")["f"](x, v)
    assert found.dtype == case.dtype
    assert found.shape == case.size
    assert error(found, case.exact(x, v)) <= TOLERANCE[case.dtype], source


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_one_channel_a_group_in_parts(data: st.DataObject) -> None:
    """Any kernel of up to three dimensions, cut where it is wide."""
    n = data.draw(st.integers(1, 3))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(data.draw(st.integers(low, high)) for _ in range(n))

    kernel = each(1, 9 if n < 3 else 5)
    padding = tuple(data.draw(st.integers(0, k - 1)) for k in kernel)
    groups, batch = data.draw(st.integers(2, 20)), data.draw(st.integers(1, 3))
    check(Case(kernel, each(0, 9), each(1, 3), padding, groups, batch=batch), narrow=True)


@pytest.mark.parametrize("case", WRONG, ids=str)
def test_where_the_library_is_wrong(case: Case) -> None:
    check(case, narrow=False)
