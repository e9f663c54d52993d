import io

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector
from smartgrid_pipeline.core.anomaly.report import plots


def test_plots__draw_months_and_events(house: tuple[AnomalyDetector, pd.DataFrame]) -> None:
    detector, readings = house
    spoiled = readings.copy()
    spoiled.loc["2010-02-22 10:00":"2010-02-22 10:29", "voltage_v"] = 180.0
    detection = detector.detect(spoiled, since=np.datetime64("2010-02-20"))
    figures = (plots.alarms_per_month(detection, 1.0), plots.event(spoiled, detection.events.iloc[-1]))
    for figure in figures:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=50)
        assert len(buffer.getvalue()) > 3_000
