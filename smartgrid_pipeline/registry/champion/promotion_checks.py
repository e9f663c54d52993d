"""Checks before a promotion: which verdicts it demands, by command, schedule or asset alike."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from smartgrid_pipeline.core.schema import PromotionRefused, Verdict
from smartgrid_pipeline.registry.types import MONTH_SUITES, RUN_SUITES, TrackedRun


def about_run(verdict: Verdict, run_id: str) -> Verdict:
    """The verdict with the id of the run it is about added to its subject, as RUN_SUITES need it."""
    return replace(verdict, subject=f"{verdict.subject} {run_id}")


def missing(verdicts: Iterable[Verdict], run_id: str, months: Sequence[str]) -> list[str]:
    """Reasons why these verdicts do not allow a promotion, one line each; empty when they allow it.

    Demanded are passed verdicts of RUN_SUITES whose subject names the run, and of MONTH_SUITES for each
    month. A failed verdict of any other suite about the run or one of the months is a reason too.
    """
    about: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in verdicts:
        subject = run_id if run_id in verdict.subject.split() else verdict.subject
        about.setdefault((verdict.suite, subject), []).append(verdict)
    problems = []
    for suite in MONTH_SUITES:
        absent = [month for month in months if (suite, month) not in about]
        if absent:
            listed = ", ".join(absent[:6]) + (f" … {absent[-1]}" if len(absent) > 6 else "")
            problems.append(f"no verdict of suite {suite!r} for {len(absent)} months: {listed}")
    for suite in RUN_SUITES:
        if (suite, run_id) not in about:
            others = sorted(subject for other, subject in about if other == suite)[:3]
            found = f"; found one about {', '.join(others)}" if others else ""
            problems.append(f"no verdict of suite {suite!r} about this run{found}")
    subjects = {run_id, *months}
    failed = [
        verdict
        for (_, subject), found in about.items()
        if subject in subjects
        for verdict in found
        if not verdict.passed
    ]
    return problems + [verdict.summary() for verdict in failed]


def demand(run: TrackedRun, verdicts: Sequence[Verdict], months: Sequence[str], month: str | None) -> None:
    """Check the evidence for promoting a run. Raises PromotionRefused with every missing or failed piece.

    ``months`` are demanded beside those that the run itself recorded; ``month`` is the month of the evidence,
    None when it is not stated.
    """
    problems = missing(verdicts, run.run_id, sorted({*months, *run.data.months, run.month}))
    if month is not None and month != run.month:
        problems.insert(0, f"the run is of month {run.month}, the evidence of {month}")
    if run.status != "FINISHED":
        problems.insert(0, f"the run is {run.status}, not FINISHED")
    if problems:
        raise refusal(run, problems)


def refusal(run: TrackedRun, problems: Sequence[str]) -> PromotionRefused:
    """The error that lists why a run is not promoted."""
    lines = "\n".join(f"- {problem}" for problem in problems)
    return PromotionRefused(
        f"{run.model} of {run.month} (run {run.run_id}) is not promoted; the champion stays. Found:\n{lines}"
    )
