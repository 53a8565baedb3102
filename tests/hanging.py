"""When a test gives up on a process, a page or a peer that does not answer.

Not a limit of speed: far above what anything here takes on a slow and busy machine, so that what it
ends hangs. tests/test_clocks.py has no other limits.
"""

HANG = 1800.0
"""Seconds."""
