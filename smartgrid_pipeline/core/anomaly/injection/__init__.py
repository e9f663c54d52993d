"""Faults injected into clean readings, to measure what a detector finds."""
