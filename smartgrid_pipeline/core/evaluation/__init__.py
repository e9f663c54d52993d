"""Metrics, backtests, comparisons and the promotion rule."""
