import numpy as np

from smartgrid_pipeline.registry import TrainingData

DATA = TrainingData(
    "ab", 8_064, np.datetime64("2010-01-04T00:00"), np.datetime64("2010-04-01T00:00"), ("2010-02",)
)


def test_training_data__has_its_months_without_those_left_out() -> None:
    assert DATA.months == ("2010-01", "2010-03")
    assert DATA.describe() == "8,064 rows from 2010-01-04 to 2010-04-01 without 2010-02"


def test_training_data__comes_back_from_its_tags() -> None:
    assert TrainingData.from_tags(DATA.to_tags()) == DATA
