"""Physics monitors: slow faults, seen in hourly aggregates of supply and loads."""
