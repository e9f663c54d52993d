"""Alarms as events: merged, classified and described."""
