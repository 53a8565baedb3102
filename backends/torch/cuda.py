"""GPUs by CUDA. Nothing is known of cuDNN that would change a choice: none has been measured."""

from __future__ import annotations

from math import inf

from diagrammar.backends.torch.library import Libraries
from diagrammar.cost.device import DEVICES, Model, Rates

LIBRARIES = Libraries(page=inf, near=inf, member=1e-4, image=0.0, kernel=0.0, images=0, facts=())
RATES = Rates(
    products=1 / 2e13,
    library=1 / 1.5e13,
    depthwise=1 / 1e12,
    streamed=1 / 1.5e12,
    strided=1 / 5e11,
    reordered=1 / 1e12,
    fresh=0.0,
    views=1.5e-6,
    calls=6e-6,
    library_calls=2e-5,
)
"""A GPU of a data centre in float32, from data sheets."""


def _name() -> str:
    import torch

    return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"


def _there() -> bool:
    import torch

    return torch.cuda.is_available()


def _wait() -> None:
    import torch

    torch.cuda.synchronize()


DEVICES["cuda"] = Model(RATES, LIBRARIES, lambda: LIBRARIES, _name, _there, _wait)
