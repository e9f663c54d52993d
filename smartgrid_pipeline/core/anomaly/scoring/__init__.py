"""Scores made comparable: survival probabilities, thresholds for a false-alarm rate, alarms."""
