"""Digests of forecasts and alarms, to show that a change of the code changes none of them."""
