"""Whether the promised false-alarm rate still holds, and which features have drifted since it was set."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.anomaly.interval_array import Array

REFIT_P = 0.01
"""New thresholds are due when the realised alarm count is less probable than this at the promised rate …"""

REFIT_SHARE = 1.5
"""… and the realised rate is also this many times the promised one."""


@dataclass(frozen=True)
class AlarmRate:
    """``alarms`` counted over ``months``, against the promised number of false alarms a month."""

    alarms: int
    months: float
    promised_false_alarms_per_month: float

    @property
    def ratio(self) -> float:
        """Realised over promised."""
        return self.alarms / (self.months * self.promised_false_alarms_per_month)

    @property
    def p_value(self) -> float:
        """Probability of at least so many alarms if the promise held (Poisson)."""
        from scipy.stats import poisson

        return float(poisson.sf(self.alarms - 1, self.months * self.promised_false_alarms_per_month))

    @property
    def refit(self) -> bool:
        """Whether new thresholds are due."""
        return self.p_value < REFIT_P and self.ratio > REFIT_SHARE


def population_stability(reference: Array, current: Array, bins: int = 10) -> float:
    """Population stability index over quantile bins of the reference: Σ (q − p) ln(q / p) of bin shares.

    The symmetric Kullback–Leibler divergence (Kullback & Leibler 1951). Above 0.25 the feature has drifted,
    by the convention of credit scoring (Siddiqi 2006, Credit Risk Scorecards). NaN values are left out; the
    index is NaN when either side has none left.
    """
    reference, current = reference[~np.isnan(reference)], current[~np.isnan(current)]
    if len(reference) == 0 or len(current) == 0:
        return float("nan")
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1]))
    was = np.bincount(np.searchsorted(edges, reference), minlength=len(edges) + 1) / len(reference)
    now = np.bincount(np.searchsorted(edges, current), minlength=len(edges) + 1) / len(current)
    was, now = np.maximum(was, 1e-4), np.maximum(now, 1e-4)
    return float(np.sum((now - was) * np.log(now / was)))


def kolmogorov_smirnov(reference: Array, current: Array) -> float:
    """Kolmogorov–Smirnov statistic: largest distance of the two distribution functions, 0 … 1."""
    from scipy.stats import ks_2samp

    return float(ks_2samp(reference[~np.isnan(reference)], current[~np.isnan(current)]).statistic)


MOVED = 0.25
"""Population stability index above which a feature has drifted."""


def moved_inputs(reference: dict[str, Array], current: dict[str, Array]) -> pd.DataFrame:
    """Both statistics of every feature, as columns of a table, the most drifted feature first."""
    rows = [
        {
            "input": name,
            "population_stability": population_stability(reference[name], current[name]),
            "kolmogorov_smirnov": kolmogorov_smirnov(reference[name], current[name]),
        }
        for name in reference
        if not (np.isnan(reference[name]).all() or np.isnan(current[name]).all())
    ]
    table = pd.DataFrame(rows, columns=["input", "population_stability", "kolmogorov_smirnov"])
    table["moved"] = table["population_stability"] > MOVED
    return table.sort_values("population_stability", ascending=False, ignore_index=True)
