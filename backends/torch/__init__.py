"""Write programs as PyTorch source, and load that source as functions."""

from diagrammar.backends.torch.backend import TORCH as TORCH
from diagrammar.backends.torch.emit import emit_module as emit_module
from diagrammar.backends.torch.emit import load as load
