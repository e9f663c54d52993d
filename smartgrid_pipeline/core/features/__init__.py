"""Feature blocks: what models may look at, computed from one meter's readings; numpy only."""
