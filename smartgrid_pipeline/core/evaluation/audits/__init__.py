"""Audits: leakage of the future, the MAPE claim of the replaced project, use of the experts."""
