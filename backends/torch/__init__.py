"""Programs as PyTorch source, and that source as functions."""
