"""The outcome of each candidate of a month and the reason for it, in sentences."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.evaluation.style import label
from smartgrid_pipeline.core.schema import Finding, Verdict

AUDITS = ("forecasts", "leakage")


@dataclass(frozen=True)
class CandidateOutcome:
    """A candidate: its rank on the month, its composite CRPS on the month and on the validation block before
    it (28-day analogue = 1), its outcome, and the reason.
    """

    model: str
    rank: int
    validation_crps: float
    month_crps: float
    outcome: str  # "champion", "refused" or "not put forward"
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """The outcome as plain data, under the keys of the month's ``summary.json``; a NaN stays NaN."""
        return {
            "model": self.model,
            "place": self.rank,
            "before": self.validation_crps,
            "now": self.month_crps,
            "outcome": self.outcome,
            "why": self.reason,
        }


def explain(
    composite: "pd.Series[float]",
    validation: Mapping[str, float],
    challenger: str,
    verdict: Verdict,
    verdicts: Iterable[Verdict] = (),
) -> tuple[CandidateOutcome, ...]:
    """Every candidate, the most accurate of the month first.

    ``validation`` is the composite CRPS on the block before the month, by which the challenger was chosen;
    ``verdicts`` hold the audits, whose subject begins with the model's name.
    """
    failed = {v.subject.split()[0]: v for v in verdicts if v.suite in AUDITS and not v.passed and v.subject}
    month_crps = pd.Series({name: float(composite.get(name, np.nan)) for name in validation})
    order = [str(name) for name in month_crps.sort_values(kind="stable", na_position="last").index]
    lines = []
    for rank, name in enumerate(order, 1):
        if name == challenger:
            outcome, reason = _challenger_outcome(verdict, len(order))
        else:
            outcome = "not put forward"
            reason = _reason_not_chosen(
                validation[name], challenger, validation[challenger], failed.get(name)
            )
        lines.append(CandidateOutcome(name, rank, validation[name], float(month_crps[name]), outcome, reason))
    return tuple(lines)


def headline(lines: Sequence[CandidateOutcome]) -> str:
    """One sentence on why the most accurate candidate of the month was not put forward; "" when it was, since
    the verdict then has the reasons.
    """
    if not lines or lines[0].outcome != "not put forward":
        return ""
    return f"{label(lines[0].model)} did best on the month and is not promoted: {lines[0].reason}."


def _challenger_outcome(verdict: Verdict, candidates: int) -> tuple[str, str]:
    chosen = f"chosen because it had the lowest CRPS of the {candidates} candidates before the month"
    if verdict.passed:
        return "champion", f"{chosen}; {_demands_met(verdict)}"
    reasons = "; ".join(
        _failure_text(finding) for finding in verdict.failures if finding.severity == "critical"
    )
    return "refused", f"{chosen}; refused because {reasons or 'nothing was checked'}"


def _demands_met(verdict: Verdict) -> str:
    """How many demands a passed verdict met, with the warnings it passed in spite of."""
    demands = len(verdict.findings)
    if not verdict.failures:
        return f"it met all {demands} demands of the gate"
    warnings = "; ".join(f"“{finding.rule}” is open: {finding.found}" for finding in verdict.failures)
    return f"it met {demands - len(verdict.failures)} of {demands} demands of the gate; {warnings}"


def _failure_text(finding: Finding) -> str:
    return f"“{finding.rule}” is not met: found {finding.found}, demanded {finding.demanded}"


def _reason_not_chosen(own: float, challenger: str, best: float, failed: Verdict | None) -> str:
    behind = (
        f"before the month, when the challenger is chosen, its CRPS was {100 * (own / best - 1):.1f} % above "
        f"that of {label(challenger)}"
    )
    if failed is None:
        return behind
    first = next((finding for finding in failed.failures if finding.severity == "critical"), None)
    found = f": {_failure_text(first)}" if first else ""
    return f"{behind}; it would be refused, because its audit of {failed.suite} failed{found}"
