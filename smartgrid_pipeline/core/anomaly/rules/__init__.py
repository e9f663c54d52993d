"""Rules: certain faults of single readings, and the limits they use."""
