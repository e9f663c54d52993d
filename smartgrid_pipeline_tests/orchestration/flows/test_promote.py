"""A refusal is an outcome of the month, and leaves the champion."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from smartgrid_pipeline.core.schema import DataError, PromotionRefused
from smartgrid_pipeline.orchestration.flows.month_summary import is_published, read_summary, write_summary
from smartgrid_pipeline.orchestration.flows.promote import promote_challenger, promote_run

MONTH = "2010-04"


@dataclass
class Registry:
    """Refuses promotions when told to; notes what it was asked."""

    refuses: bool = False
    calls: list[Any] = field(default_factory=list)

    def register_challenger(self, run_id: str) -> None:
        self.calls.append(("challenger", run_id))

    def evidence(self, run_id: str) -> list[str]:
        return [f"evidence of {run_id}"]

    def promote(self, run_id: str, evidence: list[str], **words: Any) -> Any:
        self.calls.append(("promote", run_id, evidence, words))
        if self.refuses:
            raise PromotionRefused("the leakage audit failed")
        return SimpleNamespace(row=SimpleNamespace(model="gru", month=MONTH, to_version=3), changed=True)

    def runs(self, **words: str) -> list[Any]:
        return [SimpleNamespace(run_id="report-1")]


@pytest.fixture
def resources(tmp_path: Path) -> Any:
    found: Any = SimpleNamespace(registry=Registry(), settings=SimpleNamespace(data_dir=tmp_path))
    write_summary(found, MONTH, {"challenger_run_id": "run-7", "report_run_id": "report-1"})
    return found


def test_challenger__is_promoted_on_the_evidence_of_its_run(resources: Any) -> None:
    promotion, outcome = promote_challenger(resources, MONTH, "because")
    assert promotion is not None and outcome == "gru of 2010-04 is champion now (version 3)"
    assert resources.registry.calls == [
        ("challenger", "run-7"),
        ("promote", "run-7", ["evidence of run-7"], {"month": MONTH, "reason": "because"}),
    ]


def test_refusal__is_returned_in_words(resources: Any) -> None:
    resources.registry.refuses = True
    assert promote_challenger(resources, MONTH, "because") == (None, "the leakage audit failed")
    with pytest.raises(PromotionRefused):
        promote_run(resources, "run-8", "because")


def test_month_without_a_comparison__says_what_to_do(resources: Any) -> None:
    with pytest.raises(DataError, match="materialise comparison_report"):
        promote_challenger(resources, "2010-05", "because")


def test_summary__is_published_while_its_report_is_tracked(resources: Any) -> None:
    assert read_summary(resources, MONTH)["challenger_run_id"] == "run-7"
    assert is_published(resources, MONTH) and not is_published(resources, "2010-05")
    write_summary(resources, MONTH, {"report_run_id": "deleted"})
    assert not is_published(resources, MONTH)
