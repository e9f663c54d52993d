import numpy as np

from smartgrid_pipeline.core.anomaly.events.events import separated


def test_separated__a_rule_within_a_standing_alarm_begins_an_event_of_its_own() -> None:
    union, by_rule = np.zeros(1_000, bool), np.zeros(1_000, bool)
    union[100:700] = True
    by_rule[[110, 300, 400, 410, 690]] = True
    assert separated(union, by_rule, 72) == [(100, 400), (400, 690), (690, 700)]
