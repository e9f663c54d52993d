"""The anomaly detector of one meter: rules, physics and ensemble, fused under a budget of false alarms."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.anomaly import ensemble, fusion, inputs, rules
from smartgrid_pipeline.core.anomaly.events import EVENT_COLUMNS, describe, raised_by_rules
from smartgrid_pipeline.core.anomaly.fusion import Voice
from smartgrid_pipeline.core.anomaly.rules import Hit
from smartgrid_pipeline.core.anomaly.stream import Array, Flags, Stream
from smartgrid_pipeline.core.anomaly.tails import Tail
from smartgrid_pipeline.core.schema import INTERVAL_START, DataError, Meter, ModelError

FORMAT = 1
CONTEXT_DAYS = 16
"""Twice the longest look back of an input, so that what the rules took away is the same too."""

FIT_ROWS = 200_000


@dataclass(frozen=True)
class Detection:
    """What was found. ``scores``: one row per working interval; ``events``: EVENT_COLUMNS, one row each."""

    scores: pd.DataFrame
    events: pd.DataFrame
    monitors_off: tuple[str, ...]

    @property
    def alarms_per_month(self) -> pd.Series:
        """Number of events that start in each civil month of the scored period."""
        months = self.scores.index.to_period("M").unique()
        return self.events["start"].dt.to_period("M").value_counts().reindex(months, fill_value=0)


class AnomalyDetector:
    """Learns what is normal for a meter and raises at most about ``budget_per_month`` false alarms."""

    def __init__(self, budget_per_month: float = 1.0, seed: int = 0, price_per_kwh: float = 0.25) -> None:
        if not budget_per_month > 0:
            raise ModelError(f"A budget must be above 0 alarms a month: found {budget_per_month}.")
        self.budget_per_month = budget_per_month
        self.seed = seed
        self.price_per_kwh = price_per_kwh
        self._meter: Meter | None = None

    def fit(self, readings: pd.DataFrame, meter: Meter, calibrate_from: np.datetime64) -> None:
        """Learn members on clean rows before ``calibrate_from``, tails and thresholds on those after it.

        ``readings`` are as recorded, on the meter's grid. Raises DataError when either part is too short.
        """
        stream = Stream.from_readings(readings, meter)
        clean = np.zeros(len(stream.times), bool)
        kinds = meter_data.defect_kinds(readings).to_numpy()
        clean[stream.first_row : stream.first_row + stream.rows] = kinds == ""
        early = stream.times < calibrate_from.astype("datetime64[m]")
        if (clean & early).sum() * meter.step_minutes < 14 * 1440:
            raise DataError(
                f"Too little to learn from: found {(clean & early).sum()} clean readings before "
                f"{calibrate_from}, at least 14 days are needed."
            )
        self._meter = meter
        self._limits = rules.learn_limits(stream, clean & early)
        hits = rules.hits(stream, self._limits)
        x, masked = self._inputs(stream, hits)
        whole = stream.blocks(clean.astype(float)).min(1) > 0
        quiet = whole & _away_from(masked, stream.per_hours(6))
        learn = quiet & (stream.intervals < calibrate_from) & self._warm(stream)
        self._scaler = ensemble.Scaler.fit(x[learn])
        rows = self._scaler.apply(x[learn])
        if len(rows) > FIT_ROWS:
            chosen = np.random.default_rng(self.seed).permutation(len(rows))[:FIT_ROWS]
            rows = rows[np.sort(chosen)]
        self._members = {name: fit(rows, self.seed) for name, fit in ensemble.FIT.items()}
        self._calibrate(stream, x, quiet & (stream.intervals >= calibrate_from))

    def detect(self, readings: pd.DataFrame, since: np.datetime64 | None = None) -> Detection:
        """Judge readings as recorded; rows before ``since`` are context and not reported.

        Scores depend on the ``context_days`` before them only. Raises ModelError when not fitted.
        """
        stream = Stream.from_readings(readings, self.meter)
        hits = rules.hits(stream, self._limits)
        x, _ = self._inputs(stream, hits)
        rows = self._scaler.apply(x)
        voices, columns = self._voices(rows)
        frame = pd.DataFrame(
            columns, index=pd.DatetimeIndex(stream.intervals.astype("datetime64[s]"), name=INTERVAL_START)
        )
        frame["rules_alarm"] = raised_by_rules(stream, hits)
        frame["alarm"] = frame["rules_alarm"] | np.any([voice.alarms() for voice in voices], axis=0)
        events = describe(stream, hits, voices, self._attribution(rows), self.price_per_kwh)
        if since is not None:
            frame = frame[frame.index >= since]
            events = events[events["raised"] >= since].reset_index(drop=True)
        return Detection(frame, events[list(EVENT_COLUMNS)], self.monitors_off)

    @property
    def meter(self) -> Meter:
        """The meter this detector was fitted on. Raises ModelError when it was not fitted."""
        if self._meter is None:
            raise ModelError("This detector was not fitted: call fit or load first.")
        return self._meter

    @property
    def context_days(self) -> int:
        """Days of readings before the first judged one that make every score what it is in the whole."""
        return CONTEXT_DAYS

    @property
    def monitors_off(self) -> tuple[str, ...]:
        """Names of the rules and monitors this meter's channels do not allow."""
        if self._meter is None:
            return ()
        have = set(self._meter.channels)
        return tuple(rule.name for rule in rules.RULES if not set(rule.channels) <= have)

    def parameters(self) -> dict[str, Any]:
        """Settings and what was learned, flat, for the tracking run."""
        flat: dict[str, Any] = {
            "budget_per_month": self.budget_per_month,
            "seed": self.seed,
            "price_per_kwh": self.price_per_kwh,
        }
        if self._meter is not None:
            flat |= {"meter_id": self._meter.meter_id, "inputs": len(self._names)}
            flat |= {f"threshold_{name}": value for name, value in self._thresholds.items()}
            flat |= {f"limit_{name}": value for name, value in self._limits.items()}
            flat["monitors_off"] = ",".join(self.monitors_off)
        return flat

    def _inputs(self, stream: Stream, hits: list[Hit]) -> tuple[Array, Flags]:
        """Ensemble inputs (intervals, inputs) and the intervals whose readings the rules took away.

        A reading is taken away only from the moment its rule could be raised: earlier intervals cannot know.
        """
        taken = np.zeros(len(stream.times), bool)
        for hit in hits:
            if hit.rule.alarm_class != "grid":
                taken[hit.raised : hit.end] = True
        kept = {channel: np.where(taken, np.nan, values) for channel, values in stream.values.items()}
        columns = inputs.build(replace(stream, values=kept))
        self._names = tuple(columns)
        return np.stack(list(columns.values()), axis=1), stream.any(taken)

    def _warm(self, stream: Stream) -> Flags:
        return np.arange(len(stream.intervals)) >= stream.per_hours(24 * inputs.CONTEXT_DAYS)

    def _calibrate(self, stream: Stream, x: Array, quiet: Flags) -> None:
        """Tails and thresholds on quiet rows of the later period; frozen from then on."""
        days = quiet.sum() / stream.per_hours(24)
        if days < 14:
            raise DataError(
                f"Too little to calibrate on: found {days:.1f} clean days, at least 14 are needed; "
                "choose an earlier calibrate_from or give more readings."
            )
        scores = ensemble.scores(self._members, self._scaler.apply(x[quiet]))
        self._tails = {name: Tail.fit(score) for name, score in scores.items()}
        rarities = {name: self._tails[name].rarity(score) for name, score in scores.items()}
        gap = stream.per_hours(fusion.MERGE_HOURS)
        wanted = self.budget_per_month * days / fusion.MONTH_DAYS
        self._thresholds = {
            name: fusion.threshold_for(rarity, wanted, gap) for name, rarity in rarities.items()
        }
        self._thresholds["ensemble"] = fusion.threshold_for(
            np.mean(list(rarities.values()), axis=0), wanted, gap
        )

    def _voices(self, rows: ensemble.Matrix) -> tuple[list[Voice], dict[str, Array]]:
        """The ensemble's voice, and what it consists of as columns of the scores table."""
        scores = ensemble.scores(self._members, rows)
        rarities = {name: self._tails[name].rarity(score) for name, score in scores.items()}
        average = np.mean(list(rarities.values()), axis=0)
        votes = np.sum([rarities[name] >= self._thresholds[name] for name in rarities], axis=0)
        voice = Voice(
            "ensemble", "ensemble", "behaviour", "unusual_load", (), average, self._thresholds["ensemble"],
            "unlike anything this meter usually records",
        )  # fmt: skip
        columns = {f"{name}_rarity": rarity for name, rarity in rarities.items()}
        return [voice], columns | {
            "votes": votes,
            "vote_2_of_3": votes >= 2,
            "ensemble_rarity": average,
            "ensemble_alarm": voice.alarms(),
        }

    def _attribution(self, rows: ensemble.Matrix) -> Callable[[int], tuple[str, ...]]:
        """Names the channel whose inputs the autoencoder could least explain in an interval."""

        def channels(row: int) -> tuple[str, ...]:
            errors = ensemble.errors_autoencoder(self._members["autoencoder"], rows[row : row + 1])[0]
            blame: dict[str, float] = {}
            for name, error in zip(self._names, errors, strict=True):
                channel = inputs.channel_of(name)
                blame[channel] = max(blame.get(channel, 0.0), float(error))
            return (max(blame, key=lambda channel: blame[channel]),)

        return channels

    def save(self, directory: Path) -> None:
        """Write detector.json and detector.npz into a directory. Raises ModelError when not fitted."""
        if self._meter is None:
            raise ModelError("This detector was not fitted: there is nothing to save.")
        state = {
            "format": FORMAT,
            "budget_per_month": self.budget_per_month,
            "seed": self.seed,
            "price_per_kwh": self.price_per_kwh,
            "meter": asdict(self._meter),
            "limits": self._limits,
            "names": self._names,
            "thresholds": self._thresholds,
            "tails": {name: {"shape": t.shape, "scale": t.scale} for name, t in self._tails.items()},
        }
        (directory / "detector.json").write_text(json.dumps(state, indent=1, sort_keys=True))
        arrays: dict[str, Any] = {"scaler/middle": self._scaler.middle, "scaler/width": self._scaler.width}
        arrays |= {f"tail/{name}": tail.grid for name, tail in self._tails.items()}
        arrays |= {f"{m}/{name}": a for m, parts in self._members.items() for name, a in parts.items()}
        np.savez_compressed(directory / "detector.npz", **arrays)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what ``save`` wrote. Raises ModelError when files are missing or of another format."""
        try:
            state = json.loads((directory / "detector.json").read_text())
            with np.load(directory / "detector.npz", allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        except (OSError, ValueError) as error:
            raise ModelError(f"No anomaly detector could be read from {directory}: {error}.") from error
        if state.get("format") != FORMAT:
            raise ModelError(
                f"The anomaly detector in {directory} has format {state.get('format')}, this version reads "
                f"{FORMAT}; fit it again."
            )
        detector = cls(state["budget_per_month"], state["seed"], state["price_per_kwh"])
        meter = state["meter"]
        detector._meter = Meter(**(meter | {"channels": tuple(meter["channels"])}))
        detector._limits, detector._names = state["limits"], tuple(state["names"])
        detector._thresholds = state["thresholds"]
        detector._tails = {
            name: Tail(arrays[f"tail/{name}"], tail["shape"], tail["scale"])
            for name, tail in state["tails"].items()
        }
        detector._scaler = ensemble.Scaler(arrays["scaler/middle"], arrays["scaler/width"])
        detector._members = {
            member: {name.split("/")[1]: a for name, a in arrays.items() if name.startswith(f"{member}/")}
            for member in ensemble.MEMBERS
        }
        return detector


def _away_from(flags: Flags, rows: int) -> Flags:
    """Rows that are neither flagged nor within ``rows`` after or before a flagged one."""
    near = np.convolve(flags.astype(float), np.ones(2 * rows + 1), "same") > 0.5
    return ~near
