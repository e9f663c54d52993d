"""Audits: future leaks, the replaced project's MAPE, the use of the experts."""
