"""Layers that whole networks share, and examples taken in parts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from diagrammar.layers import Conv
from diagrammar.layers.shared import ROWS, parts_of, shared_layer


def test_modules_with_the_same_hyper_parameters_share_a_layer():
    one, two = nn.Conv2d(2, 4, 3, groups=2), nn.Conv2d(4, 6, 3, groups=2)
    assert shared_layer(one) is shared_layer(two)
    assert shared_layer(one) is not shared_layer(nn.Conv2d(2, 4, 3, groups=2, stride=2))
    assert shared_layer(one, groups=1).geometry.groups == 1
    assert shared_layer(nn.Linear(2, 3), groups=1) is shared_layer(nn.Linear(4, 5))
    with pytest.raises(TypeError, match="no layer of ReLU"):
        shared_layer(nn.ReLU())


@pytest.mark.parametrize(("batch", "size"), [(1, 200), (12, 64), (7, 90), (6, 8), (3, 200)])
def test_parts_are_equal_and_small_where_they_can_be(batch: int, size: int):
    x = torch.rand(batch, 1, size, size)
    conv = Conv((3, 3), padding=1)
    parts = parts_of(conv, x)
    assert torch.equal(torch.cat(parts), x)
    (examples,) = {len(part) for part in parts}
    assert examples == 1 or examples * size * size <= ROWS
    assert examples == batch or (examples + 1) * size * size > ROWS or batch % (examples + 1)


def test_what_is_not_unfolded_is_not_taken_apart():
    x = torch.empty(4, 1, 200, 200)
    assert len(parts_of(Conv((1, 1)), x)) == 1
    assert len(parts_of(shared_layer(nn.Linear(200, 3)), x)) == 1
    assert len(parts_of(Conv((3, 3)), x[0])) == 1
    assert len(parts_of(Conv((3, 3)), x[:0])) == 1


def test_long_sums_stay_accurate_in_float32():
    torch.manual_seed(0)
    x = torch.randn(8, 3, 96, 96)
    conv = Conv((7, 7), stride=1, padding=3)
    exact = conv.kfac_expand(x.double())
    made = sum(conv.kfac_expand(part) * len(part) for part in parts_of(conv, x)) / len(x)
    assert (made - exact).norm() < 1e-5 * exact.norm()
