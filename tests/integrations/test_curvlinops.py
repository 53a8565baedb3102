"""curvlinops with our backend: exact where KFAC is, and curvlinops' own numbers where those are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

curvlinops = pytest.importorskip("curvlinops", reason="pip install 'diagrammar[curvlinops]'")

from diagrammar.integrations import curvlinops as ours  # noqa: E402

LAYERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "plain": (lambda: nn.Conv2d(2, 3, 3, padding=1), (4, 5)),
    "no bias": (lambda: nn.Conv2d(2, 3, (2, 3), bias=False), (4, 5)),
    "stride": (lambda: nn.Conv2d(2, 3, 3, stride=(2, 3), padding=(1, 2)), (7, 6)),
    "dilation": (lambda: nn.Conv2d(2, 3, 3, dilation=2, padding=1), (7, 6)),
    "groups": (lambda: nn.Conv2d(4, 6, 3, groups=2, stride=2), (7, 5)),
    "depthwise": (lambda: nn.Conv2d(3, 6, 3, groups=3, padding=1), (4, 3)),
    "circular": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (4, 3)),
    "reflect": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), (4, 3)),
    "even same": (lambda: nn.Conv2d(2, 3, (4, 2), padding="same"), (4, 5)),
    "1-d": (lambda: nn.Conv1d(2, 4, 2, dilation=2, groups=2), (9,)),
    "3-d": (lambda: nn.Conv3d(2, 2, 2, stride=(1, 2, 1)), (3, 4, 2)),
    "transposed": (lambda: nn.ConvTranspose2d(3, 4, 3, stride=2, output_padding=1), (2, 3)),
    "transposed 1-d": (lambda: nn.ConvTranspose1d(4, 6, 3, padding=1, groups=2), (5,)),
    "transposed 3-d": (lambda: nn.ConvTranspose3d(2, 2, 2), (2, 1, 2)),
}


class Net(nn.Module):
    """A convolution with channels last ("expand"), or averaged over positions ("reduce"): then
    KFAC is exact under squared loss."""

    def __init__(self, layer: nn.Module, kind: str) -> None:
        super().__init__()
        self.layer, self.kind = layer, kind

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x).flatten(2)
        return y.mean(2) if self.kind == "reduce" else y.movedim(1, 2)


def problem(case: str, kind: str, reduction: str = "mean") -> tuple[Any, ...]:
    """Model, loss, parameters and two batches of different sizes."""
    torch.manual_seed(0)
    make, size = LAYERS[case]
    model = Net(make().double(), kind)
    x = torch.randn(5, model.layer.in_channels, *size, dtype=torch.float64)
    y = torch.randn_like(model(x))
    data = [(x[:3], y[:3]), (x[3:], y[3:])]
    return model, nn.MSELoss(reduction=reduction), list(model.parameters()), data


def dense(operator: Any) -> Tensor:
    return operator @ torch.eye(operator.shape[1], dtype=torch.float64)


def blocks(matrix: Tensor, params: list[Tensor]) -> Tensor:
    """The diagonal blocks of the parameters, with zeros elsewhere."""
    made, at = torch.zeros_like(matrix), 0
    for p in params:
        part = slice(at, at + p.numel())
        made[part, part] = matrix[part, part]
        at += p.numel()
    return made


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("case", LAYERS)
class TestExactness:
    @pytest.mark.parametrize("kind", ["expand", "reduce"])
    def test_kfac_is_the_ggn(self, case: str, kind: str):
        for reduction, separate in (("mean", True), ("mean", False), ("sum", False)):
            given = problem(case, kind, reduction)
            ggn = dense(curvlinops.GGNLinearOperator(*given))
            made = ours.KFACLinearOperator(
                *given, fisher_type="type-2", kfac_approx=kind, separate_weight_and_bias=separate
            )
            expected = blocks(ggn, given[2]) if separate else ggn
            assert torch.allclose(dense(made), expected, rtol=1e-10, atol=1e-10)
            assert torch.allclose(made.trace, expected.trace(), rtol=1e-10)
            assert torch.allclose(made.frobenius_norm, expected.norm(), rtol=1e-10)
            inverse = ours.KFACInverseLinearOperator(made, damping=0.1, use_exact_damping=True)
            eye = torch.eye(len(expected), dtype=torch.float64)
            assert torch.allclose(dense(inverse) @ (expected + 0.1 * eye), eye, atol=1e-9)

    def test_ekfac_is_the_ggn(self, case: str):
        kind = "reduce"  # curvlinops' EKFAC takes outputs of two axes only
        given = problem(case, kind)
        ggn = dense(curvlinops.GGNLinearOperator(*given))
        for separate in (True, False):
            made = ours.EKFACLinearOperator(
                *given, fisher_type="type-2", kfac_approx=kind, separate_weight_and_bias=separate
            )
            expected = blocks(ggn, given[2]) if separate else ggn
            assert torch.allclose(dense(made), expected, rtol=1e-10, atol=1e-10)


CLASSES = [
    (ours.KFACLinearOperator, curvlinops.KFACLinearOperator),
    (ours.EKFACLinearOperator, curvlinops.EKFACLinearOperator),
]

FISHERS = [
    pytest.param(pair, fisher, id=f"{name}-{fisher}")
    for name, pair in zip(("KFAC", "EKFAC"), CLASSES, strict=True)
    for fisher in ("type-2", "mc", "empirical", "forward-only")
    if fisher in pair[0]._SUPPORTED_FISHER_TYPE  # curvlinops has no EKFAC for the last
]


def small_network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 6, 2, stride=2, groups=2),
        nn.Flatten(2),
        nn.Linear(4, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(18, 4),
    ).double()


def classification(reduction: str = "mean") -> tuple[Any, ...]:
    torch.manual_seed(1)
    model = small_network()
    x, y = torch.randn(30, 2, 4, 4, dtype=torch.float64), torch.randint(0, 4, (30,))
    data = [(x[:12], y[:12]), (x[12:], y[12:])]  # enough of it that factors have full rank
    return model, nn.CrossEntropyLoss(reduction=reduction), list(model.parameters()), data


@pytest.mark.parametrize("classes", CLASSES, ids=["KFAC", "EKFAC"])
@pytest.mark.parametrize("kind", ["expand", "reduce"])
class TestTheirNumbers:
    """With rows averaged over groups, everything is as curvlinops has it."""

    def test_sum_of_losses_and_samples(self, classes: Any, kind: str):
        options = {"kfac_approx": kind, "fisher_type": "mc", "mc_samples": 3}
        made = classes[0](*classification("sum"), groups="average_rows", **options)
        theirs = classes[1](*classification("sum"), **options)
        assert torch.allclose(dense(made), dense(theirs), rtol=1e-9, atol=1e-12)

    def test_parameters_that_are_left_out(self, classes: Any, kind: str):
        model, loss, params, data = classification()
        for kept in (params[1:], params[:2] + params[3:]):
            given = model, loss, kept, data
            made = classes[0](*given, kfac_approx=kind, groups="average_rows")
            theirs = classes[1](*given, kfac_approx=kind)
            assert torch.allclose(dense(made), dense(theirs), rtol=1e-9, atol=1e-12)

    def test_exact_groups_differ(self, classes: Any, kind: str):
        made = classes[0](*classification(), kfac_approx=kind)
        theirs = classes[1](*classification(), kfac_approx=kind)
        assert not torch.allclose(dense(made), dense(theirs), rtol=1e-3, atol=1e-6)

    def test_state_can_be_saved_and_loaded(self, classes: Any, kind: str, tmp_path: Any):
        model, loss, params, data = classification()
        for groups in ("exact", "average_rows"):
            made = classes[0](model, loss, params, data, kfac_approx=kind, groups=groups)
            expected = dense(made)
            torch.save(made.state_dict(), tmp_path / "state.pt")
            state = torch.load(tmp_path / "state.pt", weights_only=False)
            with pytest.warns(UserWarning, match="overwrite the parameters"):
                loaded = classes[0].from_state_dict(state, model, params, data)
            assert loaded._groups == groups
            assert torch.equal(dense(loaded), expected)


@pytest.mark.parametrize(("classes", "fisher"), FISHERS)
@pytest.mark.parametrize("kind", ["expand", "reduce"])
@pytest.mark.parametrize("separate", [True, False], ids=["separate", "joint"])
def test_matrices_are_theirs(classes: Any, kind: str, fisher: str, separate: bool):
    """With rows averaged over groups."""
    options = {"kfac_approx": kind, "fisher_type": fisher, "separate_weight_and_bias": separate}
    made = classes[0](*classification(), groups="average_rows", **options)
    theirs = classes[1](*classification(), **options)
    assert torch.allclose(dense(made), dense(theirs), rtol=1e-9, atol=1e-12)


def test_identity_factors_of_parts():
    given = problem("groups", "expand")
    made = ours.KFACLinearOperator(*given, fisher_type="forward-only")
    assert made.compute_kronecker_factors() is None
    assert [tuple(B.shape) for B in made._gradient_covariances.values()] == [(3, 3), (3, 3)]


def test_the_factors_are_those_of_the_layer():
    model, loss, params, data = problem("groups", "expand")
    made = ours.KFACLinearOperator(model, loss, params, data, fisher_type="type-2")
    x = torch.cat([x for x, _ in data])
    from diagrammar.layers import Conv

    A = Conv.of(model.layer).kfac_expand(x, scale="curvlinops")
    found = [made._input_covariances[f"layer[{n}]"] for n in range(2)]
    assert torch.allclose(torch.stack(found), A)


def test_their_inverse_refuses_parts():
    made = ours.KFACLinearOperator(*problem("groups", "reduce"))
    with pytest.raises(IndexError):
        dense(curvlinops.KFACInverseLinearOperator(made, damping=0.1))


def test_names_are_replaced_within_the_context_only():
    theirs = curvlinops.KFACLinearOperator
    with ours.replaced():
        assert curvlinops.KFACLinearOperator is ours.KFACLinearOperator
        assert curvlinops.kfac.KFACLinearOperator is ours.KFACLinearOperator
    assert curvlinops.KFACLinearOperator is theirs
    assert curvlinops.kfac.KFACLinearOperator is theirs


@pytest.mark.parametrize("kind", ["KFAC", "EKFAC"])
def test_no_gradients_by_parameters_are_computed(kind: str):
    model, loss, params, data = problem("plain", "reduce")
    seen: list[Tensor] = []
    for p in params:
        p.register_hook(seen.append)
    operator = getattr(ours, f"{kind}LinearOperator")(
        model, loss, params, data, check_deterministic=False
    )
    operator.trace  # noqa: B018  # which computes everything
    assert not seen
    assert operator._params is not operator._anchor
    theirs = getattr(curvlinops, f"{kind}LinearOperator")(
        model, loss, params, data, check_deterministic=False
    )
    assert torch.allclose(operator.trace, theirs.trace, rtol=1e-10)


def test_errors():
    given = problem("plain", "expand")
    with pytest.raises(ValueError, match=r"^backend must be 'diagrammar', not 'hooks'; "):
        ours.KFACLinearOperator(*given, backend="hooks")
    with pytest.raises(ValueError, match=r"^groups must be 'exact' or 'average_rows', not 'none'$"):
        ours.KFACLinearOperator(*given, groups="none")
    model = nn.Sequential(nn.BatchNorm2d(4), given[0]).double()
    with pytest.raises(NotImplementedError, match="un-supported layers"):
        ours.KFACLinearOperator(model, given[1], list(model.parameters()), given[3])
