"""The anomaly page and its plots."""
