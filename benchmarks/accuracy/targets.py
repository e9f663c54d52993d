"""The targets of the accuracy benchmark, and by how much each was hit or missed."""

from dataclasses import dataclass
from typing import Any

Scores = dict[str, dict[str, Any]]
"""Window → its entry in the results: models with their metrics, tests, counts."""


@dataclass(frozen=True)
class Target:
    """A metric of a window that should lie within bounds (None: open)."""

    window: str
    metric: str
    low: float | None
    high: float | None

    @property
    def words(self) -> str:
        """The bounds as people write them."""
        if self.low is None:
            return f"≤ {self.high:g}"
        return f"≥ {self.low:g}" if self.high is None else f"{self.low:g} … {self.high:g}"

    def miss(self, value: float) -> float:
        """How far a value lies outside the bounds; 0 when it is within."""
        below = max(self.low - value, 0.0) if self.low is not None else 0.0
        return max(below, value - self.high if self.high is not None else 0.0, 0.0)


TARGETS = (
    Target("T1", "rmse_kw", None, 0.245),
    Target("T1", "mae_kw", None, 0.115),
    Target("T1", "mape_percent", None, 11.0),
    Target("T2", "rmse_kw", None, 0.388),
    Target("T2", "mae_kw", None, 0.240),
    Target("T3", "rmse_kw", None, 0.705),
    Target("T3", "mae_kw", None, 0.470),
    Target("T3", "r2", 0.375, None),
    Target("T4", "cvrmse_percent", None, 57.5),
    Target("T4", "crps_kw", None, 0.290),
    Target("T4", "coverage_80", 0.78, 0.82),
    Target("T4", "coverage_80_worst_month", 0.75, 0.85),
    Target("T5", "rmse_kw", None, 0.235),
    Target("T5_week", "rmse_kw", None, 0.160),
)


def value_of(figure: Any) -> float:
    """A figure, or its mean over seeds; NaN where there is none."""
    if isinstance(figure, dict):
        return float(figure["mean"])
    return float("nan") if figure is None else float(figure)


def against_targets(cards: Scores, model: str) -> list[dict[str, Any]]:
    """Each target beside the model's figure; targets whose window or model was not run are left out."""
    rows = []
    for target in TARGETS:
        entry = cards.get(target.window, {}).get("models", {}).get(model, {})
        if target.metric not in entry:
            continue
        value = value_of(entry[target.metric])
        rows.append(
            {
                "card": target.window,
                "metric": target.metric,
                "target": target.words,
                "model": model,
                "value": value,
                "missed_by": target.miss(value),
                "hit": target.miss(value) == 0.0,
            }
        )
    return rows
