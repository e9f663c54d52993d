"""Is the mixture a mixture? Alarms on the gate's shares and on forecasts that equal one expert's."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.evaluation.scoring.metrics import Aligned
from smartgrid_pipeline.core.evaluation.style import label
from smartgrid_pipeline.core.schema import EXPERT_NAMES, Finding, Floats

SHARE_COLUMNS = ("hour", "lead_minutes", "expert", "share")
"""Gate weights: hour of the target (0 … 23), end of the lead interval in minutes, expert, weight (0 … 1)."""

LEAST_SHARE, MOST_SHARE = 0.05, 0.70
"""Mean weights of an expert outside of this are an alarm."""

DOMINANT_SHARE = 0.99

MIXTURE = "mixture_of_experts"


def share_findings(shares: pd.DataFrame) -> tuple[Finding, ...]:
    """One finding per expert: its mean share stays within 5 … 70 %."""
    mean = shares.groupby("expert")["share"].mean()
    return tuple(
        Finding(
            f"gate share of {label(str(expert))}",
            bool(LEAST_SHARE <= share <= MOST_SHARE),
            f"{100 * share:.1f} %",
            f"{100 * LEAST_SHARE:.0f} … {100 * MOST_SHARE:.0f} %",
        )
        for expert, share in mean.items()
    )


def weighs_all_alike(shares: pd.DataFrame) -> bool:
    """Whether the gate leaves every expert the same weight everywhere: then it decides nothing."""
    even = 1 / max(1, shares["expert"].nunique())
    return bool((shares["share"] - even).abs().max() < 1e-3)


def collapse_finding(aligned: Aligned) -> Finding:
    """The mixture's forecasts are those of no single expert: closest expert and how far it is, RMS in kW."""
    distances: dict[str, list[float]] = {}
    for frames in aligned.values():
        for expert in EXPERT_NAMES:
            if expert in frames and MIXTURE in frames and len(frames[MIXTURE]):
                apart = frames[MIXTURE]["mean_kw"].to_numpy(float) - frames[expert]["mean_kw"].to_numpy(float)
                distances.setdefault(expert, []).append(float(np.sqrt(np.mean(apart**2))))
    if not distances:
        return Finding("the mixture equals no single expert", False, "no forecasts to compare", "RMS > 1 W")
    closest, apart = min(
        ((name, float(np.mean(v))) for name, v in distances.items()), key=lambda pair: pair[1]
    )
    return Finding(
        "the mixture equals no single expert",
        apart > 1e-3,
        f"{1e3 * apart:.1f} W from {label(closest)}",
        "RMS > 1 W",
    )


def error_correlation(aligned: Aligned, card: str) -> pd.DataFrame:
    """Pearson correlation of the experts' errors on a task, (experts, experts); averaging gains more when it
    is low.
    """
    frames = aligned.get(card, {})
    errors = {
        expert: frames[expert]["mean_kw"].to_numpy(float) - frames[expert]["observed_kw"].to_numpy(float)
        for expert in EXPERT_NAMES
        if expert in frames
    }
    return pd.DataFrame(errors).corr()


def entropy(weights: Floats) -> Floats:
    """Entropy of weights over experts (…, experts) as a share of its maximum, (…): 0 for one expert alone, 1
    for equal weights.
    """
    safe = np.maximum(weights, 1e-12)
    return (-(safe * np.log(safe)).sum(-1) / np.log(weights.shape[-1])).astype(np.float32)


def collapse_alarms(weights: Floats, names: Sequence[str]) -> list[str]:
    """Sentences about a collapse of the gate, empty when there is none; ``weights`` (…, experts).

    A mean weight outside LEAST_SHARE … MOST_SHARE, or most forecasts with nearly all weight on one expert.
    """
    mean = weights.reshape(-1, weights.shape[-1]).mean(0)
    alarms = [
        f"{name} has a share of {100 * share:.1f} %, outside {100 * LEAST_SHARE:.0f}–{100 * MOST_SHARE:.0f} %"
        for name, share in zip(names, mean, strict=True)
        if not LEAST_SHARE <= share <= MOST_SHARE
    ]
    if (weights.max(-1) > DOMINANT_SHARE).mean() > 0.5:
        alarms.append("the mixture equals one expert for most forecasts")
    return alarms
