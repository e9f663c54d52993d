"""What the README tells people to type exists, and its tree names files that are there."""

import re
from pathlib import Path

import pytest
import typer.main

from smartgrid_pipeline import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
TREE = README.split("## The tree")[1].split("```")[1]
COMMANDS = sorted(set(re.findall(r"`smartgrid ([^`]+)`", README)))
TARGETS = sorted(set(re.findall(r"`make ([a-z-]+)", README) + re.findall(r"^make ([a-z-]+)", README, re.M)))


@pytest.mark.parametrize("line", COMMANDS)
def test_command__has_the_options_told(line: str) -> None:
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


def test_tree__names_every_part_of_the_package_and_nothing_that_is_not_there() -> None:
    package, rest = TREE.split("smartgrid_pipeline_tests/")
    told = set(re.findall(r"(?:├──|└──|  )\s*([a-z_]+(?:\.py|/))", package)) - {
        "models/",
        "anomaly/",
        "evaluation/",
    }
    there = {
        path.name + "/" * path.is_dir()
        for path in (ROOT / "smartgrid_pipeline").iterdir()
        if not path.name.startswith("__")
    }
    assert told == there
    documents = set(re.findall(r"[a-z_]+\.md", rest))
    assert documents <= {path.name for path in (ROOT / "docs").glob("*.md")}
    core = {
        path.name for path in (ROOT / "smartgrid_pipeline/core").iterdir() if not path.name.startswith("__")
    }
    named = set(re.findall(r"[a-z_]+", package.split("pure:")[1]))
    assert named == {name.removesuffix(".py") for name in core}
