"""Deterministic rules on single readings, and the limits they use."""
