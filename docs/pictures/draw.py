"""Draw the pictures of the documentation into this folder, or into another: draw.py [FOLDER]."""

from __future__ import annotations

import sys
from pathlib import Path

import diagrammar as dg
from diagrammar.draw import render
from diagrammar.replacing import write


def pictures() -> dict[str, str]:
    """The pictures by file name."""
    spec = dg.shipped("conv2d")
    dense = {"k1": 4, "k2": 4, "s": 4, "p": 0, "i1": 32, "i2": 32}
    return {
        "convolution.svg": render(spec["Y"], "svg"),
        "weight_gradient.svg": render(spec["dW"], "svg"),
        "kfac_reduce.svg": render(spec["A_reduce"].simplify(), "svg", steps="ends"),
        "kfac_expand_dense.svg": render(spec["A_expand"].simplify(**dense), "svg", steps="ends"),
    }


def main(folder: Path) -> None:
    """Write them all."""
    for name, text in pictures().items():
        write(folder / name, text)
        print(folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
