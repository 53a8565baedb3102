"""Two-dimensional convolutions whose kernel is given by factors: CP, Tucker, tensor train and ring.

They compute the same as conv_einsum (arXiv 2401.03384). Input and factors are contracted in the
order that the planner finds for the given sizes; the kernel itself is computed only where that is
cheapest. The definitions are `conv2d_cp.tn`, `conv2d_tucker.tn`, `conv2d_tt.tn` and `conv2d_tr.tn`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from diagrammar.grammar.errors import DiagramError, Problem, near
from diagrammar.language.shipped import shipped
from diagrammar.language.spec import parse

if TYPE_CHECKING:
    from torch import Tensor

    from diagrammar.runtime.function import Function

FORMS = {
    "cp": "W[co, ci, k1, k2] = A[co, r] * B[ci, r] * C1[k1, r] * C2[k2, r]",
    "tucker": "W[co, ci, k1, k2] = A[co, r] * G[r, q, k1, k2] * B[ci, q]",
    "tt": "W[co, ci, k1, k2] = A[co, r] * C1[r, k1, q] * C2[q, k2, t] * B[t, ci]",
    "tr": "W[co, ci, k1, k2] = A[u, co, r] * C1[r, k1, q] * C2[q, k2, t] * B[t, ci, u]",
}
"""The kernel of each form, with the names and axes of its factors."""


def conv2d(
    form: str,
    x: Tensor,
    *factors: Tensor,
    stride: int | tuple[int, int] = 1,
    padding: int | str | tuple[Any, Any] = 0,
    dilation: int | tuple[int, int] = 1,
    **options: Any,
) -> Tensor:
    """Convolve x [b, ci, i1, i2] with a kernel in factors: [b, co, o1, o2].

    `form` is "cp", "tucker", "tt" or "tr"; factors have the order and the axes of `FORMS`. A tuple
    has a value for each dimension; a padding is a number, a pair (left, right), "same" or "valid".
    `options` are those of `compile`, for example `plan="measure"` or `memory="1GiB"`. Raises
    DiagramError for an unknown form and for factors that do not fit. Up to rounding, the result
    equals `torch.nn.functional.conv2d` with `kernel(form, *factors)`.
    """
    values = {"s": stride, "p": padding, "d": dilation, **options}
    function = compiled(form, tuple(sorted(values.items())))
    result: Tensor = function(x, *factors)
    return result


def kernel(form: str, *factors: Tensor) -> Tensor:
    """Compute the kernel [co, ci, k1, k2] of factors. Raises DiagramError as `conv2d` does."""
    result: Tensor = _rebuilding(_known(form))(*factors)
    return result


@lru_cache(maxsize=256)
def compiled(form: str, values: tuple[tuple[str, Any], ...]) -> Function:
    """Compile the function of x and the factors at some hyper-parameters and options."""
    return shipped(f"conv2d_{_known(form)}")["Y"].compile(**dict(values))


@lru_cache(maxsize=8)
def _rebuilding(form: str) -> Function:
    """The function that computes the kernel from its factors."""
    factors = FORMS[form].split(" = ")[1].split(" * ")
    declared = "".join(f"tensor {factor}\n" for factor in factors)
    return parse(f"{declared}{FORMS[form]}\n")["W"].compile()


def _known(form: str) -> str:
    """Return the form. Raises DiagramError for an unknown one."""
    if form not in FORMS:
        message = f"no form of kernels is called {form!r}"
        raise DiagramError(
            [Problem(message, help=near(form, FORMS) or f"there are {', '.join(FORMS)}")]
        )
    return form
