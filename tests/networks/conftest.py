"""Small networks here, too."""

from tests.integrations.conftest import one_thread

__all__ = ["one_thread"]
