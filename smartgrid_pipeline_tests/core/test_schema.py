import pytest

from smartgrid_pipeline.core.schema import (
    ALL_LEADS,
    FORECAST_TASKS,
    Finding,
    LeadInterval,
    Meter,
    Verdict,
    leads_for,
    tasks_for,
)

GOOD, WARNED = Finding("a", True, "1", "1"), Finding("b", False, "2", "1", "warning")
FAILED = Finding("c", False, "3", "1")


@pytest.mark.parametrize(("step", "working"), [(1, 5), (2, 6), (4, 12), (5, 5), (15, 15), (30, 30), (60, 60)])
def test_working_interval__holds_whole_steps_and_divides_the_hour(step: int, working: int) -> None:
    assert Meter("m", step_minutes=step).working_minutes == working


def test_tasks__cover_every_lead_of_the_meter() -> None:
    assert {lead for task in FORECAST_TASKS for lead in task.leads} == set(ALL_LEADS)
    assert [task.name for task in tasks_for(30)] == ["T2", "T4", "T5", "T5_week"]
    assert LeadInterval(0, 5) not in leads_for(30)


def test_path_of_the_next_hour__is_twelve_five_minute_leads_from_hourly_origins() -> None:
    path = next(task for task in FORECAST_TASKS if task.name == "T1_path")
    assert path.leads == tuple(LeadInterval(m, m + 5) for m in range(0, 60, 5))
    assert path.origin_minutes == 60


def test_verdict__passes_only_when_something_critical_was_checked() -> None:
    assert Verdict("s", "x", (GOOD, WARNED)).passed and not Verdict("s", "x", (GOOD, FAILED)).passed
    assert not Verdict("s", "x").passed and not Verdict("s", "x", (WARNED,)).passed
    assert "nothing was checked" in Verdict("s", "x").summary()
    assert Verdict("s", "x", (GOOD, FAILED)).summary().splitlines()[1] == "  ✗ c: found 3, demanded 1"


def test_verdict__read_back_computes_its_outcome_again() -> None:
    data = Verdict("s", "x", (FAILED,)).to_dict() | {"passed": True}
    assert Verdict.from_dict(data) == Verdict("s", "x", (FAILED,)) and not Verdict.from_dict(data).passed
