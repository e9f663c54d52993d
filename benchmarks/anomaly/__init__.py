"""Injected faults against the anomaly detector: recall with chance taken out, at a promised alarm rate."""
