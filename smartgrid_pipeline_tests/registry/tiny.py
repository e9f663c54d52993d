"""A forecaster that fits in a JSON file, and what is needed to track it."""

import json
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Forecast, Split, sort_and_clip
from smartgrid_pipeline.core.schema import LeadInterval, ModelError, Times
from smartgrid_pipeline_tests.conftest import HOME


class TinyForecaster:
    """Forecasts the last reading times a learned number."""

    def __init__(self, factor: float = 1.5, name: str = "tiny") -> None:
        self.factor = factor
        self.name = name

    def fit(self, history: History, split: Split) -> None:
        self.factor = float(np.nanmean(history.power_kw))

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        last = np.nan_to_num(history.power_kw[history.rows(origins)])
        mean = np.repeat(last[:, None] * self.factor, len(leads), axis=1).astype(np.float32)
        spread = np.linspace(0.5, 1.5, 9, dtype=np.float32)
        return Forecast(origins, leads, *sort_and_clip(mean, mean[:, :, None] * spread))

    def parameters(self) -> dict[str, Any]:
        return {"factor": self.factor}

    def curves(self) -> pd.DataFrame:
        return pd.DataFrame()

    def save(self, directory: Path) -> None:
        (directory / "tiny.json").write_text(json.dumps({"factor": self.factor}))

    @classmethod
    def load(cls, directory: Path) -> Self:
        path = directory / "tiny.json"
        if not path.exists():
            raise ModelError(f"{path} is missing.")
        return cls(json.loads(path.read_text())["factor"])


class WordyForecaster(TinyForecaster):
    """One with more to log than MLflow takes at once."""

    def parameters(self) -> dict[str, Any]:
        return {"factor": self.factor, "notes": "x" * 9_000, **{f"size_{i}": i for i in range(130)}}

    def curves(self) -> pd.DataFrame:
        steps = np.arange(1_000)
        loss = np.where(steps % 10, np.nan, 1 / (1 + steps))
        return pd.DataFrame({"step": steps, "train": 1 / (1 + steps), "validation": loss})


class TinyDetector:
    """An anomaly detector as the registry sees it."""

    meter = HOME

    def parameters(self) -> dict[str, Any]:
        return {"alarms_per_month": 1.0}

    def save(self, directory: Path) -> None:
        (directory / "detector.json").write_text("{}")


LOADERS = dict.fromkeys(("tiny", "other", "gru", "ridge"), TinyForecaster.load)
