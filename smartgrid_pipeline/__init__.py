"""Smart-meter readings to gated forecasts and alarms."""
