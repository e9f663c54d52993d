"""Groups of leads: every lead belongs to one of each grouping, short leads apart from long ones."""

import numpy as np
import pytest

from smartgrid_pipeline.core.forecasting.leads import (
    BLENDING,
    LEAD_GROUP_NAMES,
    RECALIBRATION,
    RESIDUALS,
    SHORT_LEAD_GROUPS,
    Grouping,
    is_short,
    lead_groups,
)
from smartgrid_pipeline.core.schema import ALL_LEADS, LeadInterval, Meter, ModelError, leads_for

MIDNIGHT, NOON = (np.array([f"2010-01-01T{hour}:00"], "datetime64[m]") for hour in ("00", "12"))


def test_is_short__holds_up_to_the_end_of_the_next_hour() -> None:
    assert is_short(LeadInterval(0, 60)) and is_short(LeadInterval(55, 60))
    assert not is_short(LeadInterval(60, 75)) and not is_short(LeadInterval(0, 1440))


@pytest.mark.parametrize("step_minutes", [5, 15, 30, 60])
def test_lead_groups__share_out_the_leads_of_a_meter(step_minutes: int) -> None:
    groups = lead_groups(Meter("m", step_minutes=step_minutes))
    leads = [lead for group in groups for lead in group.leads]
    names = [group.name for group in groups]
    assert len(leads) == len(set(leads)) and set(leads) == set(leads_for(step_minutes))
    assert all(len({is_short(lead) for lead in group.leads}) == 1 for group in groups)
    assert names == [name for name in LEAD_GROUP_NAMES if name in names]
    assert {group.name for group in groups if group.is_short} == {*names} & {*SHORT_LEAD_GROUPS}


@pytest.mark.parametrize("grouping", [BLENDING, RESIDUALS, RECALIBRATION])
def test_grouping__numbers_every_lead_and_no_other(grouping: Grouping) -> None:
    hours = MIDNIGHT + np.arange(24) * np.timedelta64(60, "m")
    assert set(grouping.of_pairs(hours, ALL_LEADS).ravel()) == set(range(grouping.count))
    with pytest.raises(ModelError, match="ALL_LEADS"):
        grouping.of_leads((LeadInterval(0, 7),))


def test_blending_groups__keep_short_leads_apart_and_join_long_ones_of_a_width() -> None:
    groups = dict(zip(ALL_LEADS, BLENDING.of_leads(ALL_LEADS), strict=True))
    assert len({groups[lead] for lead in ALL_LEADS if is_short(lead)}) == sum(map(is_short, ALL_LEADS))
    assert groups[LeadInterval(60, 75)] == groups[LeadInterval(1425, 1440)] != groups[LeadInterval(0, 15)]


def test_residual_groups__join_leads_of_a_width_that_start_in_one_hour() -> None:
    groups = dict(zip(ALL_LEADS, RESIDUALS.of_leads(ALL_LEADS), strict=True))
    assert groups[LeadInterval(60, 75)] == groups[LeadInterval(105, 120)] != groups[LeadInterval(120, 135)]
    assert groups[LeadInterval(0, 5)] != groups[LeadInterval(5, 10)]


def test_recalibration_groups__follow_the_clock_hour_of_long_leads_only() -> None:
    leads = (LeadInterval(0, 5), LeadInterval(0, 60), LeadInterval(720, 780), LeadInterval(720, 735))
    early, late = RECALIBRATION.of_pairs(MIDNIGHT, leads)[0], RECALIBRATION.of_pairs(NOON, leads)[0]
    assert (early[:2] == late[:2]).all() and (early[2:] != late[2:]).all()
    assert RECALIBRATION.of_pairs(NOON, (LeadInterval(1380, 1440),)) == RECALIBRATION.of_pairs(
        MIDNIGHT, (LeadInterval(660, 720),)
    )
