"""What the commands answer: plain documents for --json, and the same as tables for people."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.schema import DataError, ModelError, RegistryError

if TYPE_CHECKING:
    from smartgrid_pipeline.core.forecasting.forecaster import Forecaster
    from smartgrid_pipeline.core.schema import Meter
    from smartgrid_pipeline.orchestration.resources import Resources
    from smartgrid_pipeline.registry import Champion, Registry
    from smartgrid_pipeline.settings import Settings
    from smartgrid_pipeline.sources import Readings

Document = dict[str, Any]


def report(settings: "Settings", month: str | None) -> Document:
    """The stored summary of a month's comparison. Raises DataError when the month was never run."""
    folder = settings.data_dir / "reports"
    months = sorted(path.parent.name for path in folder.glob("*/summary.json"))
    if not months:
        raise DataError(f"No month has been run yet: {folder} holds no report. Start with `smartgrid run`.")
    if month is not None and month not in months:
        raise DataError(
            f"{month} has no report; found {', '.join(months)}. `smartgrid run --month {month}` makes it."
        )
    chosen = month or months[-1]
    document = json.loads((folder / chosen / "summary.json").read_text())
    now = _resources(settings).registry.champion()
    return document | {
        "champion": None if now is None else champion_dict(now),
        "report": str(folder / chosen / "report.html"),
    }


def validate(settings: "Settings", page: Path | None = None) -> Document:
    """The verdict of every month of a source, as the pipeline would give it; ``page`` is an HTML file to
    write them to. Raises SourceError.
    """
    from smartgrid_pipeline import quality
    from smartgrid_pipeline.orchestration.flows import ingest
    from smartgrid_pipeline.orchestration.months import months_of
    from smartgrid_pipeline.orchestration.resources import Resources

    readings = Resources(settings).readings
    months = [str(each) for each in np.unique(months_of(readings.frame))]
    last = pd.Timestamp(readings.fingerprint.last)
    _, verdicts = ingest.validate(readings.frame, readings.meter, months, last)
    if page is not None:
        quality.write_html(verdicts, page)
    return {
        "source": readings.fingerprint.location,
        "meter": readings.meter.meter_id,
        "notes": list(readings.notes),
        "passed": all(verdict.passed for verdict in verdicts),
        "months": {verdict.subject: verdict.to_dict() for verdict in verdicts},
    }


def defects(settings: "Settings") -> Document:
    """Defects of all readings of the source, found in the readings alone."""
    from smartgrid_pipeline.core import meter_data
    from smartgrid_pipeline.orchestration.resources import Resources

    readings = Resources(settings).readings
    grid = meter_data.to_grid(readings.frame, readings.meter)
    kinds = meter_data.defect_types(grid)
    found = meter_data.defect_table(kinds, readings.meter.step_minutes, readings.meter.channels)
    counts = found.groupby("kind")["minutes"].agg(["count", "sum"])
    return {
        "meter": readings.meter.meter_id,
        "source": readings.fingerprint.location,
        "counts": {
            str(kind): {"intervals": int(row["count"]), "minutes": int(row["sum"])}
            for kind, row in counts.iterrows()
        },
        "defects": [
            {
                "start": str(row.start),
                "end": str(row.end),
                "kind": row.kind,
                "minutes": int(row.minutes),
                "channels": row.channels.split(","),
            }
            for row in found.itertuples()
        ],
    }


def champion(settings: "Settings") -> Document:
    """The champion and the ledger of its predecessors."""
    registry = _resources(settings).registry
    now = registry.champion()
    return {
        "meter": settings.meter_slug,
        "champion": None if now is None else champion_dict(now),
        "ledger": [row.to_dict() for row in registry.ledger()],
    }


def champion_dict(now: Any) -> Document:
    """A champion as plain data."""
    return {
        "model": now.model,
        "month": now.month,
        "version": now.version,
        "run_id": now.run_id,
        "since": now.since.isoformat(),
    }


def promote(settings: "Settings", run_id: str, reason: str) -> str:
    """Promote a challenger on the verdicts logged with it. Raises PromotionRefused with what is missing."""
    from smartgrid_pipeline.orchestration.flows.promote import promote_run

    promotion = promote_run(_resources(settings), run_id, reason)
    row = promotion.row
    if not promotion.changed:
        return f"{row.model} of {row.month} is champion already (version {row.to_version}); nothing changed."
    before = row.from_version or "none"
    return f"champion is now {row.model} of {row.month}, version {row.to_version} (was {before})"


def rollback(settings: "Settings", reason: str) -> str:
    """Make the previous champion champion again. Raises PromotionRefused when there was none."""
    row = _resources(settings).registry.rollback(reason).row
    return f"champion is {row.model} of {row.month} again, version {row.to_version} (was {row.from_version})"


def forecast(settings: "Settings", file: str | None) -> Document:
    """The forecast from the newest reading of a file, or of the meter itself: by the champion, or by the best
    tier of the fallback chain below it, with the reason: also when the champion's files are missing, damaged
    or of another format. Raises RegistryError when the database cannot be opened.
    """
    from smartgrid_pipeline.core.forecasting.newest import newest_forecast, to_frame

    resources = _resources(settings)
    readings = resources.readings if file is None else _read_file(settings, file)
    now, model, fitted_on, problem = _load_champion(resources.registry)
    found = newest_forecast(model, fitted_on, readings.frame, readings.meter)
    frame = to_frame(found.forecast)
    return {
        "meter": readings.meter.meter_id,
        "origin": str(frame["origin"].iloc[0]),
        "tier": found.tier_names()[0],
        "reason": problem or found.reason or None,
        "champion": None if now is None else champion_dict(now),
        "unit": "kW, mean over each interval (origin + lead_start, origin + lead_end]",
        "forecasts": frame.drop(columns="origin").to_dict("records"),
    }


def _load_champion(
    registry: "Registry",
) -> "tuple[Champion | None, Forecaster | None, Meter | None, str]":
    """The champion, its model, the meter it was fitted on, and why it has no model: "" when it has one."""
    from smartgrid_pipeline.registry.model_files import ModelGone

    try:
        now = registry.champion()
    except ModelGone as error:
        return None, None, None, str(error)
    if now is None:
        return None, None, None, ""
    try:
        return now, registry.load(now.run_id), registry.fitted_on(now.run_id), ""
    except (RegistryError, ModelError) as error:
        return now, None, None, str(error)


def anomalies(settings: "Settings", file: str | None, since: str | None) -> Document:
    """Events in the readings of a file or of the meter. Raises RegistryError or DataError when there is no
    detector for them and none can be fitted.
    """
    from smartgrid_pipeline.orchestration.flows.detect import detect

    resources = _resources(settings)
    readings = resources.readings if file is None else _read_file(settings, file)
    begin = pd.Timestamp(since) if since else None
    found = detect(resources, readings, begin, from_file=file is not None)
    events = found.detection.events.assign(channels=found.detection.events["channels"].str.split(","))
    times = {name: events[name].astype(str) for name in ("start", "end", "raised")}
    return {
        "meter": readings.meter.meter_id,
        "basis": found.basis,
        "detector": None if found.run is None else {"month": found.run.month, "run_id": found.run.run_id},
        "promised_false_alarms_per_month": found.promised_false_alarms_per_month,
        "monitors_off": list(found.detection.inactive_monitors),
        "events": events.assign(**times).to_dict("records"),
    }


def _read_file(settings: "Settings", file: str) -> "Readings":
    from smartgrid_pipeline.sources import SourceSpec, read

    if not Path(file).exists() and "://" not in file:
        raise DataError(f"There is no file {file}.")
    return read(SourceSpec(**{**vars(settings.source_spec), "location": file}))


def _resources(settings: "Settings") -> "Resources":
    from smartgrid_pipeline.orchestration.resources import Resources

    return Resources(settings)
