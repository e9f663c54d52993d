"""Faults injected into recorded readings, to measure what a detector finds."""
