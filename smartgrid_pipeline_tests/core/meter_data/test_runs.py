import numpy as np

from smartgrid_pipeline.core.meter_data.runs import runs


def test_runs__begin_and_end_where_the_flag_does() -> None:
    assert runs(np.array([True, True, False, True])) == [(0, 2), (3, 4)]
    assert runs(np.zeros(3, bool)) == [] == runs(np.zeros(0, bool))
