"""Scores of forecasts: backtests, metrics and paired comparisons."""
