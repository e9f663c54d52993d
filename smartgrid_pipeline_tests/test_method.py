"""docs/method.md: every file it names is there, and task T1 takes a dozen files to understand."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
METHOD = (ROOT / "docs" / "method.md").read_text()
MOST_FILES = 12


def test_method__names_files_that_exist() -> None:
    core = ROOT / "smartgrid_pipeline" / "core"
    named = set(re.findall(r"`([a-z_/]+\.py)`", METHOD))
    assert len(named) > 25
    everywhere = {path.relative_to(base).as_posix() for base in (core, core.parent, ROOT)
                  for path in base.rglob("*.py") if ".venv" not in path.parts}  # fmt: skip
    names = {path.name for path in core.rglob("*.py")}
    assert {path for path in named if path not in everywhere and path not in names} == set()


def test_next_five_minutes__are_understood_from_a_dozen_files() -> None:
    section = METHOD.split("## The next five minutes")[1].split("\n## ")[0]
    listed = re.findall(r"^\d+\. `([a-z_/]+\.py)`", section, re.MULTILINE)
    assert 0 < len(listed) <= MOST_FILES
