"""Every module in tests/rigs is a plugin: fixtures live there, one rig a file."""

from pathlib import Path

pytest_plugins = [
    f"tests.rigs.{path.stem}" for path in sorted((Path(__file__).parent / "rigs").glob("[!_]*.py"))
]
