"""Baselines: naive references, and one regression per lead group."""
