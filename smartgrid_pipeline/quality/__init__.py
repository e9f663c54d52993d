"""Audits of readings, features and forecasts: Great Expectations suites and physical rules → Verdict."""

from smartgrid_pipeline.quality.features import audit_feature_months, audit_features
from smartgrid_pipeline.quality.forecasts import audit_forecasts
from smartgrid_pipeline.quality.page import render_html, write_html
from smartgrid_pipeline.quality.readings import audit_readings, judge, structure, validate

__all__ = [
    "audit_feature_months",
    "audit_features",
    "audit_forecasts",
    "audit_readings",
    "judge",
    "render_html",
    "structure",
    "validate",
    "write_html",
]
