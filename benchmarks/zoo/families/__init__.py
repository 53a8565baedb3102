"""The networks, one file a family; importing this registers all of them."""

from benchmarks.zoo.families import (
    attention,
    chains,
    hooks,
    language,
    losses,
    parts,
    recurrent,
    rows,
    segmentation,
    shared,
    timm_vision,
    torchvision_vision,
)

__all__ = [
    "attention",
    "chains",
    "hooks",
    "language",
    "losses",
    "parts",
    "recurrent",
    "rows",
    "segmentation",
    "shared",
    "timm_vision",
    "torchvision_vision",
]
