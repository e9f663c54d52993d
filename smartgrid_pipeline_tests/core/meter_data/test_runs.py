import numpy as np
from scipy import ndimage

from smartgrid_pipeline.core.meter_data.runs import runs


def test_runs__begin_and_end_where_the_flag_does() -> None:
    assert runs(np.array([True, True, False, True])) == [(0, 2), (3, 4)]
    assert runs(np.zeros(3, bool)) == [] == runs(np.zeros(0, bool))


def test_runs__are_the_labelled_objects_of_scipy() -> None:
    flags = np.random.default_rng(0).random(500) < 0.4
    labels, _ = ndimage.label(flags)
    assert runs(flags) == [(found[0].start, found[0].stop) for found in ndimage.find_objects(labels)]
