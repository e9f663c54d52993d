"""From raw scores to alarms: comparable anomaly scores, thresholds for a false-alarm rate, intervals."""
