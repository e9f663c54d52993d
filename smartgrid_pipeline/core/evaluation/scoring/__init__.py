"""Scores of forecasts: backtests, metrics, paired tests."""
