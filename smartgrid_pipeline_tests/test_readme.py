"""What the README tells people to type exists, and its tree names files that are there."""

import re
from pathlib import Path

import pytest
import typer.main

from smartgrid_pipeline import cli

ROOT = Path(__file__).parents[1]
PACKAGE, TESTS = ROOT / "smartgrid_pipeline", ROOT / "smartgrid_pipeline_tests"
README = (ROOT / "README.md").read_text()
TREE = README.split("## The tree")[1].split("```")[1]
COMMANDS = sorted(set(re.findall(r"`smartgrid ([^`]+)`", README)))
TARGETS = sorted(set(re.findall(r"`make ([a-z-]+)", README) + re.findall(r"^make ([a-z-]+)", README, re.M)))


@pytest.mark.parametrize("line", COMMANDS)
def test_command__has_the_options_named(line: str) -> None:
    name, *words = line.split()
    group = typer.main.get_command(cli.app)
    command = group.commands[name]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("target", TARGETS)
def test_target__is_in_the_makefile(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)


def test_module__to_run_is_there() -> None:
    for module in re.findall(r"python -m ([a-z_.]+)", README):
        path = ROOT / module.replace(".", "/")
        assert (path / "__main__.py").exists() or path.with_suffix(".py").exists(), module


def _named(lines: list[str]) -> set[str]:
    """Files and folders at the beginning of lines of a tree; captions come after them."""
    names: set[str] = set()
    for line in lines:
        for word in line.strip().lstrip("├└─ ").split():
            if not re.fullmatch(r"[a-z_]+(\.py|/)", word):
                break
            names.add(word)
    return names


def _there(folder: Path) -> set[str]:
    return {path.name + "/" * path.is_dir() for path in folder.iterdir() if not path.name.startswith("__")}


def test_tree__names_every_part_of_the_package_and_nothing_that_is_not_there() -> None:
    package, rest = TREE.split("smartgrid_pipeline_tests/")
    lines = package.split("smartgrid_pipeline/", 1)[1].splitlines()
    assert _named([line for line in lines if line.startswith(("├", "└"))]) == _there(PACKAGE)
    assert _named([line for line in lines if line.startswith("    ")]) == _there(PACKAGE / "core")
    documents = set(re.findall(r"[a-z_]+\.md", rest))
    assert documents <= {path.name for path in (ROOT / "docs").glob("*.md")}


@pytest.mark.parametrize("document", ["architecture.md", "glossary.md", "method.md"])
def test_document__names_files_that_are_there(document: str) -> None:
    text = (ROOT / "docs" / document).read_text()
    named = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:\.py|/))`", text)) - {"data/", "mlruns/"}
    places = (ROOT, PACKAGE, PACKAGE / "core", TESTS)
    files = {path.name for path in (PACKAGE / "core").rglob("*.py")}  # named beside a sibling with its folder
    absent = [name for name in named if not any((place / name).exists() for place in places)]
    assert sorted(set(absent) - files) == []


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name
)
def test_document__links_to_documents_that_are_there(path: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+\.md)\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []
