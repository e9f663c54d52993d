import numpy as np

from smartgrid_pipeline.core.anomaly.physics import loads
from smartgrid_pipeline_tests.core.anomaly import made

FIRST = int((made.FAULT_START - made.CLEAN.first_hour) / np.timedelta64(1, "h"))
WITHIN = slice(FIRST, FIRST + 24 * made.FAULT_DAYS)


def test_exchange__swapped_sub_meters_fit_better_exchanged() -> None:
    gains = loads.exchange_gains(made.with_fault("swap_sub", 0.0))
    clean = loads.exchange_gains(made.CLEAN)
    assert max(gain[WITHIN].sum() for gain in gains.values()) > 0
    assert max(gain[WITHIN].sum() for gain in clean.values()) <= 0


def test_is_vacant__is_a_home_that_uses_its_base_load_only() -> None:
    away = loads.is_vacant(made.with_fault("vacation"))[WITHIN]
    assert away[24:].mean() > 0.9
    assert loads.is_vacant(made.CLEAN)[WITHIN].mean() < 0.4


def test_silent_energy__grows_until_the_sub_meter_is_above_zero_again() -> None:
    used = loads.silent_energy(made.with_fault("sub_dead"), k=2)
    other = [loads.silent_energy(made.with_fault("sub_dead"), k) for k in (0, 1)]
    longest = max([used, *other], key=lambda each: each[WITHIN].max())[WITHIN]
    assert (np.diff(longest) >= 0).mean() > 0.9
    assert longest.max() > 3 * max(loads.silent_energy(made.CLEAN, k).max() for k in range(3))
