"""Options of the whole test suite."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.skips import pytest_make_collect_report as pytest_make_collect_report
from tests.skips import pytest_runtest_makereport as pytest_runtest_makereport

# hypothesis' limits are seconds: of one example, and of making it
settings.register_profile(
    "no clock", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("no clock")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="rewrite golden files")
    parser.addoption(
        "--strict-skips",
        action="store_true",
        help="a skipped test fails unless tests/skips.toml lists it; so it is where CI is set",
    )


@pytest.fixture(autouse=True, scope="session")
def empty_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test depends on, or changes, what is measured and stored on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIAGRAMMAR_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("DIAGRAMMAR_CALIBRATE", "off")
        yield


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be rewritten."""
    return bool(request.config.getoption("--update"))
