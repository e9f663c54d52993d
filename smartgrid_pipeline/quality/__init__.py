"""Audits of readings, features and forecasts: expectation suites and physical rules → verdicts."""

from smartgrid_pipeline.quality.features import audit_feature_months
from smartgrid_pipeline.quality.forecasts import audit_forecasts
from smartgrid_pipeline.quality.page import render_html, write_html
from smartgrid_pipeline.quality.readings import audit_month, check_structure

__all__ = [
    "audit_feature_months",
    "audit_forecasts",
    "audit_month",
    "check_structure",
    "render_html",
    "write_html",
]
