"""The committed tree says what is true: links, paths, tests and tables that documents name exist."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "SECURITY.md",
    "docs/ARCHITECTURE.md",
    "docs/LEDGER.md",
    "docs/THREAT-MODEL.md",
    "docs/man/ownerctl.1",
    "docs/man/ownerd.8",
]
# Split, so that this file does not find itself.
FOREIGN = [
    "py" + r"pi\.org",
    "python" + r"hosted\.",
    r"\bdebian" + r"\.org/",
    r"\bnpm" + r"js\.",
    "/wo" + "rk/",
    "/fa" + "rm/",
    "/roo" + "t/",
    r"/home/[a-z]+/(?!\.)",
]
MAY_PRINT = {"cli/ownerctl/render.py", "daemon/ownerd/softtoken/terminal.py"}
CODE_PREFIXES = ("", "daemon/ownerd/", "cli/ownerctl/", "daemon/", "cli/")
TOP = {"daemon", "cli", "docs", "tests", "systemd", "udev", "demo", ".ci"}
CODE_SUFFIXES = {".py", ".xml", ".toml", ".md", ".txt", ".service", ".rules", ".desktop", ".json"}


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def read(path: Path) -> str:
    return path.read_text("utf-8", "replace")


def document(name: str) -> str:
    assert (ROOT / name).is_file(), f"{name} is missing"
    return read(ROOT / name)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(text: str) -> str:
    """Markdown without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_document_that_readers_look_for_is_there(name: str) -> None:
    assert len(document(name)) > 400, f"{name} says next to nothing"


def broken_links(document: Path, text: str) -> list[str]:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        if re.match(r"[a-z][a-z0-9+.-]*:", target) or target.startswith("#"):
            continue
        path, _, anchor = target.partition("#")
        found = (document.parent / path).resolve()
        if (
            not found.exists()
            or ROOT not in [found, *found.parents]
            or (anchor and anchor not in anchors(read(found)))
        ):
            broken.append(target)
    return broken


def anchors(text: str) -> set[str]:
    """Anchors of a Markdown file's headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ +(.+?) *$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_relative_links_lead_somewhere() -> None:
    broken = [f"{named(path)}: {link}" for path in tracked("*.md") for link in broken_links(path, read(path))]
    assert not broken


def code_paths(text: str) -> Iterator[str]:
    """What stands in backticks and is written like a path of the tree."""
    for token in re.findall(r"`([^`\n]+)`", prose(text)):
        path = token.split("::")[0].removeprefix("./")
        if not re.fullmatch(r"[\w.\-*/]+", path) or path.startswith("/"):
            continue
        is_file = Path(path).suffix in CODE_SUFFIXES and "/" in path
        if is_file or (path.split("/")[0] in TOP and "/" in path):
            yield path


def missing_paths(text: str) -> list[str]:
    return [
        path
        for path in code_paths(text)
        if not any(any(ROOT.glob(prefix + path.rstrip("/"))) for prefix in CODE_PREFIXES)
    ]


@pytest.mark.parametrize(
    "name", ["docs/ARCHITECTURE.md", "docs/THREAT-MODEL.md", "docs/LEDGER.md", "README.md", "CONTRIBUTING.md"]
)
def test_code_paths_that_a_document_names_exist(name: str) -> None:
    assert not missing_paths(document(name))


def test_the_code_map_names_every_package() -> None:
    text = document("docs/ARCHITECTURE.md")
    packages = {path.parent.name for path in tracked("daemon/ownerd/*/__init__.py")}
    assert packages
    assert not {package for package in packages if not re.search(rf"\b{package}\b", text)}


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_error_table_is_current() -> None:
    text = document("docs/ARCHITECTURE.md")
    assert generator().renew(text) == text, "run docs/generate.py"


def test_the_error_table_generator_replaces_only_what_is_between_the_marks() -> None:
    module = generator()
    text = f"before\n{module.BEGIN}| stale |\n{module.END}after\n"
    renewed = module.renew(text)
    assert renewed.startswith("before\n<!-- errors -->\n| error |")
    assert renewed.endswith("<!-- /errors -->\nafter\n")
    assert "stale" not in renewed
    assert module.renew(renewed) == renewed
    for wrong in ("", "before\n", text + text, text.replace(module.END, "")):
        with pytest.raises(ValueError, match="once each"):
            module.renew(wrong)


def test_no_registry_and_no_path_of_one_machine_is_committed() -> None:
    pattern = re.compile("|".join(FOREIGN))
    found = [
        f"{named(path)}:{number}: {match[0]}"
        for path in tracked()
        for number, line in enumerate(read(path).splitlines(), 1)
        if (match := pattern.search(line)) and path.name != "LICENSE"
    ]
    assert not found


def test_every_module_says_what_it_is() -> None:
    silent = []
    for path in tracked("daemon/*.py", "cli/*.py", "demo/*.py", "docs/*.py"):
        tree = ast.parse(read(path))
        first = (ast.get_docstring(tree) or "").split("\n")[0].strip()
        if tree.body and not first.endswith((".", ":", "?")):
            silent.append(named(path))
    assert not silent


def test_only_renderers_print() -> None:
    found = [
        f"{named(path)}:{node.lineno}"
        for path in tracked("daemon/*.py", "cli/*.py")
        if named(path) not in MAY_PRINT
        for node in ast.walk(ast.parse(read(path)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not found


def known_tests() -> set[str]:
    """Names of all tests, as ``test_x`` and as ``tests/a/test_b.py::test_x``, and of their files."""
    names: set[str] = set()
    for path in tracked("tests/*.py"):
        names |= {named(path), path.name}
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                names |= {node.name, f"{named(path)}::{node.name}", f"{path.name}::{node.name}"}
    return names


def test_every_test_that_the_threat_table_names_exists() -> None:
    text = document("docs/THREAT-MODEL.md")
    claimed = re.findall(r"`((?:tests/)?[\w/]*test_\w+(?:\.py)?(?:::test_\w+)?)`", text)
    assert claimed, "the threat table names no test"
    there = known_tests()
    assert not [name for name in claimed if name not in there and f"tests/{name}" not in there]


def test_the_version_has_its_place_in_the_changelog() -> None:
    version = re.search(r'^version = "(.+)"$', read(ROOT / "pyproject.toml"), re.MULTILINE)
    assert version is not None
    assert re.search(
        rf"^## \[({re.escape(version[1])}|Unreleased)\]", read(ROOT / "CHANGELOG.md"), re.MULTILINE
    )


def test_test_files_have_names_of_their_own() -> None:
    """Otherwise a report names two files at once."""
    names = [path.name for path in tracked("tests/*.py") if path.name.startswith("test_")]
    assert len(names) == len(set(names))


def test_a_broken_link_path_or_anchor_would_be_found() -> None:
    document = ROOT / "README.md"
    text = "# A b\n[a](LICENSE) [b](NOWHERE.md) [c](https://x/) [d](#x) [e](docs/../docs/none.md) [f](../x)\n"
    assert broken_links(document, text) == ["NOWHERE.md", "docs/../docs/none.md", "../x"]
    assert anchors("# A b\n## C, d: `e`\n") == {"a-b", "c-d-e"}
    text = (
        "`core/ports.py` `core/nothing.py` `tests/attack` `tests/none/` `a/b` `docs/dbus/*.xml` `docs/*.none`"
    )
    assert missing_paths(text) == ["core/nothing.py", "tests/none/", "docs/*.none"]
