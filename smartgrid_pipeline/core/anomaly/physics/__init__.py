"""Physical monitors: slow statistics of supply, clock and loads, from hourly aggregates."""
