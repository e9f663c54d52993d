"""From recorded rows to validated readings, defects and features of whole months."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.forecasting.history_frames import build_feature_table
from smartgrid_pipeline.core.schema import DataError, Meter, Verdict
from smartgrid_pipeline.orchestration.months import bounds, in_months, months_of
from smartgrid_pipeline.orchestration.resources import Resources

DEFECT = "defect"
"""Column of validated readings: the defect type of a masked row, "" elsewhere."""

LEAKAGE_DAYS = 15
"""Days before the audited month that the leakage audit of features also builds."""


def select_months(frame: pd.DataFrame, months: Sequence[str], found: str) -> pd.DataFrame:
    """The rows of some months. Raises DataError without any; ``found`` completes its "the source …"."""
    rows = frame[in_months(frame, months)]
    if rows.empty:
        raise DataError(
            f"The source has no readings in {_span(months)}: it {found}. Choose a month inside, with --month."
        )
    return rows


def validate(
    recorded: pd.DataFrame,
    meter: Meter,
    months: Sequence[str],
    last_reading: pd.Timestamp,
    failed_before: Collection[str] = (),
) -> tuple[pd.DataFrame, list[Verdict]]:
    """Masked readings of the months on a regular civil grid, and the verdict of each month's audit.

    ``recorded`` holds rows as recorded, with those of the month before the first where they exist. A month is
    compared with the month before it, unless that one failed its own audit or is in ``failed_before``. When a
    month ends before the source's ``last_reading``, it must be complete.
    """
    from smartgrid_pipeline import quality

    grid = meter_data.to_grid(recorded, meter)
    types = meter_data.defect_types(grid)
    clean = meter_data.mask(grid, types)
    recorded_month, grid_month = months_of(recorded), months_of(clean)
    rows = {month: recorded[recorded_month == np.datetime64(month, "M")] for month in months}
    structure = quality.check_structure(rows, meter)
    failed, verdicts = set(failed_before), []
    for month in months:
        before = str(np.datetime64(month, "M") - 1)
        earlier = clean[grid_month == np.datetime64(before, "M")]
        comparable = earlier if len(earlier) and before not in failed else None
        is_past = bounds(month)[1] <= last_reading
        verdict = quality.audit_month(rows[month], meter, month, structure[month], comparable, is_past)
        verdicts.append(verdict)
        if not verdict.passed:
            failed.add(month)
    clean[DEFECT] = pd.Categorical(types.to_numpy(), ["", *meter_data.DEFECT_TYPES])
    return clean[in_months(clean, months)], verdicts


def failed_before(resources: Resources, month: str) -> list[str]:
    """The month before, if its readings failed their audit; the next month is not compared with it."""
    before = str(np.datetime64(month, "M") - 1)
    return [verdict.subject for verdict in resources.verdicts.failed(["readings"], [before])]


def build_features(
    validated: pd.DataFrame, meter: Meter, months: Sequence[str]
) -> tuple[pd.DataFrame, list[Verdict]]:
    """The feature table of the months and the verdict of each month's audit."""
    from smartgrid_pipeline import quality

    table = build_feature_table(meter_data.resample(validated, meter), meter)
    table = table[in_months(table, months)]
    month = months_of(table)
    tables = {each: table[month == np.datetime64(each, "M")] for each in months}
    return table, quality.audit_feature_months(tables, meter)


def audit_leakage(validated: pd.DataFrame, meter: Meter, months: Sequence[str]) -> list[Verdict]:
    """The leakage audit of the feature builder, as a verdict for each month.

    Readings after the middle of the newest month are changed; features before it must stay the same. One
    function builds the features of every month, so one audit holds for all months of the run.
    """
    from smartgrid_pipeline.core.evaluation.audits import leakage

    start, end = bounds(months[-1])
    recent = validated[validated.index >= start - pd.Timedelta(days=LEAKAGE_DAYS)]
    verdict = leakage.audit_features(recent, meter, np.datetime64(start + (end - start) / 2, "m"))
    return [Verdict(verdict.suite, month, verdict.findings) for month in months]


def defects_of(validated: pd.DataFrame, meter: Meter) -> pd.DataFrame:
    """The defects of validated readings, one row each (``meter_data.DEFECT_COLUMNS``)."""
    types = validated[DEFECT].astype(str)
    return meter_data.defect_table(types, meter.step_minutes, meter.channels)


def _span(months: Sequence[str]) -> str:
    return months[0] if len(months) == 1 else f"{months[0]} … {months[-1]}"
