"""Dagster: assets, checks, jobs, schedules, sensors."""
