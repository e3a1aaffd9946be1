"""Every module in tests/rigs is a plugin: fixtures live there, one rig a file. ``--long`` adds what takes long."""

from pathlib import Path

import pytest

# Rigs import one another, so a plugin may be there before pytest comes to it: all are rewritten, whoever comes first.
pytest.register_assert_rewrite("tests.rigs")

pytest_plugins = [
    f"tests.rigs.{path.stem}" for path in sorted((Path(__file__).parent / "rigs").glob("[!_]*.py"))
]
SLOWEST = (
    "tests/integration/system/",
    "tests/e2e/",
    "tests/attack/",
    "tests/integration/",
    "tests/contract/",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long",
        action="store_true",
        help="also run what takes long: 1,000 kills, a restart after every fault",
    )
    parser.addoption(
        "--kill", type=int, metavar="N", help="of each chunk of test_kill.py, the N-th kill alone"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: runs with --long alone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # What takes longest comes first, so that at the end no worker is left alone with it.
    items.sort(
        key=lambda item: next((n for n, room in enumerate(SLOWEST) if room in item.nodeid), len(SLOWEST))
    )
    if not config.getoption("--long"):
        left_out = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if not item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left_out)
