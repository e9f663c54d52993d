"""The benchmark of feature updates measures every block."""

import pytest

from benchmarks import feature_updates
from smartgrid_pipeline_tests.conftest import make_history


def test_measure__times_every_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_updates, "UPDATES", 3)
    found = feature_updates.measure(make_history(12), 10)
    assert set(found) == {feature_updates.name_of(key) for key in feature_updates.BLOCKS}
    assert all(each["update_median_ms"] > 0 for each in found.values())
